"""onnx2c writes C from the case's ONNX file, simplified with the sizes of each call.

It is no package: ``onnx2c``, built from its repository, must be on the PATH. Its example of a model
of PyTorch is simplified too: the shapes that exported files compute would end it.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnxsim

from .c_code import call_function
from .onnx_files import save_for_generator, save_with_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    try:
        done = subprocess.run(["onnx2c", "-v"], check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ImportError("no program onnx2c") from error
    commit = re.search(r"Commit: (\w+)", done.stdout + done.stderr)
    return f"onnx2c {commit[1] if commit else ''}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Return a function that generates the code for each call."""
    del tool
    model = case / "model.onnx"

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder, "model.onnx")
            save_with_sizes(model, inputs, plain)
            onnx.save(onnxsim.simplify(onnx.load(plain))[0], plain)
            save_for_generator(plain, plain)
            done = subprocess.run(["onnx2c", plain], check=False, capture_output=True, text=True)
        if done.returncode:
            # Without the time, so that the same refusal has the same words.
            message = re.sub(r"^[\d-]+ [\d.-]+ ", "", done.stderr.strip())
            raise RuntimeError(message or f"onnx2c: exit code {done.returncode}")
        return call_function(done.stdout, "entry", inputs)

    return run
