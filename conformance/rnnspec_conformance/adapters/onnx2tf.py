"""LiteRT runs what onnx2tf makes of the case's ONNX file, with open sizes or those of a call."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from ai_edge_litert.interpreter import Interpreter

from .onnx_files import names, save_with_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def version() -> str:
    """Return the names and versions of the converter and the interpreter."""
    try:
        converter = metadata.version("onnx2tf")
    except metadata.PackageNotFoundError as error:
        raise ImportError("no package onnx2tf") from error
    return f"onnx2tf {converter}, LiteRT {metadata.version('ai-edge-litert')}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Convert the model of a case, or, with sizes of their own, once a call."""
    if tool == "onnx2tf":
        return partial(_invoke, _convert(case / "model.onnx"))

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.onnx")
            save_with_sizes(case / "model.onnx", inputs, path)
            return _invoke(_convert(path), inputs)

    return run


def _convert(path: Path) -> Interpreter:
    input_names, _ = names(path)
    with tempfile.TemporaryDirectory() as folder:
        # -kat: otherwise the axes of sequences are taken for those of pictures, and moved.
        program = Path(sys.executable).with_name("onnx2tf")
        command: list[str | Path] = [program, "-n", "-i", path, "-o", folder]
        # It calls onnxsim, which is beside it, and goes on without if there is none.
        paths = os.pathsep.join([str(program.parent), os.environ.get("PATH", "")])
        done = subprocess.run(
            [*command, "-coion", "-kat", *input_names],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": paths},
        )
        models = [*Path(folder).glob("*_float32.tflite")]
        if done.returncode or not models:
            lines = (done.stdout + done.stderr).strip().splitlines()
            raise RuntimeError(lines[-1] if lines else f"exit code {done.returncode}")
        return Interpreter(model_content=models[0].read_bytes())


def _invoke(interpreter: Interpreter, inputs: list[np.ndarray]) -> list[np.ndarray]:
    details = interpreter.get_input_details()
    for detail, array in zip(details, inputs, strict=True):
        if list(detail["shape"]) != list(array.shape):
            interpreter.resize_tensor_input(detail["index"], array.shape)
    interpreter.allocate_tensors()
    for detail, array in zip(details, inputs, strict=True):
        interpreter.set_tensor(detail["index"], array.astype(detail["dtype"]))
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
