"""MNN gives no more than 87 for Softplus."""

import _tools
import MNN
import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
graph (float[3] x) => (float[3] y) { y = Softplus (x) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "op.onnx")
command = "mnnconvert -f ONNX --modelFile op.onnx --MNNModel op.mnn --bizCode x"
_tools.mnnconvert(command.split())
module = MNN.nn.load_module_from_file("op.mnn", ["x"], ["y"])
x = np.array([1, 80, 200], np.float32)
print("expected", np.logaddexp(0, x))
print("received", module.forward([MNN.expr.const(x, [3], MNN.expr.NCHW)])[0].read())
