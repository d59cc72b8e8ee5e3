"""The NumPy reference in float64: the equations of each layer, written as plainly as possible."""

from __future__ import annotations

from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Literal, assert_never

import numpy as np

from rnnspec.backends.contract import Trace
from rnnspec.ir import nodes
from rnnspec.ir.params import directions, params
from rnnspec.memory import check_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rnnspec.slots import Array
    from rnnspec.words import Activation, Merge, Statistic

    Arrays = Mapping[str, Array]
    Step = Callable[[Array, Array], Array]


def _exact(state: Array) -> Array:
    return state


def run(
    network: nodes.Network, arrays: Arrays, inputs: Array, noise: Callable[[Array], Array] = _exact
) -> Trace:
    """Return the input of each layer and the output of the network, in inference.

    Args:
        network: the network.
        arrays: its canonical arrays by full name, float64 (or complex128, for derivatives, or
            float32, in which everything is then computed).
        inputs: tokens (batch, steps) or values (batch, steps, features).
        noise: applied to the state of every recurrent layer after each time step.

    Raises:
        OutOfMemoryError: the outputs of the layers do not fit into memory.
    """
    rows, steps = inputs.shape[:2]
    shapes = [layer.output for layer in network.layers]
    width = sum(shape[-1] or 0 for shape in shapes if len(shape) == 2 and shape[0] in (None, steps))
    what = f"the outputs of the layers of {network.name} for {rows} sequences of {steps:,} steps"
    check_memory(inputs.nbytes + 8 * rows * steps * width, what)
    mask = padding_mask(network.input, inputs)
    return _run(network.layers, arrays, {}, inputs, mask, noise=noise)


def run_on(
    network: nodes.Network, arrays: Arrays, inputs: Array, trace: Trace, layer: str
) -> Trace:
    """Return the result of ``run``, given that nothing before ``layer`` differs from ``trace``."""
    before = list(takewhile(lambda earlier: earlier.name != layer, network.layers))
    entered = {earlier.name: trace.inputs[earlier.name] for earlier in before}
    value, mask = trace.inputs[layer], padding_mask(network.input, inputs)
    return _run(network.layers[len(before) :], arrays, entered, value, mask)


def _run(  # noqa: PLR0913 - where to begin, and with what
    layers: Sequence[nodes.Layer],
    arrays: Arrays,
    entered: dict[str, Array],
    value: Array,
    mask: Array,
    *,
    noise: Callable[[Array], Array] = _exact,
) -> Trace:
    for layer in layers:
        entered[layer.name] = value
        own = {param.name: arrays[f"{layer.name}.{param.name}"] for param in params(layer)}
        if isinstance(layer, nodes.Residual):
            value = value + entered[layer.start]
        else:
            value = _layer(layer, own, value, mask, noise)
    return Trace(entered, value)


def padding_mask(network_input: nodes.Input, inputs: Array) -> Array:
    """Return the mask of a batch, (batch, steps), true at real time steps."""
    match network_input:
        case nodes.TokenInput(mask_zero=True):
            mask: Array = inputs != 0
        case nodes.NumericInput(mask_value=float() as value):
            mask = (inputs != value).any(axis=-1)
        case _:
            mask = np.ones(inputs.shape[:2], dtype=bool)
    return mask


def outputs(network: nodes.Network, trace: Trace, inputs: Array) -> dict[str, Array]:
    """Return the output of each layer in a trace, a padded sequence as (real steps, features)."""
    values = {
        layer.name: trace.inputs[following.name]
        for layer, following in pairwise(network.layers)
        if following.name in trace.inputs
    }
    values[network.layers[-1].name] = trace.output
    # The output at padding is unspecified, so backends may differ there.
    padded, mask = padded_layers(network), padding_mask(network.input, inputs)
    return {name: value[mask] if name in padded else value for name, value in values.items()}


def padded_layers(network: nodes.Network) -> set[str]:
    """Return the names of the layers whose output includes padding."""
    if not network.input.masked:
        return set()
    # Neither the output of a repeat nor a final state has padding.
    before = takewhile(lambda layer: not isinstance(layer, nodes.Repeat), network.layers)
    return {layer.name for layer in before if len(layer.output) == 2}


