"""onnx2c runs the backward direction of an LSTM forwards."""

import ctypes
import subprocess

import numpy as np
import onnx.parser
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
lstm (float[3,1,1] x) => (float[1,1,1] state)
<float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1}, float[1,8] b = {0, 0, 0, 0, 0, 0, 0, 0}>
{ "", state = LSTM <hidden_size: int = 1, direction: string = "reverse"> (x, w, r, b) }
"""
model = onnx.parser.parse_model(TEXT)
onnx.save(model, "/tmp/lstm.onnx")
subprocess.run("onnx2c /tmp/lstm.onnx > /tmp/lstm.c", shell=True, check=True)
subprocess.run("cc -shared -fPIC -o /tmp/lstm.so /tmp/lstm.c -lm", shell=True, check=True)
x, state = np.array([1, 2, 3], np.float32).reshape(3, 1, 1), np.zeros(1, np.float32)
ctypes.CDLL("/tmp/lstm.so").entry(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(state.ctypes.data))
print("expected", ReferenceEvaluator(model).run(None, {"x": x})[0].ravel())
print("received", state)
