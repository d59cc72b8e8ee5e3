"""OpenVINO refuses a Scan whose body takes values that nodes outside compute."""

import onnx.parser
import openvino

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
graph (float[2,3] x, float[3] first) => (float[3] last)
{ factor = Sigmoid (first)
  last = Scan <num_scan_inputs: int = 1, body: graph = step
    (float[3] state, float[3] now) => (float[3] next)
    { product = Mul (now, factor) next = Add (state, product) }> (first, x) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "scan.onnx")
print("expected: a model")
print("received:", openvino.Core().compile_model("scan.onnx", "CPU"))
