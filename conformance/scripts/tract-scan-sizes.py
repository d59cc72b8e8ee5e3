"""tract refuses a Scan that names a size of the input, if the input gets another shape."""

import onnx.parser
import tract

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
scan (float[2,batch] x) => (float[batch] sum) <float zero = {0}>
{ size = Shape <start: int = 1> (x)
  zeros = Expand (zero, size)
  sum = Scan <num_scan_inputs: int = 1, body: graph = add
    (float[batch] a, float[batch] b) => (float[batch] c) { c = Add (a, b) }> (zeros, x) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "scan.onnx")
print("expected: a model")
model = tract.onnx().load("scan.onnx")
model.set_input_fact(0, "2,3,f32")
print("received:", model.into_model())
