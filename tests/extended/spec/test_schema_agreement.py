"""The JSON Schema and the validator accept the same documents, except where no schema can."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import yaml
from cases import cases
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnspec
from rnnspec.backends import reserved_names
from rnnspec.errors import SpecError
from rnnspec.spec import json_schema, models
from rnnspec.words import MEANINGS
from rnnspec_random.strategies import spec_text, specs

Data = Any


def remembering(keyword: str) -> Callable[..., tuple[Any, ...]]:
    """Return a keyword that checks a part that many documents share, or a word, once."""
    check = jsonschema.Draft7Validator.VALIDATORS[keyword]
    # With each part itself, so that no other can take its place in memory.
    known = dict[tuple[int, Data], tuple[Data, tuple[Any, ...]]]()

    def remember(validator: Any, value: Data, part: Data, schema: Data) -> tuple[Any, ...]:
        if not isinstance(part, dict | list | str):
            return tuple(check(validator, value, part, schema) or ())
        place = id(schema), part if isinstance(part, str) else id(part)
        if place not in known:
            # One error is enough to refuse it.
            error = next(iter(check(validator, value, part, schema) or ()), None)
            known[place] = part, () if error is None else (error,)
        return known[place][1]

    return remember


VALIDATOR = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft7Validator,
    {each: remembering(each) for each in ("$ref", "allOf", "anyOf", "if")},
)(json_schema.json_schema(reserved_names()))

GRU = {"type": "gru", "units": 4}
REPEAT = {"type": "repeat", "steps": 2}
DENSE = {"type": "dense", "units": 4, "activation": {"leaky_relu": 0.5}}
CONV = {"type": "conv", "filters": 4, "kernel_size": 3}
SPATIAL = {"type": "dropout", "rate": 0.5, "variational": True}
CONCAT = {"type": "concat", "of": ["gru_1", "gru_2"]}
NUMBERS = {"version": 1, "name": "net", "input": {"features": 4}}
TOKENS = {"version": 1, "name": "net", "embedding": {"vocabulary": 5, "dim": 4}}
POOL = {"type": "pool", "pooling": "max"}
ATTENTION = {"type": "attention", "over": "input", "score": "general"}
ATTENDS = {"over": "input", "score": "additive", "units": 2}
CELL_OF = {**DENSE, "of": "gru_1.cell"}
INPUTS = {
    "version": 1,
    "name": "net",
    "inputs": {"one": {"features": 3}, "two": {"features": 2, "per": "sequence"}},
}
JOIN = {"type": "concat", "of": ["one", "two"]}
LAST = {"pooling": "last"}
MINE = {"states": ["h"], "equations": {"h": "tanh(W @ x + b)"}}
OWN = {"type": "mine", "units": 4}

# Reasons for which only the validator refuses a document, each with an example.
UNSAYABLE: list[tuple[str, dict[str, Any]]] = [
    # JSON Schema treats every number without a fraction as an integer, however it is written.
    (
        r"expected an integer, received ('.*', which has|\de\+)",
        {**NUMBERS, "rnn": {**GRU, "units": 4.0}},
    ),
    (r"expected the integer 1, received 1\.0", {**NUMBERS, "version": 1.0, "rnn": GRU}),
    # Properties of the bits of a number, or of its notation.
    (
        r"expected a number that is exact in float32",
        {**NUMBERS, "input": {"features": 4, "mask_value": 0.1}, "rnn": GRU},
    ),
    (
        r"expected an integer of at most 19 digits",
        {**NUMBERS, "rnn": GRU, "expect": {"max_parameters": 10**19}},
    ),
    # What the layer before another one gives.
    (r"'repeat' repeats a vector", {**NUMBERS, "rnn": [GRU, REPEAT, REPEAT, GRU]}),
    (
        r"this layer returns only its final state",
        {**NUMBERS, "rnn": [GRU, {**GRU, "residual": True}], "head": LAST},
    ),
    (r"gives? one vector for each", {**NUMBERS, "rnn": [GRU, POOL, GRU]}),
    (r"'variational' is for the steps", {**NUMBERS, "rnn": [GRU, POOL, SPATIAL]}),
    (
        r"'last'|'pooling: last'(, the default,)? (is the final state|needs the states)",
        {**NUMBERS, "rnn": [GRU, CONV], "head": LAST},
    ),
    (
        r"'normalize' is for one vector",
        {
            **NUMBERS,
            "rnn": [GRU, {**GRU, "of": "input"}, {"type": "add", "of": ["gru_1", "gru_2"]}],
            "head": {"pooling": "none", "normalize": "l2"},
        },
    ),
    (r"needs a fixed number of steps", {**NUMBERS, "rnn": [GRU, {"type": "transpose"}]}),
    (
        r"needs sequences of equal length",
        {
            **NUMBERS,
            "input": {"features": 4, "length": 3, "mask_value": 0},
            "rnn": [GRU, {"type": "transpose"}],
        },
    ),
    (
        r"a window would lie outside the sequence|more windows than steps",
        {**NUMBERS, "rnn": [{**CONV, "padding": [3, 0]}, GRU]},
    ),
    # Defaults that are written beside one that is not.
    (
        r"the list has this pooling already",
        {
            **NUMBERS,
            "rnn": GRU,
            "head": {
                "pooling": [
                    {"attention": {"units": 2}},
                    {"attention": {"units": 2, "activation": "tanh"}},
                ]
            },
        },
    ),
    # The names of layers, and what they are joined with.
    (r"expected a layer before this one", {**NUMBERS, "rnn": [GRU, CONCAT]}),
    (
        r"needs queries and steps of equal size",
        {**NUMBERS, "rnn": {**GRU, "units": 3, "attention": {"over": "input", "score": "dot"}}},
    ),
    (
        r"expected a sequence; '\S+' gives one vector",
        {**NUMBERS, "rnn": [GRU, {**ATTENTION, "of": "input", "over": "gru_1.state"}]},
    ),
    (r"has no part|only a recurrent layer has parts", {**NUMBERS, "rnn": [GRU, CELL_OF]}),
    (
        r"expected (the steps|the \d+ steps|(one feature or )?the \d+ features) of",
        {**NUMBERS, "rnn": [CONV, GRU, {"type": "concat", "of": ["gru_1", "input"]}]},
    ),
    (
        r"no layer reads",
        {**NUMBERS, "rnn": [GRU, GRU, {"type": "concat", "of": ["gru_1", "input"]}]},
    ),
    (r"expected 'of'", {**INPUTS, "rnn": GRU}),
    # The padding and the embedding of which of several inputs a head takes.
    (
        r"may be padding, which",
        {
            **INPUTS,
            "inputs": {"one": {"features": 2, "mask_value": 0}},
            "rnn": GRU,
            "head": {"pooling": "first_step"},
        },
    ),
    (
        r"'tied: true' needs a network with one embedding",
        {
            **INPUTS,
            "inputs": {name: {"embedding": {"vocabulary": 5, "dim": 4}} for name in ("one", "two")},
            "rnn": [JOIN, GRU],
            "head": {"units": 5, "tied": True},
        },
    ),
    (
        r"expected (an input|a vector|the states|a stack|a recurrent layer|a state)",
        {**INPUTS, "stream": "three", "rnn": [JOIN, GRU]},
    ),
    (
        r"missing key 'units', on which",
        {**NUMBERS, "cells": {"mine": MINE}, "rnn": [{"type": "mine"}]},
    ),
    (
        r"may have padding, which would be between",
        {
            **NUMBERS,
            "input": {"features": 4, "mask_value": 0},
            "rnn": [GRU, {"type": "concat", "axis": "steps", "of": ["input", "gru_1"]}],
        },
    ),
    (
        r"vectors begin|no equation reads a state",
        {
            **NUMBERS,
            "cells": {"mine": MINE},
            "rnn": [{**OWN, "initial_state": "learned"}],
        },
    ),
    # The number of steps so far.
    (
        r"'\w+' needs at least \d+ steps",
        {**NUMBERS, "input": {"features": 4, "length": 2}, "rnn": [CONV, GRU]},
    ),
    (
        r"expected at most the \d+ steps of the sequence",
        {
            **NUMBERS,
            "input": {"features": 4, "length": 2},
            "rnn": GRU,
            "head": {"pooling": {"last_steps": 3}},
        },
    ),
    (
        r"the vectors of the embedding have size \d+",
        {**TOKENS, "rnn": {**GRU, "units": 3}, "head": {"units": 5, "tied": True}},
    ),
    (r"the vocabulary has \d+ tokens", {**TOKENS, "rnn": GRU, "head": {"units": 4, "tied": True}}),
    # Paths that an option of the command line allows.
    (
        r"expected a path inside the folder of the spec",
        {
            **TOKENS,
            "embedding": {"vocabulary": 3, "dim": 2, "weights": "../a", "words": "b"},
            "rnn": GRU,
        },
    ),
    # Sums, products, and relations between two values.
    (
        r"expected at most 2000 layers in total",
        {**NUMBERS, "rnn": [{**GRU, "layers": 2_000}, GRU]},
    ),
    (r"too large: ", {**NUMBERS, "rnn": {**GRU, "units": 2**31 - 1}}),
    (r"'residual' needs", {**NUMBERS, "rnn": {"type": "gru", "units": 3, "residual": True}}),
    (r"expected .* parameters", {**NUMBERS, "rnn": GRU, "expect": {"parameters": 1}}),
    (
        r"(another layer|an input) is already named '.*'",
        {**NUMBERS, "rnn": [{**GRU, "name": "one"}, {**GRU, "name": "one"}]},
    ),
    (r"an input is already named '.*'", {**INPUTS, "rnn": [JOIN, {**GRU, "name": "one"}]}),
    (
        r"expected at most 64 characters including the suffixes _1 to _2",
        {**NUMBERS, "rnn": {**GRU, "name": "a" * 64, "layers": 2}},
    ),
    # What the texts of a cell mean, and which layers have a cell.
    (r"\[E429\]$", {**NUMBERS, "cells": {"mine": {**MINE, "states": ["h", "c"]}}, "rnn": OWN}),
    (r"\[E430\]$", {**NUMBERS, "cells": {"mine": MINE}, "rnn": GRU}),
    (
        r"\[E431\]$",
        {**NUMBERS, "cells": {"mine": {**MINE, "settings": {"dt": 1}}}, "rnn": OWN},
    ),
    (
        r"\[E432\]$",
        {**NUMBERS, "cells": {"mine": {**MINE, "sizes": {"h": "memory"}}}, "rnn": OWN},
    ),
    (r"\[E439\]$", {**NUMBERS, "rnn": {**GRU, "shares": "other"}}),
    (r"\[E433\]$", {**NUMBERS, "cells": {"mine": {"from": "no_cell"}}, "rnn": OWN}),
    (
        r"^(unknown )?key .* \[E30[123]\]$",
        {**NUMBERS, "cells": {"mine": MINE}, "rnn": {**OWN, "dt": 1}},
    ),
    (
        r"^unknown type .* \[E30[67]\]$",
        {**NUMBERS, "cells": {"mine": MINE}, "rnn": [OWN, {**OWN, "type": "other"}]},
    ),
]
REASONS = [re.compile(pattern) for pattern, _ in UNSAYABLE]


def refusals(document: Data) -> list[str]:
    """Return the reasons for which the validator refuses a document."""
    try:
        rnnspec.loads(spec_text(document))
    except SpecError as error:
        return [f"{problem.message} [{problem.code}]" for problem in error.problems]
    return []


@cases(("pattern", "document"), UNSAYABLE)
def test_what_a_schema_cannot_say(pattern: str, document: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(document)
    said = refusals(document)
    assert said
    assert all(re.search(pattern, message) for message in said)


def models_below(model: type[models.Model]) -> Iterator[type[models.Model]]:
    for subclass in model.__subclasses__():
        yield subclass
        yield from models_below(subclass)


EXAMPLES = [
    {key: field.examples for key, field in model.model_fields.items() if field.examples}
    for model in models_below(models.Model)
]
"""The example values of each key, by model."""
KEY_POOL = st.sampled_from(sorted({key for keys in EXAMPLES for key in keys} | {"unit", ""}))
NAMES = st.sampled_from(
    [
        *("a", "tagger", "x" * 64, "x" * 65, "Net", "1x", "", "a b", "class", "match", "json"),
        *("int", "value_error", "v_alue_error_", "keras", "forward", "max_1", "self"),
        "stepwise_lstm",
    ]
)
NUMBER_POOL = st.sampled_from(
    [0, 1, 2, 3, 2_000, 2_001, 2**31 - 1, 2**31, -1, 0.0, 1.0, 0.5, 0.1, -0.5, 1e30, 1.1e30]
)
WORDS = sorted({*models.KINDS, *(word for meanings in MEANINGS.values() for word in meanings)})
WORD_POOL = st.sampled_from([*WORDS, "LSTM", "vectors.txt", "a\tb"]) | NAMES
SCALARS = st.none() | st.booleans() | NUMBER_POOL | WORD_POOL
FORMS = st.dictionaries(st.sampled_from(["uniform", "normal", "constant"]), NUMBER_POOL, max_size=2)
LAYERS = st.sampled_from(
    [
        *(GRU, GRU, REPEAT, {"type": "lstm", "units": 2, "bias": False}, DENSE, CONV, SPATIAL),
        *({"type": "batch_norm"}, {"type": "max_pool", "size": 2}, CONCAT),
        *({"type": "activation", "activation": {"clipped_relu": 3}}, {"type": "layer_norm"}),
        *(POOL, JOIN, {"type": "add", "of": ["gru_1", "gru_2"]}, {"type": "normalize"}),
        *(ATTENTION, {**ATTENTION, **ATTENDS}, {**GRU, "attention": ATTENDS}),
        *({**GRU, "initial_state": "learned"}, {**GRU, "of": "input", "direction": "backward"}),
    ]
)
POOLINGS = st.sampled_from(
    [
        *("mean", "flatten", "last_step", "none", {"last_steps": 2}, {"attention": {}}),
        *({"attention": {"units": 2}}, ["mean", "last"], ["last_step", {"attention": {}}]),
        *("first_step", {"attention": {"query": "gru_1.state"}}, [1, 2], {"of": "gru_1"}),
        *({"leaky_relu": 0.5}, {"clipped_relu": 2}, ["gru_1", "input"]),
    ]
)
VALUE_POOL = st.one_of(
    *(SCALARS, SCALARS, FORMS, LAYERS, POOLINGS, st.just({}), st.just([])),
    *(st.lists(LAYERS, max_size=3), st.lists(POOLINGS, max_size=3)),
)


def containers(node: Data) -> list[Data]:
    """Return every mapping and list of a document, the outermost first."""
    if not isinstance(node, dict | list):
        return []
    inner = node.values() if isinstance(node, dict) else node
    return [node, *(container for value in inner for container in containers(value))]


def put(draw: st.DrawFn, node: Data) -> None:
    value = copy.deepcopy(draw(VALUE_POOL))
    if isinstance(node, dict):
        node[draw(KEY_POOL)] = value
    else:
        node.insert(draw(st.integers(0, len(node))), value)


def complete(draw: st.DrawFn, node: Data) -> None:
    """Add a key that this mapping may have, with a plausible value."""
    if node and isinstance(node, dict):
        alike = [keys for keys in EXAMPLES if keys.keys() & node.keys()]
        if items := [item for keys in alike for item in keys.items()]:
            key, examples = draw(st.sampled_from(items))
            node[key] = copy.deepcopy(draw(st.sampled_from(examples)))


def drop(draw: st.DrawFn, node: Data) -> None:
    if node:
        del node[place(draw, node)]


def replace(draw: st.DrawFn, node: Data) -> None:
    if node:
        node[place(draw, node)] = copy.deepcopy(draw(VALUE_POOL))


def rename(draw: st.DrawFn, node: Data) -> None:
    if node and isinstance(node, dict):
        value = node.pop(place(draw, node))
        node[draw(KEY_POOL)] = value


def swap(draw: st.DrawFn, node: Data) -> None:
    if node:
        one, other = place(draw, node), place(draw, node)
        node[one], node[other] = node[other], node[one]


def retype(draw: st.DrawFn, node: Data) -> None:
    """Write a value as another type: 3 as 3.0 or as a string, a layer as a list of one."""
    if node:
        key = place(draw, node)
        value = node[key]
        other: list[Data] = [str(value), [value]]
        if isinstance(value, int):
            other.append(float(value))
        if isinstance(value, list) and value:
            other.append(value[0])
        node[key] = copy.deepcopy(draw(st.sampled_from(other)))


def place(draw: st.DrawFn, node: Data) -> Any:
    return draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))


MUTATIONS: list[Callable[[st.DrawFn, Data], None]] = [
    *(complete, complete, complete, put, drop, replace, rename, swap, retype),
]


@st.composite
def documents(draw: st.DrawFn) -> Data:
    """Draw a valid spec, and change up to three things in it."""
    document = copy.deepcopy(draw(specs()))
    for _ in range(draw(st.integers(0, 3))):
        node = draw(st.sampled_from(containers(document)))
        draw(st.sampled_from(MUTATIONS))(draw, node)
    return document


@settings(max_examples=200)
@given(documents())
def test_they_accept_the_same_documents(document: Data) -> None:
    compare(document)


def compare(document: Data) -> list[str]:
    """Return the reasons for which a document is refused, after asking the schema too."""
    messages = refusals(document)
    if VALIDATOR.is_valid(document):
        unexplained = [m for m in messages if not any(r.search(m) for r in REASONS)]
        assert not unexplained, f"the schema takes {document}"
    else:
        assert messages, f"the schema refuses {document}"
    return messages


# Together they have every key. In the small ones, an initializer affects exactly one place.
BASES = """
version: 1
name: net
description: x
input: {features: 4, length: 3, mask_value: -1.0}
rnn:
  {type: lstm, name: one, units: 4, layers: 1, bidirectional: true, merge: ave, dropout: 0.5,
   variational: false, recurrent_dropout: 0.1, activation: relu, recurrent_activation: tanh,
   bias: true, layer_norm: true, residual: true}
