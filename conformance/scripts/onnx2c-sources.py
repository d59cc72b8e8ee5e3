"""onnx2c dies of a Conv with auto_pad, and writes sources that C refuses of two other operators."""

import subprocess

import onnx.parser

GRAPHS = {
    "Conv": """(float[1,1,4] x) => (float[1,1,2] y) <float[1,1,3] w = {1, 1, 1}>
        { y = Conv <auto_pad: string = "SAME_UPPER", strides: ints = [2]> (x, w) }""",
    "ReduceMean": """(float[3,2,1] x) => (float[2,1] y) <int64[1] axis = {0}>
        { y = ReduceMean <keepdims: int = 0> (x, axis) }""",
    "LayerNormalization": """(float[2,3] x) => (float[2,3] y)
        <float[3] scale = {1, 1, 1}, float[3] bias = {0, 0, 0}>
        { y = LayerNormalization (x, scale, bias) }""",
}
for name, text in GRAPHS.items():
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> graph {text}')
    onnx.save(model, "model.onnx")
    command = "onnx2c model.onnx > model.c && cc -w -c -o model.o model.c"
    done = subprocess.run(command, check=False, shell=True, capture_output=True, text=True)
    print(f"expected from {name}: exit code 0")
    print(f"received from {name}: exit code {done.returncode}", done.stderr)
