"""MNN ignores the activations of an RNN and of a GRU; with --useOriginRNNImpl, of an LSTM too."""

import _tools
import MNN
import numpy as np
import onnx.parser

HEAD = '<ir_version: 8, opset_import: ["": 18]> graph (float[1,1,1] x) => (float[1,1] y)'
GRAPHS = {
    "RNN": """<float[1,1,1] w = {1}, float[1,1,1] r = {1}, float[1,2] b = {0, 0}, int64[1] axis = {0}>
        { all, state = RNN <hidden_size: int = 1, activations: strings = ["Relu"]> (x, w, r, b)
          y = Squeeze (state, axis) }""",
    "GRU": """<float[1,3,1] w = {0, 0, 1}, float[1,3,1] r = {1, 1, 1},
         float[1,6] b = {0, 0, 0, 0, 0, 0}, int64[1] axis = {0}>
        { all, state = GRU <hidden_size: int = 1, activations: strings = ["Sigmoid", "Relu"]>
            (x, w, r, b)
          y = Squeeze (state, axis) }""",
}
for (name, graph), expected in zip(GRAPHS.items(), (2.0, 1.0), strict=True):
    onnx.save(onnx.parser.parse_model(HEAD + graph), "model.onnx")
    command = "mnnconvert -f ONNX --modelFile model.onnx --MNNModel model.mnn --bizCode x"
    _tools.mnnconvert(command.split())
    module = MNN.nn.load_module_from_file("model.mnn", ["x"], ["y"])
    x = MNN.expr.const(np.full((1, 1, 1), 2, np.float32), [1, 1, 1], MNN.expr.NCHW)
    print("expected", name, expected)
    print("received", name, module.forward([x])[0].read().item())
