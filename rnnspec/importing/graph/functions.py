"""Functions of numbers by ONNX's names: of single ones, and statistics of them.

Their keywords are ONNX's attributes, with its defaults.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.comparison.reference import activate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rnnspec.slots import Array


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


def _celu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def _leaky_relu(x: Array, alpha: float = 0.01) -> Array:
    return np.where(x < 0, alpha * x, x)


def _thresholded_relu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > alpha, x, 0)


def _hard_sigmoid(x: Array, alpha: float = 0.2, beta: float = 0.5) -> Array:
    result: Array = np.clip(alpha * x + beta, 0, 1)
    return result


def _swish(x: Array, alpha: float = 1.0) -> Array:
    return x * activate(alpha * x, "sigmoid")


def euclidean_norm(x: Array, axis: Any = None, *, keepdims: bool = False) -> Array:
    """Return the Euclidean norm over axes."""
    result: Array = np.sqrt((x * x).sum(axis=axis, keepdims=keepdims))
    return result


ELEMENTWISE: Mapping[str, Callable[..., Any]] = {
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
    "Celu": _celu,
    "Selu": _selu,
    "LeakyRelu": _leaky_relu,
    "ThresholdedRelu": _thresholded_relu,
    "HardSigmoid": _hard_sigmoid,
    "Swish": _swish,
}
"""Functions that compute each number from those at the same place."""

REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    "ReduceSum": np.sum,
    "ReduceMean": np.mean,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceL2": euclidean_norm,
    "ReduceSumSquare": lambda x, **over: (x * x).sum(**over),
}
"""Statistics over axes, with NumPy's keywords."""
