"""OpenCV ignores sequence_lens of a GRU, and of an LSTM that has initial states."""

import cv2
import numpy as np
import onnx.parser

HEAD = """
<ir_version: 8, opset_import: ["": 18]>
network (float[3,1,1] x, int32[1] lengths) => (float[1,1,1] state)
"""
GRAPHS = {
    "GRU": """<float[1,3,1] w = {1, 1, 1}, float[1,3,1] r = {1, 1, 1}, float[1,6] b = {0, 0, 0, 0, 0, 0}>
        { "", state = GRU <hidden_size: int = 1> (x, w, r, b, lengths) }""",
    "LSTM": """<float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1},
         float[1,8] b = {0, 0, 0, 0, 0, 0, 0, 0}, float[1,1,1] zeros = {0}>
        { "", state = LSTM <hidden_size: int = 1> (x, w, r, b, lengths, zeros, zeros) }""",
}
EXPECTED = {"GRU": (0.20482, 0.34675, 0.4517), "LSTM": (0.36961, 0.65054, 0.78877)}
for name, graph in GRAPHS.items():
    onnx.save(onnx.parser.parse_model(HEAD + graph), "model.onnx")
    for length, expected in enumerate(EXPECTED[name], 1):
        net = cv2.dnn.readNetFromONNX("model.onnx")
        net.setInput(np.ones((3, 1, 1), np.float32), "x")
        net.setInput(np.array([length], np.int32), "lengths")
        print("expected", name, expected)
        print("received", name, round(net.forward(["state"])[0].item(), 5))
