"""IREE cannot compile a GRU in both directions."""

import subprocess

import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
gru (float[3,1,1] x) => (float[2,1,1] states)
<float[2,3,1] w = {1, 1, 1, 1, 1, 1}, float[2,3,1] r = {1, 1, 1, 1, 1, 1}>
{ "", states = GRU <hidden_size: int = 1, direction: string = "bidirectional"> (x, w, r) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "gru.onnx")
subprocess.run("iree-import-onnx gru.onnx -o gru.mlir", shell=True, check=True)
command = "iree-compile gru.mlir --iree-hal-target-backends=llvm-cpu -o gru.vmfb"
done = subprocess.run(command, shell=True, check=False, capture_output=True, text=True)
print("expected: exit code 0")
print("received: exit code", done.returncode, done.stderr)
