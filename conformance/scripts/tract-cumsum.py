"""tract cannot sum up integers that a cast has made."""

import numpy as np
import onnx.parser
import tract

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
sums (float[3] x) => (int64[3] sum) <int64 axis = {0}>
{ number = Cast <to: int = 7> (x) sum = CumSum (number, axis) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "sums.onnx")
print("expected", [1, 2, 3])
model = tract.onnx().load("sums.onnx").into_model().into_runnable()
print("received", model.run([np.ones(3, np.float32)])[0].to_numpy())
