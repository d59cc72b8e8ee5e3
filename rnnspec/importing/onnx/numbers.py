"""ONNX's operators on plain numbers, as NumPy computes them."""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.importing.layer_graph import RefusedError
from rnnspec.importing.onnx import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rnnspec.importing.onnx.graph import Node
    from rnnspec.slots import Array

    Inputs = Sequence[Array | None]

UNFIT = (
    *(TypeError, ValueError, IndexError, KeyError),
    *(ArithmeticError, AttributeError, MemoryError),
)
"""What NumPy and Python raise for inputs that do not fit an operator."""
_MOST_NUMBERS = 2**22
"""The most numbers of a result that is larger than twice its inputs."""


_MOST_PRODUCTS = 2**26
"""The most products of two numbers in a product of matrices."""


def compute(node: Node, inputs: Inputs) -> tuple[Array, ...]:
    """Return the outputs of a node for plain numbers.

    Raises:
        RefusedError: the operator is not known, or does not fit its inputs.
    """
    function = _FUNCTIONS.get(node.op) if not node.domain else None
    if function is None:
        raise RefusedError(f"the language lacks the operator {node.op}", "E701")
    # An array that is taken many times explains no large result.
    distinct = {id(each): each.size for each in inputs if each is not None}
    largest = max(_MOST_NUMBERS, 2 * sum(distinct.values()))
    try:
        with np.errstate(all="ignore"):
            result = function(node, inputs, largest)
    except UNFIT as error:
        raise RefusedError(f"{node.op} does not fit its inputs: {error}", "E707") from None
    outputs = result if isinstance(result, tuple) else (result,)
    return tuple(np.asarray(each) for each in outputs)


def effort(node: Node, inputs: Inputs) -> int:
    """Return how much longer than others an operator takes, as a number of bytes to write."""
    x = next((each for each in inputs if each is not None), None)
    if x is None:
        return 0
    if node.op in ("MatMul", "Gemm"):
        return (
            x.size
            * max(
                (each.shape[-1] for each in inputs[1:2] if each is not None and each.ndim),
                default=1,
            )
            // 8
        )
    return 256 * x.size if node.op in ("Erf", "Gelu") else 0


def is_known(node: Node) -> bool:
    """Return whether an operator can be computed of plain numbers."""
    return not node.domain and node.op in _FUNCTIONS


def _bound(sizes: Sequence[Any], largest: int) -> tuple[int, ...]:
    """Return the shape of a result, which must not be larger than the inputs explain."""
    shape = tuple(map(int, sizes))
    if math.prod(shape) > largest:
        raise ValueError(f"a result of {math.prod(shape):,} numbers is too large")
    return shape


def _needed(inputs: Inputs) -> list[Array]:
    arrays = [each for each in inputs if each is not None]
    if len(arrays) < len(inputs):
        raise ValueError("an input is missing")
    return arrays


def _elementwise(function: Callable[..., Array]) -> Callable[..., Array]:
    def run(_: Node, inputs: Inputs, largest: int) -> Array:
        arrays = _needed(inputs)
        _bound(np.broadcast_shapes(*(each.shape for each in arrays)), largest)
        return function(*arrays)

    return run


def _several(function: Callable[..., Array]) -> Callable[..., Array]:
    return _elementwise(lambda *arrays: reduce(function, arrays))


def _divide(x: Array, y: Array) -> Array:
    if x.dtype.kind not in "iu":
        return x / y
    # Towards zero, as in C.
    quotient: Array = np.trunc(x / np.where(y == 0, 1, y)).astype(x.dtype)
    return quotient


def _modulo(node: Node, inputs: Inputs, largest: int) -> Array:
    function = np.fmod if node.attributes.get("fmod") else np.mod
    return _elementwise(function)(node, inputs, largest)


_erf = np.vectorize(math.erf, otypes=[float])


def _softmax(x: Array, axis: int) -> Array:
    powers = np.exp(x - x.max(axis, keepdims=True))
    result: Array = powers / powers.sum(axis, keepdims=True)
    return result


def _along_axis(function: Callable[[Array, int], Array]) -> Callable[..., Array]:
    return lambda node, inputs, _: function(inputs[0], node.attributes.get("axis", -1))


def _clip(node: Node, inputs: Inputs, _: int) -> Array:
    low, high = (
        inputs[i] if len(inputs) > i else node.attributes.get(key)
        for i, key in ((1, "min"), (2, "max"))
    )
    result: Array = np.clip(_needed(inputs[:1])[0], low, high)
    return result


def _with(**defaults: float) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    """Return a decorator for a function of one array and of attributes with defaults."""

    def decorate(function: Callable[..., Array]) -> Callable[..., Array]:
        def run(node: Node, inputs: Inputs, _: int) -> Array:
            chosen = {key: node.attributes.get(key, value) for key, value in defaults.items()}
            return function(_needed(inputs)[0], **chosen)

        return run

    return decorate


