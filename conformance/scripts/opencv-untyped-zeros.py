"""OpenCV refuses ConstantOfShape without a value, which is zero in float32 by default."""

import cv2
import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
zeros (float[3] x) => (float[3] y)
{ size = Shape (x) zeros = ConstantOfShape (size) y = Add (x, zeros) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "zeros.onnx")
net = cv2.dnn.readNetFromONNX("zeros.onnx")
net.setInput(np.ones(3, np.float32), "x")
print("expected", [1.0, 1.0, 1.0])
print("received", net.forward().ravel())
