"""ONNX's functions of numbers: of single ones, of those along an axis, and statistics of them.

A function takes a node, its inputs, and the most numbers that its result may have.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.importing.onnx import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rnnspec.importing.onnx.graph import Node
    from rnnspec.slots import Array

    Inputs = Sequence[Array | None]


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
    arrays = [each for each in inputs if each is not None]
    if len(arrays) < len(inputs):
        raise ValueError("an input is missing")
    return arrays


def by_element(function: Callable[..., Array]) -> Callable[..., Array]:
    """Return an operator that applies a function of NumPy to all inputs, which are broadcast."""

    def apply(_: Node, inputs: Inputs, largest: int) -> Array:
        arrays = required_inputs(inputs)
        check_size(np.broadcast_shapes(*(array.shape for array in arrays)), largest)
        return function(*arrays)

    return apply


def _over_all_inputs(function: Callable[..., Array]) -> Callable[..., Array]:
    return by_element(lambda *arrays: reduce(function, arrays))


def _divide(x: Array, y: Array) -> Array:
    if x.dtype.kind not in "iu":
        return x / y
    # Towards zero, as in C.
    quotient: Array = np.trunc(x / np.where(y == 0, 1, y)).astype(x.dtype)
    return quotient


_erf = np.vectorize(math.erf, otypes=[float])


def _sigmoid(x: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-x))
    return result


def _gelu(node: Node, inputs: Inputs, _: int) -> Array:
    x = required_inputs(inputs)[0]
    if node.attributes.get("approximate", "none") != "none":
        factor = 1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    else:
        factor = 1 + _erf(x / math.sqrt(2))
    result: Array = x * factor / 2
    return result


def _clip(node: Node, inputs: Inputs, _: int) -> Array:
    low, high = (
        inputs[i] if len(inputs) > i else node.attributes.get(key)
        for i, key in ((1, "min"), (2, "max"))
    )
    result: Array = np.clip(required_inputs(inputs[:1])[0], low, high)
    return result


def _with_attributes(**defaults: float) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    """Return a decorator for a function of one array and of attributes with defaults."""

    def decorate(function: Callable[..., Array]) -> Callable[..., Array]:
        def run(node: Node, inputs: Inputs, _: int) -> Array:
            chosen = {key: node.attributes.get(key, value) for key, value in defaults.items()}
            return function(required_inputs(inputs)[0], **chosen)

        return run

    return decorate


def softmax(x: Array, axis: int) -> Array:
    """Return the softmax along an axis."""
    powers = np.exp(x - x.max(axis, keepdims=True))
    result: Array = powers / powers.sum(axis, keepdims=True)
    return result


def log_softmax(x: Array, axis: int) -> Array:
    """Return the logarithm of the softmax along an axis."""
    shifted = x - x.max(axis, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
    return result


def _along_axis(function: Callable[[Array, int], Array]) -> Callable[..., Array]:
    return lambda node, inputs, _: function(inputs[0], node.attributes.get("axis", -1))


def layer_norm(node: Node, inputs: Inputs, _: int) -> Array:
    """Return a ``LayerNormalization`` over the last axis."""
    x, scale, *more = inputs
    if x is None or scale is None or node.attributes.get("axis", -1) not in (-1, x.ndim - 1):
        raise ValueError("expected the last axis")
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    result: Array = (x - mean) / np.sqrt(variance + settings.epsilon_of(node)) * scale
    return result if not more or more[0] is None else np.add(result, more[0])


def _euclidean_norm(x: Array, axis: Any = None, *, keepdims: bool = False) -> Array:
    result: Array = np.sqrt((x * x).sum(axis=axis, keepdims=keepdims))
    return result


def _mean(node: Node, inputs: Inputs, largest: int) -> Array:
    total: Array = _over_all_inputs(np.add)(node, inputs, largest)
    mean: Array = total / np.asarray(len(inputs), total.dtype)
    return mean


def _reduce(function: Callable[..., Array]) -> Callable[..., Array]:
    def run(node: Node, inputs: Inputs, _: int) -> Array:
        axes = settings.axes_of(node, inputs) or None
        x = required_inputs(inputs[:1])[0]
        if axes is None and node.attributes.get("noop_with_empty_axes"):
            return x
        result: Array = np.asarray(function(x, axis=axes, keepdims=settings.keeps_axes(node)))
        return result.astype(x.dtype) if x.dtype.kind in "iu" else result

    return run


ELEMENTWISE: Mapping[str, Callable[..., Any]] = {
    "Add": by_element(np.add),
    "Sub": by_element(np.subtract),
    "Mul": by_element(np.multiply),
    "Div": by_element(_divide),
    "Pow": by_element(lambda x, y: np.power(x, y).astype(x.dtype)),
    "Sum": _over_all_inputs(np.add),
    "Mean": _mean,
    "Min": _over_all_inputs(np.minimum),
    "Max": _over_all_inputs(np.maximum),
    "Neg": by_element(np.negative),
    "Abs": by_element(np.abs),
    "Exp": by_element(np.exp),
    "Log": by_element(np.log),
    "Sqrt": by_element(np.sqrt),
    "Reciprocal": by_element(lambda x: 1 / x),
    "Erf": by_element(_erf),
    "Tanh": by_element(np.tanh),
    "Sigmoid": by_element(_sigmoid),
    "Relu": by_element(lambda x: np.maximum(x, 0)),
    "Softplus": by_element(lambda x: np.logaddexp(x, 0)),
    "Softsign": by_element(lambda x: x / (1 + np.abs(x))),
    "HardSwish": by_element(lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "Mish": by_element(lambda x: x * np.tanh(np.logaddexp(x, 0))),
    "PRelu": by_element(lambda x, y: np.where(x < 0, x * y, x)),
    "Gelu": _gelu,
    "Clip": _clip,
    "Elu": _with_attributes(alpha=1.0)(lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x))),
    "Celu": _with_attributes(alpha=1.0)(
        lambda x, alpha: np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha))
    ),
    "Selu": _with_attributes(alpha=1.67326319217681884765625, gamma=1.05070102214813232421875)(
        lambda x, alpha, gamma: gamma * np.where(x > 0, x, alpha * np.expm1(x))
    ),
    "LeakyRelu": _with_attributes(alpha=0.01)(lambda x, alpha: np.where(x < 0, alpha * x, x)),
    "ThresholdedRelu": _with_attributes(alpha=1.0)(lambda x, alpha: np.where(x > alpha, x, 0)),
    "HardSigmoid": _with_attributes(alpha=0.2, beta=0.5)(
        lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1)
    ),
    "Swish": _with_attributes(alpha=1.0)(lambda x, alpha: x * _sigmoid(alpha * x)),
}
"""Functions that compute each number from those at the same place."""

REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    "ReduceSum": _reduce(np.sum),
    "ReduceMean": _reduce(np.mean),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "ReduceProd": _reduce(np.prod),
    "ReduceL2": _reduce(_euclidean_norm),
    "ReduceSumSquare": _reduce(lambda x, **over: (x * x).sum(**over)),
}
"""Statistics over axes."""

OVER_FEATURES: Mapping[str, Callable[..., Any]] = {
    "Softmax": _along_axis(softmax),
    "LogSoftmax": _along_axis(log_softmax),
    "LpNormalization": _along_axis(lambda x, axis: x / _euclidean_norm(x, axis, keepdims=True)),
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
