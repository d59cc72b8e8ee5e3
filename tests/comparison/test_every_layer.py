"""Each layer in each form: what a padded step holds does not matter, and the rest is right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any, get_args

import numpy as np
import pytest
from conftest import GALLERY
from offered import require, shipped

from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch, steps_to_draw
from rnnspec.comparison.case import Case, Live, random_split, step_through, stream_of
from rnnspec.comparison.levels import distance
from rnnspec.comparison.training import trained_keys
from rnnspec.errors import SpecError
from rnnspec.ir import nodes
from rnnspec.ir.forms import Form
from rnnspec.ir.nodes import Network, least_steps
from rnnspec.slots import by_name
from rnnspec.weights.initial import draw_scaled
from rnnspec.words import Statistic

FILLER = 7.25
"""Another value of padded steps, which random features do not have."""
INPUTS = {
    "tokens": "embedding: {vocabulary: 6, dim: 2, mask_zero: true}",
    "features": "input: {features: 2, mask_value: 0.0}",
    "unmasked": "input: {features: 2}",
}
LAYERS = (
    "{type: conv, filters: 2, kernel_size: 3, padding: causal}",
    "{type: conv, filters: 2, kernel_size: 3, padding: same, stride: 2}",
    "{type: conv, filters: 2, kernel_size: 2, padding: valid, dilation: 2}",
    "{type: conv, filters: 2, kernel_size: 3, padding: [1, 0]}",
    "{type: max_pool, size: 2}",
    "{type: max_pool, size: 3, stride: 1, padding: same}",
    "{type: average_pool, size: 2}",
    "{type: average_pool, size: 3, stride: 1, padding: same}",
    "{type: batch_norm}",
    "{type: instance_norm}",
    "{type: layer_norm}",
    "{type: dropout, rate: 0.5}",
    "{type: lstm, units: 2}",
    "{type: lstm, units: 2, layers: 2, bidirectional: true}",
    "{type: gru, units: 2, reset_after: false, residual: true}",
    "{type: gru, units: 2, bidirectional: true, merge: ave, initial_state: learned}",
    "{type: gru, units: 2, layer_norm: true}",
    *(f"{{type: simple, units: 2, bidirectional: true, merge: {how}}}" for how in ("sum", "mul")),
    "{type: simple, units: 2, direction: backward}",
    "{type: lstm, units: 2, initial_state: learned}",
    "{type: lstm, units: 2, initial_state: given}",
    "{type: lstm, units: 2, initial_state: {c: start}}",
    "{type: lstm, units: 2, initial_state: {of: begun}}",
    "{type: simple, units: 2, recurrent_dropout: 0.5}",
    "{type: gru, units: 2, attention: {over: raw, score: general}}",
    "{type: lstm, units: 2, attention: {over: raw, score: additive, units: 3}}",
    "{type: attention, over: raw, score: dot}",
    "{type: attention, over: raw, score: additive, units: 3}",
    "{type: concat, of: [raw, other]}",
    "{type: add, of: [raw, other]}",
    "{type: multiply, of: [raw, other]}",
    "{type: repeat, of: kept.state, like: raw}",
    *(
        f"{{type: pool, pooling: {how}}}"
        for how in (*get_args(Statistic), "{attention: {units: 2}}")
    ),
    "{type: pool, pooling: last, of: kept}",
    "{type: pool, pooling: {attention: {query: kept.state}}}",
    "{type: pool, pooling: [sum, mean, {attention: {}}]}",
)
"""Layers that take what no layer before them has filled."""
AT_THE_START = (LAYERS[0], "{type: batch_norm}", "{type: pool, pooling: sum}")


def network_of(source: str, layers: Iterable[str], cells: str = "") -> pipeline.Program | None:
    """Return a network with an output for each layer, or None if no spec has it."""
    layers = list(layers)
    lines = [
        f"- {layer[:-1]}, name: l{number}{'' if ' of:' in layer else ', of: raw'}}}"
        for number, layer in enumerate(layers)
    ]
    heads = [
        f"  h{number}: {{of: l{number}{'' if '{type: pool,' in layer else ', pooling: none'}}}"
        for number, layer in enumerate(layers)
    ]
    text = "\n".join(
        (
            "version: 1\nname: probe",
            INPUTS[source],
            f"cells:\n{cells}  mgu: {{from: mgu}}",
            "rnn:",
            "- {type: dense, units: 2, activation: tanh, name: raw}",
            "- {type: dense, units: 2, of: raw, name: other}",
            "- {type: mgu, units: 2, of: raw, name: kept}",
            "- {type: dense, units: 2, of: kept.state, name: start}",
            "- {type: lstm, units: 2, of: raw, name: begun}",
            *lines,
            "heads:",
            *(f"  h_{name}: {{of: {name}, pooling: none}}" for name in ("other", "kept", "begun")),
            "  h_start: {of: start}",
            *heads,
        )
    )
    try:
        return pipeline.reads(text)
    except SpecError:
        return None


@cache
def probe(name: str, form: Form, source: str) -> pipeline.Program:
    """Return a network with all layers that a backend has in a form."""

    def has(layers: Iterable[str]) -> bool:
        program = network_of(source, layers)
        return program is not None and not refusals(get(name), program.network, form)

    # Features are filled where they come in, so that few layers show whether they are.
    layers = LAYERS if source == "tokens" else AT_THE_START
    program = network_of(source, [layer for layer in layers if has([layer])])
    assert program is not None
    return program


def filled(network: Network, batch: Any) -> tuple[Network, Any]:
    """Return a network and its batch with another value in padded steps of features."""
    inputs, arrays = list[nodes.Input](), dict(by_name(batch))
    for each in network.inputs:
        if isinstance(each, nodes.NumericInput) and each.masked:
            padded = ~reference.padding_mask(each, arrays[each.name])
            arrays[each.name] = np.where(padded[..., None], FILLER, arrays[each.name])
            inputs.append(replace(each, mask_value=FILLER))
        else:
            inputs.append(each)
    other = arrays if network.has_named_inputs else next(iter(arrays.values()))
    return replace(network, inputs=tuple(inputs)), other


def computed(live: Live, case: Case) -> Iterator[tuple[str, Any]]:
    """Yield what a model computes at real steps and in vectors, or its loss and gradients."""
    case.reset(live)
    network, real = case.network, case.real(case.batch) > 0.0
    if live.generated.form == "step":
        steps = reference.steps_of(network, case.batch)[stream_of(network)]
        lengths = random_split(steps, np.random.default_rng(3), least_steps(network))
        yield "output", step_through(live.backend, live.model, network, case.batch, lengths)[real]
    elif live.generated.form == "inference":
        yield "output", live.runtime.trace(live.model, [], case.batch).output[real]
    else:
        keys = trained_keys(live)
        learn = live.runtime.learner(live.model, keys, training=True)
        loss, gradients = learn(case.batch, case.target, case.weight)
        yield "loss", np.asarray(loss)
        masked = {e.name for e in network.layers if isinstance(e, nodes.Embedding) and e.masked}
        for (layer, path), gradient in zip(keys, gradients, strict=True):
            if layer in masked:
                assert not gradient[0].any(), f"{layer}.{path} has a gradient at padding"
            yield f"{layer}.{path}", gradient


def with_little_dropout(network: Network) -> Network:
    """Return a network whose dropout is drawn and applied, and drops nothing."""
    rates = ("rate", "dropout", "recurrent_dropout")
    layers = tuple(
        replace(
            layer, **{key: min(getattr(layer, key), 1e-15) for key in rates if hasattr(layer, key)}
        )
        for layer in network.layers
    )
    return replace(network, layers=layers)


PAIRS = [(backend.name, form) for backend in shipped() for form in backend.forms]


@pytest.mark.parametrize(("name", "form"), PAIRS)
@pytest.mark.parametrize("source", ["tokens", "features"])
def test_padding_does_not_matter_and_the_rest_is_right(name: str, form: Form, source: str) -> None:
    program, backend = probe(name, form, source), require(name)
    dtype, first = backend.dtypes[0], with_little_dropout(program.network)
    batch = draw_batch(first, np.random.default_rng(1), steps_to_draw(first))
    arrays = draw_scaled(first, 1)
    second, other_batch = filled(first, batch)
    others = {
        name: array + (np.arange(len(array)) == 0)[:, None] if name in padded(first) else array
        for name, array in arrays.items()
    }
    results, live = list[dict[str, Any]](), None
    for network, own, given in ((first, arrays, batch), (second, others, other_batch)):
        truth = reference.run(network, own, given)
        of = replace(program, network=network)
        case = Case(of, 0, dtype, own, given, batch_is_own=True, truth=truth, form=form)
        # Only another value of padded features is other source.
        if live is None or first != second:
            live = case.build(backend)
        results.append(dict(computed(live, case)))
    near = 1e-9 if dtype == "float64" else 1e-5
    for key, value in results[0].items():
        assert distance(results[1][key], value) <= near, key
    if form != "training":
        expected = truth.output[case.real(other_batch) > 0.0]
        assert distance(results[1]["output"], expected) <= near


def test_every_layer_that_leaves_out_padding_is_asked() -> None:
    known = {kind for name, form in PAIRS for kind in masked_kinds(probe(name, form, "tokens"))}
    for path in GALLERY:
        assert masked_kinds(pipeline.read(path)) <= known, path


def masked_kinds(program: pipeline.Program) -> set[tuple[str, object]]:
    """Return the kinds of layers that leave out padding, with what they compute of the steps."""
    masked = nodes.masked_by(program.network)
    return {
        (type(layer).__name__, getattr(layer, "statistic", ""))
        for layer in program.network.layers
        if layer.name in masked
    }


def padded(network: Network) -> set[str]:
    """Return the arrays of embeddings whose first row is the vector of padding."""
    return {
        f"{layer.name}.embeddings"
        for layer in network.layers
        if isinstance(layer, nodes.Embedding) and layer.masked
    }
