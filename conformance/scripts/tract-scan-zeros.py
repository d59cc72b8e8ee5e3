"""tract refuses a Scan that starts from ConstantOfShape, whose zeros are float32 by default."""

import numpy as np
import onnx.parser
import tract

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
scan (float[2,3] x) => (float[3] sum) <int64[1] size = {3}>
{ zeros = ConstantOfShape (size)
  sum, all = Scan <num_scan_inputs: int = 1, body: graph = add
    (float[3] a, float[3] b) => (float[3] c, float[3] d)
    { c = Add (a, b) d = Identity (c) }> (zeros, x) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "scan.onnx")
print("expected", [2.0, 2.0, 2.0])
model = tract.onnx().load("scan.onnx").into_model().into_runnable()
print("received", model.run([np.ones((2, 3), np.float32)])[0].to_numpy())
