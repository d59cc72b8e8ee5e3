"""Settings of nodes, by attributes or constant inputs, in all versions of their operators."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode

    Inputs = Sequence[Array | None]

_SOFTMAX_OF_ONE_AXIS = 13
"""The opset from which on a softmax is over one axis, and not over all from one on."""
HALF = {"f2": "float16", "bf2": "bfloat16"}
"""The types that round the numbers of a network, which has float32, with their names."""
DTYPES = {
    1: "f4", 2: "u1", 3: "i1", 4: "u2", 5: "i2", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8",
    12: "u4", 13: "u8", 16: "bf2",
}  # fmt: skip
"""NumPy's dtypes by ONNX's numbers of them, and ``bf2``, which NumPy does not have."""


def axes_of(node: GraphNode, inputs: Inputs, at: int = 1) -> tuple[int, ...] | None:
    """Return the axes that a node names, as an attribute or, in later versions, as an input."""
    axes = node.attributes.get("axes", inputs[at] if len(inputs) > at else None)
    return None if axes is None else tuple(int(axis) for axis in np.ravel(axes))


def slices_of(node: GraphNode, inputs: Inputs) -> dict[int, slice]:
    """Return the slice of each axis that a ``Slice`` names."""
    if "starts" in node.attributes:
        starts, ends = node.attributes["starts"], node.attributes["ends"]
        axes, strides = node.attributes.get("axes"), None
    else:
        _, starts, ends, axes, strides = (*inputs, None, None)[:5]
    numbers = range(len(starts)) if axes is None else map(int, axes)
    steps = [1] * len(starts) if strides is None else strides
    result = {}
    for axis, start, end, stride in zip(numbers, starts, ends, steps, strict=True):
        # Of a backward slice, an end before the first element is any number that is low enough.
        stop = None if stride < 0 and end < -(2**30) else int(end)
        result[axis] = slice(int(start), stop, int(stride))
    return result


def parts_of(node: GraphNode, inputs: Inputs, size: int) -> list[int]:
    """Return the sizes of the parts that a ``Split`` makes of an axis of some size."""
    stated = node.attributes.get("split", inputs[1] if len(inputs) > 1 else None)
    if stated is not None:
        return [int(part) for part in stated]
    number = len(node.outputs)
    part = -(-size // number)
    return [min(part, size - part * i) for i in range(number)]


def new_shape(node: GraphNode, inputs: Inputs, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape that a ``Reshape`` or a ``Flatten`` gives to an array of some shape."""
    if node.op == "Flatten":
        axis = node.attributes.get("axis", 1)
        axis += len(shape) if axis < 0 else 0
        return (math.prod(shape[:axis]), math.prod(shape[axis:]))
    target = inputs[1] if len(inputs) > 1 else None
    if target is None:
        raise ValueError("the shape is missing")
    zero = node.attributes.get("allowzero", 0)
    sizes = [
        int(size) if size or zero else shape[i] for i, size in enumerate(np.ravel(target).tolist())
    ]
    if -1 in sizes:
        rest = math.prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = math.prod(shape) // max(rest, 1)
    return tuple(sizes)


def order_of(node: GraphNode, rank: int) -> tuple[int, ...]:
    """Return the order that a ``Transpose`` gives to some number of axes."""
    return tuple(node.attributes.get("perm", range(rank)[::-1]))


def keeps_axes(node: GraphNode) -> bool:
    """True if a reduction leaves axes of size 1."""
    return bool(node.attributes.get("keepdims", 1))


def epsilon_of(node: GraphNode) -> float:
    """Return the epsilon of a norm."""
    return float(node.attributes.get("epsilon", 1e-5))


def reversed_steps(lengths: Array, count: int) -> Array:
    """Return the step that a ``ReverseSequence`` puts at each of ``count`` places."""
    at = np.arange(count)
    back = lengths.reshape(-1, 1) - 1 - at
    return np.where(back >= 0, back, at)


def part_of_shape(node: GraphNode, shape: Sequence[int]) -> Array:
    """Return the part of a shape that ``Shape`` gives."""
    start, end = node.attributes.get("start", 0), node.attributes.get("end")
    return np.array(shape[start:end], np.int64)


def type_of_cast(node: GraphNode, like: Array | None = None) -> str:
    """Return the type that a ``Cast`` or a ``CastLike`` is to, empty if it is none of numbers.

    Args:
        node: the node.
        like: an array of the type that a ``CastLike`` is to.
    """
    if node.op == "Cast":
        return DTYPES.get(node.attributes["to"], "")
    return "" if like is None else like.dtype.str[1:].replace("b1", "?")


def cast(x: Array, kind: str) -> Array:
    """Return numbers in a type by its name."""
    if kind != "bf2":
        return x.astype(kind)
    # The upper half of float32, rounded to the nearest one, of two to the even one.
    bits = x.astype("f4").view("u4")
    upper = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), x, upper.astype("u4").view("f4")).astype("f4")


def normalized_axes(node: GraphNode, rank: int) -> tuple[int, ...]:
    """Return the axes that a softmax or a norm is over, as ``axis`` states them.

    Raises:
        ValueError: there is no such axis.
    """
    is_softmax = node.op in ("Softmax", "LogSoftmax")
    of_all_behind = is_softmax and node.opset < _SOFTMAX_OF_ONE_AXIS
    axis = node.attributes.get("axis", 1 if of_all_behind else -1)
    if not -rank <= axis < rank:
        raise ValueError(f"expected the number of one of {rank} axes, received {axis}")
    return tuple(range(axis % rank, rank)) if of_all_behind else (axis % rank,)


def reduced_axes(node: GraphNode, inputs: Inputs, rank: int) -> tuple[int, ...]:
    """Return the axes that a reduction is over."""
    axes = axes_of(node, inputs)
    if axes:
        return tuple(axis % rank for axis in axes)
    return () if node.attributes.get("noop_with_empty_axes") else tuple(range(rank))
