"""onnx2c adds the bias of a Gemm along the wrong axis if the batch is as large as the bias."""

import ctypes
import subprocess

import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
gemm (float[2,1] x) => (float[2,2] y) <float[1,2] w = {0, 0}, float[2] b = {1, 2}>
{ y = Gemm (x, w, b) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "gemm.onnx")
subprocess.run("onnx2c gemm.onnx > gemm.c", shell=True, check=True)
subprocess.run("cc -shared -fPIC -o gemm.so gemm.c -lm", shell=True, check=True)
x, y = np.zeros((2, 1), np.float32), np.zeros((2, 2), np.float32)
ctypes.CDLL("./gemm.so").entry(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data))
print("expected", [[1.0, 2.0], [1.0, 2.0]])
print("received", y.tolist())
