"""OpenCV gives a GRU's last state for its first output, the states of all steps."""

import cv2
import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
gru (float[5,1,1] x) => (float[5,1,1,1] states)
<float[1,3,1] w = {1, 1, 1}, float[1,3,1] r = {1, 1, 1}, float[1,6] b = {0, 0, 0, 0, 0, 0}>
{ states = GRU <hidden_size: int = 1> (x, w, r, b) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "gru.onnx")
net = cv2.dnn.readNetFromONNX("gru.onnx")
net.setInput(np.ones((5, 1, 1), np.float32))
print("expected", (5, 1, 1, 1))
print("received", net.forward().shape)
