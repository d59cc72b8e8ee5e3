"""MNN gives wrong last states of a GRU in both directions, with --useOriginRNNImpl."""

import _tools
import MNN
import numpy as np
import onnx.parser
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
gru (float[3,1,1] x) => (float[1,2,1] y)
<float[2,3,1] w = {1, 1, 1, 1, 1, 1}, float[2,3,1] r = {1, 1, 1, 1, 1, 1},
 float[2,6] b = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}>
{ "", states = GRU <hidden_size: int = 1, direction: string = "bidirectional"> (x, w, r, b)
  y = Transpose <perm: ints = [1, 0, 2]> (states) }
"""
model, x = onnx.parser.parse_model(TEXT), np.array([1, 2, 3], np.float32).reshape(3, 1, 1)
onnx.save(model, "gru.onnx")
command = "mnnconvert -f ONNX --modelFile gru.onnx --MNNModel gru.mnn --bizCode x"
_tools.mnnconvert([*command.split(), "--useOriginRNNImpl"])
module = MNN.nn.load_module_from_file("gru.mnn", ["x"], ["y"])
print("expected", ReferenceEvaluator(model).run(None, {"x": x})[0].ravel())
print("received", module.forward([MNN.expr.const(x, [3, 1, 1], MNN.expr.NCHW)])[0].read().ravel())
