"""IREE runs a Scan that goes backward forwards."""

import subprocess

import iree.runtime
import numpy as np
import onnx.parser

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
scan (float[3,1] x) => (float[1] last) <float[1] zero = {0}, float two = {2}>
{ last = Scan <num_scan_inputs: int = 1, scan_input_directions: ints = [1], body: graph = step
    (float[1] state, float[1] now) => (float[1] new)
    { double = Mul (state, two) new = Add (double, now) }> (zero, x) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "scan.onnx")
subprocess.run("iree-import-onnx scan.onnx -o scan.mlir", shell=True, check=True)
command = "iree-compile scan.mlir --iree-hal-target-backends=llvm-cpu -o scan.vmfb"
subprocess.run(command, shell=True, check=True)
module = iree.runtime.load_vm_flatbuffer_file("scan.vmfb", driver="local-task")
print("expected", [1.0])
print("received", module.scan(np.array([[1], [0], [0]], np.float32)).to_host())