head: {pooling: mean, name: out, units: 1, activation: relu, bias: true}
initializers: {kernel: orthogonal, recurrent: {normal: 1}, forget_bias: 1.0}
---
version: 1
name: net
input: {length: 3}
embedding:
  {name: tokens, vocabulary: 2, dim: 4, mask_zero: true, trainable: false, weights: v, words: w}
rnn:
- {type: simple, units: 4, bidirectional: true, merge: sum, dropout: 0.1, variational: true}
- {type: repeat, name: again, steps: 2}
- {type: gru, units: 4, dropout: 0.1, variational: true, reset_after: false, residual: true}
head:
  pooling: max
  dropout: 0.5
  hidden: [{name: dense, units: 3, activation: softmax, dropout: 0.5}]
initializers: {embedding: {constant: 0}, bias: ones}
data: {examples: 3}
expect: {parameters: 203, max_parameters: 400}
---
{version: 1, name: net, input: {features: 4}, rnn: {type: lstm, units: 4},
 initializers: {forget_bias: 0}}
---
{version: 1, name: net, input: {features: 4}, rnn: [{type: gru, units: 4}, {type: lstm, units: 4}],
 initializers: {forget_bias: 0}}
---
{version: 1, name: net, input: {features: 4}, rnn: {type: gru, units: 4},
 initializers: {bias: {uniform: 1.5}}}
