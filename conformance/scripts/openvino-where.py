"""OpenVINO refuses a masked attention whose result is masked with the same zero."""

import onnx.parser
import openvino

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
attention (float[batch,steps,4] query, float[batch,steps,4] memory, bool[batch,steps] mask)
=> (float[batch,steps,4] y)
<float lowest = {-1e38}, float zero = {0}, int64[1] one = {1}, int64[1] last = {-1}>
{ turned = Transpose <perm: ints = [0, 2, 1]> (memory)
  real = Unsqueeze (mask, one)
  score = MatMul (query, turned)
  masked = Where (real, score, lowest)
  weight = Softmax (masked)
  kept = Where (real, weight, zero)
  context = MatMul (kept, memory)
  real_steps = Unsqueeze (mask, last)
  y = Where (real_steps, context, zero) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "attention.onnx")
print("expected: a model")
print("received:", openvino.Core().compile_model("attention.onnx", "CPU"))
