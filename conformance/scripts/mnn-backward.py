"""MNN runs an LSTM, GRU or RNN with direction="reverse" forwards."""

import _tools
import MNN
import numpy as np
import onnx.parser
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
rnn (float[3,1,1] x) => (float[3,1,1,1] states)
<float[1,1,1] w = {1}, float[1,1,1] r = {1}, float[1,2] b = {0, 0}>
{ states = RNN <hidden_size: int = 1, direction: string = "reverse"> (x, w, r, b) }
"""
model, x = onnx.parser.parse_model(TEXT), np.array([1, 2, 3], np.float32).reshape(3, 1, 1)
onnx.save(model, "rnn.onnx")
command = "mnnconvert -f ONNX --modelFile rnn.onnx --MNNModel rnn.mnn --bizCode x"
_tools.mnnconvert(command.split())
module = MNN.nn.load_module_from_file("rnn.mnn", ["x"], ["states"])
print("expected", ReferenceEvaluator(model).run(None, {"x": x})[0].ravel())
states = module.forward([MNN.expr.const(x, [3, 1, 1], MNN.expr.NCHW)])[0]
print("received", states.read().ravel())