def _layer(
    layer: nodes.Layer, own: Arrays, x: Array, mask: Array, noise: Callable[[Array], Array]
) -> Array:
    match layer:
        case nodes.Embedding():
            return own["embeddings"].take(x, axis=0)
        case nodes.Recurrent():
            return _recurrent(layer, own, x, _effective_mask(x, mask, masked=layer.masked), noise)
        case nodes.Repeat():
            return np.repeat(x[:, np.newaxis], layer.steps, axis=1)
        case nodes.LayerNorm():
            centred = x - x.mean(axis=-1, keepdims=True)
            variance = (centred * centred).mean(axis=-1, keepdims=True)
            norm: Array = own["gamma"] * centred / np.sqrt(variance + layer.epsilon) + own["beta"]
            return norm
        case nodes.Dropout():
            return x
        case nodes.Pooling():
            real = _effective_mask(x, mask, masked=layer.masked)
            samples = zip(x, real, strict=True)
            return np.stack([_statistic(steps[at], layer.statistic) for steps, at in samples])
        case nodes.Dense():
            return activate(x @ own["kernel"] + own.get("bias", 0.0), layer.activation)
        case nodes.Normalize():
            length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
            return x / np.where(length.real > 1e-12, length, 1e-12)
        case nodes.Residual():
            raise AssertionError("_run adds residuals, which need the input of an earlier layer")
        case _:
            assert_never(layer)


def _effective_mask(x: Array, mask: Array, *, masked: bool) -> Array:
    return mask if masked else np.ones(x.shape[:2], dtype=bool)


def _statistic(steps: Array, statistic: Statistic) -> Array:
    """Return the statistic of each feature of (real steps, features), zeros without a step."""
    if not len(steps):
        return np.zeros(steps.shape[1:], dtype=steps.dtype)
    if statistic == "mean":
        mean: Array = steps.mean(axis=0)
        return mean
    if statistic == "last_step":
        last: Array = steps[-1]
        return last
    # Chosen by the real part: the imaginary part of complex arrays carries a derivative.
    at = steps.real.argmax(axis=0)
    highest: Array = np.take_along_axis(steps, at[np.newaxis], axis=0)[0]
    return highest


def _recurrent(
    layer: nodes.Recurrent, own: Arrays, x: Array, mask: Array, noise: Callable[[Array], Array]
) -> Array:
    results = []
    for prefix in directions(layer):
        arrays = {name.removeprefix(prefix): own[name] for name in own if name.startswith(prefix)}
        # Each direction ends in its own last state: the backward one at the first time step.
        order = -1 if prefix == "backward." else 1
        outputs = _scan(layer, arrays, x[:, ::order], mask[:, ::order], noise)
        results.append(outputs[:, ::order] if layer.return_sequences else outputs[:, -1])
    return results[0] if layer.merge is None else _merge(results[0], results[1], layer.merge)


def _scan(
    layer: nodes.Recurrent, own: Arrays, x: Array, mask: Array, noise: Callable[[Array], Array]
) -> Array:
    """Return the state at each time step, (batch, steps, units), zero at first, kept at padding."""
    # The part of every gate that does not depend on the state, for all time steps at once.
    projected = x @ own["kernel"] + own.get("bias", 0.0)
    dtype = np.result_type(projected, *own.values())
    state = np.zeros((2, len(x), layer.units), dtype=dtype)
    step = _step(layer.cell, own)
    outputs = np.empty((*x.shape[:2], layer.units), dtype=dtype)
    padded = not mask.all()
    for t in range(x.shape[1]):
        moved = noise(step(projected[:, t], state))
        state = np.where(mask[:, t, np.newaxis], moved, state) if padded else moved
        outputs[:, t] = state[0]
    return outputs


def _step(cell: nodes.Cell, own: Arrays) -> Step:
    """Return a function of projected input and state (h, c); cells without a c leave it at zero."""
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
    return np.stack([activate(x + h @ recurrent_kernel, cell.activation), c])