def _reduce(function: Callable[..., Array]) -> Callable[..., Array]:
    def run(node: Node, inputs: Inputs, _: int) -> Array:
        axes = settings.axes_of(node, inputs) or None
        x = _needed(inputs[:1])[0]
        if axes is None and node.attributes.get("noop_with_empty_axes"):
            return x
        keep = bool(node.attributes.get("keepdims", 1))
        result: Array = np.asarray(function(x, axis=axes, keepdims=keep))
        return result.astype(x.dtype) if x.dtype.kind in "iu" else result

    return run


def _arg_max(node: Node, inputs: Inputs, _: int) -> Array:
    function = np.argmax if node.op == "ArgMax" else np.argmin
    axis = node.attributes.get("axis", 0)
    keep = bool(node.attributes.get("keepdims", 1))
    x = _needed(inputs)[0]
    if node.attributes.get("select_last_index"):
        raise ValueError("select_last_index is not known")
    return np.asarray(function(x, axis=axis, keepdims=keep))


def _cast(node: Node, inputs: Inputs, _: int) -> Array:
    return _needed(inputs)[0].astype(settings.DTYPES[node.attributes["to"]])


def _constant_of_shape(node: Node, inputs: Inputs, largest: int) -> Array:
    value = np.ravel(node.attributes.get("value", np.zeros(1, np.float32)))[0]
    shape: Any = _bound(_needed(inputs)[0].tolist(), largest)
    return np.full(shape, value)


def _expand(_: Node, inputs: Inputs, largest: int) -> Array:
    x, shape = _needed(inputs)
    wanted = _bound(np.broadcast_shapes(x.shape, tuple(map(int, shape))), largest)
    return np.broadcast_to(x, wanted)


def _tile(_: Node, inputs: Inputs, largest: int) -> Array:
    x, times = _needed(inputs)
    _bound([a * b for a, b in zip(x.shape, times, strict=True)], largest)
    return np.tile(x, times)


def _range(_: Node, inputs: Inputs, largest: int) -> Array:
    start, limit, delta = (each.reshape(()) for each in _needed(inputs))
    _bound([max(math.ceil((limit - start) / delta), 0)], largest)
    steps: Array = np.arange(*(each.item() for each in (start, limit, delta)), dtype=start.dtype)
    return steps


