"""OpenVINO refuses an RNN, a GRU and an LSTM with HardSigmoid."""

import onnx.parser
import openvino

for name, gates, others in (
    ("RNN", 1, ""),
    ("GRU", 3, ', "Tanh"'),
    ("LSTM", 4, ', "Tanh", "Tanh"'),
):
    text = f"""
<ir_version: 8, opset_import: ["": 18]>
network (float[3,1,1] x) => (float[1,1,1] state)
<float[1,{gates},1] w = {{{", ".join("1" * gates)}}}, float[1,{gates},1] r = {{{", ".join("1" * gates)}}},
 float[1,{2 * gates}] b = {{{", ".join("0" * 2 * gates)}}}>
{{ "", state = {name} <hidden_size: int = 1, activations: strings = ["HardSigmoid"{others}],
                    activation_alpha: floats = [0.2], activation_beta: floats = [0.5]> (x, w, r, b) }}
"""
    onnx.save(onnx.parser.parse_model(text), "model.onnx")
    print("expected:", name, "compiled")
    try:
        openvino.Core().compile_model("model.onnx", "CPU")
        print("received:", name, "compiled")
    except RuntimeError as error:
        print("received:", name, "refused:", str(error).strip().splitlines()[-1])
