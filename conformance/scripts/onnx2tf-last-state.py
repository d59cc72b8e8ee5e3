"""onnx2tf gives the states of all steps for the last one, if the first output has no name."""

import subprocess

import onnx.parser
from ai_edge_litert.interpreter import Interpreter

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
rnn (float[3,1,1] x) => (float[1,1] y)
<float[1,1,1] w = {1}, float[1,1,1] r = {1}, float[1,2] b = {0, 0}, int64[1] axis = {0}>
{ "", state = RNN <hidden_size: int = 1> (x, w, r, b)
  y = Squeeze (state, axis) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "rnn.onnx")
subprocess.run("onnx2tf -n -i rnn.onnx -o tf -kat x", shell=True, check=True, capture_output=True)
interpreter = Interpreter("tf/rnn_float32.tflite")
print("expected", (1, 1))
interpreter.allocate_tensors()
interpreter.invoke()
print("received", interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).shape)
