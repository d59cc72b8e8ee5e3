"""Properties of ONNX files that some tools cannot tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

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


def save_for_generator(path: Path, target: Path) -> None:
    """Write a file with names of letters, digits and a few marks only, and without other text.

    Generators write names, descriptions and metadata into comments of a source that is run here.

    Raises:
        ValueError: a name has other characters.
    """
    model = onnx.load(path, load_external_data=False)
    for text in _names_in(model):
        if not re.fullmatch(r"[\w.:/-]*", text, re.ASCII):
            raise ValueError(f"not a plain name: {text!r}")
    onnx.save(model, target)


def _names_in(message: Any) -> Iterator[str]:
    """Yield every string in a message, without descriptions and metadata, which are removed."""
    for field, value in message.ListFields():
        if field.name in {"doc_string", "metadata_props"}:
            message.ClearField(field.name)
        elif field.name != "raw_data":
            single = isinstance(value, (str, bytes, int, float)) or hasattr(value, "ListFields")
            for item in [value] if single else value:
                if isinstance(item, (str, bytes)):
                    yield item if isinstance(item, str) else item.decode("utf-8", "replace")
                elif hasattr(item, "ListFields"):
                    yield from _names_in(item)


def save_with_sizes(path: Path, inputs: list[np.ndarray], target: Path) -> None:
    """Write a file whose inputs have the sizes of these arrays."""
    model = onnx.load(path)
    for value, array in zip(model.graph.input, inputs, strict=True):
        for dim, size in zip(value.type.tensor_type.shape.dim, array.shape, strict=True):
            dim.dim_value = size
    # Inner values may have kept the names of open dimensions.
    del model.graph.value_info[:]
    onnx.save(model, target)
