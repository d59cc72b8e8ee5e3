"""tract panics at an LSTM, GRU or RNN whose batch size is open and that has no initial state."""

import onnx.parser
import tract

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
rnn (float[steps,batch,1] x) => (float[1,batch,1] state)
<float[1,1,1] w = {1}, float[1,1,1] r = {1}>
{ "", state = RNN <hidden_size: int = 1> (x, w, r) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "rnn.onnx")
print("expected: a model that takes any batch size")
print("received:", tract.onnx().load("rnn.onnx").into_model())
