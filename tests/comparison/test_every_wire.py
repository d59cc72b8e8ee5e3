"""Each way from one layer to another is right in each form of each backend.

Beside each right wire is a wrong one with arrays of the same shapes, whose output is another: a
backend that has it is far from the reference.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from comparison.test_every_layer import PAIRS
from offered import require

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.backends.slots import by_name
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch, steps_to_draw
from rnnspec.comparison.levels import distance
from rnnspec.ir.forms import Form
from rnnspec.weights.initial import draw_scaled

LAYERS = """\
version: 1
name: wires
inputs:
  words: {embedding: {vocabulary: 6, dim: 2, mask_zero: true}}
  side: {embedding: words}
stream: words
rnn:
- {type: dense, units: 2, of: words, name: a}
- {type: dense, units: 2, of: a, activation: tanh, name: b}
- {type: dense, units: 2, of: side, name: s}
- {type: lstm, units: 2, of: a, name: lead}
- {type: gru, units: 2, of: a, attention: {over: s, score: dot}, name: seeks}
- {type: lstm, units: 2, of: s, name: begun}
- {type: gru, units: 2, of: s, name: ended}
- {type: dense, units: 2, of: begun.h, name: v}
- {type: dense, units: 2, of: begun.c, name: w}
"""
HEADS = """
heads:
  h_lead: {of: lead, pooling: none}
  h_b: {of: b, pooling: none}
  h_seeks: {of: seeks, pooling: none}
  h_ended: {of: ended.state}
  h_v: {of: v}
  h_w: {of: w}
