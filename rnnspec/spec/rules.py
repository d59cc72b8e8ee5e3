"""What no key alone decides: keys that need another one, and keys without effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.spec.models import LSTM, Spec
from rnnspec.spec.places import Path
from rnnspec.spec.wording import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.errors import Problem

MAX_LAYERS = 10_000

Broken = tuple[Path, str]
"""The path of the key that breaks a rule, and what is wrong with it."""


def broken_rules(spec: Spec) -> tuple[Problem, ...]:
    """Return a problem for each rule that ``spec`` breaks."""
    return tuple(
        # What lacks a key is the document or a section; all else is about a key that is there.
        spec.document.problem(path, message, key=bool(path))
        for rule in _RULES
        for path, message in rule(spec)
    )


def _one_kind_of_input(spec: Spec) -> Iterator[Broken]:
    if spec.embedding is None and spec.input.features is None:
        message = "expected input.features (numbers) or embedding (tokens), received neither"
        yield ((), message)
    if spec.embedding is not None and spec.input.features is not None:
        message = "'features' is for numbers and embedding for tokens; leave one out"
        yield (("input", "features"), message)


def _empty_sections(spec: Spec) -> Iterator[Broken]:
    for name in ("input", "initializers", "expect"):
        section = getattr(spec, name)
        if spec.states(name) and not section.model_fields_set:
            keys = listed(tuple(type(section).model_fields))
            yield ((name,), f"{name!r} has no effect when empty; its keys are {keys}")


def _recurrent_layers(spec: Spec) -> Iterator[Broken]:
    for index, layer in enumerate(spec.rnn):
        path = ("rnn", index)
        if layer.states("merge") and not layer.bidirectional:
            yield ((*path, "merge"), "'merge' has no effect without 'bidirectional: true'")
        if layer.states("variational") and layer.dropout == 0.0:
            yield ((*path, "variational"), "'variational' has no effect without 'dropout'")


def _number_of_layers(spec: Spec) -> Iterator[Broken]:
    total = sum(layer.layers for layer in spec.rnn)
    if total > MAX_LAYERS:
        message = f"expected at most {MAX_LAYERS} recurrent layers in all, received {total}"
        yield (("rnn",), message)


def _output_layer(spec: Spec) -> Iterator[Broken]:
    if spec.head is None or spec.head.units is not None:
        return
    for key in ("name", "activation", "bias"):
        if spec.head.states(key):
            yield (("head", key), f"{key!r} has no effect without 'units'")


def _initializers(spec: Spec) -> Iterator[Broken]:
    stated = spec.initializers.model_fields_set
    if "embedding" in stated and spec.embedding is None:
        yield (("initializers", "embedding"), "'embedding' has no effect without an embedding")
    if "bias" in stated and not _has_bias(spec):
        yield (("initializers", "bias"), "'bias' has no effect: no layer has a bias")
    if "forget_bias" in stated and not any(
        isinstance(layer, LSTM) and layer.bias for layer in spec.rnn
    ):
        message = "'forget_bias' has no effect without an lstm that has a bias"
        yield (("initializers", "forget_bias"), message)


def _has_bias(spec: Spec) -> bool:
    in_head = spec.head is not None and (
        bool(spec.head.hidden) or (spec.head.units is not None and spec.head.bias)
    )
    return in_head or any(layer.bias for layer in spec.rnn)


_RULES = (
    _one_kind_of_input,
    _empty_sections,
    _recurrent_layers,
    _number_of_layers,
    _output_layer,
    _initializers,
)
