"""OpenCV's module dnn runs the case's ONNX file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

from .onnx_files import names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    return f"OpenCV {cv2.__version__}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Open the model of a case."""
    del tool
    input_names, output_names = names(case / "model.onnx")
    net = cv2.dnn.readNetFromONNX(str(case / "model.onnx"))

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        for name, array in zip(input_names, inputs, strict=True):
            net.setInput(array, name)
        return list(net.forward(output_names))

    return run
