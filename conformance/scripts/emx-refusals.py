"""emx-onnx-cgen refuses one slope for three activations, backward loops, open sizes."""

import subprocess

import onnx.parser

LSTM = """(float[3,1,1] x) => (float[3,1,1,1] y)
        <float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1}>
        { y = LSTM <hidden_size: int = 1, activations: strings = ["HardSigmoid", "Tanh", "Tanh"],
          activation_alpha: floats = [0.2], activation_beta: floats = [0.5]> (x, w, r) }"""
GRAPHS = {
    "LSTM": LSTM,
    "LSTM with three slopes": LSTM.replace("0.2", "0.2, 0, 0").replace("0.5", "0.5, 0, 0"),
    "GRU": """(float[3,1,1] x) => (float[3,2,1,1] y)
        <float[2,3,1] w = {1, 1, 1, 1, 1, 1}, float[2,3,1] r = {1, 1, 1, 1, 1, 1}>
        { y = GRU <hidden_size: int = 1, direction: string = "bidirectional"> (x, w, r) }""",
    "Scan": """(float[2,3] x) => (float[3] y) <float[3] zeros = {0, 0, 0}>
        { y = Scan <num_scan_inputs: int = 1, scan_input_directions: ints = [1], body: graph = add
            (float[3] a, float[3] b) => (float[3] c) { c = Add (a, b) }> (zeros, x) }""",
    "zeros": "(float[n] x) => (float[n] y) { size = Shape (x) y = ConstantOfShape (size) }",
    "ReduceMean": "(float[steps] x) => (float[1] y) { y = ReduceMean (x) }",
}
for name, text in GRAPHS.items():
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> graph {text}')
    onnx.save(model, "model.onnx")
    command = "emx-onnx-cgen compile model.onnx model.c"
    done = subprocess.run(command, shell=True, check=False, capture_output=True, text=True)
    print(f"expected of {name}: exit code 0")
    print(f"received of {name}: exit code {done.returncode}", done.stdout.splitlines()[-1:])
