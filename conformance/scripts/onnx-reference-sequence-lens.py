"""onnx.reference ignores sequence_lens: it runs all steps of each sequence."""

import numpy as np
import onnx.parser
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
lstm (float[steps,1,1] x, int32[1] lengths) => (float[1,1,1] state)
<float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1},
 float[1,8] b = {0, 0, 0, 0, 0, 0, 0, 0}>
{ "", state = LSTM <hidden_size: int = 1> (x, w, r, b, lengths) }
"""
run = ReferenceEvaluator(onnx.parser.parse_model(TEXT)).run
x = np.ones((3, 1, 1), np.float32)
print("expected", run(None, {"x": x[:1], "lengths": np.array([1], np.int32)})[0].ravel())
print("received", run(None, {"x": x, "lengths": np.array([1], np.int32)})[0].ravel())
