"""OpenCV pads both sides of a Conv with auto_pad SAME_UPPER, also where one zero is enough."""

import cv2
import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
conv (float[1,1,4] x) => (float[1,1,2] y) <float[1,1,3] w = {100, 10, 1}>
{ y = Conv <auto_pad: string = "SAME_UPPER", strides: ints = [2]> (x, w) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "conv.onnx")
net = cv2.dnn.readNetFromONNX("conv.onnx")
net.setInput(np.array([[[1, 2, 3, 4]]], np.float32))
print("expected", [123.0, 340.0])
print("received", net.forward().ravel())
