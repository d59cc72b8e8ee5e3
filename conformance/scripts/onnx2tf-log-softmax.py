"""onnx2tf computes LogSoftmax as the logarithm of Softmax, and Softplus as log(1 + exp(x))."""

import subprocess

import numpy as np
import onnx.parser
from ai_edge_litert.interpreter import Interpreter

for name, expected in (("Softplus", [0.69, 200.0]), ("LogSoftmax", [-200.0, 0.0])):
    text = f"""
<ir_version: 8, opset_import: ["": 18]>
graph (float[1,2] x) => (float[1,2] y) {{ y = {name} (x) }}
"""
    onnx.save(onnx.parser.parse_model(text), "model.onnx")
    command = "onnx2tf -n -i model.onnx -o tf -kat x"
    subprocess.run(command, shell=True, check=True, capture_output=True)
    interpreter = Interpreter("tf/model_float32.tflite")
    interpreter.allocate_tensors()
    x = np.array([[0, 200]], np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    output = interpreter.get_output_details()[0]["index"]
    print("expected", name, expected)
    print("received", name, interpreter.get_tensor(output).ravel())