---
{version: 1, name: net, input: {features: 4},
 rnn: [{type: gru, units: 4, bias: false}, {type: simple, units: 4}], initializers: {bias: zeros}}
---
{version: 1, name: net, input: {features: 4}, rnn: {type: gru, units: 4, bias: false},
 head: {units: 1, bias: true}, initializers: {bias: zeros}}
---
{version: 1, name: net, input: {features: 4}, rnn: {type: gru, units: 4, bias: false},
 head: {hidden: [{units: 2}]}, initializers: {bias: zeros}}
---
{version: 1, name: net, embedding: {vocabulary: 5, dim: 4},
 rnn: {type: gru, units: 4, residual: true}}
---
{version: 1, name: net, input: {features: 4}, rnn: {type: gru, units: 4, residual: false},
 head: {pooling: last}}
---
version: 1
name: net
input: {features: 4, length: 9}
rnn:
- {type: batch_norm, name: one, epsilon: 0.1, momentum: 0.5}
- {type: conv, name: two, filters: 4, kernel_size: 3, stride: 1, dilation: 1, padding: causal,
   activation: {leaky_relu: 0.1}, bias: false}
- {type: max_pool, size: 2, stride: 1, padding: same}
- {type: average_pool, name: three, size: 2}
- {type: dropout, rate: 0.5, variational: true}
- {type: layer_norm, epsilon: 0.1}
- {type: gru, units: 4}
- {type: dense, name: four, units: 4, activation: {clipped_relu: 6}, bias: true}
- {type: concat, of: [gru_1, four]}
- {type: activation, activation: relu}
head:
  pooling: flatten
  hidden: [{type: dense, units: 3}, {type: batch_norm, epsilon: 0.1}, {type: dropout, rate: 0.5}]
  units: 2
