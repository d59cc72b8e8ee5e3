"""OpenCV ignores sequence_lens of a GRU: it runs all steps of each sequence."""

import cv2
import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
gru (float[3,1,1] x, int32[1] lengths) => (float[1,1,1] state)
<float[1,3,1] w = {1, 1, 1}, float[1,3,1] r = {1, 1, 1}, float[1,6] b = {0, 0, 0, 0, 0, 0}>
{ "", state = GRU <hidden_size: int = 1> (x, w, r, b, lengths) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "gru.onnx")
for length, expected in ((1, 0.20482), (2, 0.34675), (3, 0.4517)):
    net = cv2.dnn.readNetFromONNX("gru.onnx")
    net.setInput(np.ones((3, 1, 1), np.float32), "x")
    net.setInput(np.array([length], np.int32), "lengths")
    print("expected", expected)
    print("received", net.forward(["state"])[0].item())
