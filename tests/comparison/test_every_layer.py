"""Each layer in each form: what a padded step holds does not matter, and the rest is right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest
from conftest import GALLERY
from offered import require, shipped

from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.backends.slots import as_batch, by_name
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch, steps_to_draw
from rnnspec.comparison.case import Case, Live, random_split, step_through
from rnnspec.comparison.levels import distance
from rnnspec.comparison.training import gradients_of
from rnnspec.errors import SpecError
from rnnspec.ir import nodes
from rnnspec.ir.forms import Form
from rnnspec.ir.nodes import Network, least_steps
from rnnspec.ir.params import named_params
from rnnspec.weights.initial import draw_scaled
from rnnspec.words import Statistic

FILLER = 7.25
"""Another value of padded steps, which random features do not have."""
INPUTS = {
    "tokens": "embedding: {vocabulary: 6, dim: 2, mask_zero: true}",
    "states": "embedding: {vocabulary: 6, dim: 2, mask_zero: true}",
    "features": "input: {features: 2, mask_value: 0.0}",
    "unmasked": "input: {features: 2, length: 12}",
    "several": """\
inputs:
  words: {embedding: {vocabulary: 6, dim: 2, mask_zero: true}}
  power: {features: 2, mask_value: 0.0}
  again: {embedding: words}
  plain: {features: 2}
  basin: {features: 2, per: sequence}
  user: {per: sequence, embedding: {vocabulary: 3, dim: 2}}
