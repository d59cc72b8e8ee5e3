"""IREE computes gates of HardSigmoid in an LSTM and a GRU as 1 where they are 0.7."""

import subprocess

import iree.runtime
import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
graph (float[1,1,1] x) => (float[1,1,1] state)
<float[1,{n},1] w = {{{ones}}}, float[1,{n},1] r = {{{ones}}}, float[1,{m}] b = {{{zeros}}}>
{{ all, state = {op} <hidden_size: int = 1, activations: strings = ["HardSigmoid"{tanh}],
    activation_alpha: floats = [0.2{alphas}], activation_beta: floats = [0.5{betas}]> (x, w, r, b) }}
"""
EXPECTED = {"LSTM": 0.7 * np.tanh(0.7 * np.tanh(1)), "GRU": 0.3 * np.tanh(1)}
for op, n in (("LSTM", 4), ("GRU", 3)):
    words = {"tanh": ', "Tanh"' * (n - 2), "alphas": ", 0.2" * (n - 2), "betas": ", 0.5" * (n - 2)}
    ones, zeros = ", ".join(["1"] * n), ", ".join(["0"] * 2 * n)
    text = TEXT.format(op=op, n=n, m=2 * n, ones=ones, zeros=zeros, **words)
    onnx.save(onnx.parser.parse_model(text), "model.onnx")
    subprocess.run("iree-import-onnx model.onnx -o model.mlir", shell=True, check=True)
    command = "iree-compile model.mlir --iree-hal-target-backends=llvm-cpu -o model.vmfb"
    subprocess.run(command, shell=True, check=True)
    module = iree.runtime.load_vm_flatbuffer_file("model.vmfb", driver="local-task")
    print("expected", op, EXPECTED[op])
    print("received", op, module.graph(np.ones((1, 1, 1), np.float32)).to_host())
