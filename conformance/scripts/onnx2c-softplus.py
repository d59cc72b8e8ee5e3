"""onnx2c computes Softplus as log(1 + exp(x))."""

import ctypes
import subprocess

import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
graph (float[2] x) => (float[2] y) { y = Softplus (x) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "op.onnx")
subprocess.run("onnx2c op.onnx > op.c", shell=True, check=True)
subprocess.run("cc -shared -fPIC -o op.so op.c -lm", shell=True, check=True)
x, y = np.array([1, 200], np.float32), np.zeros(2, np.float32)
ctypes.CDLL("./op.so").entry(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data))
print("expected", np.logaddexp(0, x))
print("received", y)
