"""MNN's converter multiplies the reset gate after the product, whatever linear_before_reset is.

Only without --useOriginRNNImpl.
"""

import _tools
import MNN
import numpy as np
import onnx.parser
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
gru (float[2,1,1] x) => (float[1,2] y)
<float[1,6,1] w = {1, 2, 0, 1, 1, 2}, float[1,6,2] r = {1, 2, 3, 1, 0, 2, 3, 4, 5, 1, 2, 3},
 float[1,12] b = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
 int64[1] axis = {0}, float[2,2] identity = {1, 0, 0, 1}>
{ "", state = GRU <hidden_size: int = 2, linear_before_reset: int = 0> (x, w, r, b)
  last = Squeeze (state, axis)
  y = MatMul (last, identity) }
"""
model, x = onnx.parser.parse_model(TEXT), np.array([0.5, -1], np.float32).reshape(2, 1, 1)
onnx.save(model, "gru.onnx")
command = "mnnconvert -f ONNX --modelFile gru.onnx --MNNModel gru.mnn --bizCode x"
_tools.mnnconvert(command.split())
module = MNN.nn.load_module_from_file("gru.mnn", ["x"], ["y"])
print("expected", ReferenceEvaluator(model).run(None, {"x": x})[0])
print("received", module.forward([MNN.expr.const(x, [2, 1, 1], MNN.expr.NCHW)])[0].read())
