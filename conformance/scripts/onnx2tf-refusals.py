"""onnx2tf refuses lengths and HardSigmoid of a GRU, padding of a pool, and leaves a Scan."""

import subprocess

import onnx.parser
from ai_edge_litert.interpreter import Interpreter

GRAPHS = {
    "GRU": """(float[3,1,1] x, int32[1] lengths) => (float[3,1,1,1] y)
        <float[1,3,1] w = {1, 1, 1}, float[1,3,1] r = {1, 1, 1}, float[1,6] b = {0, 0, 0, 0, 0, 0}>
        { y = GRU <hidden_size: int = 1> (x, w, r, b, lengths) }""",
    "HardSigmoid": """(float[3,1,1] x) => (float[3,1,1,1] y)
        <float[1,3,1] w = {1, 1, 1}, float[1,3,1] r = {1, 1, 1}, float[1,6] b = {0, 0, 0, 0, 0, 0}>
        { y = GRU <hidden_size: int = 1, activations: strings = ["HardSigmoid", "Tanh"],
            activation_alpha: floats = [0.2, 0.2], activation_beta: floats = [0.5, 0.5]> (x, w, r, b) }""",
    "MaxPool": """(float[1,1,4] x) => (float[1,1,2] y)
        { y = MaxPool <kernel_shape: ints = [3], strides: ints = [2], auto_pad: string = "SAME_UPPER"> (x) }""",
    "Scan": """(float[2,3] x) => (float[3] y) <float[3] zeros = {0, 0, 0}>
        { y, all = Scan <num_scan_inputs: int = 1, body: graph = add
            (float[3] a, float[3] b) => (float[3] c, float[3] d)
            { c = Add (a, b) d = Identity (c) }> (zeros, x) }""",
}
for name, text in GRAPHS.items():
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> graph {text}')
    onnx.save(model, "model.onnx")
    command = "onnx2tf -n -i model.onnx -o tf -kat x"
    done = subprocess.run(command, shell=True, check=False, capture_output=True, text=True)
    print(f"expected of {name}: a model that LiteRT runs")
    try:
        done.check_returncode()
        Interpreter("tf/model_float32.tflite").allocate_tensors()
    except subprocess.CalledProcessError:
        print(f"received of {name}:", done.stderr.strip().splitlines()[-1])
    except RuntimeError as error:
        print(f"received of {name}:", error)
