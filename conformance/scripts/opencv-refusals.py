"""OpenCV refuses RNN, HardSigmoid, and a Scan with open sizes."""

import cv2
import onnx.parser

GRAPHS = {
    "RNN": """(float[3,1,1] x) => (float[1,1,1] y)
        <float[1,1,1] w = {1}, float[1,1,1] r = {1}, float[1,2] b = {0, 0}>
        { "", y = RNN <hidden_size: int = 1> (x, w, r, b) }""",
    "GRU": """(float[3,1,1] x) => (float[1,1,1] y)
        <float[1,3,1] w = {1, 1, 1}, float[1,3,1] r = {1, 1, 1}, float[1,6] b = {0, 0, 0, 0, 0, 0}>
        { all, y = GRU <hidden_size: int = 1, activations: strings = ["HardSigmoid", "Tanh"],
            activation_alpha: floats = [0.2, 0.2], activation_beta: floats = [0.5, 0.5]> (x, w, r, b) }""",
    "Scan": """(float[steps,batch] x) => (float[batch] y)
        { size = Shape <start: int = 1> (x) zeros = ConstantOfShape (size)
          y, all = Scan <num_scan_inputs: int = 1, body: graph = add
            (float[batch] a, float[batch] b) => (float[batch] c, float[batch] d)
            { c = Add (a, b) d = Identity (c) }> (zeros, x) }""",
}
for text in GRAPHS.values():
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> graph {text}')
    onnx.save(model, "model.onnx")
    print("expected: a network")
    try:
        print("received:", cv2.dnn.readNetFromONNX("model.onnx"))
    except cv2.error as error:
        print("received:", error.err)
