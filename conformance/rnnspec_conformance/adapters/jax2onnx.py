"""jax2onnx converts the case's Flax model; its files run in ONNX Runtime."""

from __future__ import annotations

import tempfile
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax2onnx

from .cases import open_onnx
from .jax_models import open_model

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    return f"jax2onnx {version_of('jax2onnx')}, JAX {jax.__version__}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Convert the model of a case with open sizes, and open the file."""
    del tool
    model = open_model(case)
    inputs = model.open_shapes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        jax2onnx.to_onnx(model.function, inputs=inputs, return_mode="file", output_path=str(path))
        return open_onnx(path)
