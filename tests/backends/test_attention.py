"""Attention to another sequence, as a layer and in recurrent layers, in all forms of the backends."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from offered import import_later, require

from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.comparison import reference
from rnnspec.comparison.case import Case
from rnnspec.comparison.compare import Comparison
from rnnspec.ir.forms import Form
from rnnspec.weights.initial import draw_scaled

torch = import_later("torch")

SCORES = {
    "dot": "score: dot",
    "scaled": "score: scaled_dot",
    "general": "score: general",
    "additive": "score: additive, units: 3",
}
CELLS = {
    "gru": "type: gru, units: 4, initial_state: {h: bridge}",
    "lstm": "type: lstm, units: 4, initial_state: {h: bridge}, dropout: 0.1",
    "simple": "type: simple, units: 4",
    "reset_first": "type: gru, units: 4, reset_after: false, initial_state: {of: encoder}",
    "functions": "type: lstm, units: 4, activation: elu, recurrent_activation: hard_sigmoid",
    "one_way": "type: gru, units: 4, direction: backward",
    "leaky": "type: leaky, units: 4, initial_state: {h: bridge}",
    "linear": "type: linear, units: 4",
}
TEXT = """\
version: 1
name: translator
inputs:
  source: {{ {length}embedding: {{vocabulary: 6, dim: 3, mask_zero: {source}}} }}
  target: {{ {length}embedding: {{vocabulary: 5, dim: 2, mask_zero: {target}}} }}
stream: target
{cells}rnn:
  - {{type: gru, units: 4, of: source, name: encoder, reset_after: {reset_after}}}
  - {{type: dense, units: 4, activation: tanh, of: encoder.state, name: bridge}}
  - {{{decoder}, of: target, name: decoder, attention: {{over: encoder, {first}}}}}
  - {{type: attention, of: decoder, over: encoder, {second}, name: after}}
  - {{type: attention, of: bridge, over: encoder, {third}, name: summary}}
  - {{type: concat, of: [decoder, decoder.context, after, summary]}}
head: {{pooling: none, units: 5, activation: softmax}}
"""
OWN_CELLS = {
    "leaky": """\
cells:
  leaky:
    states: [h, s]
    equations:
      g: sigmoid(W_g @ x + b_g)
      s: 0.9 * s + W_s @ x + b_s
      h: tanh(U_h @ h + V_h @ x + s) * g
""",
    "linear": """\
cells:
  linear:
    states: [h]
    equations:
      h: W_h @ x + 0.5 * h
""",
}
OTHERS = {
    # A layer attends to itself, and an input to itself.
    "self": """\
version: 1
name: itself
input: {features: 3, mask_value: 0}
rnn:
  - {type: gru, units: 3, name: encoder}
  - {type: attention, of: encoder, over: encoder, score: scaled_dot}
  - {type: attention, over: input, score: additive, units: 2, bias: false}
head: {pooling: [mean, max], units: 2}
""",
    # The last output alone, keys of an input with padding, and contexts that nothing takes.
    "last": """\
version: 1
name: last
inputs:
  source: {features: 3, mask_value: 0}
  target: {features: 2, mask_value: 0}
stream: target
rnn:
  - {type: lstm, units: 2, of: target, attention: {over: source, score: general}, name: one}
  - {type: gru, units: 3, attention: {over: source, score: dot}, name: two}
head: {units: 2}
""",
    # Contexts that a layer attends to, and a memory with the padding of windows.
    "windows": """\
version: 1
name: windows
inputs:
  source: {features: 3, mask_value: 0}
  target: {features: 2}
stream: target
rnn:
  - {type: conv, filters: 3, kernel_size: 3, stride: 2, of: source, name: fewer}
  - {type: simple, units: 3, of: target, attention: {over: fewer, score: dot}, name: one}
  - {type: gru, units: 2, of: one.context, attention: {over: source, score: additive, units: 2}}
head: {pooling: none, units: 2}
""",
}


def _texts() -> dict[str, str]:
    """Return a network for each cell; in all of them, each score meets each mask in each place."""
    texts, scores = dict[str, str](), list(SCORES.values())
    for number, (name, decoder) in enumerate(CELLS.items()):
        first, second, third = (scores[(number + by) % 4] for by in range(3))
        texts[name] = TEXT.format(
            length="length: 7, " if number == 2 else "",
            source="true" if number < 4 else "false",
            target="true" if number % 3 else "false",
            cells=OWN_CELLS.get(name, ""),
            reset_after="false" if name == "reset_first" else "true",
            decoder=decoder,
            first=first,
            second=second,
            third=third,
        )
    return texts | OTHERS


TEXTS = _texts()


@cache
def program(name: str) -> pipeline.Program:
    return pipeline.reads(TEXTS[name])


EACH = [(name, form) for name in ("torch", "onnx") for form in get(name).forms]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("name", "form"), EACH)
def test_equal_to_the_reference(name: str, form: Form, text: str) -> None:
    backend = require(name)
    if refused := refusals(backend, program(text).network, form):
        assert (text, form) in {("self", "step"), ("one_way", "step")}, refused
        return
    case = Case.of(program(text), 0, backend.dtypes[0], None, form)
    for masks in reference.masks(program(text).network, case.batch).values():
        assert not masks.any(axis=1).all(), "without a sequence of padding alone"
    comparison = Comparison(case, "gradients" if form == "training" else "forward")
    comparison.add(backend)
    assert comparison.report().differences == ()
