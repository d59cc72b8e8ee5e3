"""OpenCV refuses an LSTM that has initial states and no bias."""

import cv2
import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
lstm (float[3,1,1] x) => (float[1,1,1] state)
<float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1}, float[1,1,1] zeros = {0}>
{ all, state, cell = LSTM <hidden_size: int = 1> (x, w, r, "", "", zeros, zeros) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "lstm.onnx")
net = cv2.dnn.readNetFromONNX("lstm.onnx")
net.setInput(np.ones((3, 1, 1), np.float32), "x")
print("expected", (1, 1, 1))
print("received", net.forward(["state"])[0].shape)
