"""tract runs an LSTM, GRU or RNN with direction="reverse" forwards."""

import numpy as np
import onnx.parser
import tract
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
rnn (float[3,1,1] x) => (float[3,1,1,1] states)
<float[1,1,1] w = {1}, float[1,1,1] r = {1}, float[1,2] b = {0, 0}>
{ states = RNN <hidden_size: int = 1, direction: string = "reverse"> (x, w, r, b) }
"""
model, x = onnx.parser.parse_model(TEXT), np.array([1, 2, 3], np.float32).reshape(3, 1, 1)
onnx.save(model, "rnn.onnx")
print("expected", ReferenceEvaluator(model).run(None, {"x": x})[0].ravel())
runnable = tract.onnx().load("rnn.onnx").into_model().into_runnable()
print("received", runnable.run([x])[0].to_numpy().ravel())
