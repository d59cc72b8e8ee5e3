"""The recipe of each layer, evaluated in NumPy, is what the reference computes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, assert_never

import numpy as np
import pytest
from cases import cases
from conftest import GALLERY
from covering import covering
from graphs import GRAPHS
from ir.test_fields import CHUNKS, OTHERS, WHOLE
from small_networks import in_small

from rnnspec import pipeline
from rnnspec.backends import in_form
from rnnspec.backends.slots import by_name
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch
from rnnspec.ir import core, nodes
from rnnspec.ir.expand import _memory, expand, first_states, window_mask
from rnnspec.ir.forms import Form, held_values, states, states_of, step_refusals, streamed
from rnnspec.ir.params import directions
from rnnspec.weights.initial import draw_scaled


def evaluate(  # noqa: PLR0912, PLR0915 - a branch for each verb
    expression: core.Expression, names: Mapping[str, Any], arrays: Mapping[str, Any]
) -> Any:
    def value(part: core.Expression) -> Any:
        return evaluate(part, names, arrays)

    match expression:
        case float():
            return expression
        case core.Name(name):
            return names[name]
        case core.EarlierOutput(layer):
            return names[layer]
        case core.EarlierMask(layer):
            return names[f"{layer}_mask"]
        case core.Param(layer, name):
            return arrays[f"{layer}.{name}"]
        case core.Setting(_, number):
            return number
        case core.Function(how, x):
            return getattr(np, how)(value(x))
        case core.OverFeatures(how, x):
            return getattr(np, how)(value(x), axis=-1, keepdims=True)
        case core.Combine(how, left, right):
            return getattr(np, how)(value(left), value(right))
        case core.Embed(x, table):
            return value(table)[value(x)]
        case core.Scan():
            return scan(expression, names, arrays).outputs
        case core.Memory(keys, values, mask):
            real = np.ones(value(values).shape[:2], bool) if mask is None else value(mask)
            return value(keys), value(values), real
        case core.Scores(queries, keys, vector, activation):
            if vector is None:
                return np.einsum("...qd,...sd->...qs", value(queries), value(keys))
            sums = value(queries)[:, :, np.newaxis] + value(keys)[:, np.newaxis]
            hidden = reference.activate(sums, activation)
            return np.einsum("bqsd,dk->bqs", hidden, value(vector))
        case core.Mix(weights, x):
            return np.einsum("...qs,...sf->...qf", value(weights), value(x))
        case core.SplitHeads(x, core.Setting(_, number)):
            return np.stack(np.split(value(x), int(number), axis=-1), axis=1)
        case core.MergeHeads(x):
            return np.concatenate([*value(x).swapaxes(0, 1)], axis=-1)
        case core.MatMul(x, kernel, transposed):
            return value(x) @ (value(kernel).T if transposed else value(kernel))
        case core.Dot(x, vector):
            return value(x) @ value(vector)[..., np.newaxis]
        case core.Conv(x, kernel, window):
            taps = reference._windows(window, value(x))
            return sum(steps @ tap for steps, tap in zip(taps, value(kernel), strict=True))
        case core.PoolWindows(how, x, window, adds, mask):
            real = np.ones_like(value(x)) * (1 if mask is None else value(mask)[..., np.newaxis])
            steps = np.stack(list(reference._windows(window, value(x) * real)))
            own = np.stack(list(reference._windows(window, real)))
            if how == "max":
                highest = np.where(own > 0, steps, -np.inf).max(axis=0)
                return highest if mask is None else np.where(own.any(axis=0), highest, 0)
            if mask is not None:
                return steps.sum(axis=0) / np.maximum(own.sum(axis=0), 1)
            return steps.sum(axis=0) / (window.size if adds else own.sum(axis=0))
        case core.Apply(function, x):
            return reference.activate(value(x), function)
        case core.Drop(x):
            return value(x)
        case core.Norm(x, layer, epsilon, over, scale, offset, mask):
            gamma = arrays[f"{layer}.gamma"] if scale else 1.0
            beta = arrays[f"{layer}.beta"] if offset else 0.0
            x = value(x)
            rows = x if mask is None else x[value(mask)]
            axes = -1 if over == "features" else tuple(range(rows.ndim - 1))
            mean, variance = rows.mean(axes, keepdims=True), rows.var(axes, keepdims=True)
            if over == "given":
                mean, variance = arrays[f"{layer}.moving_mean"], arrays[f"{layer}.moving_variance"]
            return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta
        case core.Column(mask):
            return value(mask)[..., np.newaxis]
        case core.Row(mask, heads):
            return value(mask)[:, np.newaxis, np.newaxis] if heads else value(mask)[:, np.newaxis]
        case core.Seen(scores, real):
            seen = np.tril(np.ones_like(value(scores), dtype=bool))
            return seen if real is None else seen & value(real)
        case core.Fill(condition, x, otherwise):
            return np.where(value(condition), value(x), value(otherwise))
        case core.Reduce(how, x, keep):
            return getattr(np, how)(value(x), axis=1, keepdims=keep)
        case core.CountSteps(x):
            return value(x).shape[1]
        case core.Length(x):
            return np.linalg.norm(value(x), axis=-1, keepdims=True)
        case core.Softmax(x):
            return np.exp(reference._log_softmax(value(x).swapaxes(1, -1))).swapaxes(1, -1)
        case core.Join(parts, axis):
            return np.concatenate(list(map(value, parts)), axis=1 if axis == "steps" else -1)
        case core.Take(x, steps, features):
            some = steps if isinstance(steps, int) else slice(steps[0], None, steps[1])
            taken = value(x)[:, some]
            return taken if features == (0, None) else taken[..., slice(*features)]
        case core.Slice(x, start, end):
            return value(x)[:, start:end]
        case core.Spread(vector, x):
            return np.repeat(value(vector)[np.newaxis], len(value(x)), axis=0)
        case core.Transpose(x):
            return value(x).swapaxes(1, 2)
        case core.Pick(end, x, mask):
            places = [np.flatnonzero(real) for real in value(mask)]
            at = [(real if real.size else [0])[-1 if end == "last" else 0] for real in places]
            return value(x)[np.arange(len(at)), at]
        case core.Flatten(x):
            return value(x).reshape(len(value(x)), -1)
        case core.Repeat(x, steps):
            times = steps if isinstance(steps, int) else value(steps)
            return np.repeat(value(x)[:, np.newaxis], times, axis=1)
        case _:
            assert_never(expression)


class Scanned(NamedTuple):
    """The results of a layer in one direction.

    ``outputs`` are the states of a kind after each step; of another state than the output, they
    have the last step only.
    """

    outputs: Any
    last: list[Any]
    contexts: Any


def scan(verb: core.Scan, names: Mapping[str, Any], arrays: Mapping[str, Any]) -> Scanned:
    layer, backward = verb.layer, verb.layer.backward or verb.direction == "backward."
    prefix, order = f"{layer.owner}.{verb.direction}", -1 if backward else 1
    own = {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}
    x = evaluate(verb.x, names, arrays)[:, ::order]
    mask = np.ones(x.shape[:2], dtype=bool)
    if verb.mask is not None:
        mask = evaluate(verb.mask, names, arrays)[:, ::order]
    begun = [
        None if isinstance(state, float) else evaluate(state, names, arrays)
        for state in verb.states
    ]
    assert (verb.memory is None) == (layer.attention is None)
    memory = None
    if verb.memory is not None and layer.attention is not None:
        keys, values, real = evaluate(verb.memory, names, arrays)
        scale, exact = layer.attention.scale, reference._exact
        memory = reference._StepMemory(keys, values, real, scale, exact)
    outputs, last, contexts = reference._scan(
        layer,
        own,
        x,
        mask,
        noise=reference._exact,
        first=begun or [None] * len(layer.states),
        memory=memory,
    )
    place = [name for name, _ in layer.states].index(verb.kind)
    outputs = last[place][:, np.newaxis] if place else outputs[:, ::order]
    return Scanned(outputs, last, contexts[:, ::order])


def parts_of(
    layer: nodes.Recurrent, form: Form, names: Mapping[str, Any], arrays: Any
) -> dict[str, Any]:
    """Return what other layers read of a layer: its contexts, and in one call its last states."""
    mask, output = core.Name("mask") if layer.masked else None, layer.states[0][0]
    memory = _memory(layer.attention) if layer.attention else None
    ways: list[Scanned] = []
    for number, way in enumerate(directions(layer)):
        first = first_states(layer, number)
        if form == "step":
            first = tuple(core.Name(state.name) for state in states_of(layer))
        verb = core.Scan(layer, way, output, core.Name("x"), mask, first, memory)
        ways.append(scan(verb, names, arrays))
    parts = {f"{layer.name}_context": ways[0].contexts} if memory else {}
    # In chunks, they are results of the recipe.
    if form != "step":
        parts |= {
            f"{layer.name}_{name}": np.concatenate([way.last[place] for way in ways], axis=-1)
            for place, (name, _) in enumerate(layer.states)
        }
    return parts


def run(  # noqa: PLR0917 - a network, and what it is run on
    network: nodes.Network, form: Form, arrays: Any, known: Any, before: Any, layers: Any = None
) -> Any:
    """Return the output of each layer, or of some, and the states after them.

    ``known`` has the inputs, and what was computed before the chunks. The states before a chunk are
    ``before``. Masks are outputs too, ``NAME_mask``.
    """
    outputs, inputs = (
        dict(known),
        {network_input.name: network_input for network_input in network.inputs},
    )
    masks = {
        name: reference.padding_mask(inputs[name], array)
        for name, array in known.items()
        if name in inputs and inputs[name].masked
    }
    entered, after = dict[str, Any](), dict(before)
    for layer, taken in zip(network.layers, nodes.sources(network).values(), strict=True):
        if layers is not None and layer.name not in layers:
            continue
        names = dict(outputs) | after | {f"{name}_mask": mask for name, mask in masks.items()}
        # A learned state takes only the number of sequences.
        names["x"] = entered[layer.name] = outputs.get(taken[0], next(iter(known.values())))
        names["mask"] = masks.get(taken[0])
        if isinstance(layer, nodes.Residual):
            names["skip"] = entered[layer.start]
        own = [state.name for state in states_of(layer)]
        if isinstance(layer, nodes.Pooling):
            own = list(layer.reduction.states)
            named = zip(own, (state.name for state in states_of(layer)), strict=False)
            names |= {name: before[state] for name, state in named if state in before}
        if isinstance(layer, nodes.Recurrent):
            after |= parts_of(layer, form, names, arrays)
        for result in expand(layer, form):
            names[result.name] = evaluate(result.value, names, arrays)
        outputs[layer.name] = names["x"]
        if form == "step":
            after |= {s.name: names[n] for s, n in zip(states_of(layer), own, strict=True)}
        for port in layer.ports if isinstance(layer, nodes.Recurrent) else ():
            outputs[port.name] = after[f"{layer.name}_{port.state or 'context'}"]
            if not port.state and taken[0] in masks:
                masks[port.name] = masks[taken[0]]
        joined = [masks[name] for name in taken if name in masks]
        paced = nodes.paced_by(layer, taken)
        if isinstance(layer, nodes.Join) and joined:
            masks[layer.name] = np.logical_and.reduce(joined)
        elif paced[0] in masks and len(layer.output) > 1 and not isinstance(layer, nodes.Repeat):
            masks[layer.name] = masks[paced[0]]
            windows = window_mask(layer.window) if hasattr(layer, "window") else None
            if windows is not None:
                masks[layer.name] = evaluate(windows, names, arrays)
    return outputs | {f"{name}_mask": mask for name, mask in masks.items()}, after


POOLED = """\
version: 1
name: pooled_{statistic}_{mask}
input: {{features: 3{mask_value}}}
rnn: {{type: gru, units: 4}}
head: {{pooling: {statistic}}}
"""
NORMED = """\
version: 1
name: normed
input: {features: 3, mask_value: 2.0}
rnn: [{type: instance_norm}, {type: gru, units: 4}]
"""
TEXTS = [
    *map(in_small, covering(GALLERY)),
    *(WHOLE, OTHERS, CHUNKS, NORMED, *GRAPHS),
    *(
        POOLED.format(statistic=statistic, mask=mask, mask_value=value)
        for statistic in ("mean", "max", "min", "sum")
        for mask, value in (("whole", ""), ("masked", ", mask_value: 2.0"))
    ),
]
PROGRAMS = list(map(pipeline.reads, TEXTS))


def numbered(programs: list[pipeline.Program]) -> dict[str, pipeline.Program]:
    return {f"{number} {program.network.name}": program for number, program in enumerate(programs)}


def compare(
    network: nodes.Network, outputs: Any, expected: reference.FullTrace, inputs: Any
) -> None:
    masks = reference.masks(network, inputs)
    for layer in network.layers:
        actual, correct = outputs[layer.name], expected.outputs[layer.name]
        real = masks.get(layer.name, slice(None))
        np.testing.assert_allclose(actual[real], correct[real], atol=1e-12, err_msg=layer.name)


@pytest.mark.parametrize("form", ["training", "inference"])
@cases("program", numbered(PROGRAMS))
def test_a_recipe_is_the_layer(program: pipeline.Program, form: Any) -> None:
    network = in_form(program.network, form)
    arrays = draw_scaled(network, 0)
    inputs = draw_batch(network, np.random.default_rng(0))
    outputs, _ = run(network, form, arrays, by_name(inputs), {})
    expected = reference.run(network, arrays, inputs, training=form == "training")
    compare(network, outputs, expected, inputs)


STEPPED = [program for program in PROGRAMS if not step_refusals(program.network)]


@cases("program", numbered(STEPPED))
def test_a_recipe_goes_on_from_chunk_to_chunk(program: pipeline.Program) -> None:
    network = in_form(program.network, "step")
    arrays = draw_scaled(network, 0)
    inputs = draw_batch(network, np.random.default_rng(0), 7)
    others = dict(by_name(inputs))
    whole = {stream: others.pop(stream) for stream in network.streams}
    in_chunks, held = streamed(network), held_values(network)
    once = {layer.name for layer in network.layers} - in_chunks
    # Without another input, a chunk tells how many sequences there are.
    begun, _ = run(network, "inference", arrays, others or whole, {}, once)
    before = first_values(network, arrays, begun, len(next(iter(whole.values()))))
    first = nodes.least_steps(network)
    known = {state.layer: before[state.name] for state in held if state.kind == "value"}
    chunks = []
    for start, end in pairwise([0, first, first + 2, None]):
        chunk = {stream: array[:, start:end] for stream, array in whole.items()}
        outputs, before = run(network, "step", arrays, chunk | known, before, in_chunks)
        chunks.append(outputs)
    joined = begun | {
        layer.name: np.concatenate([chunk[layer.name] for chunk in chunks], axis=1)
        if len(layer.output) > 1
        else chunks[-1][layer.name]
        for layer in network.layers
        if layer.name in in_chunks
    }
    compare(network, joined, reference.run(network, arrays, inputs), inputs)


NET = "version: 1\nname: net\n"
BESIDE = """\
version: 1
name: beside
inputs: {{one: {{features: 2}}, two: {{features: 2}}}}
stream: one
rnn:
{rnn}
  - {{type: gru, units: 2, of: one, name: first}}
  - {{type: gru, units: 2, of: two, name: second}}
