"""onnx2tf makes an operator that LiteRT does not have of a Gemm after an LSTM."""

import subprocess

import onnx.parser
from ai_edge_litert.interpreter import Interpreter

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
lstm (float[3,1,1] x) => (float[1,1] y)
<float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1},
 float[1,8] b = {0, 0, 0, 0, 0, 0, 0, 0}, int64[1] axis = {0}, float[1,1] k = {1}, float[1] c = {0}>
{ "", state = LSTM <hidden_size: int = 1> (x, w, r, b)
  last = Squeeze (state, axis)
  y = Gemm (last, k, c) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "lstm.onnx")
subprocess.run("onnx2tf -n -i lstm.onnx -o tf -kat x", shell=True, check=True, capture_output=True)
interpreter = Interpreter("tf/lstm_float32.tflite")
print("expected: a model that LiteRT runs")
interpreter.allocate_tensors()
interpreter.invoke()
print("received: one")
