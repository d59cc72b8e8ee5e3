"""IREE cannot compile a GRU or RNN whose batch size or number of steps is open."""

import subprocess

import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
rnn (float[steps,1,1] x) => (float[1,1,1] state) <float[1,1,1] w = {1}, float[1,1,1] r = {1}>
{ "", state = RNN <hidden_size: int = 1> (x, w, r) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "rnn.onnx")
subprocess.run("iree-import-onnx rnn.onnx -o rnn.mlir", shell=True, check=True)
command = "iree-compile rnn.mlir --iree-hal-target-backends=llvm-cpu -o rnn.vmfb"
done = subprocess.run(command, shell=True, check=False, capture_output=True, text=True)
print("expected: exit code 0")
print("received: exit code", done.returncode, done.stderr)
