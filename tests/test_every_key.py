"""Every key of the language changes the network: none is read and then ignored."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from rnnspec import pipeline
from rnnspec.errors import SpecError
from rnnspec.spec import models

Data = dict[str, Any]
Place = tuple[str | int, ...]

CELL = {"units": 4, "bidirectional": True, "dropout": 0.5}
TOKENS: Data = {
    "version": 1,
    "name": "net",
    "input": {"length": 5},
    "embedding": {"vocabulary": 9, "dim": 4, "weights": "v.txt", "words": "w.txt"},
    "rnn": [
        {"type": "lstm", **CELL},
        {"type": "gru", **CELL, "merge": "sum", "layer_norm": {"epsilon": 0.125}},
        {"type": "simple", **CELL, "merge": "sum"},
        {"type": "repeat", "steps": 3},
        {"type": "lstm", "units": 4},
    ],
    "head": {"hidden": [{"units": 3}], "units": 2},
    "initializers": {
        "kernel": {"uniform": 0.5},
        "recurrent": {"normal": 0.5},
        "bias": {"constant": 0.5},
    },
    "data": {"examples": 9},
    "expect": {"max_parameters": 9_999},
}
NUMBERS: Data = {
    **TOKENS,
    "input": {"length": 5, "features": 4, "mask_value": 0.0},
    "embedding": None,
    "rnn": [{"type": kind, "units": 4} for kind in ("simple", "lstm", "gru", "lstm")],
}
# Layers of every type, and a name for each, so that no other type gives the same network.
STACK: Data = {
    "version": 1,
    "name": "net",
    "input": {"length": 24, "features": 4},
    "rnn": [
        {"type": "conv", "filters": 4, "kernel_size": 2},
        {"type": "conv", "filters": 4, "kernel_size": 2, "activation": {"leaky_relu": 0.125}},
        {"type": "max_pool", "size": 4, "stride": 1},
        {"type": "average_pool", "size": 4, "stride": 1},
        {"type": "batch_norm"},
        {"type": "layer_norm"},
        {"type": "instance_norm"},
        {"type": "dropout", "rate": 0.125},
        {"type": "activation", "activation": {"clipped_relu": 4}},
        {"type": "dense", "units": 4, "activation": {"leaky_relu": 0.125}},
        {"type": "gru", "units": 4, "name": "one"},
        {"type": "dense", "units": 4, "name": "two"},
        {"type": "concat", "of": ["two", "one"]},
    ],
    "heads": {
        "three": {
            "pooling": {"last_steps": 1},
            "hidden": [{"type": "dense", "units": 3, "dropout": 0.125}, {"type": "batch_norm"}],
            "units": 2,
        },
        "four": {"pooling": ["mean", {"attention": {"units": 4}}]},
        "five": {"pooling": {"attention": {"units": 4}}},
    },
}
TIED: Data = {
    "version": 1,
    "name": "net",
    "embedding": {"vocabulary": 9, "dim": 4},
    "rnn": {"type": "gru", "units": 4},
    "head": {"units": 9},
}
CELLS: Data = {
    "version": 1,
    "name": "net",
    "input": {"length": 5, "features": 4},
    "cells": {
        "mine": {
            "states": ["h", "m"],
            "equations": [
                {"m": "dt * alpha * (W @ x + b)"},
                {"repeat": 2, "equations": {"h": "tanh(U @ h + V @ m)"}},
            ],
            "output": "h * 0.5",
            "settings": {"dt": 2, "size": 4},
            "sizes": {"m": "size"},
            "parameters": {"alpha": "scalar"},
            "initialize": {"b": "ones"},
        },
    },
    "rnn": [
        {"type": "mine", **CELL, "merge": "sum", "dt": 0.5},
        {"type": "mine", **CELL, "merge": "sum"},
    ],
}
KNOWN: Data = {
    "version": 1,
    "name": "net",
    "input": {"length": 5, "features": 4},
    "cells": {"known": {"from": "peephole_lstm"}},
    "rnn": [
        {"type": "known", **CELL, "merge": "sum"},
        {"type": "known", "units": 4, "dropout": 0.5},
    ],
}
# Every layer reads an input and is read by the join, so that it may read another input as well.
# Those of UNNAMED are read by the next layer, so that they may have any name.
LAYERS: list[Data] = [
    {"type": "simple", "units": 4},
    {"type": "lstm", "units": 4},
    {"type": "gru", "units": 4},
    {"type": "mine", "units": 4},
    {"type": "dense", "units": 4},
    {"type": "conv", "filters": 4, "kernel_size": 2, "padding": "same"},
    {"type": "max_pool", "size": 2, "stride": 1, "padding": "same"},
    {"type": "average_pool", "size": 2, "stride": 1, "padding": "same"},
    {"type": "batch_norm"},
    {"type": "layer_norm"},
    {"type": "instance_norm"},
    {"type": "dropout", "rate": 0.125},
    {"type": "activation", "activation": "relu"},
    {"type": "normalize"},
    {"type": "transpose"},
    {"type": "repeat", "like": "b"},
    {"type": "pool", "pooling": {"attention": {"units": 4}}},
    {"type": "attention", "over": "b", "score": "general"},
    {"type": "attention", "over": "b", "score": "additive", "units": 4},
    {"type": "gru", "units": 4, "attention": {"over": "b", "score": "scaled_dot"}},
    {"type": "asks", "units": 4, "over": {"m": "b"}},
    {"type": "asks", "units": 4, "over": {"m": "b"}, "score": "additive", "score_units": 4},
    {"type": "gru", "units": 4, "attention": {"over": "b", "score": "additive", "units": 4}},
]
UNNAMED: list[Data] = [
    {"type": "transpose", "of": "a"},
    {"type": "normalize", "of": "a"},
    {"type": "pool", "of": "a", "pooling": "max"},
    {"type": "add", "of": ["a", "b", "v"]},
    {"type": "concat", "of": ["a", "b", "v"]},
    {"type": "multiply", "of": ["a", "b", "v"]},
    {"type": "attention", "of": "a", "over": "b", "score": "dot"},
    {"type": "attention", "of": "a", "over": "b", "values": "w", "score": "dot"},
    {"type": "attention", "of": "a", "over": "b", "heads": 2, "units": 4},
    {"type": "attention", "of": "a", "over": "b", "score": "dot", "causal": True},
    {"type": "attention", "of": "a", "over": "b", "score": "dot", "output": "weights"},
    {"type": "attention", "of": "a", "over": "b", "heads": 2, "projections": False},
    {
        "type": "formula",
        "of": {"p": "a", "q": "v"},
        "equations": {"y": "p * q + dt"},
        "settings": {"dt": 0.5},
    },
    {
        "type": "formula",
        "of": {"p": "a", "q": "v"},
        "equations": {"z": "W @ p", "y": "b + k * (V @ concat(z, q))"},
        "sizes": {"z": "units + 1"},
        "parameters": {"k": "scalar"},
        "initialize": {"b": "ones"},
        "units": 4,
    },
]


ASKS: Data = {
    "states": ["h"],
    "memory": ["m"],
    "equations": {"h": "tanh(W @ x + U @ h + V @ attend(h, m))"},
}


def graph(layer: Data, *, named: bool) -> Data:
    """Return a spec with one of the layers, so that it is read in no time."""
    own = {**layer, "of": "c" if layer["type"] == "repeat" else "a"} if named else layer
    return {
        "version": 1,
        "name": "net",
        "inputs": {
            "a": {"length": 4, "features": 4},
            "b": {"length": 4, "features": 4},
            "v": {"features": 4, "per": "sequence"},
            "c": {"features": 4, "per": "sequence"},
            "w": {
                "length": 4,
                "embedding": {"vocabulary": 9, "dim": 4, "weights": "v.txt", "words": "w.txt"},
            },
            "u": {"features": 4},
            "z": {"length": 4, "embedding": "w"},
        },
        "cells": {
            "mine": {"states": ["h"], "equations": {"h": "tanh(W @ x + U @ h)"}},
            **({"asks": ASKS} if layer["type"] == "asks" else {}),
        },
        "rnn": [
            {"type": "mine", "units": 4, "of": "b", "name": "first"},
            *([{**own, "name": "own"}] if named else []),
            *([] if named else [own, {"type": "dense", "units": 4, "name": "own"}]),
            {"type": "concat", "of": ["v", "c", "w", "z", "first", "own"]},
        ],
        "heads": {
            "one": {"pooling": "none"},
            "two": {"of": "u", "pooling": "none", "units": 3},
            "three": {"of": "a", "pooling": "none", "units": 3},
        },
    }


_KEYS_OF: dict[str, Data] = {
    **{kind: {"units": 4} for kind in ("simple", "lstm", "gru", "mine", "dense")},
    "conv": {"filters": 4, "kernel_size": 2, "padding": "same"},
    **{norm: {} for norm in ("layer_norm", "instance_norm", "batch_norm")},
}
SHARED: Data = {
    "version": 1,
    "name": "net",
    "input": {"length": 4, "features": 4},
    "cells": {"mine": {"states": ["h"], "equations": {"h": "tanh(W @ x + U @ h)"}}},
    "rnn": [
        *(
            layer
            for kind, keys in _KEYS_OF.items()
            for layer in (
                {"type": kind, "name": f"a_{kind}", **keys},
                # So that no other layer takes one with a name by default.
                {"type": "activation", "activation": "tanh", "of": f"a_{kind}"},
            )
        ),
        *({"type": kind, **keys} for kind, keys in _KEYS_OF.items()),
    ],
}
CHAINS = [
    {key: value for key, value in base.items() if value is not None}
    for base in (TOKENS, NUMBERS, STACK, TIED, CELLS, KNOWN, SHARED)
]
BASES = [
    *CHAINS,
    *(graph(layer, named=True) for layer in LAYERS),
    *(graph(layer, named=False) for layer in UNNAMED),
]
OWN: Place = ("rnn", 1)
"""The place of the layer of each graph; the first of them asks about the rest as well."""

CANDIDATES: list[Any] = [
    *(True, False, 0.25, 0.5, 1, 2, 3, 8, "other", "other.txt"),
    *(
        "simple",
        "lstm",
        "gru",
        "tanh",
        "relu",
        "softsign",
        "mean",
        "none",
        "l2",
        "mul",
        "ones",
        "orthogonal",
    ),
    *({"uniform": 0.25}, {"normal": 0.25}, {"constant": 0.25}),
    *("same", "causal", "max_pool", "average_pool", "batch_norm", "layer_norm"),
    *(["one", "two"], ["two", "one", "one"], {"six": {"units": 3}}, {"attention": {}}, {}),
    *("mgu", ["m", "h"], ["U"], "h + h", {"h": "tanh(U @ h) + V @ m"}, {"dt": 3, "size": 4}),
    *("a", "b", "v", ["a", "b"], ["b", "a"], {"h": "v"}, {"vocabulary": 9, "dim": 4}),
    *("learned", "given", "backward", "sequence", "add", "multiply", "steps"),
    *("dot", "scaled_dot", "general", "context", "scores", {"over": "a", "score": "general"}),
    *({"p": "b", "q": "v"}, {"y": "q - p + dt"}, {"dt": 2}),
    *("a_simple", "a_lstm", "a_gru", "a_mine", "a_dense", "a_conv"),
    *("a_layer_norm", "a_instance_norm"),
    *({"m": "a"}, {"m": "v"}),
    *({"m": "size"}, {"m": "size + 1"}, {"alpha": ["size"]}, {"b": 3}),
]
"""Values to try. A key that accepts none of them needs a further one."""
FEW = 3
"""How many of them are tried in one place."""

NO_PART_OF_THE_NETWORK = {
    ("Spec", "version"): "names the language",
    ("RepeatVector", "type"): "tells a repeat from a layer, which has other keys",
    ("Hidden", "type"): "tells a dense layer from others, which have other keys",
    ("Conv", "type"): "tells a convolution from others, which have other keys",
    ("Dropout", "type"): "tells a dropout from others, which have other keys",
    ("ActivationLayer", "type"): "tells an activation from others, which have other keys",
    ("AttentionLayer", "type"): "tells an attention from others, which have other keys",
    ("Formula", "type"): "tells a formula from others, which have other keys",
    ("Pool", "type"): "tells a pool from others, which have other keys",
    ("Hidden", "of"): "is refused: a hidden layer takes the one before it",
    ("Hidden", "shares"): "is refused: a hidden layer has arrays of its own",
    ("BatchNorm", "shares"): "is refused: its running statistics would be of two inputs",
    ("Cell", "memory"): "names what a layer gives by the same name, and equations ask",
    ("Data", "examples"): "is for the advice of rnnspec lint",
    ("Expect", "parameters"): "is a promise, kept before anything is built",
    ("Expect", "max_parameters"): "is a promise, kept before anything is built",
}


def mappings(data: Any, model: Any, place: Place = ()) -> Iterator[tuple[Place, type[BaseModel]]]:
    """Yield the place of each mapping of a spec, with the model that validates it."""
    if isinstance(model, BaseModel):
        yield place, type(model)
        for key in data:
            # The settings of a cell are no keys of its layer, and have no mappings.
            yield from mappings(data[key], getattr(model, key, None), (*place, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from mappings(value, model[index], (*place, index))
    elif isinstance(data, dict) and isinstance(model, dict):
        for name, value in data.items():
            yield from mappings(value, model[name], (*place, name))


READ = [pipeline.reads(json.dumps(base)) for base in BASES]
DUMPS = [program.spec.model_dump() for program in READ]
PLACES = [
    {
        place: kind
        for place, kind in mappings(base, program.spec)
        if number <= len(CHAINS) or place[: len(OWN)] == OWN
    }
    for number, (base, program) in enumerate(zip(BASES, READ, strict=True))
]


def changed(base: Data, place: Place, key: str, value: Any) -> Data:
    data = copy.deepcopy(base)
    mapping = inside(data, place)
    mapping[key] = value
    if key == "projections":
        # Only with them do heads have a size.
        mapping.pop("units", None)
        mapping |= {"units": 4} if value else {}
    return data


def inside(data: Any, place: Place) -> Any:
    for step in place:
        data = data[step]
    return data


def may_be(kind: type[BaseModel], mapping: Data, key: str) -> bool:
    """False if a mapping shows by itself that the value of a key is wrong: found in no time."""
    if key == "type":  # another value makes another kind of it
        return True
    try:
        kind.model_validate(mapping)
    except ValidationError as error:
        return all(problem["loc"][:1] != (key,) for problem in error.errors())
    return True


def networks(model: str, key: str, number: int) -> Iterator[bool]:
    """Yield, for other valid values of a key in a base, whether the network changes."""
    for place, kind in PLACES[number].items():
        if kind.__name__ == model:
            # What takes a few values and drops the next has a case for it, which no list finds.
            yield from islice(networks_at(place, kind, key, number), FEW)


def networks_at(place: Place, kind: type[BaseModel], key: str, number: int) -> Iterator[bool]:
    base, mapping = BASES[number], inside(BASES[number], place)
    for value in CANDIDATES:
        if not may_be(kind, {**mapping, key: value}, key):
            continue
        try:
            after = pipeline.reads(json.dumps(changed(base, place, key, value)))
        except SpecError:
            continue
        if after.spec.model_dump() != DUMPS[number]:
            yield after.network != READ[number].network


def holds_mappings(key: str) -> bool:
    """True if the value of a key consists of mappings, whose own keys are tried."""
    return any(place and key in place[-2:] for places in PLACES for place in places)


KEYS = {
    name: [
        field.alias or key
        for key, field in model.model_fields.items()
        if not (name in ("Spec", "Head", "Cell") and holds_mappings(key))
        and field.alias != models.SETTINGS
    ]
    for name, model in vars(models).items()
    if isinstance(model, type) and issubclass(model, models.Model) and not name.startswith("_")
}


@pytest.mark.parametrize("model", [name for name in KEYS if KEYS[name]])
def test_every_key_changes_the_network(model: str) -> None:
    numbers = range(len(BASES))
    chains, graphs = numbers[: len(CHAINS)], numbers[len(CHAINS) :]
    for key in KEYS[model]:
        # Graphs have the keys that no chain has.
        changes = [change for number in chains for change in networks(model, key, number)]
        changes = changes or [change for each in graphs for change in networks(model, key, each)]
        if (model, key) in NO_PART_OF_THE_NETWORK:
            assert not any(changes), key
            continue
        assert changes, f"no value of {model}.{key} was tried: add one to CANDIDATES, or to a base"
        assert all(changes), f"{model}.{key} is accepted and dropped"
