"""MNN's converter says that it has converted what it does not support."""

import _tools
import MNN
import onnx.parser

GRAPHS = {
    "LSTM": """(float[3,1,1] x) => (float[1,1] y)
        <float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1},
         float[1,8] b = {0, 0, 0, 0, 0, 0, 0, 0}, int64[1] axis = {0}>
        { "", h = LSTM <hidden_size: int = 1, activations: strings = ["HardSigmoid", "Tanh", "Tanh"],
                        activation_alpha: floats = [0.2], activation_beta: floats = [0.5]> (x, w, r, b)
          y = Squeeze (h, axis) }""",
    "Scan": """(float[2,3] x) => (float[3] y) <float[3] zeros = {0, 0, 0}>
        { y, all = Scan <num_scan_inputs: int = 1, body: graph = add
            (float[3] a, float[3] b) => (float[3] c, float[3] d)
            { c = Add (a, b) d = Identity (c) }> (zeros, x) }""",
}
command = "mnnconvert -f ONNX --modelFile model.onnx --MNNModel model.mnn --bizCode x"
for name, text in GRAPHS.items():
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> graph {text}')
    onnx.save(model, "model.onnx")
    print(f"expected of {name}: a model, or False from its converter")
    converted = _tools.mnnconvert(command.split())
    try:
        print(f"received of {name}:", MNN.nn.load_module_from_file("model.mnn", ["x"], ["y"]))
    except SystemError as error:
        print(f"received of {name}: {converted} from its converter, then {error}")
