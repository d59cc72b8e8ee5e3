"""A field that is added is noticed by every part that tells of a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields, make_dataclass, replace
from typing import Any

import numpy as np
import pytest
from graphs import GRAPHS
from test_every_field import (
    CELLS,
    CORPUS,
    FIELDS,
    FLAT,
    INVALID,
    JOINED,
    MORE,
    PLAIN,
    REPEATED,
    SEEN,
    STACK,
    TIED,
    VECTORS,
    node_types,
    parts,
    with_value,
)

from rnnspec import pipeline
from rnnspec.backends.torch import plan
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch
from rnnspec.comparison.diff import diff
from rnnspec.errors import ModelError, SpecError
from rnnspec.ir import nodes
from rnnspec.ir.nodes import Network
from rnnspec.pipeline import Program
from rnnspec.raising import raise_spec
from rnnspec.spec.write import dump
from rnnspec.weights.initial import draw_scaled


def computed(program: Program, network: Network) -> Any:
    """Return what the reference computes, or None if the network is invalid."""
    del program
    try:
        batch = draw_batch(network, np.random.default_rng(0))
        output = reference.run(network, draw_scaled(network, 0), batch).output
    except INVALID:
        return None
    return output.shape, output.tobytes()


def compared(program: Program, network: Network) -> Any:
    """Return the differences from the network of the program, or None if there are none to see."""
    try:
        told = diff(program, replace(program, network=network)).as_dict()
    except ModelError as error:
        return str(error)
    except INVALID:
        return None
    # That the networks differ says of no field that it does.
    del told["same"]
    return told


def written(program: Program, network: Network) -> Any:
    """Return the text of the spec of a network, and whether it is a spec of this network."""
    del program
    try:
        text = dump(raise_spec(network))
        return text, pipeline.reads(text).network == network
    except ModelError as error:
        return str(error)
    except (*INVALID, SpecError):
        return None


TELLERS: dict[str, Callable[[Program, Network], Any]] = {
    "reference": computed,
    "diff": compared,
    "raising": written,
}
MASKED = """\
version: 1
name: padded
embedding: {vocabulary: 6, dim: 2, mask_zero: true}
rnn: [{type: lstm, units: 2, bidirectional: true}, {type: gru, units: 4}]
head: {pooling: mean, hidden: [{units: 3}], units: 2, activation: softmax}
"""
CONV = """\
version: 1
name: conv
input: {features: 3}
rnn: [{type: lstm, units: 2}, {type: conv, filters: 2, kernel_size: 2}]
"""
# The second head could take the output of the first as well as that of the stack.
ALIKE = """\
version: 1
name: heads
input: {features: 3}
rnn: {type: gru, units: 4, name: trunk}
heads: {one: {pooling: none, units: 4}, two: {pooling: none, units: 4}}
"""
# Layers that could take another sequence, or another vector, of the same size.
SQUARE = """\
version: 1
name: square
input: {features: 3, length: 3}
rnn: [{type: dense, units: 3, name: scaled}, {type: transpose}, {type: lstm, units: 3}]
head: {pooling: {last_steps: 2}}
"""
BESIDE = """\
version: 1
name: beside
inputs: {one: {features: 2}, style: {features: 2, per: sequence}}
rnn: [{type: dense, of: style, units: 2}, {type: repeat, like: one}, {type: lstm, units: 3}]
"""
# The second head could end with the dense layer of the first as well as with its own.
ENDED = """\
version: 1
name: ended
input: {features: 3}
rnn:
  - {type: gru, units: 4}
  - {type: pool, pooling: max, name: pooled}
  - {type: dense, of: pooled, units: 2, name: scaled}
  - {type: dense, of: pooled, units: 2, name: shifted}
