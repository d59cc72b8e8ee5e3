"""ONNX's reference implementation runs the case's ONNX file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx.reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    return f"onnx.reference {onnx.__version__}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Open the model of a case."""
    del tool
    evaluator = onnx.reference.ReferenceEvaluator(str(case / "model.onnx"))

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        return [*evaluator.run(None, dict(zip(evaluator.input_names, inputs, strict=True)))]

    return run
