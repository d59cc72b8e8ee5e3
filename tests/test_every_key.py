"""Every key of the language changes the network: none is read and then dropped."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

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
BASES = [
    {key: value for key, value in base.items() if value is not None} for base in (TOKENS, NUMBERS)
]

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
        "mul",
        "ones",
        "orthogonal",
    ),
    *({"uniform": 0.25}, {"normal": 0.25}, {"constant": 0.25}),
]
"""Values to try; a key whose type admits none of them needs one of its own here."""

NO_PART_OF_THE_NETWORK = {
    ("Spec", "version"): "names the language",
    ("RepeatVector", "type"): "tells a repeat from a layer, which has other keys",
    ("Data", "examples"): "is for the advice of rnnspec lint",
    ("Expect", "parameters"): "is a promise, kept before anything is built",
    ("Expect", "max_parameters"): "is a promise, kept before anything is built",
}


def mappings(data: Any, model: Any, place: Place = ()) -> Iterator[tuple[Place, type[BaseModel]]]:
    """Yield the place of each mapping of a spec, with the model that checks it."""
    if isinstance(model, BaseModel):
        yield place, type(model)
        for key in data:
            yield from mappings(data[key], getattr(model, key), (*place, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from mappings(value, model[index], (*place, index))


def changed(base: Data, place: Place, key: str, value: Any) -> Data:
    data = copy.deepcopy(base)
    inside: Any = data
    for step in place:
        inside = inside[step]
    inside[key] = value
    return data


def networks(model: str, key: str) -> Iterator[bool]:
    """Yield, for each other value of a key that is valid somewhere, whether the network changes."""
    for base in BASES:
        before = pipeline.reads(json.dumps(base))
        for place, kind in mappings(base, before.spec):
            if kind.__name__ != model:
                continue
            for value in CANDIDATES:
                try:
                    after = pipeline.reads(json.dumps(changed(base, place, key, value)))
                except SpecError:
                    continue
                if after.spec.model_dump() != before.spec.model_dump():
                    yield after.network != before.network


def holds_mappings(key: str) -> bool:
    """Tell whether the value of a key is a mapping, or several, whose own keys are tried."""
    return any(place and key in place[-2:] for place in PLACES)


PLACES = {
    place for base in BASES for place, _ in mappings(base, pipeline.reads(json.dumps(base)).spec)
}
KEYS = sorted(
    (name, key)
    for name, model in vars(models).items()
    if isinstance(model, type) and issubclass(model, models.Model) and not name.startswith("_")
    for key in model.model_fields
    if not (name in ("Spec", "Head") and holds_mappings(key))
)


@pytest.mark.parametrize(("model", "key"), KEYS, ids=[".".join(each) for each in KEYS])
def test_a_key_changes_the_network(model: str, key: str) -> None:
    found = list(networks(model, key))
    if (model, key) in NO_PART_OF_THE_NETWORK:
        assert not any(found)
        return
    assert found, (
        f"no value of {model}.{key} was tried: add one to CANDIDATES, or the key to a base"
    )
    assert all(found), f"{model}.{key} is accepted and dropped"
