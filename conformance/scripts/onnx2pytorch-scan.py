"""onnx2pytorch refuses a Gemm in a Scan with a matrix from outside."""

import onnx.parser
from onnx2pytorch import ConvertModel

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
scan (float[3,1,2] x) => (float[1,2] last) <float[1,2] zeros = {0, 0}, float[2,2] u = {1, 0, 0, 1}>
{ last = Scan <num_scan_inputs: int = 1, body: graph = step
    (float[1,2] state, float[1,2] now) => (float[1,2] new) { new = Gemm (state, u, now) }> (zeros, x) }
"""
print("expected: a module")
try:
    print("received:", ConvertModel(onnx.parser.parse_model(TEXT), experimental=True))
except ValueError as error:
    print("received:", error)
