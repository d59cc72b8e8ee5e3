"""onnx2tf fixes the batch size and the number of steps of a recurrent layer at one."""

import subprocess

import onnx.parser
from ai_edge_litert.interpreter import Interpreter

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
gru (float[steps,batch,1] x) => (float[steps,1,batch,1] y)
<float[1,3,1] w = {1, 1, 1}, float[1,3,1] r = {1, 1, 1}, float[1,6] b = {0, 0, 0, 0, 0, 0}>
{ y = GRU <hidden_size: int = 1> (x, w, r, b) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "gru.onnx")
subprocess.run("onnx2tf -n -i gru.onnx -o tf -kat x", shell=True, check=True, capture_output=True)
interpreter = Interpreter("tf/gru_float32.tflite")
print("expected", (3, 1, 2, 1))
interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], (3, 2, 1))
interpreter.allocate_tensors()
interpreter.invoke()
print("received", interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).shape)