heads: {one: {of: scaled, activation: softmax}, two: {of: shifted, activation: softmax}}
"""
PROGRAMS = [
    *map(pipeline.reads, (MORE, REPEATED, PLAIN, VECTORS, MASKED, STACK, JOINED)),
    *map(pipeline.reads, (FLAT, TIED, CONV, ALIKE, CELLS)),
    *map(pipeline.reads, (SQUARE, BESIDE, ENDED, *GRAPHS)),
]

UNTOLD = {
    # It is given arrays and a batch, and does not train.
    "reference": r"""(?x) .*\.(name|description|trainable|pretrained|rate) | .*dropout
        | .*initializers? | LSTM\.forget_bias | (Constant|Normal|Uniform|Pretrained)\..*
        | Embedding\.(masked|dim) | TokenInput\..* | NumericInput\.(steps|features)
        | Recurrent\.return_sequences | BatchNorm\.(masked|momentum) | Dropout\.variational
        | Recurrent\.state_names | (Join|Append|LearnedFormula)\.inputs | (Vector|Label)Input\..*
        | Network\.streams
        | Embedding\.source | Attention\.memory
        | StepAttention\.(size|width|asked_as|asks)""",
    "diff": r"""(?x) Network\.description | .*\.(masked|start|source|inputs) | Pooling\.backward
        | TokenInput\.(mask_zero|vocabulary) | LabelInput\.vocabulary | VectorInput\.state
        | StepAttention\.asks""",
    "raising": r"""(?x) Network\.description | Embedding\.dim | NumericInput\.features
        | VectorInput\.state | StepAttention\.(width|asks)""",
}
"""The fields that a part has no use for, or that another part of the network decides."""


def ignored(teller: str) -> Iterator[str]:
    """Yield each field of which no other value changes what a part tells."""
    tell = TELLERS[teller]
    told = [(program, tell(program, program.network)) for program in PROGRAMS]
    for kind, field in FIELDS:
        others = (
            (before, tell(program, with_value(program.network, (*place, field), value)))
            for program, before in told
            for place, node in parts(program.network)
            if type(node).__name__ == kind
            for value in SEEN[kind, field]
        )
        elsewhere = re.fullmatch(UNTOLD[teller], f"{kind}.{field}")
        if not elsewhere and not any(after not in (None, before) for before, after in others):
            yield f"{kind}.{field}"


@pytest.mark.parametrize("teller", TELLERS)
def test_every_field_is_told(teller: str) -> None:
    assert not list(ignored(teller))


GROWN = {
    kind: make_dataclass(
        kind.__name__, [("added", float, 0.0)], bases=(kind,), frozen=True, kw_only=True
    )
    for kind in node_types()
}
"""A class with one more field for each class of nodes."""


def with_field(node: Any, value: float) -> Any:
    own = {field.name: getattr(node, field.name) for field in fields(node)}
    return GROWN[type(node)](**own, added=value)


def test_an_added_field_is_told() -> None:
    """``diff`` calls no two networks the same that differ in a field which it does not know.

    No spec is written without it.
    """
    kinds = set(GROWN)
    for program in (*PROGRAMS, *CORPUS):
        places = {type(node): place for place, node in parts(program.network)}
        for kind in kinds & places.keys():
            node = dict(parts(program.network))[places[kind]]
            one, other = (
                with_value(program.network, places[kind], with_field(node, value))
                for value in (0.0, 0.5)
            )
            grown = replace(program, network=one)
            # Layers whose initializers differ have no spec.
            with suppress(ModelError):
                assert not diff(grown, replace(program, network=other)).same, kind
            told = written(program, other)
            assert not isinstance(told, tuple) or not told[1], kind
        kinds -= places.keys()
    assert not kinds


@pytest.mark.parametrize("alike", [plan._alike, plan._drawn_alike])
def test_layers_that_differ_in_an_added_field_are_not_fused(alike: Callable[..., bool]) -> None:
    text = "version: 1\nname: net\ninput: {features: 2}\nrnn: {type: lstm, units: 2, layers: 2}\n"
    one, other = pipeline.reads(text).network.layers
    assert isinstance(one, nodes.Recurrent)
    assert isinstance(other, nodes.Recurrent)
    assert alike(one, replace(other, input=one.input))
    assert not alike(with_field(one, 0.5), with_field(other, 0.25))
    cells = with_field(one.cell, 0.5), with_field(other.cell, 0.25)
    assert not alike(replace(one, cell=cells[0]), replace(other, cell=cells[1]))
