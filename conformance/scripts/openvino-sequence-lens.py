"""OpenVINO ignores sequence_lens of an LSTM whose sizes are open."""

import numpy as np
import onnx.parser
import openvino

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
lstm (float[steps,batch,1] x, int32[batch] lengths) => (float[1,batch,1] state)
<float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1},
 float[1,8] b = {0, 0, 0, 0, 0, 0, 0, 0}>
{ "", state = LSTM <hidden_size: int = 1> (x, w, r, b, lengths) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "lstm.onnx")
model = openvino.Core().compile_model("lstm.onnx", "CPU")
x = np.ones((3, 1, 1), np.float32)
print("expected", model([x[:1], np.array([1], np.int32)])[0].ravel())
print("received", model([x, np.array([1], np.int32)])[0].ravel())
