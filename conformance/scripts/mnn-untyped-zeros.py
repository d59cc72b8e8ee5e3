"""MNN leaves memory as it is for ConstantOfShape without a value, which is zero by default."""

import _tools
import MNN
import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
graph (float[steps,batch,1] x) => (float[1,batch,1] zeros) <int64[1] one = {1}>
{ sizes = Shape (x)
  batch = Gather (sizes, one)
  shape = Concat <axis: int = 0> (one, batch, one)
  zeros = ConstantOfShape (shape) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "zeros.onnx")
command = "mnnconvert -f ONNX --modelFile zeros.onnx --MNNModel zeros.mnn --bizCode x"
_tools.mnnconvert(command.split())
module = MNN.nn.load_module_from_file("zeros.mnn", ["x"], ["zeros"])
x = MNN.expr.const(np.ones((5, 3, 1), np.float32), [5, 3, 1], MNN.expr.NCHW)
print("expected", [0.0, 0.0, 0.0])
print("received", module.forward([x])[0].read().ravel())