heads: {{x: {{of: first, pooling: none}}, y: {{of: second, pooling: {pooling}}}}}
"""


@cases(
    ("rnn", "pooling", "refused"),
    [
        ("", "last", []),
        ("", "none", ["second"]),
        ("  - {type: add, of: [two, one], name: both}", "last", ["both"]),
    ],
)
def test_a_sequence_beside_the_chunks_is_refused(
    rnn: str, pooling: str, refused: list[str]
) -> None:
    text = BESIDE.format(rnn=rnn, pooling=pooling)
    text = text.replace("of: one, name", "of: both, name") if rnn else text
    network = pipeline.reads(text).network
    assert [refusal.layer for refusal in step_refusals(network)] == refused


@cases(
    ("padding", "mask", "reason"),
    [
        ("valid", "", None),
        ("causal", ", mask_value: 0", None),
        ("valid", ", mask_value: 0", "valid gives fewer outputs than the mask has steps; use"),
        ("[1, 0]", ", mask_value: 0", "[1, 0] gives fewer outputs than the mask has steps; use"),
    ],
)
def test_a_mask_over_fewer_windows_has_no_step_form(
    padding: str, mask: str, reason: str | None
) -> None:
    conv = f"{{type: conv, filters: 1, kernel_size: 3, padding: {padding}}}"
    rest = f"input: {{features: 2{mask}}}\nrnn: [{conv}, {{type: gru, units: 1}}]\n"
    reasons = [refusal.reason for refusal in step_refusals(pipeline.reads(f"{NET}{rest}").network)]
    assert [reason in each for each in reasons if reason] == ([True] if reason else [])
    assert len(reasons) == (reason is not None)


def first_values(
    network: nodes.Network, arrays: Mapping[str, Any], begun: Any, rows: int
) -> dict[str, Any]:
    """Return the states before the first chunk."""
    before = {
        state.name: begun[state.name if state.kind == "mask" else state.layer]
        for state in held_values(network)
    }
    before |= {
        state.name: np.zeros((rows, *(size or 0 for size in state.first_shape)))
        for state in states(network)
        if state.name not in before
    }
    for layer in network.layers:
        if isinstance(layer, nodes.Recurrent) and layer.name in streamed(network):
            before |= {
                f"{layer.name}_{state}": begun[vector] for state, vector in layer.begins_as.items()
            }
            before |= {
                f"{layer.name}_{vector.state}": np.tile(
                    arrays[f"{layer.owner}.{vector.param}"], (rows, 1)
                )
                for vector in layer.learned
            }
    return before
