"""The NumPy reference in float64: the equations of each layer, written as plainly as possible."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache, partial, reduce
from itertools import takewhile
from math import prod
from operator import add, ge, gt, itemgetter, le, lt, mul, sub, truediv
from typing import TYPE_CHECKING, Any, Literal, assert_never, cast

import numpy as np

from rnnspec.backends.contract import Trace
from rnnspec.backends.slots import by_name
from rnnspec.ir import nodes
from rnnspec.ir.cells import activations, equations, gates, place
from rnnspec.ir.equations import (
    INPUT,
    NORM_EPSILON,
    Apply,
    ApplyToVector,
    Attend,
    Choose,
    Concat,
    Elementwise,
    Features,
    Name,
    Number,
    Part,
    Product,
    Transpose,
    operands,
    rewrite,
    walk,
)
from rnnspec.ir.forms import with_steps
from rnnspec.ir.params import directions, used_params
from rnnspec.machine.memory import check_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rnnspec.backends.slots import Array, Batch
    from rnnspec.ir.equations import Comparison, Expression, Operator
    from rnnspec.words import CellActivation, Merge

    Arrays = Mapping[str, Array]
    Shapes = list[tuple[str, tuple[int, ...]]]
    """The shape of each output for one sequence, with its layer."""
    _Named = tuple[str, Callable[[Arrays], Array]]
    """A name and how its value follows from those of others."""


def _exact(state: Array) -> Array:
    return state


@dataclass(frozen=True, slots=True)
class FullTrace(Trace):
    """A trace with the output of each layer, and the moving arrays after a batch of training.

    ``states`` has the last states of each recurrent layer, (batch, size of all directions), by the
    names that they have in step form. ``contexts`` has those of each layer with attention.
    """

    outputs: Mapping[str, Array]
    moved: Mapping[str, Array]
    states: Mapping[str, Array] = field(default_factory=dict)
    contexts: Mapping[str, Array] = field(default_factory=dict)


def run(  # noqa: PLR0913 - how a pass may differ from a plain one
    network: nodes.Network,
    arrays: Arrays,
    inputs: Batch,
    noise: Callable[[Array], Array] = _exact,
    *,
    training: bool = False,
    states: Arrays | None = None,
) -> FullTrace:
    """Return the input and the output of each layer, in inference.

    Args:
        network: the network.
        arrays: its canonical arrays by full name, float64 (or complex128, for derivatives, or
            float32, in which everything is then computed).
        inputs: tokens (batch, steps) or values (batch, steps, features); by name, also vectors
            (batch, features) and labels (batch,).
        noise: applied to the state of every recurrent layer after each time step, and to the
            output of every other layer that computes.
        training: whether batch norms use the batch, as in training, but without any dropout.
        states: the first states, like those of the result, in place of those of the network.

    Raises:
        OutOfMemoryError: the outputs of the layers do not fit into memory.
        ValueError: a layer joins sequences of different lengths.
    """
    given, steps = by_name(inputs), steps_of(network, inputs)
    rows = len(next(iter(given.values())))
    longest = max(steps.values(), default=1)
    shapes = [layer.output for layer in with_steps(network, steps).layers]
    size = 8 * rows * sum(prod(size or 0 for size in shape) for shape in shapes)
    what = f"the outputs of the layers of {network.name} for {rows} sequences of {longest:,} steps"
    check_memory(sum(array.nbytes for array in given.values()) + size, what)
    run = _ForwardPass(network, arrays, inputs, noise, training=training)
    run.first.update(states or {})
    return run.compute(network.layers)


def run_on(  # noqa: PLR0913 - where to begin, and with what
    network: nodes.Network,
    arrays: Arrays,
    inputs: Batch,
    result: FullTrace,
    layer: str,
    *,
    training: bool = False,
) -> FullTrace:
    """Return the result of ``run``, given that nothing before ``layer`` differs from ``result``."""
    before = list(takewhile(lambda earlier: earlier.name != layer, network.layers))
    run = _ForwardPass(network, arrays, inputs, training=training)
    for earlier in before:
        run.entered[earlier.name] = result.inputs[earlier.name]
        run.outputs[earlier.name] = result.outputs[earlier.name]
    run.last.update(result.states)
    run.contexts.update(result.contexts)
    for earlier in before:
        if isinstance(earlier, nodes.Recurrent):
            run.keep_ports(earlier)
    return run.compute(network.layers[len(before) :])


_EXACT = (
    nodes.Embedding
    | nodes.Recurrent
    | nodes.Repeat
    | nodes.Transpose
    | nodes.Flatten
    | nodes.LastSteps
    | nodes.Dropout
)
"""Layers whose output has no rounding of its own, or noise already; so has a concatenation."""


class _ForwardPass:
    """One forward pass: the input and output of each layer so far."""

    def __init__(
        self,
        network: nodes.Network,
        arrays: Arrays,
        inputs: Batch,
        noise: Callable[[Array], Array] = _exact,
        *,
        training: bool,
    ) -> None:
        self.network = network
        self.arrays = arrays
        self.noise = noise
        self.training = training
        self.sources = nodes.sources(network)
        self.masks = masks(network, inputs)
        self.entered: dict[str, Array] = {}
        self.outputs: dict[str, Array] = dict(by_name(inputs))
        self.moved: dict[str, Array] = {}
        self.first: dict[str, Array] = {}
        self.last: dict[str, Array] = {}
        self.contexts: dict[str, Array] = {}

    def compute(self, layers: Sequence[nodes.Layer]) -> FullTrace:
        """Compute layers in order."""
        for layer in layers:
            inputs = [self.outputs[name] for name in self.sources[layer.name]]
            self.entered[layer.name] = inputs[0]
            keys = [param.name for param in used_params(layer)]
            arrays = {key: self.arrays[f"{layer.owner}.{key}"] for key in keys}
            output = self._layer(layer, arrays, inputs)
            exact = isinstance(layer, nodes.Join) and layer.how == "concat"
            exact = exact or isinstance(layer, _EXACT)
            self.outputs[layer.name] = output if exact else self.noise(output)
            if isinstance(layer, nodes.Recurrent):
                self.keep_ports(layer)
        output = join_outputs(self.network, self.outputs)
        return FullTrace(self.entered, output, self.outputs, self.moved, self.last, self.contexts)

    def _layer(  # noqa: PLR0912 - a branch for each kind of layer
        self, layer: nodes.Layer, arrays: Arrays, inputs: Sequence[Array]
    ) -> Array:
        x = inputs[0]
        match layer:
            case nodes.Embedding():
                return arrays["embeddings"].take(x, axis=0)
            case nodes.Recurrent():
                return self._recurrent(layer, arrays, x)
            case nodes.Attention():
                return self._attend(layer, arrays, x)
            case nodes.Repeat(like=str()):
                return np.repeat(x[:, np.newaxis], inputs[1].shape[1], axis=1)
            case nodes.Repeat():
                return np.repeat(x[:, np.newaxis], layer.steps or 0, axis=1)
            case nodes.Transpose():
                return x.swapaxes(1, 2)
            case nodes.Conv():
                return _convolve(layer, arrays, x, self._mask(layer, x))
            case nodes.WindowPooling():
                return _pool_windows(layer, x, self._mask(layer, x))
            case nodes.BatchNorm():
                return self._batch_norm(layer, arrays, x)
            case nodes.LayerNorm():
                return _scale(arrays, _standardize(x, layer.epsilon))
            case nodes.InstanceNorm():
                return _instance_norm(layer, arrays, x, self._mask(layer, x))
            case nodes.Activate():
                return activate(x, layer.activation)
            case nodes.Dropout():
                return x
            case nodes.Pooling():
                samples = zip(x, self._mask(layer, x), strict=True)
                return np.stack([_statistic(layer, steps[at]) for steps, at in samples])
            case nodes.AttentionPooling():
                # One query for each sequence, or the same one for all.
                query = arrays["query"].T if layer.query is None else inputs[1]
                return _pool_by_attention(layer, arrays, x, query, self._mask(layer, x))
            case nodes.Flatten():
                return x.reshape(len(x), -1)
            case nodes.LastSteps():
                return x[:, -layer.count :]
            case nodes.Dense():
                tied = layer.tied
                kernel = self.arrays[f"{tied}.embeddings"].T if tied else arrays["kernel"]
                return activate(x @ kernel + arrays.get("bias", 0.0), layer.activation)
            case nodes.Normalize():
                length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
                return x / np.where(length.real > 1e-12, length, 1e-12)
            case nodes.Residual():
                return x + self.entered[layer.start]
            case nodes.Append():
                steps = [x if x.ndim > 2 else x[:, np.newaxis] for x in inputs]
                return np.concatenate(steps, axis=1)
            case nodes.Join():
                return _join_layers(layer, arrays, inputs)
            case _:
                assert_never(layer)

    def keep_ports(self, layer: nodes.Recurrent) -> None:
        """Keep what others may take beside the output of a layer."""
        for port in layer.ports:
            value = (
                self.last[f"{layer.name}_{port.state}"] if port.state else self.contexts[layer.name]
            )
            self.outputs[port.name] = value

    def _mask(self, layer: _Masked, x: Array) -> Array:
        """Return the mask of the input of a layer, true everywhere unless the layer is masked."""
        (source, *_) = self.sources[layer.name]
        return self.masks[source] if layer.masked else np.ones(x.shape[:2], dtype=bool)

    def _memory(self, attention: nodes.Attention | nodes.StepAttention) -> _StepMemory:
        """Return what a layer attends to."""
        values, keys = self.outputs[attention.over], self.outputs[attention.keys]
        mask = self.masks[attention.over] if attention.masked else np.ones(values.shape[:2], bool)
        return _StepMemory(keys, values, mask, attention.scale, self.noise)

    def _attend(self, layer: nodes.Attention, arrays: Arrays, x: Array) -> Array:
        whole = replace(self._memory(layer), activation=layer.activation)
        score = arrays.get("score")
        queries = x[:, np.newaxis] if x.ndim == 2 else x
        if layer.gives != "context":
            rows = [
                (whole.up_to(step) if layer.causal else whole).given(query, score, layer.gives)
                for step, query in enumerate(queries.swapaxes(0, 1))
            ]
            # To steps behind a causal query, too, it gives zeros.
            steps = whole.keys.shape[1]
            rows = [np.pad(row, ((0, 0), (0, steps - row.shape[1]))) for row in rows]
            found = np.stack(rows, axis=1) if rows else np.zeros((len(x), 0, steps))
            return found.swapaxes(1, 2) if x.ndim == 2 else found
        results: list[Array] = []
        for head in range(layer.heads):
            memory = whole.of_head(head, layer.heads)
            part = _part(queries, head, layer.heads)
            contexts = [
                (memory.up_to(step) if layer.causal else memory).mean(query, score)
                for step, query in enumerate(part.swapaxes(0, 1))
            ]
            width = memory.values.shape[-1]
            results.append(np.stack(contexts, 1) if contexts else np.zeros((len(x), 0, width)))
        result = np.concatenate(results, axis=-1)
        return result[:, 0] if x.ndim == 2 else result

    def _recurrent(self, layer: nodes.Recurrent, arrays: Arrays, x: Array) -> Array:
        mask, results, finals = self._mask(layer, x), [], []
        for number, prefix in enumerate(directions(layer)):
            of_direction = {
                name.removeprefix(prefix): array
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
            whole = {vector.state: arrays[vector.param] for vector in layer.learned}
            whole = {
                state: np.repeat(vector[np.newaxis], len(x), axis=0)
                for state, vector in whole.items()
            }
            first = [self._first_state(layer, whole, *state, number) for state in layer.states]
            # Each direction ends in its own last state: the backward one at the first time step.
            order = -1 if layer.backward or prefix == "backward." else 1
            memory = self._memory(layer.attention) if layer.attention else None
            outputs, state, contexts = _scan(
                layer,
                of_direction,
                x[:, ::order],
                mask[:, ::order],
                noise=self.noise,
                first=first,
                memory=memory,
            )
            if memory:
                self.contexts[layer.name] = contexts[:, ::order]
            finals.append(state)
            results.append(outputs[:, ::order] if layer.return_sequences else outputs[:, -1])
        for (name, _), parts in zip(layer.states, zip(*finals, strict=True), strict=True):
            self.last[f"{layer.name}_{name}"] = np.concatenate(parts, axis=-1)
        return results[0] if layer.merge is None else _merge(results[0], results[1], layer.merge)

    def _first_state(
        self, layer: nodes.Recurrent, arrays: Arrays, name: str, size: int, direction: int
    ) -> Array | None:
        """Return the first value of a state of one direction, None for zeros."""
        whole = self.first.get(f"{layer.name}_{name}", arrays.get(name))
        if whole is None and name in layer.begins_as:
            whole = self.outputs[layer.begins_as[name]]
        return None if whole is None else whole[:, direction * size : (direction + 1) * size]

    def _batch_norm(self, layer: nodes.BatchNorm, arrays: Arrays, x: Array) -> Array:
        mean, variance = arrays["moving_mean"], arrays["moving_variance"]
        if self.training:
            rows = x[self._mask(layer, x)] if x.ndim > 2 else x
            old = (mean, variance)
            mean = rows.mean(axis=0)
            variance = ((rows - mean) * (rows - mean)).mean(axis=0)
            for name, before, now in zip(
                ("moving_mean", "moving_variance"), old, (mean, variance), strict=True
            ):
                moved = layer.momentum * before + (1.0 - layer.momentum) * now
                self.moved[f"{layer.name}.{name}"] = moved
        return _scale(arrays, (x - mean) / np.sqrt(variance + layer.epsilon))


def masks(network: nodes.Network, inputs: Batch) -> dict[str, Array]:
    """Return the mask of each input and of the output of each layer that may have padding.

    They are (batch, steps), true at real steps.
    """
    given = by_name(inputs)
    of_inputs = {
        network_input.name: padding_mask(network_input, given[network_input.name])
        for network_input in network.inputs
        if network_input.masked
    }
    return {
        name: reduce(np.logical_and, (of_inputs[of][:, start::every] for of, start, every in parts))
        for name, parts in nodes.masks(network).items()
    }


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


def steps_of(network: nodes.Network, inputs: Batch) -> dict[str, int]:
    """Return the number of steps of each input that has some."""
    given = by_name(inputs)
    sequences = (
        network_input.name
        for network_input in network.inputs
        if isinstance(network_input, nodes.SequenceInput)
    )
    return {name: given[name].shape[1] for name in sequences}


def outputs(network: nodes.Network, trace: Trace, inputs: Batch) -> dict[str, Array]:
    """Return the output of each layer in a trace, a padded sequence as (real steps, features).

    An output that no layer has as its main input is not in the trace of a backend.
    """
    known = {network_input.name for network_input in network.inputs}
    values = {}
    for layer, names in zip(network.layers, nodes.sources(network).values(), strict=True):
        formula = isinstance(layer, nodes.Join) and isinstance(layer.how, nodes.Formula)
        # A graph of operators does not tell which of its inputs a formula has first.
        if layer.name in trace.inputs and not (formula and len(names) > 1):
            value = trace.inputs[layer.name]
            is_query = isinstance(layer, nodes.Attention) and len(layer.input) == 1
            # Backends may give an attention a vector as a sequence of one step.
            values[names[0]] = value.reshape(len(value), -1) if is_query else value
    values = {name: value for name, value in values.items() if name not in known}
    values |= split_outputs(network, trace.output, result_shapes(network, inputs))
    # The output at padding is unspecified, so backends may differ there.
    real = masks(network, inputs)
    return {name: value[real[name]] if name in real else value for name, value in values.items()}


def join_outputs(network: nodes.Network, outputs: Mapping[str, Array]) -> Array:
    """Return the output of a network, or its named outputs side by side, as (batch, all)."""
    results = [outputs[layer.name] for layer in network.results.values()]
    if not network.outputs:
        return results[0]
    return np.concatenate([result.reshape(len(result), -1) for result in results], axis=1)


def result_shapes(network: nodes.Network, inputs: Batch) -> Shapes:
    """Return the layer of each output with its shape for one sequence of a batch."""
    layers = with_steps(network, steps_of(network, inputs)).results.values()
    return [(layer.name, tuple(max(size or 0, 0) for size in layer.output)) for layer in layers]


def split_outputs(network: nodes.Network, output: Array, shapes: Shapes) -> dict[str, Array]:
    """Return the outputs that ``join_outputs`` has joined, by the name of their layer."""
    if not network.outputs:
        return {network.last: output}
    ends = np.cumsum([prod(shape) for _, shape in shapes])[:-1]
    parts = zip(shapes, np.split(output, ends, axis=1), strict=True)
    return {name: part.reshape(-1, *shape) for (name, shape), part in parts}


def _part(x: Array, head: int, heads: int) -> Array:
    """Return the features of one of some heads, which are side by side."""
    size = x.shape[-1] // heads
    return x[..., head * size : (head + 1) * size]


@dataclass(frozen=True, slots=True)
class _StepMemory:
    """The keys and values of what a layer attends to, (batch, steps, size), and the real steps."""

    keys: Array
    values: Array
    mask: Array
    scale: float
    noise: Callable[[Array], Array]
    activation: nodes.Activation = "tanh"

    def of_head(self, head: int, heads: int) -> _StepMemory:
        """Return the keys and values of one of some heads."""
        keys, values = _part(self.keys, head, heads), _part(self.values, head, heads)
        return replace(self, keys=keys, values=values)

    def up_to(self, step: int) -> _StepMemory:
        """Return what there is at a step and before it."""
        end = step + 1
        keys, values, mask = self.keys[:, :end], self.values[:, :end], self.mask[:, :end]
        return replace(self, keys=keys, values=values, mask=mask)

    def mean(self, query: Array, score: Array | None) -> Array:
        """Return the mean of the values, weighted for the query of each sequence."""
        rows = zip(query, self.keys, self.values, self.mask, strict=True)
        return np.stack(
            [
                self._weights(self._scores(row, keys[real], score)) @ values[real]
                for row, keys, values, real in rows
            ]
        )

    def given(self, query: Array, score: Array | None, gives: str) -> Array:
        """Return the weights or the scores for the query of each sequence, zeros at padding."""
        result = []
        for row, keys, real in zip(query, self.keys, self.mask, strict=True):
            scores = self._scores(row, keys[real], score)
            whole = np.zeros(len(real), scores.dtype)
            whole[real] = self._weights(scores) if gives == "weights" else scores
            result.append(whole)
        return np.stack(result)

    def _scores(self, query: Array, keys: Array, score: Array | None) -> Array:
        if score is None:
            return self.noise(self.scale * (keys @ query))
        return self.noise((activate(query + keys, self.activation) @ score)[:, 0])

    @staticmethod
    def _weights(scores: Array) -> Array:
        # Without a real step, the sum is of nothing.
        if not len(scores):
            return scores
        powers = np.exp(scores - scores.real.max(initial=-np.inf))
        weights: Array = powers / powers.sum()
        return weights


_Masked = (
    nodes.Recurrent
    | nodes.Conv
    | nodes.WindowPooling
    | nodes.BatchNorm
    | nodes.InstanceNorm
    | nodes.Pooling
    | nodes.AttentionPooling
)


def _instance_norm(layer: nodes.InstanceNorm, arrays: Arrays, x: Array, mask: Array) -> Array:
    sequences = []
    for steps, real in zip(x, mask, strict=True):
        counted = steps[real] if real.any() else np.zeros_like(steps[:1])
        centred = counted - counted.mean(axis=0)
        variance = (centred * centred).mean(axis=0)
        sequences.append((steps - counted.mean(axis=0)) / np.sqrt(variance + layer.epsilon))
    return _scale(arrays, np.stack(sequences))


def _scale(arrays: Arrays, x: Array) -> Array:
    """Return the scale and the offset of a norm of ``x``, which may have neither."""
    scaled: Array = arrays["gamma"] * x if "gamma" in arrays else x
    return scaled + arrays["beta"] if "beta" in arrays else scaled


def _windows(window: nodes.Window, x: Array) -> Iterator[Array]:
    """Yield the first step of each window, then the second, and so on: (batch, windows, ...)."""
    before, after = window.added(x.shape[1])
    rest = ((0, 0),) * (x.ndim - 2)
    padded = np.pad(x, ((0, 0), (before, after), *rest))
    last = ((window.count(x.shape[1]) or 0) - 1) * window.stride
    for tap in range(window.size):
        start = tap * window.dilation
        yield padded[:, start : start + last + 1 : window.stride]


def _convolve(layer: nodes.Conv, arrays: Arrays, x: Array, mask: Array) -> Array:
    real = np.where(mask[..., np.newaxis], x, 0.0)
    taps = zip(_windows(layer.window, real), arrays["kernel"], strict=True)
    total = sum(steps @ kernel for steps, kernel in taps)
    return activate(total + arrays.get("bias", 0.0), layer.activation)


def _pool_windows(layer: nodes.WindowPooling, x: Array, mask: Array) -> Array:
    values = np.stack(list(_windows(layer.window, x)))
    # A step that the window adds is False too.
    real = np.stack(list(_windows(layer.window, mask)))[..., np.newaxis]
    if layer.statistic == "average":
        # A window without a real step is padding, whose value means nothing.
        count = np.maximum(real.sum(axis=0), 1).astype(values.real.dtype)
        average: Array = np.where(real, values, 0.0).sum(axis=0) / count
        return average
    # Chosen by the real part: the imaginary part of complex arrays carries a derivative.
    at = np.where(real, values.real, -np.inf).argmax(axis=0)
    highest: Array = np.take_along_axis(values, at[np.newaxis], axis=0)[0]
    return highest


def _join_layers(layer: nodes.Join, arrays: Arrays, inputs: Sequence[Array]) -> Array:
    steps = {x.shape[1] for x in inputs if x.ndim > 2}
    if len(steps) > 1:
        raise ValueError(f"{layer.name}: expected equal steps, received {sorted(steps)}")
    # A vector beside sequences is the same at each step.
    parts = [x[:, np.newaxis] if steps and x.ndim == 2 else x for x in inputs]
    match layer.how:
        case nodes.Formula(names=names, equations=of_lines):
            values = dict(zip(names, parts, strict=True))
            # As those of a cell, transposed, so that the features of all steps are multiplied.
            values |= {name: array.T for name, array in arrays.items()}
            for line in of_lines.lines:
                values[line.name] = _bind(line.value, None)(values)
            return np.asarray(values[of_lines.lines[-1].name])
        case "concat":
            return _join(parts)
        case "add":
            return reduce(add, parts)
        case "multiply":
            return reduce(mul, parts)
        case _:
            assert_never(layer.how)


def _pool_by_attention(
    layer: nodes.AttentionPooling, arrays: Arrays, x: Array, query: Array, mask: Array
) -> Array:
    hidden = x
    if layer.units is not None:
        hidden = x @ arrays["kernel"] + arrays.get("bias", 0.0)
    hidden = activate(hidden, layer.activation)
    scores = (hidden @ query[..., np.newaxis])[..., 0]
    weighted = [
        # A constant cancels out, and without it exp could overflow.
        _weighted_mean(np.exp(score[real] - score[real].real.max(initial=-np.inf)), steps[real])
        for score, real, steps in zip(scores, mask, x, strict=True)
    ]
    return np.stack(weighted)


def _weighted_mean(weights: Array, steps: Array) -> Array:
    """Return the weighted mean of (real steps, features), zeros without a step."""
    if not len(steps):
        return np.zeros(steps.shape[1:], dtype=np.result_type(weights, steps))
    mean: Array = weights @ steps / weights.sum()
    return mean


def _statistic(layer: nodes.Pooling, steps: Array) -> Array:
    """Return the statistic of each feature of (real steps, features), zeros without a step."""
    if not len(steps):
        return np.zeros(steps.shape[1:], dtype=steps.dtype)
    match layer.statistic:
        case "mean":
            mean: Array = steps.mean(axis=0)
            return mean
        case "sum":
            total: Array = steps.sum(axis=0)
            return total
        case "first_step":
            begin: Array = steps[0]
            return begin
        case "last_step":
            last: Array = steps[-1]
            return last
        case "last":
            ahead = steps.shape[1] - layer.backward
            return np.concatenate([steps[-1, :ahead], steps[0, ahead:]])
        case "max" | "min":
            # Chosen by the real part: the imaginary part of complex arrays carries a derivative.
            real = steps.real
            at = real.argmax(axis=0) if layer.statistic == "max" else real.argmin(axis=0)
            extreme: Array = np.take_along_axis(steps, at[np.newaxis], axis=0)[0]
            return extreme
        case _:
            assert_never(layer.statistic)


def _scan(  # noqa: PLR0913 - a layer, and what it is run on
    layer: nodes.Recurrent,
    arrays: Arrays,
    x: Array,
    mask: Array,
    *,
    noise: Callable[[Array], Array],
    first: Sequence[Array | None],
    memory: _StepMemory | None,
) -> tuple[Array, list[Array], Array]:
    """Return h at each time step, (batch, steps, units), and the last states, kept at padding.

    The last result is the context at each step, without features if there is no memory.
    """
    ahead, changes = _bind_cell(layer.cell, bias=layer.bias)
    values = _name_parameters(layer, arrays) | {INPUT: x}
    leads, ask = layer.leading is not None, partial(_ask, memory, arrays, noise)
    values |= {_ASKED: cast("Array", ask)}
    projected = [] if leads else [(name, compute(values)) for name, compute in ahead]
    begun = [s for s in first if s is not None]
    memories = [memory.keys, memory.values] if memory else []
    dtype = np.result_type(x, *arrays.values(), *begun, *memories)
    # All states of a step lie in one array, beside each other.
    names, sizes = equations(layer.cell).states, [size for _, size in layer.states]
    ends = np.cumsum(sizes)
    zeros = (np.zeros((len(x), size), dtype=dtype) for size in sizes)
    state = _join([z if s is None else s for z, s in zip(zeros, first, strict=True)])
    outputs = np.empty((*x.shape[:2], ends[0]), dtype=dtype)
    width = layer.leading.width if layer.leading else 0
    contexts = np.empty((*x.shape[:2], width), dtype=dtype)
    padded = not mask.all()
    for t in range(x.shape[1]):
        for name, steps in projected:
            values[name] = steps[:, t]
        if leads:
            contexts[:, t] = ask(state[:, : ends[0]])
            values[INPUT] = _join([x[:, t], contexts[:, t]])
            values |= [(name, compute(values)) for name, compute in ahead]
        values |= zip(names, np.split(state, ends[:-1], axis=-1), strict=True)
        for name, compute in changes:
            values[name] = compute(values)
        moved = noise(_join([values[name] for name in names]))
        state = np.where(mask[:, t, np.newaxis], moved, state) if padded else moved
        outputs[:, t] = state[:, : ends[0]]
    return outputs, np.split(state, ends[:-1], axis=-1), contexts


_ASKED = "attend()"
"""The key of the function that gives the context of a query; no name in equations is one."""


def _ask(
    memory: _StepMemory | None, arrays: Arrays, noise: Callable[[Array], Array], query: Array
) -> Array:
    """Return the context of a query, which is projected if there is an array for it."""
    assert memory is not None, "lowering gives what a cell asks a memory"
    if "attention.kernel" in arrays:
        query = query @ arrays["attention.kernel"]
    return noise(memory.mean(query, arrays.get("attention.score")))


def _name_parameters(layer: nodes.Recurrent, arrays: Arrays) -> dict[str, Array]:
    """Return the value of each parameter: an array, or a part of one, with matrices transposed."""
    if isinstance(layer.cell, nodes.EquationCell):
        return {name: arrays[name].T for name, _ in layer.cell.equations.parameters}
    order, units = gates(layer.cell), layer.units
    parts = {}
    for name, _ in equations(layer.cell, bias=layer.bias).parameters:
        array, gate = place(name)
        start = order.index(gate) * units
        parts[name] = arrays[array][..., start : start + units]
    return parts


@lru_cache
def _bind_cell(cell: nodes.Cell, *, bias: bool) -> tuple[list[_Named], list[_Named]]:
    """Return the values of all steps that follow from the input only, and the lines."""
    ahead: list[_Named] = []

    def change(expression: Expression) -> Expression | None:
        kinds = {part.kind for part in walk(expression) if isinstance(part, Name)}
        asks = any(isinstance(part, Attend) for part in walk(expression))
        if "input" not in kinds or kinds & {"state", "line"} or asks:
            return None
        ahead.append((f"input {len(ahead)}", _bind(expression, cell)))
        return Name(ahead[-1][0], "input")

    lines = [
        (line.name, _bind(rewrite(line.value, change), cell))
        for line in equations(cell, bias=bias).lines
    ]
    return ahead, lines


def _bind(  # noqa: PLR0912 - a branch for each kind of expression
    expression: Expression, cell: nodes.Cell | None
) -> Callable[[Arrays], Array]:
    """Return a function of the values of names that computes an expression, (batch, units)."""
    match expression:
        case Name(name=name):
            return itemgetter(name)
        case Elementwise(operator=operator, left=left, right=right):
            compute, one, other = _OPERATORS[operator], _bind(left, cell), _bind(right, cell)
            return lambda values: compute(one(values), other(values))
        case Product(matrix=matrix, vector=vector):
            factor, weights = _bind(vector, cell), _bind(matrix, cell)
            return lambda values: factor(values) @ weights(values)
        case Apply(function=function, operand=operand):
            total, compute_elements = _bind(operand, cell), _function(function, cell)
            return lambda values: compute_elements(total(values))
        case Number(value=value):
            # Not an array, which would widen float32.
            return lambda _: cast("Array", value)
        case Transpose(matrix=matrix):
            weights = _bind(matrix, cell)
            return lambda values: weights(values).T
        case Choose(comparison=comparison):
            compare = _COMPARISONS[comparison]
            lower, upper, yes, no = (_bind(part, cell) for part in operands(expression))
            # Chosen by the real parts, as in ``activate``.
            return lambda values: np.where(
                compare(lower(values).real, upper(values).real), yes(values), no(values)
            )
        case ApplyToVector(operand=operand):
            vector_of = _bind(operand, cell)
            return lambda values: _apply_to_vector(expression, vector_of(values))
        case Features(operand=operand):
            features_of = _bind(operand, cell)
            return lambda values: _take_features(expression, features_of(values))
        case Concat(parts=parts):
            vectors = [_bind(part, cell) for part in parts]
            return lambda values: _join([part(values) for part in vectors])
        case Part(operand=operand, index=index, count=count):
            whole = _bind(operand, cell)
            return lambda values: np.split(whole(values), count, axis=-1)[index]
        case Attend(query=asked):
            query_of = _bind(asked, cell)
            return lambda values: cast("Any", values[_ASKED])(query_of(values))
        case _:
            assert_never(expression)


def _apply_to_vector(expression: ApplyToVector, x: Array) -> Array:
    """Return a function of the vectors along the last axis, which a number is one of."""
    match expression.function:
        case "softmax":
            groups = x.reshape(*x.shape[:-1], expression.groups, -1)
            return activate(groups, "softmax").reshape(x.shape)
        case "standardize":
            return _standardize(x, expression.epsilon)
        case "sum":
            return np.asarray(x.sum(axis=-1, keepdims=True))
        case "mean":
            return np.asarray(x.mean(axis=-1, keepdims=True))
        case "norm":
            return np.asarray(np.sqrt((x * x).sum(axis=-1, keepdims=True) + NORM_EPSILON))
        case "max":
            # Chosen by the real part: the imaginary part of complex arrays carries a derivative.
            highest = x.real.argmax(axis=-1, keepdims=True)
            return np.take_along_axis(x, highest, axis=-1)
        case _:
            assert_never(expression.function)


def _take_features(part: Features, x: Array) -> Array:
    places = part.range_of(x.shape[-1])
    return x[..., places.start : places.stop]


_FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": lambda x: np.where(np.real(x) < 0.0, -x, x),
}


def _function(name: str, cell: nodes.Cell | None) -> Callable[[Array], Array]:
    """Return a function of each element: an activation, by its name or by a key of the cell."""
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    if cell is not None and not isinstance(cell, nodes.EquationCell):
        name = activations(cell)[name]
    return lambda x: activate(x, cast("CellActivation", name))


def _join(vectors: Sequence[Array]) -> Array:
    """Return vectors behind each other, (batch, all); one of parameters is the same for all."""
    shape = np.broadcast_shapes(*(vector.shape[:-1] for vector in vectors))
    return np.concatenate([np.broadcast_to(v, (*shape, v.shape[-1])) for v in vectors], axis=-1)


def _standardize(x: Array, epsilon: float) -> Array:
    """Return x over its last axis with a mean of 0, and a variance of 1 but for ``epsilon``."""
    centred = x - x.mean(axis=-1, keepdims=True)
    standard: Array = centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + epsilon)
    return standard


_OPERATORS: Mapping[Operator, Callable[[Array, Array], Array]] = {
    "+": add,
    "-": sub,
    "*": mul,
    "/": truediv,
    "minimum": lambda x, y: np.where(np.real(x) <= np.real(y), x, y),
    "maximum": lambda x, y: np.where(np.real(x) >= np.real(y), x, y),
}
_COMPARISONS: Mapping[Comparison, Callable[[Array, Array], Array]] = {
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}


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


def activate(x: Array, activation: nodes.Activation) -> Array:
    """Return an activation of each element (over the last axis for the two softmaxes).

    Conditions use only the real part, so that complex arrays carry derivatives through.
    """
    match activation:
        case nodes.LeakyRelu(slope=slope):
            return np.where(x.real > 0.0, x, slope * x)
        case nodes.ClippedRelu(limit=limit):
            return np.where(x.real >= limit, limit, np.where(x.real > 0.0, x, 0.0))
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
