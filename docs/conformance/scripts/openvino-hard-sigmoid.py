"""OpenVINO refuses an LSTM with HardSigmoid."""

import onnx.parser
import openvino

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
lstm (float[3,1,1] x) => (float[1,1,1] state)
<float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1},
 float[1,8] b = {0, 0, 0, 0, 0, 0, 0, 0}>
{ "", state = LSTM <hidden_size: int = 1, activations: strings = ["HardSigmoid", "Tanh", "Tanh"],
                    activation_alpha: floats = [0.2], activation_beta: floats = [0.5]> (x, w, r, b) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "lstm.onnx")
print("expected: a compiled model")
print("received:", openvino.Core().compile_model("lstm.onnx", "CPU"))
