"""OpenCV keeps the state of a GRU from the call before, so that another batch size fails."""

import cv2
import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
gru (float[steps,batch,1] x) => (float[batch,1] y)
<float[1,3,1] w = {1, 1, 1}, float[1,3,1] r = {1, 1, 1}, float[1,6] b = {0, 0, 0, 0, 0, 0},
 int64[1] axis = {0}>
{ "", state = GRU <hidden_size: int = 1> (x, w, r, b)
  y = Squeeze (state, axis) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "gru.onnx")
net = cv2.dnn.readNetFromONNX("gru.onnx")
print("expected three and one equal states")
for batch in (3, 1):
    net.setInput(np.ones((5, batch, 1), np.float32))
    print("received", net.forward().ravel())