def _lstm_step(cell: nodes.LSTM, recurrent_kernel: Array, x: Array, state: Array) -> Array:
    h, c = state
    i, f, candidate, o = np.split(x + h @ recurrent_kernel, 4, axis=1)
    i, f, o = (activate(gate, cell.recurrent_activation) for gate in (i, f, o))
    c = f * c + i * activate(candidate, cell.activation)
    return np.stack([o * activate(c, cell.activation), c])


def _gru_step(cell: nodes.GRU, own: Arrays, x: Array, state: Array) -> Array:
    h, c = state
    recurrent = h @ own["recurrent_kernel"] + own.get("recurrent_bias", 0.0)
    x_z, x_r, x_candidate = np.split(x, 3, axis=1)
    h_z, h_r, h_candidate = np.split(recurrent, 3, axis=1)
    z = activate(x_z + h_z, cell.recurrent_activation)
    r = activate(x_r + h_r, cell.recurrent_activation)
    candidate = activate(x_candidate + r * h_candidate, cell.activation)
    return np.stack([z * h + (1.0 - z) * candidate, c])


def _original_gru_step(cell: nodes.GRU, recurrent_kernel: Array, x: Array, state: Array) -> Array:
    """Return one step of Cho et al., 2014, with the reset gate applied before the product."""
    h, c = state
    x_z, x_r, x_candidate = np.split(x, 3, axis=1)
    u_z, u_r, u_candidate = np.split(recurrent_kernel, 3, axis=1)
    z = activate(x_z + h @ u_z, cell.recurrent_activation)
    r = activate(x_r + h @ u_r, cell.recurrent_activation)
    candidate = activate(x_candidate + (r * h) @ u_candidate, cell.activation)
    return np.stack([z * h + (1.0 - z) * candidate, c])


def _merge(forward: Array, backward: Array, merge: Merge) -> Array:
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
    # 1 / (1 + exp(-x)) overflows for large negative x, and tanh does not.
    half: Array = np.tanh(0.5 * x)
    value: Array = 0.5 * (1.0 + half)
    return value


def activate(x: Array, activation: Activation) -> Array:
    """Return an activation of each element (over the last axis for the two softmaxes).

    Conditions use only the real part, so that complex arrays carry derivatives through.
    """
    match activation:
        case "linear":
            return x
        case "sigmoid":
            return _sigmoid(x)
        case "tanh":
            squashed: Array = np.tanh(x)
            return squashed
        case "softmax":
            return np.exp(_log_softmax(x))
        case "log_softmax":
            return _log_softmax(x)
        case "exponential":
            return np.exp(x)
        case "softplus":
            # max(x, 0) + log(1 + exp(-|x|)), in which nothing overflows.
            return np.where(x.real > 0.0, x, 0.0) + np.log1p(np.exp(np.where(x.real > 0.0, -x, x)))
        case "softsign":
            return x / (1.0 + np.where(x.real > 0.0, x, -x))
        case "silu":
            return x * _sigmoid(x)
        case _:
            return _piecewise(x, activation)


def _piecewise(
    x: Array, activation: Literal["relu", "hard_sigmoid", "legacy_hard_sigmoid", "elu", "selu"]
) -> Array:
    match activation:
        case "relu":
            return np.where(x.real > 0.0, x, 0.0)
        case "hard_sigmoid":
            return np.where(x.real <= -3.0, 0.0, np.where(x.real >= 3.0, 1.0, (x + 3.0) / 6.0))
        case "legacy_hard_sigmoid":
            return np.where(x.real <= -2.5, 0.0, np.where(x.real >= 2.5, 1.0, 0.2 * x + 0.5))
        case "elu":
            return _elu(x)
        case "selu":
            # Source: Klambauer et al., 2017.
            return 1.0507009873554805 * _elu(x, 1.6732632423543772)
        case _:
            assert_never(activation)


def _elu(x: Array, alpha: float = 1.0) -> Array:
    # np.where computes both sides, so exp must not see large values either.
    return np.where(x.real > 0.0, x, alpha * (np.exp(np.where(x.real > 0.0, 0.0, x)) - 1.0))


def _log_softmax(x: Array) -> Array:
    # A constant cancels out, and without it exp could overflow.
    shifted = x - x.real.max(axis=-1, keepdims=True)
    total: Array = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    logarithm: Array = shifted - total
    return logarithm
