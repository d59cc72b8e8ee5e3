"""onnx2c refuses GRU and RNN, HardSigmoid in an LSTM, casts to int64, and Scan."""

import subprocess

import onnx.parser

ONES = "<float[1,{0},1] w = {{{1}}}, float[1,{0},1] r = {{{1}}}>"
GRAPHS = {
    "GRU": ONES.format(3, "1, 1, 1") + "{ y = GRU <hidden_size: int = 1> (x, w, r) }",
    "RNN": ONES.format(1, "1") + "{ y = RNN <hidden_size: int = 1> (x, w, r) }",
    "LSTM": ONES.format(4, "1, 1, 1, 1")
    + """{ y = LSTM <hidden_size: int = 1, activations: strings = ["HardSigmoid", "Tanh", "Tanh"],
        activation_alpha: floats = [0.2, 0, 0], activation_beta: floats = [0.5, 0, 0]> (x, w, r) }""",
    "Cast": "{ n = Cast <to: int = 7> (x) m = Neg (n) y = Cast <to: int = 1> (m) }",
    "Scan": """{ y, all = Scan <num_scan_inputs: int = 1, body: graph = add
        (float[1,1] a, float[1,1] b) => (float[1,1] c, float[1,1] d)
        { c = Add (a, b) d = Identity (c) }> (zero, x) }""",
}
HEAD = '<ir_version: 8, opset_import: ["": 18]> graph (float[3,1,1] x) => (float y) '
for name, text in GRAPHS.items():
    onnx.save(onnx.parser.parse_model(HEAD + text), "model.onnx")
    command = "onnx2c model.onnx > model.c"
    done = subprocess.run(command, shell=True, check=False, stderr=subprocess.PIPE, text=True)
    print(f"expected of {name}: exit code 0")
    print(f"received of {name}: exit code {done.returncode}", done.stderr)