stream: power""",
}
RECURRENT = (
    "{type: lstm, units: 2, layers: 2, bidirectional: true}",
    "{type: gru, units: 2, reset_after: false, residual: true}",
    "{type: gru, units: 2, bidirectional: true, merge: ave, initial_state: learned}",
    "{type: gru, units: 2, layer_norm: true}",
    "{type: simple, units: 2, bidirectional: true, merge: sum}",
    "{type: simple, units: 2, direction: backward}",
    "{type: lstm, units: 2, initial_state: given}",
    "{type: lstm, units: 2, initial_state: {c: start}}",
    "{type: lstm, units: 2, initial_state: {of: begun}}",
    "{type: simple, units: 2, recurrent_dropout: 0.5}",
    "{type: gru, units: 2, attention: {over: raw, score: general}}",
    (
        "{type: lstm, units: 2, activation: softsign, recurrent_activation: hard_sigmoid, "
        "attention: {over: raw, score: additive, units: 3}}"
    ),
    (
        "{type: gru, units: 2, reset_after: false, direction: backward, activation: elu, "
        "attention: {over: raw, score: scaled_dot}}"
    ),
    "{type: mine, units: 2, initial_state: {state: start}, attention: {over: kept, score: dot}}",
    "{type: mine, units: 2, bidirectional: true, merge: ave, initial_state: learned}",
)
"""Recurrent layers that take the output of the first one."""
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
    "{type: instance_norm, offset: false}",
    "{type: layer_norm}",
    "{type: layer_norm, scale: false}; {type: batch_norm, scale: false}",
    "{type: batch_norm, offset: false}; {type: layer_norm, scale: false, offset: false}",
    "{type: dropout, rate: 0.5}",
    "{type: attention, over: raw, score: additive, units: 3}",
    "{type: attention, over: raw, score: dot}",
    "{type: attention, over: kept, values: raw, score: additive, units: 3}",
    "{type: attention, over: kept, values: raw, heads: 2, units: 4}",
    "{type: attention, of: kept, over: raw, heads: 2, projections: false}",
    "{type: attention, over: raw, score: dot, causal: true}",
    "{type: attention, of: kept.state, over: raw, score: dot, output: weights}",
    "{type: attention, of: kept.state, over: raw, score: additive, units: 3, output: scores}",
    "{type: attention, over: raw, score: additive, units: 3, activation: softsign}",
    "{type: attention, over: raw, score: additive, units: 3, activation: softmax, causal: true}",
    "{type: attention, of: raw, over: kept, heads: 2, units: 2, causal: true}",
    "{type: concat, of: [raw, other]}",
    "{type: add, of: [raw, other]}",
    "{type: multiply, of: [raw, other]}",
    (
        "{type: formula, of: {a: raw, b: other}, settings: {k: 0.3}, equations: {"
        "q: 'where(a > b, tanh(a), exp(-b) * k)', y: 'concat(softmax(q), split(a - q, 2, 2))'}}"
    ),
    "{type: formula, of: {a: raw, b: other}, units: 3, equations: {y: tanh(W @ a + c) * (V @ b)}}",
    "{type: repeat, of: kept.state, like: raw}",
    "{type: pool, pooling: last, of: kept}",
    "{type: pool, pooling: {attention: {query: kept.state}}}",
    "{type: pool, pooling: {attention: {units: 2}}}",
    "{type: pool, pooling: [sum, mean, max]}",
    "{type: pool, pooling: {attention: {}}}",
    # Windows behind windows, and what reads the mask behind them.
    (
        "{type: conv, filters: 2, kernel_size: 4, padding: same, dilation: 2, bias: false}; "
        "{type: gru, units: 2, bidirectional: true}; {type: pool, pooling: last}"
    ),
    (
        "{type: conv, filters: 2, kernel_size: 4, stride: 3, padding: same}; "
        "{type: conv, filters: 2, kernel_size: 1, stride: 2, padding: same}; {type: lstm, units: 2}"
    ),
    (
        "{type: conv, filters: 2, kernel_size: 2, stride: 4, padding: same, activation: softmax}; "
        "{type: pool, pooling: [max, mean]}"
    ),
    (
        "{type: max_pool, size: 3, stride: 2, padding: same}; "
        "{type: average_pool, size: 4, stride: 3, padding: same}; {type: lstm, units: 2}"
    ),
    (
        "{type: layer_norm}; {type: simple, units: 2, bidirectional: true, merge: mul}; "
        "{type: conv, filters: 2, kernel_size: 3, padding: causal}; "
        "{type: max_pool, size: 2, stride: 1}"
    ),
    (
        "{type: dense, units: 2, activation: {leaky_relu: 0.1}}; "
        "{type: conv, filters: 2, kernel_size: 3, padding: causal}; "
        "{type: batch_norm, momentum: 0.7, epsilon: 0.01}; "
        "{type: activation, activation: {clipped_relu: 1}}; "
        "{type: dropout, rate: 0.2, variational: true}; {type: dropout, rate: 0.1}; "
        "{type: activation, activation: softmax}"
    ),
)
"""Other layers that take it, and chains of layers."""
AT_THE_START = (LAYERS[0], "{type: batch_norm}", "{type: pool, pooling: sum}")
"""Layers that take what no layer before them has filled."""
UNMASKED = (
    *(layer for layer in LAYERS if "conv" in layer or "_pool" in layer or "type: att" in layer),
    "{type: batch_norm, momentum: 0.7}",
    "{type: instance_norm}",
    "{type: concat, axis: steps, of: [raw, other]}; {type: gru, units: 2, bidirectional: true}",
    "{type: transpose}; {type: max_pool, size: 2, padding: [1, 0]}; {type: normalize}",
    *(
        f"{{type: pool, pooling: {how}}}"
        for how in (*get_args(Statistic), "flatten", "{last_steps: 2}")
        if how != "last"
    ),
    "{type: simple, units: 2, layers: 2}; {type: pool, pooling: last}",
    (
        "{type: lstm, units: 2, bidirectional: true, layer_norm: true}; "
        "{type: pool, pooling: last_step}; {type: repeat, steps: 3}"
    ),
)
"""Layers without padding, of which some take nothing else."""
SEVERAL = (
    "{type: concat, of: [words, power, basin, user]}",
    "{type: add, of: [words, power]}",
    "{type: multiply, of: [power, again]}",
    (
        "{type: formula, of: {p: power, a: again, u: user}, "
        "equations: {y: 'p * softmax(u) - maximum(a, 0.1)'}}"
    ),
    "{type: formula, of: {p: power, u: user}, units: 3, equations: {y: 'W @ p + g * (V @ u)'}}",
    "{type: lstm, units: 2, of: power, initial_state: {h: basin}}",
    "{type: gru, units: 2, of: again, initial_state: {of: read}}",
    "{type: gru, units: 2, of: power, attention: {over: words, score: additive, units: 3}}",
    "{type: attention, of: power, over: plain, score: scaled_dot}",
    "{type: attention, of: user, over: words, score: general}",
    "{type: repeat, of: user, like: power}",
    "{type: pool, of: words, pooling: [mean, {attention: {query: user, units: 2, bias: false}}]}",
    "{type: pool, of: power, pooling: {attention: {query: basin, activation: tanh}}}",
    "{type: concat, of: [begun.state, begun.cell, read.state]}",
)
"""Layers that join, attend to, or begin with what has unlike steps and unlike padding."""
ASKED = {
    "tokens": LAYERS,
    "states": RECURRENT,
    "features": AT_THE_START,
    "unmasked": UNMASKED,
    "several": SEVERAL,
}
CELLS = {
    "mgu": "{from: mgu}",
    "mine": """
    states: [y, state]
    equations:
      g: sigmoid(W_g @ x + U_g @ y + b_g)
      state: 0.9 * state + g * tanh(W @ x + U @ state)
      y: g * tanh(state)""",
}
READS = {
    "several": """\
