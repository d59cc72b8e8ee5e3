"""ONNX's operators on plain numbers, as NumPy computes them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rnnspec.importing.graph import settings
from rnnspec.importing.graph.functions import (
    COMPARISONS,
    ELEMENTWISE,
    OVER_FEATURES,
    REDUCTIONS,
    by_element,
    check_size,
    layer_norm,
    required_inputs,
)
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.ir.nodes import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode

    Inputs = Sequence[Array | None]
    Operator = Callable[..., Any]

UNFIT = (
    *(TypeError, ValueError, IndexError, KeyError),
    *(ArithmeticError, AttributeError, MemoryError),
    RuntimeError,  # an array of too many axes
)
"""The errors of NumPy and Python for inputs that do not fit an operator."""
_MOST_NUMBERS = 2**22
"""The most numbers of a result that is larger than twice its inputs."""
_MOST_PRODUCTS = 2**26
"""The most products of two numbers in a product of matrices."""


def compute(node: GraphNode, inputs: Inputs) -> tuple[Array, ...]:
    """Return the outputs of a node for plain numbers.

    Raises:
        RefusedError: the operator is not known, or does not fit its inputs.
    """
    function = _FUNCTIONS.get(node.op) if not node.domain else None
    if function is None:
        raise RefusedError(f"rnnspec does not support the operator {node.op}", "E701")
    # An array that is taken many times explains no large result.
    distinct = {id(array): array.size for array in inputs if array is not None}
    largest = max(_MOST_NUMBERS, 2 * sum(distinct.values()))
    try:
        with np.errstate(all="ignore"):
            result = function(node, inputs, largest)
    except UNFIT as error:
        raise RefusedError(f"{node.op} does not fit its inputs: {error}", "E707") from None
    outputs = result if isinstance(result, tuple) else (result,)
    return tuple(np.asarray(output) for output in outputs)


def effort(node: GraphNode, inputs: Inputs) -> int:
    """Return how much longer than others an operator takes, as a number of bytes to write."""
    x = next((array for array in inputs if array is not None), None)
    if x is None:
        return 0
    if node.op in ("MatMul", "Gemm"):
        columns = [y.shape[-1] for y in inputs[1:2] if y is not None and y.ndim]
        return x.size * max(columns, default=1) // 8
    return 256 * x.size if node.op in ("Erf", "Gelu") else 0


def is_known(node: GraphNode) -> bool:
    """True if an operator can be computed of plain numbers."""
    return not node.domain and node.op in _FUNCTIONS


def _first(inputs: Inputs) -> Array:
    return required_inputs(inputs[:1])[0]


_FUNCTIONS: dict[str, Operator] = {
    **ELEMENTWISE,
    **REDUCTIONS,
    **OVER_FEATURES,
    **COMPARISONS,
    "Not": by_element(np.logical_not),
    "And": by_element(np.logical_and),
    "Or": by_element(np.logical_or),
    "Xor": by_element(np.logical_xor),
    "Floor": by_element(np.floor),
    "Ceil": by_element(np.ceil),
    "Round": by_element(np.round),
    "Where": by_element(np.where),
    "Identity": lambda _, inputs, __: inputs[0],
    "Cast": lambda node, inputs, _: settings.cast(_first(inputs), settings.type_of_cast(node)),
    "CastLike": lambda node, inputs, _: settings.cast(
        _first(inputs), settings.type_of_cast(node, inputs[1])
    ),
    "Size": lambda _, inputs, __: np.array(inputs[0].size, np.int64),
    "LayerNormalization": layer_norm,
    "Shape": lambda node, inputs, _: settings.part_of_shape(node, _first(inputs).shape),
    "Squeeze": lambda node, inputs, _: np.squeeze(_first(inputs), settings.axes_of(node, inputs)),
    "Unsqueeze": lambda node, inputs, _: np.expand_dims(
        _first(inputs), settings.axes_of(node, inputs) or ()
    ),
    "Transpose": lambda node, inputs, _: np.transpose(
        x := _first(inputs), settings.order_of(node, x.ndim)
    ),
}
"""The operators by their names; those that take more to say are added below."""


def _operator(*names: str) -> Callable[[Operator], Operator]:
    """Return a decorator for a function that computes operators of ONNX."""

    def register(function: Operator) -> Operator:
        _FUNCTIONS.update(dict.fromkeys(names, function))
        return function

    return register


@_operator("Mod")
def _modulo(node: GraphNode, inputs: Inputs, largest: int) -> Array:
    function = np.fmod if node.attributes.get("fmod") else np.mod
    return by_element(function)(node, inputs, largest)


@_operator("ArgMax", "ArgMin")
def _arg_max(node: GraphNode, inputs: Inputs, _: int) -> Array:
    function = np.argmax if node.op == "ArgMax" else np.argmin
    axis = node.attributes.get("axis", 0)
    x = required_inputs(inputs)[0]
    if node.attributes.get("select_last_index"):
        raise ValueError("select_last_index is not known")
    return np.asarray(function(x, axis=axis, keepdims=settings.keeps_axes(node)))


@_operator("ConstantOfShape")
def _constant_of_shape(node: GraphNode, inputs: Inputs, largest: int) -> Array:
    value = np.ravel(node.attributes.get("value", np.zeros(1, np.float32)))[0]
    shape: Any = check_size(required_inputs(inputs)[0].tolist(), largest)
    return np.full(shape, value)


@_operator("Expand")
def _expand(_: GraphNode, inputs: Inputs, largest: int) -> Array:
    x, shape = required_inputs(inputs)
    size = check_size(np.broadcast_shapes(x.shape, tuple(map(int, shape))), largest)
    return np.broadcast_to(x, size)


@_operator("Tile")
def _tile(_: GraphNode, inputs: Inputs, largest: int) -> Array:
    x, times = required_inputs(inputs)
    check_size([a * b for a, b in zip(x.shape, times, strict=True)], largest)
    return np.tile(x, times)


@_operator("Range")
def _range(_: GraphNode, inputs: Inputs, largest: int) -> Array:
    start, limit, delta = (scalar.reshape(()) for scalar in required_inputs(inputs))
    check_size([max(math.ceil((limit - start) / delta), 0)], largest)
    steps: Array = np.arange(
        *(scalar.item() for scalar in (start, limit, delta)), dtype=start.dtype
    )
    return steps


@_operator("Trilu")
def _triangle(node: GraphNode, inputs: Inputs, _: int) -> Array:
    x, *others = required_inputs(inputs)
    diagonal = int(others[0]) if others else 0
    triangle: Array = (np.triu if node.attributes.get("upper", 1) else np.tril)(x, diagonal)
    return triangle


@_operator("Gather")
def _gather(node: GraphNode, inputs: Inputs, largest: int) -> Array:
    x, indices = required_inputs(inputs)
    axis = node.attributes.get("axis", 0)
    check_size([x.size // max(x.shape[axis], 1), indices.size], largest)
    return np.take(x, indices, axis=axis)


@_operator("GatherElements")
def _gather_elements(node: GraphNode, inputs: Inputs, _: int) -> Array:
    x, indices = required_inputs(inputs)
    return np.take_along_axis(x, indices, node.attributes.get("axis", 0))


@_operator("GatherND")
def _gather_nd(node: GraphNode, inputs: Inputs, largest: int) -> Array:
    x, indices = required_inputs(inputs)
    if node.attributes.get("batch_dims", 0):
        raise ValueError("batch_dims is not known")
    check_size([indices.size, *x.shape[indices.shape[-1] :]], largest)
    result: Array = x[tuple(np.moveaxis(indices, -1, 0))]
    return result


@_operator("ScatterElements")
def _scatter_elements(node: GraphNode, inputs: Inputs, _: int) -> Array:
    x, indices, updates = required_inputs(inputs)
    if node.attributes.get("reduction", "none") != "none":
        raise ValueError("reduction is not known")
    result = x.copy()
    np.put_along_axis(result, indices, updates, node.attributes.get("axis", 0))
    return result


@_operator("Slice")
def _slice(node: GraphNode, inputs: Inputs, _: int) -> Array:
    x = _first(inputs)
    index = [slice(None)] * x.ndim
    for axis, part in settings.slices_of(node, inputs).items():
        index[axis] = part
    return x[tuple(index)]


@_operator("Split")
def _split(node: GraphNode, inputs: Inputs, _: int) -> tuple[Array, ...]:
    x, axis = _first(inputs), node.attributes.get("axis", 0)
    ends = np.cumsum(settings.parts_of(node, inputs, x.shape[axis]))[:-1]
    return tuple(np.split(x, ends, axis))


@_operator("Reshape", "Flatten")
def _reshape(node: GraphNode, inputs: Inputs, _: int) -> Array:
    x = required_inputs(inputs)[0]
    return x.reshape(settings.new_shape(node, inputs, x.shape))


@_operator("CumSum")
def _cumulate(node: GraphNode, inputs: Inputs, _: int) -> Array:
    x, axis = required_inputs(inputs)
    number = int(axis.reshape(()))
    backward = node.attributes.get("reverse")
    result = np.flip(x, number) if backward else x
    if x.dtype.kind == "b":
        raise TypeError("expected numbers, received truth values")
    total = np.cumsum(result, number, dtype=x.dtype)
    if node.attributes.get("exclusive"):
        total = total - result
    return np.flip(total, number) if backward else total


@_operator("Pad")
def _pad(node: GraphNode, inputs: Inputs, largest: int) -> Array:
    x, widths, *more = inputs
    if x is None or widths is None or node.attributes.get("mode", "constant") != "constant":
        raise ValueError("its mode or its pads are not known")
    if len(more) > 1 and more[1] is not None:
        raise ValueError("axes are not known")
    number = x.ndim
    pairs = [(int(widths[i]), int(widths[i + number])) for i in range(number)]
    check_size([size + a + b for size, (a, b) in zip(x.shape, pairs, strict=True)], largest)
    value = 0 if not more or more[0] is None else np.ravel(more[0])[0]
    return np.pad(x, pairs, constant_values=value)


@_operator("Concat")
def _concat(node: GraphNode, inputs: Inputs, largest: int) -> Array:
    arrays = required_inputs(inputs)
    check_size([sum(array.size for array in arrays)], largest)
    return np.concatenate(arrays, node.attributes["axis"])


@_operator("ReverseSequence")
def _reverse_sequence(node: GraphNode, inputs: Inputs, _: int) -> Array:
    x, lengths = required_inputs(inputs)
    axes = (node.attributes.get("batch_axis", 1), node.attributes.get("time_axis", 0))
    moved = np.moveaxis(x, axes, (0, 1))
    index = settings.reversed_steps(lengths, moved.shape[1])
    reversed_ = np.take_along_axis(moved, index.reshape(*index.shape, *[1] * (x.ndim - 2)), 1)
    return np.moveaxis(reversed_, (0, 1), axes)


@_operator("TopK")
def _top(node: GraphNode, inputs: Inputs, largest: int) -> tuple[Array, Array]:
    x, count = required_inputs(inputs)
    axis = node.attributes.get("axis", -1)
    if not node.attributes.get("sorted", 1):
        raise ValueError("an order that is not stated is not known")
    (number,) = check_size(np.ravel(count)[:1].tolist(), largest)
    order = np.argsort(-x if node.attributes.get("largest", 1) else x, axis, kind="stable")
    indices = np.take(order, np.arange(number), axis)
    return np.take_along_axis(x, indices, axis), indices


@_operator("OneHot")
def _one_hot(node: GraphNode, inputs: Inputs, largest: int) -> Array:
    indices, depth, values = required_inputs(inputs)
    number = int(np.ravel(depth)[0])
    check_size([indices.size, number], largest)
    # One outside of -number to number - 1 is none of them.
    place = np.where(indices < 0, indices + number, indices)
    hot = np.expand_dims(place, -1) == np.arange(number)
    encoded = np.where(hot, values[1], values[0])
    axis = node.attributes.get("axis", -1)
    result: Array = np.moveaxis(encoded, -1, axis)
    return result


@_operator("MatMul")
def _matrix_product(_: GraphNode, inputs: Inputs, largest: int) -> Array:
    x, y = required_inputs(inputs)
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    check_size([*batch, *x.shape[-2:-1], *(y.shape[-1:] if y.ndim > 1 else ())], largest)
    check_size([x.size, y.shape[-1] if y.ndim > 1 else 1], _MOST_PRODUCTS)
    result: Array = np.matmul(x, y)
    return result


@_operator("AveragePool")
def _average_windows(node: GraphNode, inputs: Inputs, largest: int) -> Array:
    """Return the means of windows along the last of three axes, without the steps added."""
    x = required_inputs(inputs)[0]
    attributes = node.attributes
    auto = attributes.get("auto_pad", "NOTSET")
    (size,), (stride,) = attributes["kernel_shape"], attributes.get("strides", (1,))
    before, after = attributes.get("pads", (0, 0))
    others = ("ceil_mode", "count_include_pad")
    if x.ndim != 3 or any(attributes.get(key) for key in others) or "dilations" in attributes:
        raise ValueError("its windows are not known")
    if auto == "SAME_UPPER":
        same = Window(size=size, stride=stride, dilation=1, padding="same")
        before, after = same.added(x.shape[2])
    elif auto not in ("NOTSET", "VALID"):
        raise ValueError(f"auto_pad {auto} is not known")
    check_size([x.size, size], largest)
    widths = ((0, 0), (0, 0), (before, after))
    total, count = (
        sliding_window_view(np.pad(array, widths), size, 2)[:, :, ::stride].sum(-1)
        for array in (x, np.ones_like(x))
    )
    return np.asarray(total / count, x.dtype)
