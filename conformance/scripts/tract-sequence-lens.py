"""tract refuses sequence_lens that are not constant."""

import onnx.parser
import tract

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
rnn (float[3,1,1] x, int32[1] lengths) => (float[1,1,1] state)
<float[1,1,1] w = {1}, float[1,1,1] r = {1}, float[1,2] b = {0, 0}>
{ "", state = RNN <hidden_size: int = 1> (x, w, r, b, lengths) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "rnn.onnx")
print("expected: a model")
print("received:", tract.onnx().load("rnn.onnx").into_model())
