"""onnx.reference ignores the attribute activations of LSTM and GRU, and lacks Relu in RNN."""

import numpy as np
import onnx.parser
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
gru (float[1,1,1] x) => (float[1,1,1] state)
<float[1,3,1] w = {1, 1, 1}, float[1,3,1] r = {1, 1, 1}>
{ "", state = GRU <hidden_size: int = 1, activations: strings = ["Tanh", "Tanh"]> (x, w, r) }
"""
run = ReferenceEvaluator(onnx.parser.parse_model(TEXT)).run
print("expected", (1 - np.tanh(1)) * np.tanh(1))
print("received", run(None, {"x": np.ones((1, 1, 1), np.float32)})[0].ravel())
ReferenceEvaluator(onnx.parser.parse_model(TEXT.replace("GRU", "RNN").replace("Tanh", "Relu")))