def _gather(node: Node, inputs: Inputs, largest: int) -> Array:
    x, indices = _needed(inputs)
    axis = node.attributes.get("axis", 0)
    _bound([x.size // max(x.shape[axis], 1), indices.size], largest)
    return np.take(x, indices, axis=axis)


def _gather_elements(node: Node, inputs: Inputs, _: int) -> Array:
    x, indices = _needed(inputs)
    return np.take_along_axis(x, indices, node.attributes.get("axis", 0))


def _gather_nd(node: Node, inputs: Inputs, largest: int) -> Array:
    x, indices = _needed(inputs)
    if node.attributes.get("batch_dims", 0):
        raise ValueError("batch_dims is not known")
    _bound([indices.size, *x.shape[indices.shape[-1] :]], largest)
    result: Array = x[tuple(np.moveaxis(indices, -1, 0))]
    return result


def _scatter_elements(node: Node, inputs: Inputs, _: int) -> Array:
    x, indices, updates = _needed(inputs)
    if node.attributes.get("reduction", "none") != "none":
        raise ValueError("reduction is not known")
    result = x.copy()
    np.put_along_axis(result, indices, updates, node.attributes.get("axis", 0))
    return result


def _slice(node: Node, inputs: Inputs, _: int) -> Array:
    x = _needed(inputs[:1])[0]
    index = [slice(None)] * x.ndim
    for axis, part in settings.slices_of(node, inputs).items():
        index[axis] = part
    return x[tuple(index)]


def _split(node: Node, inputs: Inputs, _: int) -> tuple[Array, ...]:
    x, axis = _needed(inputs[:1])[0], node.attributes.get("axis", 0)
    ends = np.cumsum(settings.parts_of(node, inputs, x.shape[axis]))[:-1]
    return tuple(np.split(x, ends, axis))


def _reshape(node: Node, inputs: Inputs, _: int) -> Array:
    x = _needed(inputs)[0]
    return x.reshape(settings.new_shape(node, inputs, x.shape))


def _squeeze(node: Node, inputs: Inputs, _: int) -> Array:
    return np.squeeze(_needed(inputs[:1])[0], settings.axes_of(node, inputs))


def _unsqueeze(node: Node, inputs: Inputs, _: int) -> Array:
    return np.expand_dims(_needed(inputs[:1])[0], settings.axes_of(node, inputs) or ())


def _transpose(node: Node, inputs: Inputs, _: int) -> Array:
    return np.transpose(_needed(inputs)[0], node.attributes.get("perm"))


def _shape(node: Node, inputs: Inputs, _: int) -> Array:
    return settings.part_of_shape(node, _needed(inputs)[0].shape)


def _cumulate(node: Node, inputs: Inputs, _: int) -> Array:
    x, axis = _needed(inputs)
    number = int(axis.reshape(()))
    backward = node.attributes.get("reverse")
    result = np.flip(x, number) if backward else x
    if x.dtype.kind == "b":
        raise TypeError("expected numbers, received truth values")
    total = np.cumsum(result, number, dtype=x.dtype)
    if node.attributes.get("exclusive"):
        total = total - result
    return np.flip(total, number) if backward else total


def _pad(node: Node, inputs: Inputs, largest: int) -> Array:
    x, widths, *more = inputs
    if x is None or widths is None or node.attributes.get("mode", "constant") != "constant":
        raise ValueError("its mode or its pads are not known")
    if len(more) > 1 and more[1] is not None:
        raise ValueError("axes are not known")
    number = x.ndim
    pairs = [(int(widths[i]), int(widths[i + number])) for i in range(number)]
    _bound([size + a + b for size, (a, b) in zip(x.shape, pairs, strict=True)], largest)
    value = 0 if not more or more[0] is None else np.ravel(more[0])[0]
    return np.pad(x, pairs, constant_values=value)


def _concat(node: Node, inputs: Inputs, largest: int) -> Array:
    arrays = _needed(inputs)
    _bound([sum(each.size for each in arrays)], largest)
    return np.concatenate(arrays, node.attributes["axis"])


def _reverse_sequence(node: Node, inputs: Inputs, _: int) -> Array:
    x, lengths = _needed(inputs)
    axes = (node.attributes.get("batch_axis", 1), node.attributes.get("time_axis", 0))
    moved = np.moveaxis(x, axes, (0, 1))
    at = np.arange(moved.shape[1])
    back = lengths.reshape(-1, 1) - 1 - at
    index = np.where(back >= 0, back, at)
    taken = np.take_along_axis(moved, index.reshape(*index.shape, *[1] * (x.ndim - 2)), 1)
    return np.moveaxis(taken, (0, 1), axes)


def _top(node: Node, inputs: Inputs, largest: int) -> tuple[Array, Array]:
    x, count = _needed(inputs)
    axis = node.attributes.get("axis", -1)
    (number,) = _bound(np.ravel(count)[:1].tolist(), largest)
    order = np.argsort(-x if node.attributes.get("largest", 1) else x, axis, kind="stable")
    indices = np.take(order, np.arange(number), axis)
    return np.take_along_axis(x, indices, axis), indices


def _one_hot(node: Node, inputs: Inputs, largest: int) -> Array:
    indices, depth, values = _needed(inputs)
    number = int(np.ravel(depth)[0])
    _bound([indices.size, number], largest)
    hot = np.expand_dims(indices % number, -1) == np.arange(number)
    made = np.where(hot, values[1], values[0])
    axis = node.attributes.get("axis", -1)
    result: Array = np.moveaxis(made, -1, axis)
    return result


def _matrix_product(_: Node, inputs: Inputs, largest: int) -> Array:
    x, y = _needed(inputs)
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    _bound([*batch, *x.shape[-2:-1], *(y.shape[-1:] if y.ndim > 1 else ())], largest)
    _bound([x.size, y.shape[-1] if y.ndim > 1 else 1], _MOST_PRODUCTS)
    result: Array = np.matmul(x, y)
    return result


def _log_softmax(x: Array, axis: int) -> Array:
    shifted = x - x.max(axis, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
    return result


def _selu(x: Array, alpha: float, gamma: float) -> Array:
    result: Array = gamma * np.where(x > 0, x, alpha * np.expm1(x))
    return result


def _sigmoid(x: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-x))
    return result


def _gelu(node: Node, inputs: Inputs, _: int) -> Array:
    x = _needed(inputs)[0]
    if node.attributes.get("approximate", "none") != "none":
        factor = 1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    else:
        factor = 1 + _erf(x / math.sqrt(2))
    result: Array = x * factor / 2
    return result


def norm_of_layer(node: Node, inputs: Inputs, _: int) -> Array:
    """Return what a ``LayerNormalization`` over the last axis computes."""
    x, scale, *more = inputs
    if x is None or scale is None or node.attributes.get("axis", -1) not in (-1, x.ndim - 1):
        raise ValueError("expected the last axis")
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    epsilon = node.attributes.get("epsilon", 1e-5)
    result: Array = (x - mean) / np.sqrt(variance + epsilon) * scale
    return result if not more or more[0] is None else np.add(result, more[0])


def _norm_l2(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    result: Array = np.sqrt((x * x).sum(axis=axis, keepdims=keepdims))
    return result


def _sum_square(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    result: Array = (x * x).sum(axis=axis, keepdims=keepdims)
    return result


def _normalize(x: Array, axis: int) -> Array:
    result: Array = x / np.sqrt((x * x).sum(axis, keepdims=True))
    return result


ELEMENTWISE: Mapping[str, Callable[..., Any]] = {
    "Add": _elementwise(np.add),
    "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply),
    "Div": _elementwise(_divide),
    "Pow": _elementwise(lambda x, y: np.power(x, y).astype(x.dtype)),
    "Sum": _several(np.add),
    "Min": _several(np.minimum),
    "Max": _several(np.maximum),
    "Neg": _elementwise(np.negative),
    "Abs": _elementwise(np.abs),
    "Exp": _elementwise(np.exp),
    "Log": _elementwise(np.log),
    "Sqrt": _elementwise(np.sqrt),
    "Reciprocal": _elementwise(lambda x: 1 / x),
    "Erf": _elementwise(_erf),
    "Tanh": _elementwise(np.tanh),
    "Sigmoid": _elementwise(_sigmoid),
    "Relu": _elementwise(lambda x: np.maximum(x, 0)),
    "Softplus": _elementwise(lambda x: np.logaddexp(x, 0)),
    "Softsign": _elementwise(lambda x: x / (1 + np.abs(x))),
    "HardSwish": _elementwise(lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "Mish": _elementwise(lambda x: x * np.tanh(np.logaddexp(x, 0))),
    "PRelu": _elementwise(lambda x, y: np.where(x < 0, x * y, x)),
    "Gelu": _gelu,
    "Clip": _clip,
    "Elu": _with(alpha=1.0)(lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x))),
    "Celu": _with(alpha=1.0)(
        lambda x, alpha: np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha))
    ),
    "Selu": _with(alpha=1.67326319217681884765625, gamma=1.05070102214813232421875)(_selu),
    "LeakyRelu": _with(alpha=0.01)(lambda x, alpha: np.where(x < 0, alpha * x, x)),
    "ThresholdedRelu": _with(alpha=1.0)(lambda x, alpha: np.where(x > alpha, x, 0)),
    "HardSigmoid": _with(alpha=0.2, beta=0.5)(
        lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1)
    ),
    "Swish": _with(alpha=1.0)(lambda x, alpha: x * _sigmoid(alpha * x)),
}
"""Functions that compute each number from those at the same place."""

REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    "ReduceSum": _reduce(np.sum),
    "ReduceMean": _reduce(np.mean),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "ReduceProd": _reduce(np.prod),
    "ReduceL2": _reduce(_norm_l2),
    "ReduceSumSquare": _reduce(_sum_square),
}
"""Statistics over axes."""

OVER_FEATURES: Mapping[str, Callable[..., Any]] = {
    "Softmax": _along_axis(_softmax),
    "LogSoftmax": _along_axis(_log_softmax),
    "LpNormalization": _along_axis(_normalize),
}
"""Functions that compute each number from all along an axis."""

COMPARISONS: Mapping[str, Callable[..., Any]] = {
    "Equal": _elementwise(np.equal),
    "Less": _elementwise(np.less),
    "Greater": _elementwise(np.greater),
    "LessOrEqual": _elementwise(np.less_equal),
    "GreaterOrEqual": _elementwise(np.greater_equal),
    "Sign": _elementwise(np.sign),
    "IsNaN": _elementwise(np.isnan),
}
"""Functions whose results are no features."""

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **ELEMENTWISE,
    **REDUCTIONS,
    **OVER_FEATURES,
    **COMPARISONS,
    "Not": _elementwise(np.logical_not),
    "And": _elementwise(np.logical_and),
    "Or": _elementwise(np.logical_or),
    "Xor": _elementwise(np.logical_xor),
    "Floor": _elementwise(np.floor),
    "Ceil": _elementwise(np.ceil),
    "Round": _elementwise(np.round),
    "Mod": _modulo,
    "Where": _elementwise(np.where),
    "Identity": lambda _, inputs, __: inputs[0],
    "Cast": _cast,
    "CastLike": lambda _, inputs, __: inputs[0].astype(inputs[1].dtype),
    "Shape": _shape,
    "Size": lambda _, inputs, __: np.array(inputs[0].size, np.int64),
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Tile": _tile,
    "Range": _range,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ScatterElements": _scatter_elements,
    "Slice": _slice,
    "Split": _split,
    "Concat": _concat,
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "CumSum": _cumulate,
    "Pad": _pad,
    "OneHot": _one_hot,
    "TopK": _top,
    "ReverseSequence": _reverse_sequence,
    "MatMul": _matrix_product,
    "ArgMax": _arg_max,
    "ArgMin": _arg_max,
    "LayerNormalization": norm_of_layer,
}