---
version: 1
name: net
embedding: {vocabulary: 5, dim: 4}
rnn: [{type: gru, units: 4, bias: false}, {type: dense, units: 4, bias: false}]
head: {pooling: none, units: 5, tied: true, bias: false, hidden: [{type: layer_norm}]}
---
version: 1
name: net
embedding: {vocabulary: 5, dim: 4}
rnn: [{type: gru, units: 4, bias: false}]
head: {pooling: [mean, {attention: {units: 2, activation: tanh}}, last]}
initializers: {bias: ones}
---
version: 1
name: net
input: {features: 4, mask_value: 0}
rnn: [{type: gru, units: 4}, {type: repeat, steps: 2}, {type: gru, units: 4}]
head: {pooling: {last_steps: 1}, hidden: [{type: dropout, rate: 0.5, variational: true}]}
---
version: 1
name: net
input: {features: 4, mask_value: 0}
rnn: [{type: gru, units: 4}, {type: dense, units: 4}]
head: {pooling: {attention: {}}}
---
version: 1
name: net
input: {features: 4, length: 3}
rnn: {type: gru, units: 4, bias: false}
heads:
  one: {pooling: mean, name: two, units: 2, bias: true, normalize: l2}
  three: {pooling: none, hidden: [{type: dropout, rate: 0.5, variational: true}]}
  four: {pooling: flatten, hidden: [{type: dropout, rate: 0.5, variational: false}]}
