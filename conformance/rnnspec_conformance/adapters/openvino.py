"""OpenVINO runs the case's ONNX file on the CPU, with open sizes or with those of each call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import openvino

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np


def version() -> str:
    """Return the name and version of the tool."""
    return f"OpenVINO {openvino.__version__.partition('-')[0]}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Compile the model of a case, or, with sizes of their own, once a call."""
    model = openvino.Core().read_model(case / "model.onnx")
    if tool == "openvino":
        return partial(_infer, _compile(model))

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        sized = model.clone()
        sized.reshape({index: list(array.shape) for index, array in enumerate(inputs)})
        return _infer(_compile(sized), inputs)

    return run


def _compile(model: Any) -> Any:
    # Without the hint, a processor with bfloat16 rounds to it.
    hints = {"INFERENCE_PRECISION_HINT": "f32"}
    try:
        return openvino.Core().compile_model(model, "CPU", hints)
    except RuntimeError as error:
        # The lines before it are places in OpenVINO's source, and names that differ in each run.
        raise RuntimeError(str(error).strip().splitlines()[-1]) from error


def _infer(compiled: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    result = compiled(inputs)
    return [result[index] for index in range(len(compiled.outputs))]
