"""The recipe of each layer, evaluated in NumPy, is what the reference computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import numpy as np
import pytest
from conftest import GALLERY
from covering import covering
from ir.test_fields import CHUNKS, OTHERS, WHOLE
from small_networks import in_small

from rnnspec import pipeline
from rnnspec.backends import in_form
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch
from rnnspec.ir import core, nodes
from rnnspec.ir.expand import STATES, expand, window_mask
from rnnspec.ir.forms import Form, states, states_of, step_refusals
from rnnspec.weights.initial import draw_scaled


def evaluate(  # noqa: PLR0912 - a branch for each verb
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
        case core.Param(layer, name):
            return arrays[f"{layer}.{name}"]
        case core.Setting(_, number):
            return number
        case core.SquareRoot(x):
            return np.sqrt(value(x))
        case core.Combine(how, left, right):
            return getattr(np, how)(value(left), value(right))
        case core.Embed(x, table):
            return value(table)[value(x)]
        case core.Scan():
            return scan(expression, names, arrays)
        case core.MatMul(x, kernel, transposed):
            return value(x) @ (value(kernel).T if transposed else value(kernel))
        case core.Conv(x, kernel, window):
            taps = reference._windows(window, value(x))
            return sum(steps @ tap for steps, tap in zip(taps, value(kernel), strict=True))
        case core.PoolWindows(how, x, window, adds):
            steps = np.stack(list(reference._windows(window, value(x))))
            own = np.stack(list(reference._windows(window, np.ones_like(value(x)))))
            if how == "max":
                return np.where(own > 0, steps, -np.inf).max(axis=0)
            return steps.sum(axis=0) / (window.size if adds else own.sum(axis=0))
        case core.Apply(function, x):
            return reference.activate(value(x), function)
        case core.Drop(x):
            return value(x)
        case core.Norm(x, layer, epsilon, over, mask):
            gamma, beta = arrays[f"{layer}.gamma"], arrays[f"{layer}.beta"]
            x = value(x)
            rows = x if mask is None else x[value(mask)]
            axes = -1 if over == "features" else tuple(range(rows.ndim - 1))
            mean, variance = rows.mean(axes, keepdims=True), rows.var(axes, keepdims=True)
            if over == "given":
                mean, variance = arrays[f"{layer}.moving_mean"], arrays[f"{layer}.moving_variance"]
            return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta
        case core.Column(mask):
            return value(mask)[..., np.newaxis]
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
        case core.Pick(end, x, mask):
            places = [np.flatnonzero(real) for real in value(mask)]
            at = [(real if real.size else [0])[-1 if end == "last" else 0] for real in places]
            return value(x)[np.arange(len(at)), at]
        case core.Flatten(x):
            return value(x).reshape(len(value(x)), -1)
        case core.Repeat(x, steps):
            return np.repeat(value(x)[:, np.newaxis], steps, axis=1)
        case _:
            assert_never(expression)


def scan(verb: core.Scan, names: Mapping[str, Any], arrays: Mapping[str, Any]) -> Any:
    """Return h at each step, or the last c as the only step."""
    prefix, order = f"{verb.layer.name}.{verb.direction}", -1 if verb.direction[:1] == "b" else 1
    own = {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}
    x = evaluate(verb.x, names, arrays)[:, ::order]
    mask = np.ones(x.shape[:2], dtype=bool)
    if verb.mask is not None:
        mask = evaluate(verb.mask, names, arrays)[:, ::order]
    before = [evaluate(state, names, arrays) for state in verb.states]
    first = before or [None] * len(verb.layer.states)
    outputs, last = reference._scan(verb.layer, own, x, mask, noise=reference._exact, first=first)
    place = [name for name, _ in verb.layer.states].index(verb.kind)
    return last[place][:, np.newaxis] if place else outputs[:, ::order]


def run(network: nodes.Network, form: Form, arrays: Any, inputs: Any, before: Any) -> Any:
    """Return the output of each layer, and the states after them."""
    outputs = {nodes.INPUT: inputs}
    masks = {nodes.INPUT: reference.padding_mask(network.input, inputs)}
    entered, after = dict[str, Any](), dict[str, Any]()
    for layer, taken in zip(network.layers, nodes.sources(network).values(), strict=True):
        names = dict(outputs) | before
        names["x"] = entered[layer.name] = outputs[taken[0]]
        names["mask"] = masks.get(taken[0])
        if isinstance(layer, nodes.Residual):
            names["skip"] = entered[layer.start]
        own = [state.name for state in states_of(layer)]
        if isinstance(layer, nodes.Pooling):
            own = list(STATES.get(layer.statistic, ()))
            named = zip(own, (state.name for state in states_of(layer)), strict=False)
            names |= {name: before[state] for name, state in named if state in before}
        for result in expand(layer, form):
            names[result.name] = evaluate(result.value, names, arrays)
        outputs[layer.name] = names["x"]
        if form == "step":
            after |= {s.name: names[n] for s, n in zip(states_of(layer), own, strict=True)}
        masks[layer.name] = names["mask"]
        if isinstance(layer, nodes.Conv | nodes.WindowPooling) and names["mask"] is not None:
            windows = window_mask(layer.window)
            if windows is not None:
                masks[layer.name] = evaluate(windows, names, arrays)
    return outputs, after


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
    *(WHOLE, OTHERS, CHUNKS, NORMED),
    *(
        POOLED.format(statistic=statistic, mask=mask, mask_value=value)
        for statistic in ("mean", "max", "sum")
        for mask, value in (("whole", ""), ("masked", ", mask_value: 2.0"))
    ),
]
PROGRAMS = list(map(pipeline.reads, TEXTS))


def compare(
    network: nodes.Network, outputs: Any, expected: reference.FullTrace, inputs: Any
) -> None:
    masks = reference.masks(network, inputs)
    for layer in network.layers:
        actual, correct = outputs[layer.name], expected.outputs[layer.name]
        real = masks.get(layer.name, slice(None))
        np.testing.assert_allclose(actual[real], correct[real], atol=1e-12, err_msg=layer.name)


@pytest.mark.parametrize("form", ["training", "inference"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.network.name)
def test_a_recipe_is_the_layer(program: pipeline.Program, form: Any) -> None:
    network = in_form(program.network, form)
    arrays = draw_scaled(network, 0)
    inputs = draw_batch(network, np.random.default_rng(0))
    outputs, _ = run(network, form, arrays, inputs, {})
    expected = reference.run(network, arrays, inputs, training=form == "training")
    compare(network, outputs, expected, inputs)


STEPPED = [program for program in PROGRAMS if not step_refusals(program.network)]


@pytest.mark.parametrize("program", STEPPED, ids=lambda program: program.network.name)
def test_a_recipe_goes_on_from_chunk_to_chunk(program: pipeline.Program) -> None:
    network = in_form(program.network, "step")
    arrays = draw_scaled(network, 0)
    inputs = draw_batch(network, np.random.default_rng(0), 7)
    before: dict[str, Any] = {
        state.name: np.zeros((len(inputs), *state.shape)) for state in states(network)
    }
    chunks = []
    for chunk in (inputs[:, :1], inputs[:, 1:4], inputs[:, 4:]):
        outputs, before = run(network, "step", arrays, chunk, before)
        chunks.append(outputs)
    joined = {
        layer.name: np.concatenate([chunk[layer.name] for chunk in chunks], axis=1)
        if len(layer.output) > 1
        else chunks[-1][layer.name]
        for layer in network.layers
    }
    compare(network, joined, reference.run(network, arrays, inputs), inputs)
