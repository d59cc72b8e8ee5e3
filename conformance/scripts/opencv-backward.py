"""OpenCV reads a GRU forwards that is to be read backwards, and loses the last state of an LSTM."""

import cv2
import numpy as np
import onnx.parser
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
graph (float[3,1,1] x) => (float[1,1,1] state)
<float[1,{n},1] w = {{{ones}}}, float[1,{n},1] r = {{{ones}}}, float[1,{m}] b = {{{zeros}}},
 float[1,1,1] h = {{0}}>
{{ all, state{cell} = {op} <hidden_size: int = 1, direction: string = "reverse"> (x, w, r, b, "", h{h}) }}
"""
x = np.array([1, 2, 3], np.float32).reshape(3, 1, 1)
for op, n, cell, h in (("GRU", 3, "", ""), ("LSTM", 4, ", cell", ", h")):
    ones, zeros = ", ".join(["1"] * n), ", ".join(["0"] * 2 * n)
    text = TEXT.format(op=op, n=n, m=2 * n, ones=ones, zeros=zeros, cell=cell, h=h)
    model = onnx.parser.parse_model(text)
    onnx.save(model, "model.onnx")
    net = cv2.dnn.readNetFromONNX("model.onnx")
    net.setInput(x, "x")
    print("expected", op, ReferenceEvaluator(model).run(None, {"x": x})[0].ravel())
    print("received", op, net.forward(["state"])[0].ravel())
