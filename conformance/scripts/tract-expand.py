"""tract cannot optimize a MatMul of what Expand has repeated."""

import numpy as np
import onnx.parser
import tract

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
repeat (float[1,3,2] x) => (float[4,3,1] y) <float[2,1] w = {1, 1}, int64[3] times = {4, 1, 1}>
{ repeated = Expand (x, times)
  y = MatMul (repeated, w) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "repeat.onnx")
print("expected twelve times 2.0")
model = tract.onnx().load("repeat.onnx").into_model().into_runnable()
print("received", model.run([np.ones((1, 3, 2), np.float32)])[0].to_numpy().ravel())
