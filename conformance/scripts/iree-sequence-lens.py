"""IREE ignores sequence_lens: it runs all steps of each sequence."""

import subprocess

import iree.runtime
import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
rnn (float[3,1,1] x, int32[1] lengths) => (float[1,1,1] state)
<float[1,1,1] w = {1}, float[1,1,1] r = {1}, float[1,2] b = {0, 0}>
{ "", state = RNN <hidden_size: int = 1> (x, w, r, b, lengths) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "rnn.onnx")
subprocess.run("iree-import-onnx rnn.onnx -o rnn.mlir", shell=True, check=True)
command = "iree-compile rnn.mlir --iree-hal-target-backends=llvm-cpu -o rnn.vmfb"
subprocess.run(command, shell=True, check=True)
module = iree.runtime.load_vm_flatbuffer_file("rnn.vmfb", driver="local-task")
print("expected", np.tanh([[[1.0]]]))
print("received", module.rnn(np.ones((3, 1, 1), np.float32), np.array([1], np.int32)).to_host())
