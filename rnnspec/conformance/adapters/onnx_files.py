"""What tools without a word for it need to know of an ONNX file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np


def names(path: Path) -> tuple[list[str], list[str]]:
    """Return the names of the inputs and of the outputs."""
    graph = onnx.load(path).graph
    return [value.name for value in graph.input], [value.name for value in graph.output]


def sizes(path: Path, inputs: list[np.ndarray]) -> dict[str, int]:
    """Return the sizes that the open dimensions of a file have for these inputs."""
    return {
        dim.dim_param: size
        for value, array in zip(onnx.load(path).graph.input, inputs, strict=True)
        for dim, size in zip(value.type.tensor_type.shape.dim, array.shape, strict=True)
        if dim.dim_param
    }


def save_with_sizes(path: Path, inputs: list[np.ndarray], target: Path) -> None:
    """Write a file whose inputs have the sizes of these arrays."""
    model = onnx.load(path)
    for value, array in zip(model.graph.input, inputs, strict=True):
        for dim, size in zip(value.type.tensor_type.shape.dim, array.shape, strict=True):
            dim.dim_value = size
    # Inner values may have kept the names of open dimensions.
    del model.graph.value_info[:]
    onnx.save(model, target)
