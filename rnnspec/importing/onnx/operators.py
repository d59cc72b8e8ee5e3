"""The operators of ONNX by its own schemas: what they take, and which attributes they have."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.importing.graph.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.importing.graph.graph import GraphNode

_LARGEST_WINDOW = 2**15
_WINDOW = {"strides": 1, "dilations": 1, "kernel_shape": 1, "group": 1, "pads": 0}
"""The smallest number in an attribute of a window over steps."""
_SWITCHES = frozenset(
    {"allowzero", "ceil_mode", "count_include_pad", "exclusive", "fmod", "input_forget"}
    | {"keepdims", "largest", "linear_before_reset", "noop_with_empty_axes", "reverse"}
    | {"select_last_index", "sorted", "spatial", "training_mode", "transA", "transB"}
)
"""The attributes that are 0 or 1."""
_CLASSES: dict[str, type[Any]] = {
    "FLOAT": float,
    "INT": int,
    "STRING": str,
    "TENSOR": np.ndarray,
    "GRAPH": Graph,
}


def find_problems(node: GraphNode, opset: int) -> Iterator[tuple[str, str, str]]:
    """Yield each fault of a node of an operator: its place, a message, and its code.

    Operators that ONNX does not have fit: whoever reads the graph knows which ones it needs.
    """
    schema = _schema(node.op, opset) if not node.domain else None
    if schema is None:
        return
    for what, number, least, most in (
        ("inputs", len(node.inputs), schema.min_input, schema.max_input),
        ("outputs", len(node.outputs), schema.min_output, schema.max_output),
    ):
        if not least <= number <= most:
            expected = f"{least}" if least == most else f"{least} to {most}"
            message = f"expected {expected} {what} of {node.op}, received {number}"
            yield node.where, message, "E703"
    for name, value in node.attributes.items():
        attribute = schema.attributes.get(name)
        where = f"{node.where}.{name}"
        if attribute is None:
            yield where, f"{node.op} has no such attribute", "E702"
        elif not _fits(value, attribute.type.name):
            expected = attribute.type.name.lower()
            yield where, f"expected a value of type {expected}", "E703"
        elif name in _SWITCHES and value not in (0, 1):
            yield where, f"expected 0 or 1, received {value}", "E703"
        elif name in _WINDOW and "strides" in schema.attributes:
            numbers = value if isinstance(value, tuple) else (value,)
            if not all(_WINDOW[name] <= number <= _LARGEST_WINDOW for number in numbers):
                expected = f"{_WINDOW[name]} to {_LARGEST_WINDOW:,}"
                yield where, f"expected numbers from {expected}, received others", "E703"
    for name, attribute in schema.attributes.items():
        if attribute.required and name not in node.attributes:
            yield f"{node.where}.{name}", f"{node.op} needs this attribute", "E703"


def _fits(value: Any, kind: str) -> bool:
    single = _CLASSES.get(kind.removesuffix("S"))
    if single is None:
        return False
    if kind in _CLASSES:
        return isinstance(value, single)
    return isinstance(value, tuple) and all(isinstance(element, single) for element in value)


@cache
def _schema(op: str, opset: int) -> Any:
    from onnx import defs

    try:
        return defs.get_schema(op, opset, "")
    except defs.SchemaError:
        return None
