"""OpenCV computes Softplus as log(1 + exp(x)), and LogSoftmax as the logarithm of Softmax."""

import cv2
import numpy as np
import onnx.parser

TEXT = (
    '<ir_version: 8, opset_import: ["": 18]> graph (float[1,2] x) => (float[1,2] y) { y = OP (x) }'
)
for op, expected in (("Softplus", [200.0, 0.0]), ("LogSoftmax", [0.0, -400.0])):
    onnx.save(onnx.parser.parse_model(TEXT.replace("OP", op)), "op.onnx")
    net = cv2.dnn.readNetFromONNX("op.onnx")
    net.setInput(np.array([[200, -200]], np.float32))
    print("expected", op, expected)
    print("received", op, net.forward()[0])