initializers: {bias: ones}
---
version: 1
name: net
inputs:
  one: {length: 3, embedding: {name: tokens, vocabulary: 5, dim: 4, mask_zero: true}}
  two: {length: 3, embedding: one}
  three: {features: 4, per: sequence}
  four: {per: sequence, embedding: {vocabulary: 5, dim: 4, weights: v, words: w}}
  five: {features: 4, mask_value: 0, length: 3, per: step}
stream: one
rnn:
- {type: add, of: [one, two, three, four, five]}
- {type: gru, name: six, units: 4, initial_state: learned}
- {type: gru, units: 4, of: five, initial_state: {of: six}, direction: backward}
- {type: lstm, units: 4, of: five, initial_state: {h: three, c: six.state}}
- {type: gru, units: 4, of: five, initial_state: given}
- {type: multiply, of: [six, gru_2, lstm_1, gru_3]}
- {type: pool, name: seven, pooling: [mean, {attention: {query: three, activation: tanh}}]}
- {type: normalize}
- {type: repeat, like: five}
- {type: instance_norm}
heads:
  eight: {pooling: max, units: 3}
  nine: {of: six, pooling: {attention: {units: 3, bias: false}}}
---
version: 1
name: net
input: {features: 4, length: 6}
rnn:
- {type: conv, filters: 3, kernel_size: 3, padding: [1, 2]}
- {type: max_pool, size: 2, stride: 1, padding: [0, 1]}
- {type: transpose}
- {type: gru, units: 4, bias: false}
- {type: pool, pooling: {attention: {units: 3}}}
head: {pooling: none, normalize: l2}
initializers: {bias: ones}
"""
ANY_VALUES: list[Data] = [
    *(None, True, False, 0, 1, -1, 3.0, 0.5, 1.5, 2**31, 10_001, 1e31, -1e31),
    *("", "x", "X", "tanh", "elu", "softmax", "zeros", "orthogonal", "last", "gru", "repeat"),
    *("class", "int", "max_1", "a\tb", {}, [], GRU, [GRU], [REPEAT], {"normal": 0}, {"units": 1}),
    *("dense", "conv", "flatten", "last_step", "none", {"last_steps": 1}, {"attention": {}}),
    *(["mean", "max"], ["last", {"attention": {"units": 1}}], ["mean", "mean"], ["mean", "none"]),
    *({"leaky_relu": 1}, {"clipped_relu": 0}, [DENSE], CONV, [SPATIAL], ["gru_1", "gru_1"]),
    *("one", "six.state", "learned", "backward", "first_step", {"of": "six"}, {"h": "one"}, [1, 2]),
]
ANY_KEYS = {key: examples[0] for keys in EXAMPLES for key, examples in keys.items()}


NOTHING = object()
OF_ONE_VALUE = re.compile(r"\[E[23]\d\d\]$")
"""The end of a message about a key or a value, whatever stands beside it."""
SEVERAL = 4


def changes(document: dict[str, Any]) -> Iterator[tuple[str, list[str | int], Data]]:
    """Yield every way to change one thing: what it is, its path, and the new value or NOTHING."""
    places: list[tuple[list[str | int], Data]] = [([], document)]
    for path, node in places:
        items = list(node.items() if isinstance(node, dict) else enumerate(node))
        places += [([*path, key], item) for key, item in items if isinstance(item, dict | list)]
        others = [(key, other) for key, _ in items for other in [NOTHING, *ANY_VALUES]]
        if isinstance(node, dict):
            others += [item for item in {"unit": 1, **ANY_KEYS}.items() if item[0] not in node]
        keys = [step for step in path if isinstance(step, str)]
        kind = node.get("type") if isinstance(node, dict) else None
        for key, other in others:
            yield repr((keys, kind, key, other)), [*path, key], other


def changed(document: dict[str, Any], path: list[str | int], value: Data) -> dict[str, Any]:
    """Return a document with one change, which has all other parts of the document."""
    made = document.copy()
    node: Any = made
    for step in path[:-1]:
        node[step] = node[step].copy()
        node = node[step]
    if value is NOTHING:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return made


def test_they_agree_on_all_that_one_change_makes() -> None:
    """Each change is made in several documents, unless the value is wrong in any of them."""
    wrong = set[str]()
    made = Counter[str]()
    for document in yaml.safe_load_all(BASES):
        assert VALIDATOR.is_valid(document)
        assert not refusals(document)
        for change, path, value in changes(document):
            if change not in wrong and made[change] < SEVERAL:
                made[change] += 1
                messages = compare(changed(document, path, value))
                if messages and all(OF_ONE_VALUE.search(message) for message in messages):
                    wrong.add(change)
