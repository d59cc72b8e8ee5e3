"""IREE computes an LSTM between two operators wrong if batch size and steps are both open."""

import subprocess

import iree.runtime
import numpy as np
import onnx.parser
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
lstm (float[steps,batch,1] x) => (float[batch,1] y)
<float[1,1] m = {2}, int64[1] axis = {0}, float[1,4,1] w = {1, 1, 1, 1},
 float[1,4,1] r = {1, 1, 1, 1}, float[1,8] b = {0, 0, 0, 0, 0, 0, 0, 0}>
{ product = MatMul (x, m)
  "", state = LSTM <hidden_size: int = 1> (product, w, r, b)
  last = Squeeze (state, axis)
  y = Neg (last) }
"""
model, x = onnx.parser.parse_model(TEXT), np.array([[0, 1], [1, 1], [0, 0]], np.float32)[..., None]
onnx.save(model, "lstm.onnx")
subprocess.run("iree-import-onnx lstm.onnx -o lstm.mlir", shell=True, check=True)
command = "iree-compile lstm.mlir --iree-hal-target-backends=llvm-cpu -o lstm.vmfb"
subprocess.run(command, shell=True, check=True)
module = iree.runtime.load_vm_flatbuffer_file("lstm.vmfb", driver="local-task")
print("expected", ReferenceEvaluator(model).run(None, {"x": x})[0].ravel())
print("received", module.lstm(x).to_host().ravel())