"""
LSTM, GRU = "type: lstm, units: 2, of: a", "type: gru, units: 2, of: a"
DENSE, SEEKING = "type: dense, units: 2, of:", "attention: {over: side, score: dot}"
WIRES = {
    "no_state": (LSTM, f"{LSTM}, initial_state: {{h: v}}"),
    "from_h": (f"{LSTM}, initial_state: {{h: v}}", f"{LSTM}, initial_state: {{c: v}}"),
    "from_c": (f"{LSTM}, initial_state: {{c: v}}", LSTM),
    "from_both": (
        f"{LSTM}, initial_state: {{h: v, c: w}}",
        f"{LSTM}, initial_state: {{h: w, c: v}}",
    ),
    "of_lstm": (
        f"{LSTM}, initial_state: {{of: begun}}",
        f"{LSTM}, initial_state: {{h: begun.c, c: begun.h}}",
    ),
    "of_gru": (f"{GRU}, initial_state: {{of: ended}}", f"{GRU}, initial_state: {{h: v}}"),
    # Their arrays and inputs are exchanged below.
    "learned": (f"{LSTM}, initial_state: learned", ""),
    "given": (f"{LSTM}, initial_state: given", ""),
    "output": (f"{DENSE} lead", f"{DENSE} seeks"),
    "port_h": (f"{DENSE} lead.h", f"{DENSE} lead.c"),
    "port_c": (f"{DENSE} lead.c", f"{DENSE} lead.h"),
    "context": (f"{DENSE} seeks.context", f"{DENSE} seeks"),
    "over": (f"{GRU}, {SEEKING}", f"{GRU}, {SEEKING.replace('side', 's')}"),
    "over_all": (
        "type: attention, of: a, over: side, score: dot",
        "type: attention, of: a, over: s, score: dot",
    ),
    "values": (
        "type: attention, of: a, over: s, values: side, score: dot",
        "type: attention, of: a, over: side, values: s, score: dot",
    ),
    "heads": (
        "type: attention, of: a, over: s, values: side, heads: 2, projections: false",
        "type: attention, of: a, over: side, values: s, heads: 2, projections: false",
    ),
    "concat": ("type: concat, of: [a, b]", "type: concat, of: [b, a]"),
    "concat_of_states": ("type: concat, of: [v, w]", "type: concat, of: [w, v]"),
    "steps": (
        "type: concat, axis: steps, of: [v, w, w]",
        "type: concat, axis: steps, of: [w, v, v]",
    ),
    "add": ("type: add, of: [a, b]", "type: add, of: [a, a]"),
    "formula": (
        "type: formula, of: {p: a, q: b}, equations: {y: p / (1 + abs(q))}",
        "type: formula, of: {q: a, p: b}, equations: {y: p / (1 + abs(q))}",
    ),
    "multiply": ("type: multiply, of: [a, b]", "type: multiply, of: [b, b]"),
    "tied": (
        "of: lead, pooling: none, units: 6, tied: true",
        "of: seeks, pooling: none, units: 6, tied: true",
    ),
}
"""A layer or a head with each wire, and with a wrong one."""
VECTORS = ("port_h", "port_c", "concat_of_states")


@cache
def network(wires: tuple[tuple[str, str], ...]) -> pipeline.Program:
    """Return a network with an output for each wire."""
    layers, heads = list[str](), list[str]()
    for name, line in wires:
        if line.startswith("of:"):
            heads.append(f"  {name}: {{{line}}}")
            continue
        pooling = "" if name in VECTORS else ", pooling: none"
        # Known before the first chunk, and no output of chunks.
        pooling = ", pooling: flatten" if name == "steps" else pooling
        layers.append(f"- {{{line}, name: {name}}}")
        heads.append(f"  h_{name}: {{of: {name}{pooling}}}")
    return pipeline.reads(LAYERS + "\n".join(layers) + HEADS + "\n".join(heads))


def right(name: str, form: Form) -> pipeline.Program:
    """Return a network with all wires that a backend has in a form."""
    wires = ((wire, lines[0]) for wire, lines in WIRES.items())
    return network(
        tuple(wire for wire in wires if not refusals(get(name), network((wire,)).network, form))
    )


@pytest.mark.parametrize(("name", "form"), PAIRS)
def test_every_wire_is_right(name: str, form: Form) -> None:
    level = "gradients" if form == "training" else "forward"
    dtype, spec = require(name).dtypes[0], right(name, form).spec
    assert rnnspec.parity(spec, [name], level=level, form=form, dtype=dtype).equal


def test_no_backend_lacks_a_wire() -> None:
    for name, form in PAIRS:
        found = {head.removeprefix("h_") for head in right(name, form).network.results}
        assert {*WIRES} <= found, (name, form)


def computed(program: pipeline.Program, arrays: Any = None, batch: Any = None) -> dict[str, Any]:
    """Return the outputs of a network by head."""
    network = program.network
    drawn = draw_batch(network, np.random.default_rng(0), steps_to_draw(network))
    batch = {**by_name(drawn), **(batch or {})}
    arrays = {**draw_scaled(network, 0), **(arrays or {})}
    output = reference.run(network, arrays, batch).output
    shapes = reference.result_shapes(network, batch)
    by_layer = reference.split_outputs(network, output, shapes)
    return {head: by_layer[layer.name] for head, layer in network.results.items()}


@pytest.mark.parametrize("wire", WIRES)
def test_a_wrong_wire_has_another_output(wire: str) -> None:
    good, bad = WIRES[wire]
    program, head = network(((wire, good),)), wire if good.startswith("of:") else f"h_{wire}"
    expected = computed(program)[head]
    if bad:
        wrong = computed(network(((wire, bad),)))
    elif wire == "learned":
        names = [name for name in draw_scaled(program.network, 0) if "initial" in name]
        first, second = (draw_scaled(program.network, 0)[name] for name in names)
        wrong = computed(program, dict(zip(names, (second, first), strict=True)))
    else:
        names = [
            network_input.name
            for network_input in program.network.inputs
            if "given" in network_input.name
        ]
        drawn = draw_batch(
            program.network, np.random.default_rng(0), steps_to_draw(program.network)
        )
        first, second = (by_name(drawn)[name] for name in names)
        wrong = computed(program, batch=dict(zip(names, (second, first), strict=True)))
    assert distance(wrong[head], expected) > 1e-3


def test_heads_are_not_alike() -> None:
    """Else a backend could exchange them."""
    outputs = computed(right("keras", "training"))
    for (one, first), (other, second) in combinations(outputs.items(), 2):
        assert first.shape != second.shape or distance(first, second) > 1e-3, (one, other)
