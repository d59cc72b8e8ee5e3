"""IREE computes something else for HardSigmoid in an LSTM."""

import subprocess

import iree.runtime
import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
lstm (float[1,1,1] x) => (float[1,1,1] state)
<float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1},
 float[1,8] b = {0, 0, 0, 0, 0, 0, 0, 0}>
{ "", state = LSTM <hidden_size: int = 1, activations: strings = ["HardSigmoid", "Tanh", "Tanh"],
                    activation_alpha: floats = [0.2], activation_beta: floats = [0.5]> (x, w, r, b) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "lstm.onnx")
subprocess.run("iree-import-onnx lstm.onnx -o lstm.mlir", shell=True, check=True)
command = "iree-compile lstm.mlir --iree-hal-target-backends=llvm-cpu -o lstm.vmfb"
subprocess.run(command, shell=True, check=True)
module = iree.runtime.load_vm_flatbuffer_file("lstm.vmfb", driver="local-task")
print("expected", 0.7 * np.tanh(0.7 * np.tanh([[[1.0]]])))
print("received", module.lstm(np.ones((1, 1, 1), np.float32)).to_host())
