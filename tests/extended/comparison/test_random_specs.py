"""Random specs mean the same on every backend, and what finds that they do not."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
from mutation import source_edited
from offered import require_all

import rnnspec
from rnnspec.backends import needs
from rnnspec.comparison.levels import TOLERANCES, levels_up_to
from rnnspec.comparison.random import compare_random, passes
from rnnspec.errors import BackendError, GenerationError, ParityError, UsageError
from rnnspec.spec.models import Data, Expect, Model, Spec
from rnnspec.version import install_package
from rnnspec_random.draw import Texts
from rnnspec_random.strategies import sample, spec_text, specs

# Keras's warning about a softmax over one unit is right, but the language allows it.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*softmax over axis -1:UserWarning")


# From ten on, the last one is not drawn.
@pytest.mark.parametrize(("level", "number"), [("gradients", 10), ("training", 2)])
def test_many_specs_mean_the_same_on_every_backend(level: str, number: int) -> None:
    require_all(needs.level(level))
    steps: list[str] = []
    found = compare_random(number, 21, level=level, progress=steps.append)
    assert found.equal, f"{found.error}\n{found.spec}"
    assert found.compared == number
    assert found.spec == ""
    assert steps == [f"{n} compared" for n in range(number)]
    assert tuple(found.largest) == levels_up_to(level)[1:]
    for each, largest in found.largest.items():
        assert 0.0 < largest < TOLERANCES["float64"][each] / 1000
        assert largest == max(part.largest[each] for part in found.backends.values())
    assert found.as_dict() == {
        "equal": True,
        "compared": number,
        "largest": found.largest,
        "backends": {name: part.as_dict() for name, part in found.backends.items()},
        "spec": "",
        "error": "",
    }


def test_a_fault_is_found_made_small_and_given_back_as_a_spec() -> None:
    pytest.importorskip("torch")
    with source_edited("torch", [("x = state[-1]", "x = -state[-1]")], everywhere=False):
        found = compare_random(120, 2, ["torch"], level="forward")
        assert not found.equal
        again = rnnspec.parity(rnnspec.loads(found.spec), ["torch"], level="forward")
    assert isinstance(found.error, ParityError)
    assert found.error.differences == again.differences
    assert again.differences[0].quantity == "output"
    assert found.as_dict()["spec"] == found.spec
    assert found.as_dict()["error"] == str(found.error)
    small = rnnspec.loads(found.spec)
    assert rnnspec.parity(small, ["torch"], level="forward").equal
    # Few layers, of one unit each after one feature or one token: 12 are those of an LSTM.
    layers = rnnspec.summary(small).layers
    assert len(layers) <= 6
    assert max(layer.parameters for layer in layers) <= 12


def test_ten_random_specs_have_a_maximum_of_negative_numbers_beside_padding() -> None:
    pytest.importorskip("torch")
    text = Texts(10, 0).all()[-1]
    (comparison,) = passes(["torch"], "forward", None)
    assert comparison.compare(text).equal
    with source_edited("torch", [("-3e38", "0.0")]):
        assert not comparison.compare(text).equal


def test_a_spec_that_a_framework_crashes_on_is_given_back_too() -> None:
    pytest.importorskip("torch")
    fault = ("nn.Embedding(", "nn.Embedding(1 / 0, ")
    with source_edited("torch", [fault], everywhere=False):
        found = compare_random(20, 2, ["torch"], level="counts")
    assert isinstance(found.error, GenerationError)
    assert "ZeroDivisionError: division by zero" in str(found.error)
    assert "embedding:" in found.spec


def test_a_seed_draws_the_same_specs_and_another_draws_others() -> None:
    pytest.importorskip("torch")
    one, same, other = (compare_random(5, n, ["torch"], level="forward") for n in (1, 1, 2))
    assert one == same
    assert one.largest != other.largest


@pytest.mark.parametrize(
    ("backends", "level", "message"),
    [
        (["torch"], "everything", "unknown level"),
        (["nosuch"], "forward", "unknown backend"),
        (["torch"], "training", "at least two"),
        ([], "forward", "at least one"),
    ],
)
def test_a_wrong_request_is_no_finding(backends: list[str], level: str, message: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match=message):
        compare_random(3, 0, backends, level=level)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnspec.comparison.random.entry_points", lambda group: ())  # noqa: ARG005
    install = install_package("rnnspec-random", "random_specs")
    with pytest.raises(BackendError, match=f"not installed: {re.escape(install)}$"):
        compare_random(3, 0)


UNDRAWN = {
    ("Embedding", "weights"): "names a file",
    ("Embedding", "words"): "likewise",
    ("InputEmbedding", "weights"): "names a file",
    ("InputEmbedding", "words"): "likewise",
    ("Hidden", "of"): "is an error: a hidden layer reads the one before it",
    ("Hidden", "shares"): "is an error: a hidden layer has arrays of its own",
    ("BatchNorm", "shares"): "is an error: its running statistics would be of two inputs",
    ("Conv", "shares"): "its windows leave other steps; tests/graphs.py has one",
    ("ZooCell", "zoo"): "stands for a cell that is drawn as any other",
    ("Spec", "data"): "is for advice, and no part of the network",
    ("Spec", "expect"): "is a promise, and no part of the network",
}
"""Keys that no random spec has, and why."""


def models_in(value: Any) -> Iterator[Model]:
    """Yield every mapping of a spec."""
    if isinstance(value, Model):
        yield value
        for key in value.model_fields_set:
            yield from models_in(getattr(value, key))
    elif isinstance(value, tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from models_in(item)


def models_of(annotation: Any) -> Iterator[type[Model]]:
    """Yield every model that values of a type consist of."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_of(field.annotation)
    for part in get_args(annotation):
        yield from models_of(part)


def literals_of(annotation: Any) -> Iterator[object]:
    """Yield the values of all literals in a type."""
    for part in get_args(annotation):
        if get_origin(annotation) is Literal:
            yield part
        else:
            yield from literals_of(part)


def test_the_sample_holds_every_word_of_the_language() -> None:
    drawn = defaultdict[tuple[str, str], set[str]](set)
    for text in map(spec_text, sample(specs(), 2000)):
        for model in models_in(rnnspec.loads(text)):
            for key in model.model_fields_set:
                drawn[type(model).__name__, key].add(repr(getattr(model, key)))
    fields = {
        (model.__name__, key): field
        for model in models_of(Spec)
        if model not in (Data, Expect)
        for key, field in model.model_fields.items()
    }
    assert fields.keys() - UNDRAWN.keys() == drawn.keys()
    # Each of many kinds of layers is drawn with few of them, and only a head with all: an
    # exponential overflows unless its input is bounded.
    activations = set[str]().union(*(drawn[place] for place in drawn if place[1] == "activation"))
    for place, field in fields.items():
        words = {repr(word) for word in literals_of(field.annotation)}
        # Cells are a list of their own, with what parsing and backends tell apart, and formulas
        # have a few of their texts.
        if place not in UNDRAWN and place[0] not in ("Cell", "Formula"):
            in_head = "'softmax'" in words
            assert words <= (activations if in_head else drawn[place]), place
