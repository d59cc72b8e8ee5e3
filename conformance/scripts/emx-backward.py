"""emx-onnx-cgen gives the states of the backward direction in the order of their computation."""

import ctypes
import subprocess

import numpy as np
import onnx.parser
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
lstm (float[3,1,1] x) => (float[3,1,1,1] states)
<float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1},
 float[1,8] b = {0, 0, 0, 0, 0, 0, 0, 0}>
{ states = LSTM <hidden_size: int = 1, direction: string = "reverse"> (x, w, r, b) }
"""
model = onnx.parser.parse_model(TEXT)
onnx.save(model, "lstm.onnx")
subprocess.run("emx-onnx-cgen compile lstm.onnx lstm.c", shell=True, check=True)
subprocess.run("cc -shared -fPIC -o lstm.so lstm.c -lm", shell=True, check=True)
x, states = np.array([1, 2, 3], np.float32).reshape(3, 1, 1), np.zeros(3, np.float32)
function = ctypes.CDLL("./lstm.so").model
function(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(states.ctypes.data))
print("expected", ReferenceEvaluator(model).run(None, {"x": x})[0].ravel())
print("received", states)
