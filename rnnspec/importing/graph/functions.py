"""Functions of numbers by ONNX's names: of single ones, of those along an axis, and statistics.

A function of NumPy has ONNX's attributes as its keywords, with its defaults. An operator takes a
node, its inputs, and the most numbers that its result may have.
"""

from __future__ import annotations

import math
from functools import partial, reduce
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.comparison.reference import activate
from rnnspec.importing.graph import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode

    Inputs = Sequence[Array | None]


def _divide(x: Array, y: Array) -> Array:
    if x.dtype.kind not in "iu":
        return x / y
    # Towards zero, as in C.
    quotient: Array = np.trunc(x / np.where(y == 0, 1, y)).astype(x.dtype)
    return quotient


_erf = np.vectorize(math.erf, otypes=[float])


def _gelu(x: Array, approximate: str = "none") -> Array:
    if approximate != "none":
        factor = 1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    else:
        factor = 1 + _erf(x / math.sqrt(2))
    result: Array = x * factor / 2
    return result


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _selu(
    x: Array, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> Array:
    return gamma * _elu(x, alpha)


def _hard_sigmoid(x: Array, alpha: float = 0.2, beta: float = 0.5) -> Array:
    result: Array = np.clip(alpha * x + beta, 0, 1)
    return result


def _euclidean_norm(x: Array, axis: Any = None, *, keepdims: bool = False) -> Array:
    """Return the Euclidean norm over axes."""
    result: Array = np.sqrt((x * x).sum(axis=axis, keepdims=keepdims))
    return result


_ELEMENTWISE: Mapping[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
    "Pow": lambda x, y: np.power(x, y).astype(x.dtype),
    "Min": np.minimum,
    "Max": np.maximum,
    "Neg": np.negative,
    "Abs": np.abs,
    "Exp": np.exp,
    "Log": np.log,
    "Sqrt": np.sqrt,
    "Reciprocal": lambda x: 1 / x,
    "Erf": _erf,
    "Tanh": np.tanh,
    "Sigmoid": partial(activate, activation="sigmoid"),
    "Relu": lambda x: np.maximum(x, 0),
    "Softplus": partial(activate, activation="softplus"),
    "Softsign": partial(activate, activation="softsign"),
    "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "Mish": lambda x: x * np.tanh(activate(x, "softplus")),
    "PRelu": lambda x, y: np.where(x < 0, x * y, x),
    "Gelu": _gelu,
    "Clip": np.clip,
    "Elu": _elu,
    "Celu": lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)),
    "Selu": _selu,
    "LeakyRelu": lambda x, alpha=0.01: np.where(x < 0, alpha * x, x),
    "ThresholdedRelu": lambda x, alpha=1.0: np.where(x > alpha, x, 0),
    "HardSigmoid": _hard_sigmoid,
    "Swish": lambda x, alpha=1.0: x * activate(alpha * x, "sigmoid"),
}
"""Functions that compute each number from those at the same place."""

_REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    "ReduceSum": np.sum,
    "ReduceMean": np.mean,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceL2": _euclidean_norm,
    "ReduceSumSquare": lambda x, **over: (x * x).sum(**over),
}
"""Statistics over axes, with NumPy's keywords."""


def check_size(sizes: Sequence[Any], largest: int) -> tuple[int, ...]:
    """Return the shape of a result.

    Raises:
        ValueError: it is larger than the inputs explain.
    """
    shape = tuple(map(int, sizes))
    if math.prod(shape) > largest:
        raise ValueError(f"a result of {math.prod(shape):,} numbers is too large")
    return shape


def required_inputs(inputs: Inputs) -> list[Array]:
    """Return inputs, none of which may be left out.

    Raises:
        ValueError: one is.
    """
    arrays = [array for array in inputs if array is not None]
    if len(arrays) < len(inputs):
        raise ValueError("an input is missing")
    return arrays


def by_element(function: Callable[..., Array]) -> Callable[..., Array]:
    """Return an operator that applies a function of NumPy to all inputs, which are broadcast."""

    def apply(_: GraphNode, inputs: Inputs, largest: int) -> Array:
        arrays = required_inputs(inputs)
        check_size(np.broadcast_shapes(*(array.shape for array in arrays)), largest)
        return function(*arrays)

    return apply


def _over_all_inputs(function: Callable[..., Array]) -> Callable[..., Array]:
    return by_element(lambda *arrays: reduce(function, arrays))


