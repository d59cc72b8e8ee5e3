"""emx-onnx-cgen writes an array of size -1 for a GRU whose batch size is open."""

import subprocess

import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
gru (float[steps,batch,1] x) => (float[1,batch,1] state)
<float[1,3,1] w = {1, 1, 1}, float[1,3,1] r = {1, 1, 1}>
{ "", state = GRU <hidden_size: int = 1> (x, w, r) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "gru.onnx")
subprocess.run("emx-onnx-cgen compile gru.onnx gru.c", shell=True, check=True)
done = subprocess.run("cc -c gru.c", shell=True, check=False, capture_output=True, text=True)
print("expected: exit code 0")
print("received: exit code", done.returncode, done.stderr)
