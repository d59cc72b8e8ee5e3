"""Random canonical arrays from NumPy, so that every backend can start from the same bits."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, assert_never

import numpy as np

from rnnspec.ir import initializers, nodes
from rnnspec.ir.params import Param, named_params

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def draw_fresh(network: nodes.Network, seed: int | None) -> dict[str, Array]:
    """Return initial weights from the ``initializers`` of the spec, by canonical name, in float64.

    The same seed gives the same bits, because arrays are drawn in the order of the network. Without
    a seed, each call gives other arrays.
    """
    rng = np.random.default_rng(seed)
    return {name: _draw_param(param, rng) for name, _, param in named_params(network)}


def draw_scaled(network: nodes.Network, seed: int) -> dict[str, Array]:
    """Return arrays that make errors visible: all are random, N(0, 1 / fan in), even the biases.

    A variance is at least 1 / 2.

    At this scale, rounding errors stay near 1e-13 in float64, while a wrong gate or a missing bias
    changes the outputs by more than 1e-2.
    """
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, _, param in named_params(network):
        # Each output is a sum over the inputs of a kernel; a bias or an embedding is used as it is.
        fan_in = prod(_inputs_first(param)[:-1]) if "in" in dict(param.sizes) else 1
        array = rng.normal(0.0, fan_in**-0.5, param.shape)
        arrays[name] = np.abs(array) + 0.5 if param.positive else array
    return arrays


def _draw_param(param: Param, rng: np.random.Generator) -> Array:
    shape = _inputs_first(param)
    # A scalar is drawn as a vector of one.
    drawn = _draw(param.initializer, shape or (1,), rng).reshape(shape)
    for gate, value in param.gate_values:
        size = dict(param.sizes)["out"]
        start = param.gates.index(gate) * size
        drawn[start : start + size] = value
    return drawn if shape == param.shape else np.ascontiguousarray(drawn.T)


def _inputs_first(param: Param) -> tuple[int, ...]:
    """Return the shape of an array with the inputs of a matrix first, also of one of equations."""
    return param.shape[::-1] if param.axes == "out in" else param.shape


def _draw(
    initializer: initializers.Initializer, shape: tuple[int, ...], rng: np.random.Generator
) -> Array:
    # The gates of a kernel are drawn together: as in Keras, its fan out is that of all gates. In a
    # convolution, each tap adds its inputs and its outputs.
    fan_in, fan_out = prod(shape[:-1]), prod(shape[:-2]) * prod(shape[-1:])
    match initializer:
        case initializers.GlorotUniform():
            return _uniform(rng, np.sqrt(6.0 / (fan_in + fan_out)), shape)
        case initializers.HeUniform():
            return _uniform(rng, np.sqrt(6.0 / fan_in), shape)
        case initializers.LecunUniform():
            return _uniform(rng, np.sqrt(3.0 / fan_in), shape)
        case initializers.Orthogonal():
            return _orthogonal(rng, shape)
        case initializers.Uniform(limit):
            return _uniform(rng, limit, shape)
        case initializers.Normal(stddev):
            return rng.normal(0.0, stddev, shape)
        case initializers.Constant(value):
            return np.full(shape, value)
        case _:
            assert_never(initializer)


def _uniform(rng: np.random.Generator, limit: float, shape: tuple[int, ...]) -> Array:
    return rng.uniform(-limit, limit, shape)


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    rows, columns = prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    # The signs make the distribution uniform. Source: Mezzadri, 2007, section 5,
    # https://arxiv.org/abs/math-ph/0609050.
    q = q * np.sign(np.diag(r))
    return (q if rows >= columns else q.T).reshape(shape)
