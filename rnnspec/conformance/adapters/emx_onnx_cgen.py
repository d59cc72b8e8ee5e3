"""emx-onnx-cgen writes C from the case's ONNX file, with open sizes or with those of each call."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from .c_code import call_function
from .onnx_files import sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    try:
        return f"emx-onnx-cgen {metadata.version('emx-onnx-cgen')}"
    except metadata.PackageNotFoundError as error:
        raise ImportError("no package emx-onnx-cgen") from error


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Write the source of a case, with sizes of their own once a call."""
    model = case / "model.onnx"
    if tool == "emx-onnx-cgen":
        return partial(call_function, _generate(model), "model")

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        dims = [f"--input-dim={name}={size}" for name, size in sizes(model, inputs).items()]
        return call_function(_generate(model, *dims), "model", inputs)

    return run


def _generate(model: Path, *arguments: str) -> str:
    command = Path(sys.executable).with_name("emx-onnx-cgen")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.c")
        done = subprocess.run(
            [command, "compile", "--model-name=model", *arguments, model, path],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            result = (done.stdout + done.stderr).strip().splitlines()
            raise RuntimeError(result[-1].removeprefix("Result: "))
        return path.read_text("utf-8")