def _clip(node: GraphNode, inputs: Inputs, _: int) -> Array:
    low, high = (
        inputs[i] if len(inputs) > i else node.attributes.get(key)
        for i, key in ((1, "min"), (2, "max"))
    )
    result: Array = np.clip(required_inputs(inputs[:1])[0], low, high)
    return result


def _with_attributes(function: Callable[..., Array]) -> Callable[..., Array]:
    """Return an operator that applies a function of one array and of its attributes."""
    names = list(signature(function).parameters)[1:]

    def run(node: GraphNode, inputs: Inputs, _: int) -> Array:
        stated = {key: node.attributes[key] for key in names if key in node.attributes}
        return function(required_inputs(inputs)[0], **stated)

    return run


def _along_axis(function: Callable[[Array], Array]) -> Callable[..., Array]:
    """Return an operator that applies a function of the last axis along an axis, or several."""

    def apply(node: GraphNode, inputs: Inputs, _: int) -> Array:
        x = required_inputs(inputs)[0]
        if node.op == "LpNormalization" and node.attributes.get("p", 2) != 2:
            raise ValueError("expected p to be 2")
        first, *others = settings.normalized_axes(node, x.ndim)
        if others:
            result: Array = function(x.reshape(*x.shape[:first], -1)).reshape(x.shape)
            return result
        return np.moveaxis(function(np.moveaxis(x, first, -1)), -1, first)

    return apply


def layer_norm(node: GraphNode, inputs: Inputs, _: int) -> Array:
    """Return a ``LayerNormalization`` over the last axis."""
    x, scale, *more = inputs
    if x is None or scale is None or node.attributes.get("axis", -1) not in (-1, x.ndim - 1):
        raise ValueError("expected the last axis")
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    result: Array = (x - mean) / np.sqrt(variance + settings.epsilon_of(node)) * scale
    return result if not more or more[0] is None else np.add(result, more[0])


def _mean(node: GraphNode, inputs: Inputs, largest: int) -> Array:
    total: Array = _over_all_inputs(np.add)(node, inputs, largest)
    mean: Array = total / np.asarray(len(inputs), total.dtype)
    return mean


def _reduce(function: Callable[..., Array]) -> Callable[..., Array]:
    def run(node: GraphNode, inputs: Inputs, _: int) -> Array:
        x = required_inputs(inputs[:1])[0]
        axes = settings.reduced_axes(node, inputs, x.ndim)
        if not axes and x.ndim and node.op not in OF_ONE_NUMBER:
            raise ValueError(f"{node.op} over no axis is not known")
        result: Array = np.asarray(function(x, axis=axes, keepdims=settings.keeps_axes(node)))
        return result.astype(x.dtype) if x.dtype.kind in "iu" else result

    return run


_WITH_ATTRIBUTES = (
    "Elu", "Celu", "Selu", "LeakyRelu", "ThresholdedRelu", "HardSigmoid", "Swish", "Gelu",
)  # fmt: skip
ELEMENTWISE: Mapping[str, Callable[..., Any]] = {
    **{op: by_element(function) for op, function in _ELEMENTWISE.items()},
    **{op: _with_attributes(_ELEMENTWISE[op]) for op in _WITH_ATTRIBUTES},
    "Sum": _over_all_inputs(np.add),
    "Mean": _mean,
    "Min": _over_all_inputs(np.minimum),
    "Max": _over_all_inputs(np.maximum),
    "Clip": _clip,
}
"""Functions that compute each number from those at the same place."""

OF_ONE_NUMBER = frozenset({"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"})
"""The statistics that of one number are that number."""
REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    op: _reduce(function) for op, function in _REDUCTIONS.items()
}
"""Statistics over axes."""

OVER_FEATURES: Mapping[str, Callable[..., Any]] = {
    "Softmax": _along_axis(partial(activate, activation="softmax")),
    "LogSoftmax": _along_axis(partial(activate, activation="log_softmax")),
    "LpNormalization": _along_axis(lambda x: x / _euclidean_norm(x, -1, keepdims=True)),
}
"""Functions that compute each number from all along an axis."""

COMPARISONS: Mapping[str, Callable[..., Any]] = {
    "Equal": by_element(np.equal),
    "Less": by_element(np.less),
    "Greater": by_element(np.greater),
    "LessOrEqual": by_element(np.less_equal),
    "GreaterOrEqual": by_element(np.greater_equal),
    "Sign": by_element(np.sign),
    "IsNaN": by_element(np.isnan),
}
"""Functions whose results are no features."""
