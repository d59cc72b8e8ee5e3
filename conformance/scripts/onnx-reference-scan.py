"""onnx.reference refuses a Scan that goes backward."""

import numpy as np
import onnx.parser
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
scan (float[2,3] x) => (float[3] sum) <float[3] zeros = {0, 0, 0}>
{ sum = Scan <num_scan_inputs: int = 1, scan_input_directions: ints = [1], body: graph = add
    (float[3] a, float[3] b) => (float[3] c) { c = Add (a, b) }> (zeros, x) }
"""
print("expected", [2.0, 2.0, 2.0])
try:
    model = ReferenceEvaluator(onnx.parser.parse_model(TEXT))
    print("received", model.run(None, {"x": np.ones((2, 3), np.float32)})[0])
except RuntimeError as error:
    print("received:", error)
