"""MNN runs what its converter makes of the case's ONNX file, with one operator a layer or a loop.

The converter's command line would send usage data and install packages for that; its function does
not. The libraries of MNN 3.6 ask for an executable stack, which glibc refuses since 2.41:
``patchelf --clear-execstack`` on ``_mnncengine*.so`` and ``_tools*.so`` takes that away.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import _tools  # the converter of MNN
import MNN
import numpy as np

from .onnx_files import names

if TYPE_CHECKING:
    from collections.abc import Callable


def version() -> str:
    """Return the name and version of the tool."""
    return f"MNN {MNN.version()}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Convert the model of a case, and open it."""
    inputs_and_outputs = names(case / "model.onnx")
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder, "model.mnn")
        arguments = ["mnnconvert", "-f", "ONNX", "--modelFile", str(case / "model.onnx")]
        arguments += ["--MNNModel", str(converted), "--bizCode", "conformance"]
        if tool == "mnn-operators":
            arguments.append("--useOriginRNNImpl")
        _tools.mnnconvert(arguments)
        settings = ({"backend": "CPU", "precision": "high", "numThread": 1},)
        module = MNN.nn.load_module_from_file(
            str(converted),
            *inputs_and_outputs,
            runtime_manager=MNN.nn.create_runtime_manager(settings),
        )

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        return [np.array(output.read()) for output in module.forward([*map(_variable, inputs)])]

    return run


def _variable(array: np.ndarray) -> MNN.expr.Var:
    # MNN has no int64: its converter makes int32 of it.
    if array.dtype.kind == "i":
        array, kind = array.astype(np.int32), MNN.expr.int
    else:
        kind = MNN.expr.float
    return MNN.expr.const(array, list(array.shape), MNN.expr.NCHW, kind)
