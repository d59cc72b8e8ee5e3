"""tract runs the case's ONNX file, with open sizes or with those of each call."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

import tract

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

_TYPES = {"float32": "f32", "int64": "i64", "bool": "bool"}


def version() -> str:
    """Return the name and version of the tool."""
    return f"tract {metadata.version('tract')}"


def load(case: Path, tool: str) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Open the model of a case, or, with sizes of their own, once a call."""
    model = tract.onnx().load(case / "model.onnx")
    if tool == "tract":
        runnable = model.into_model().into_runnable()
        return lambda inputs: _run(runnable, inputs)

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        sized = tract.onnx().load(case / "model.onnx")
        for index, array in enumerate(inputs):
            sizes = ",".join(map(str, array.shape))
            sized.set_input_fact(index, f"{sizes},{_TYPES[array.dtype.name]}")
        return _run(sized.into_model().into_runnable(), inputs)

    return run


def _run(runnable: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    return [output.to_numpy() for output in runnable.run(inputs)]
