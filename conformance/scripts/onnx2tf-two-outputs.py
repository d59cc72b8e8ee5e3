"""onnx2tf gives zeros for the last state of an LSTM after a Transpose, if all states are used too."""

import subprocess

import numpy as np
import onnx.parser
from ai_edge_litert.interpreter import Interpreter
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
lstm (float[2,3,1] x) => (float[3,2,1] steps, float[2,1] last)
<float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1},
 float[1,8] b = {0, 0, 0, 0, 0, 0, 0, 0}, int64[1] first = {0}, int64[1] second = {1}>
{ by_step = Transpose <perm: ints = [1, 0, 2]> (x)
  states, state = LSTM <hidden_size: int = 1> (by_step, w, r, b)
  steps = Squeeze (states, second)
  last = Squeeze (state, first) }
"""
model, x = onnx.parser.parse_model(TEXT), np.arange(6, dtype=np.float32).reshape(2, 3, 1)
onnx.save(model, "lstm.onnx")
command = "onnx2tf -n -i lstm.onnx -o tf -kat x -coion"
subprocess.run(command, shell=True, check=True, capture_output=True)
interpreter = Interpreter("tf/lstm_float32.tflite")
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
interpreter.invoke()
last = interpreter.get_tensor(interpreter.get_output_details()[1]["index"])
print("expected", ReferenceEvaluator(model).run(None, {"x": x})[1].ravel())
print("received", last.ravel())
