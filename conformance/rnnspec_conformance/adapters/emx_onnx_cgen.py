"""emx-onnx-cgen writes C from the case's ONNX file, with open sizes or with those of each call."""

from __future__ import annotations

import tempfile
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from emx_onnx_cgen.cli import run_cli_command

from .c_code import call_function
from .onnx_files import save_for_generator, sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    return f"emx-onnx-cgen {metadata.version('emx-onnx-cgen')}"


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
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "model.onnx")
        save_for_generator(model, plain)
        # Weights stay in the source, whatever their size.
        result = run_cli_command(["compile", "--large-weight-threshold=0", *arguments, str(plain)])
    if result.exit_code:
        raise RuntimeError(result.result)
    return str(result.generated)
