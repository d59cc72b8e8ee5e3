"""PyTorch runs the module that onnx2pytorch makes of the case's ONNX file."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import onnx
import torch
from onnx2pytorch import ConvertModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np


def version() -> str:
    """Return the names and versions of the converter and PyTorch."""
    torch_version = torch.__version__.partition("+")[0]
    return f"onnx2pytorch {metadata.version('onnx2pytorch')}, PyTorch {torch_version}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Convert the model of a case."""
    del tool
    # Without "experimental", only batches of one.
    module = ConvertModel(onnx.load(case / "model.onnx"), experimental=True).eval()

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            result = module(*map(torch.from_numpy, inputs))
        outputs = result if isinstance(result, (tuple, list)) else [result]
        return [output.numpy() for output in outputs]

    return run
