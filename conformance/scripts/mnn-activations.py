"""MNN ignores the attribute activations of an RNN; with --useOriginRNNImpl, of LSTM and GRU too."""

import _tools
import MNN
import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
rnn (float[1,1,1] x) => (float[1,1] y)
<float[1,1,1] w = {1}, float[1,1,1] r = {1}, float[1,2] b = {0, 0}, int64[1] axis = {0}>
{ "", state = RNN <hidden_size: int = 1, activations: strings = ["Relu"]> (x, w, r, b)
  y = Squeeze (state, axis) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "rnn.onnx")
command = "mnnconvert -f ONNX --modelFile rnn.onnx --MNNModel rnn.mnn --bizCode x"
_tools.mnnconvert(command.split())
module = MNN.nn.load_module_from_file("rnn.mnn", ["x"], ["y"])
x = np.full((1, 1, 1), 2, np.float32)
print("expected", [[2.0]])
print("received", module.forward([MNN.expr.const(x, [1, 1, 1], MNN.expr.NCHW)])[0].read())