- {type: add, of: [words, again], name: both}
- {type: add, of: [basin, user], name: vector}
- {type: gru, units: 2, of: plain, initial_state: {h: vector}, name: read}"""
}
"""Layers that read all inputs, if there are several."""
HEAD = (
    "{of: kept, pooling: [sum, max], hidden: [{units: 3}, {type: batch_norm}, {type: normalize}], "
    "units: 2, normalize: l2}"
)
"""A head with keys of its own, beside those that show a layer."""


def network_of(
    source: str, layers: Iterable[str], cells: Mapping[str, str] = CELLS
) -> pipeline.Program | None:
    """Return a network with an output for each layer or chain, or None if no spec has it."""
    lines, heads = list[str](), list[str]()
    for number, chain in enumerate(layers):
        *behind, last = chain.split("; ")
        of = "" if " of:" in chain.partition("; ")[0] else ", of: raw"
        for layer in behind:
            lines.append(f"- {layer[:-1]}{of}}}")
            of = ""
        lines.append(f"- {last[:-1]}, name: l{number}{of}}}")
        heads.append(
            f"  h{number}: {{of: l{number}{'' if '{type: pool,' in last else ', pooling: none'}}}"
        )
    if source in READS:
        heads.append("  h_both: {of: both, pooling: mean}\n  h_read: {of: read}")
    used = [name for name in cells if name == "mgu" or f"type: {name}" in "".join(lines)]
    first = {"several": "power", "tokens": "embedding_1", "states": "embedding_1"}.get(
        source, "input"
    )
    text = "\n".join(
        (
            "version: 1\nname: probe",
            INPUTS[source],
            "cells:",
            *(f"  {name}: {cells[name]}" for name in used),
            "rnn:",
            *([READS[source]] if source in READS else []),
            f"- {{type: dense, units: 2, activation: tanh, of: {first}, name: raw}}",
            "- {type: dense, units: 2, of: raw, name: other}",
            "- {type: mgu, units: 2, of: raw, name: kept}",
            "- {type: dense, units: 2, of: kept.state, name: start}",
            "- {type: lstm, units: 2, of: raw, name: begun}",
            *lines,
            "heads:",
            *(f"  h_{name}: {{of: {name}, pooling: none}}" for name in ("other", "kept", "begun")),
            "  h_start: {of: start}",
            f"  own: {HEAD}",
            *heads,
        )
    )
    try:
        return pipeline.reads(text)
    except SpecError:
        return None


@cache
def network_with(source: str, layer: str) -> pipeline.Program | None:
    """Return a network with an output for one layer, or None if no spec has it."""
    return network_of(source, [layer])


@cache
def probe(name: str, form: Form, source: str) -> pipeline.Program:
    """Return a network with all layers that a backend has in a form."""

    def has(layer: str) -> bool:
        program = network_with(source, layer)
        return program is not None and not refusals(get(name), program.network, form)

    program = network_of(source, filter(has, ASKED[source]))
    assert program is not None
    return program


def filled(network: Network, batch: Any) -> tuple[Network, Any]:
    """Return a network and its batch with another value in padded steps of features."""
    inputs, arrays = list[nodes.Input](), dict(by_name(batch))
    for network_input in network.inputs:
        if isinstance(network_input, nodes.NumericInput) and network_input.masked:
            padded = ~reference.padding_mask(network_input, arrays[network_input.name])
            arrays[network_input.name] = np.where(
                padded[..., None], FILLER, arrays[network_input.name]
            )
            inputs.append(replace(network_input, mask_value=FILLER))
        else:
            inputs.append(network_input)
    return replace(network, inputs=tuple(inputs)), as_batch(arrays)


def of_padding_alone(network: Network, batch: Any) -> Any:
    """Return a batch without a real step in the inputs that have padding."""
    arrays = dict(by_name(batch))
    for network_input in network.inputs:
        if isinstance(network_input, nodes.TokenInput) and network_input.masked:
            arrays[network_input.name] = np.zeros_like(arrays[network_input.name])
        elif isinstance(network_input, nodes.NumericInput) and network_input.masked:
            arrays[network_input.name] = np.full_like(
                arrays[network_input.name], network_input.mask_value
            )
    return as_batch(arrays)


def computed(live: Live, case: Case, learn: Any) -> dict[str, Any]:
    """Return what a model computes at real steps and in vectors, or how it trains."""
    case.reset(live)
    network, real = case.network, case.real(case.batch) > 0.0
    if live.generated.form == "step":
        steps = reference.steps_of(network, case.batch)[network.streams[0]]
        lengths = random_split(steps, np.random.default_rng(3), least_steps(network))
        output = step_through(live.backend, live.model, network, case.batch, lengths)
        return {"output": output[real]}
    if live.generated.form == "inference":
        return {"output": live.runtime.trace(live.model, [], case.batch).output[real]}
    loss, gradients = learn(case.batch, case.target, case.weight)
    for name in padded(network):
        assert not gradients[name][0].any(), f"{name} has a gradient at padding"
    moved = {
        name: live.store.read_one(live.model, name) for name in case.arrays if "moving" in name
    }
    slope = sum(np.vdot(gradients[name], along) for name, along in directions(network).items())
    return {"loss": np.asarray(loss), "slope": np.asarray(slope), **moved}


def check_padding_alone(learn: Any, case: Case) -> None:
    """Check that a batch without a real step gives numbers in training."""
    nothing = of_padding_alone(case.network, case.batch)
    loss, gradients = learn(nothing, case.target, case.real(nothing))
    for array in (np.asarray(loss), *gradients.values()):
        assert np.isfinite(array).all()


class Expected(NamedTuple):
    """A network with arrays and a batch, and what the reference computes of them."""

    network: Network
    arrays: dict[str, Any]
    batch: Any
    truth: reference.FullTrace
    results: dict[str, Any]

    def case(self, program: pipeline.Program, dtype: str, form: Form) -> Case:
        """Return a case for a form of a backend."""
        of = replace(program, network=self.network)
        given = self.arrays, self.batch
        return Case(of, 0, dtype, *given, batch_is_own=True, truth=self.truth, form=form)


@cache
def expect(network: Network, steps: int | None, *, training: bool) -> Expected:
    """Return a network whose padded steps hold what changes no result of the reference.

    Each backend and form that takes the same network is compared with the same results.
    """
    first = with_little_dropout(network)
    batch = draw_batch(first, np.random.default_rng(1), steps or steps_to_draw(first))
    arrays = draw_scaled(first, 1)
    second, other_batch = filled(first, batch)
    others = {
        name: array + (np.arange(len(array)) == 0)[:, None] if name in padded(first) else array
        for name, array in arrays.items()
    }
    plain = _run_reference(first, arrays, batch, training=training)
    # Without padding, both are the same.
    if not nodes.masks(first):
        return plain
    changed = _run_reference(second, others, other_batch, training=training)
    for key, value in plain.results.items():
        assert distance(changed.results[key], value) <= 1e-9, key
    return changed


def _run_reference(
    network: Network, arrays: dict[str, Any], batch: Any, *, training: bool
) -> Expected:
    truth = reference.run(network, arrays, batch)
    expected = Expected(network, arrays, batch, truth, {})
    # No backend is asked, so nothing reads the spec.
    spec: Any = None
    case = expected.case(pipeline.Program(spec, network), "float64", "training")
    if training:
        return expected._replace(results=train_reference(case))
    return expected._replace(results={"output": truth.output[case.real(batch) > 0.0]})


def train_reference(case: Case) -> dict[str, Any]:
    """Return how the reference trains: the loss, its slope, and what batches move.

    Gradients are compared along one random direction of all arrays. The reference takes the
    derivative by a complex step, as ``rnnspec.comparison.training`` does.
    """
    step, along = 1e-30, directions(case.network)
    shifted = {
        name: array + 1j * step * along[name] if name in along else array
        for name, array in case.arrays.items()
    }
    truth = reference.run(case.network, shifted, case.batch, training=True)
    loss = np.sum(case.weight * (truth.output - case.target) ** 2) / 2.0
    moved = {name: array.real for name, array in truth.moved.items()}
    return {"loss": np.asarray(loss.real), "slope": np.asarray(loss.imag / step), **moved}


def directions(network: Network) -> dict[str, Any]:
    """Return a random direction for each array that is trained."""
    rng = np.random.default_rng(2)
    return {
        name: rng.standard_normal(param.shape)
        for name, _, param in named_params(network)
        if param.trainable
    }


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
@pytest.mark.parametrize("source", INPUTS)
def test_padding_does_not_matter_and_the_rest_is_right(name: str, form: Form, source: str) -> None:
    # Keras computes step by step here, and no window needs more of them.
    check(probe(name, form, source), name, form, 6 if source == "states" else None)


def check(program: pipeline.Program, name: str, form: Form, steps: int | None = None) -> None:
    """Check a network in a form of a backend, on a batch of some number of steps."""
    backend = require(name)
    dtype, training = backend.dtypes[0], form == "training"
    expected = expect(program.network, steps, training=training)
    case = expected.case(program, dtype, form)
    live = case.build(backend)
    # One, because frameworks compile each anew.
    learn = gradients_of(live, training=True) if training else None
    results = computed(live, case, learn)
    if training and nodes.masks(case.network):
        check_padding_alone(learn, case)
    assert results.keys() == expected.results.keys()
    for key, value in expected.results.items():
        assert distance(results[key], value) <= (1e-9 if dtype == "float64" else 1e-5), key


def test_every_layer_that_leaves_out_padding_is_run_reference() -> None:
    known = {
        kind
        for name, form in PAIRS
        for source in ("tokens", "states")
        for kind in masked_kinds(probe(name, form, source))
    }
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
        if isinstance(layer, nodes.Embedding) and layer.masked and not layer.shares
    }
