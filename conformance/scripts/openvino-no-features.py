"""OpenVINO leaves a product over no features as its memory was if one matrix is constant."""

import numpy as np
import openvino
from openvino import opset13

x = opset13.parameter([-1, -1], np.float32)
matrix = opset13.parameter([-1, -1], np.float32)
empty = [np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32)]
for name, inputs, second in (
    ("of two inputs", [x, matrix], matrix),
    ("with a constant", [x], opset13.constant(empty[1])),
):
    product = opset13.matmul(x, second, transpose_a=False, transpose_b=False)
    compiled = openvino.compile_model(openvino.Model([product], inputs), "CPU")
    print("expected", np.matmul(*empty).tolist())
    print("received", compiled(empty[: len(inputs)])[0].tolist(), name)
