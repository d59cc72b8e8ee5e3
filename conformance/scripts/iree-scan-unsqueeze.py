"""IREE cannot compile a Scan whose body has an Unsqueeze or a Gather."""

import subprocess

import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 17]>
scan (float[2,3] x, float[3] first) => (float[3] last) <int64[1] axis = {0}>
{ last = Scan <num_scan_inputs: int = 1, body: graph = add
    (float[3] state, float[3] now) => (float[3] next)
    { row = Unsqueeze (state, axis) same = Squeeze (row, axis) next = Add (same, now) }> (first, x) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "scan.onnx")
subprocess.run("iree-import-onnx scan.onnx -o scan.mlir", shell=True, check=True)
command = "iree-compile scan.mlir --iree-hal-target-backends=llvm-cpu -o scan.vmfb"
done = subprocess.run(command, shell=True, check=False, capture_output=True, text=True)
print("expected: exit code 0")
print("received: exit code", done.returncode, done.stderr)
