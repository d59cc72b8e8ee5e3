"""MNN's converter dies, sooner or later, of an LSTM with outputs that have no name.

Not with --useOriginRNNImpl, which makes one operator of it, nor if all outputs have names.
"""

import _tools
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
lstm (float[3,1,1] x) => (float[1,1] y)
<float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1},
 float[1,8] b = {0, 0, 0, 0, 0, 0, 0, 0}, int64[1] axis = {0}>
{ "", state = LSTM <hidden_size: int = 1> (x, w, r, b)
  y = Squeeze (state, axis) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "lstm.onnx")
print("expected:", [True] * 20)
command = "mnnconvert -f ONNX --modelFile lstm.onnx --MNNModel lstm.mnn --bizCode x"
print("received:", [_tools.mnnconvert(command.split()) for _ in range(20)])
