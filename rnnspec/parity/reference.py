"""The float64 NumPy reference: the equations of each layer, as plainly as they can be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import numpy as np

from rnnspec.backends.base import Trace
from rnnspec.ir import nodes
from rnnspec.ir.params import directions, params

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rnnspec.layout import Array

    Arrays = Mapping[str, Array]
    Step = Callable[[Array, Array], Array]


def run(network: nodes.Network, arrays: Arrays, inputs: Array) -> Trace:
    """Return what enters each layer and what the network computes, in inference.

    Args:
        network: the network.
        arrays: its canonical arrays by full name, float64.
        inputs: tokens (batch, steps) or numbers (batch, steps, features).
    """
    entered: dict[str, Array] = {}
    value = inputs
    for layer in network.layers:
        entered[layer.name] = value
        own = {param.name: arrays[f"{layer.name}.{param.name}"] for param in params(layer)}
        value = _layer(layer, own, value)
    return Trace(entered, value)


def _layer(layer: nodes.Layer, own: Arrays, value: Array) -> Array:
    if isinstance(layer, nodes.Embedding):
        return own["embeddings"].take(value, axis=0)
    x = value.astype(np.float64)
    match layer:
        case nodes.Recurrent():
            return _recurrent(layer, own, x)
        case nodes.Dropout():
            return x
        case nodes.Pooling():
            statistic: Array = x.mean(axis=1) if layer.statistic == "mean" else x.max(axis=1)
            return statistic
        case nodes.Dense():
            return _activation(x @ own["kernel"] + own.get("bias", 0.0), layer.activation)
        case _:
            assert_never(layer)


def _recurrent(layer: nodes.Recurrent, own: Arrays, x: Array) -> Array:
    results = []
    for prefix in directions(layer):
        arrays = {name.removeprefix(prefix): own[name] for name in own if name.startswith(prefix)}
        order = -1 if prefix == "backward." else 1
        outputs = _scan(layer, arrays, x[:, ::order])
        results.append(outputs[:, ::order] if layer.return_sequences else outputs[:, -1])
    return results[0] if layer.merge is None else _merge(results[0], results[1], layer.merge)


def _scan(layer: nodes.Recurrent, own: Arrays, x: Array) -> Array:
    """Return the outputs at every step, (batch, steps, units); the first state is zero."""
    projected = x @ own["kernel"] + own.get("bias", 0.0)
    state = np.zeros((2, len(x), layer.units))
    step = _step(layer.cell, own)
    outputs = np.empty((*x.shape[:2], layer.units))
    for t in range(x.shape[1]):
        state = step(projected[:, t], state)
        outputs[:, t] = state[0]
    return outputs


def _step(cell: nodes.Cell, own: Arrays) -> Step:
    """Return (projected input, (h, c)) -> (h, c); cells without a c leave it at zero."""
    match cell:
        case nodes.SimpleRNN():
            return lambda x, state: _simple_step(cell, own["recurrent_kernel"], x, state)
        case nodes.LSTM():
            return lambda x, state: _lstm_step(cell, own["recurrent_kernel"], x, state)
        case nodes.GRU(reset_after=True):
            return lambda x, state: _gru_step(cell, own, x, state)
        case nodes.GRU():
            return lambda x, state: _original_gru_step(cell, own["recurrent_kernel"], x, state)
        case _:
            assert_never(cell)


def _simple_step(cell: nodes.SimpleRNN, recurrent_kernel: Array, x: Array, state: Array) -> Array:
    h, c = state
    return np.stack([_activation(x + h @ recurrent_kernel, cell.activation), c])


def _lstm_step(cell: nodes.LSTM, recurrent_kernel: Array, x: Array, state: Array) -> Array:
    h, c = state
    i, f, candidate, o = np.split(x + h @ recurrent_kernel, 4, axis=1)
    i, f, o = (_activation(gate, cell.recurrent_activation) for gate in (i, f, o))
    c = f * c + i * _activation(candidate, cell.activation)
    return np.stack([o * _activation(c, cell.activation), c])


def _gru_step(cell: nodes.GRU, own: Arrays, x: Array, state: Array) -> Array:
    h, c = state
    recurrent = h @ own["recurrent_kernel"] + own.get("recurrent_bias", 0.0)
    x_z, x_r, x_candidate = np.split(x, 3, axis=1)
    h_z, h_r, h_candidate = np.split(recurrent, 3, axis=1)
    z = _activation(x_z + h_z, cell.recurrent_activation)
    r = _activation(x_r + h_r, cell.recurrent_activation)
    candidate = _activation(x_candidate + r * h_candidate, cell.activation)
    return np.stack([z * h + (1.0 - z) * candidate, c])


def _original_gru_step(cell: nodes.GRU, recurrent_kernel: Array, x: Array, state: Array) -> Array:
    """Return the step of Cho et al., 2014: the reset gate is applied before the product."""
    h, c = state
    x_z, x_r, x_candidate = np.split(x, 3, axis=1)
    u_z, u_r, u_candidate = np.split(recurrent_kernel, 3, axis=1)
    z = _activation(x_z + h @ u_z, cell.recurrent_activation)
    r = _activation(x_r + h @ u_r, cell.recurrent_activation)
    candidate = _activation(x_candidate + (r * h) @ u_candidate, cell.activation)
    return np.stack([z * h + (1.0 - z) * candidate, c])


def _merge(forward: Array, backward: Array, merge: nodes.Merge) -> Array:
    match merge:
        case "concat":
            return np.concatenate([forward, backward], axis=-1)
        case "sum":
            return forward + backward
        case "mul":
            return forward * backward
        case "ave":
            return (forward + backward) / 2.0
        case _:
            assert_never(merge)


def _sigmoid(x: Array) -> Array:
    # Written with tanh, which cannot overflow.
    half: Array = np.tanh(0.5 * x)
    value: Array = 0.5 * (1.0 + half)
    return value


def _activation(x: Array, activation: nodes.Activation) -> Array:
    match activation:
        case "linear":
            return x
        case "sigmoid":
            return _sigmoid(x)
        case "softmax":
            scaled: Array = np.exp(x - x.max(axis=-1, keepdims=True))
            total: Array = scaled.sum(axis=-1, keepdims=True)
            return scaled / total
        case "tanh":
            squashed: Array = np.tanh(x)
            return squashed
        case "relu":
            return np.maximum(x, 0.0)
        case "softplus":
            return np.logaddexp(0.0, x)
        case _:
            assert_never(activation)
