"""Rules that involve several keys: keys that need another key, and keys without effect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rnnspec.errors import listed
from rnnspec.spec.models import LSTM, RecurrentLayer, RepeatVector, Spec
from rnnspec.spec.yaml.text import Path
from rnnspec.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.errors import Problem

MAX_LAYERS = 2_000

UNSOUND = frozenset({"E401", "E402", "E408", "E410", "E412"})
"""Codes of the rules without which no network can be built."""

Broken = tuple[Path, str, str]
"""A broken rule: the path of the key, the code and the message."""


def broken_rules(spec: Spec) -> tuple[Problem, ...]:
    """Return a problem for each rule that ``spec`` breaks."""
    return tuple(
        # E401 is about the document and E602 about a value; all other rules are about a key.
        spec.document.problem(path, message, code=code, key=bool(path) and code != "E602")
        for rule in _RULES
        for path, code, message in rule(spec)
    )


def _one_kind_of_input(spec: Spec) -> Iterator[Broken]:
    if spec.embedding is None and spec.input.features is None:
        message = "expected input.features (numbers) or embedding (tokens), received neither"
        yield ((), "E401", message)
    if spec.embedding is not None and spec.input.features is not None:
        message = "'features' is for numbers, 'embedding' for tokens; remove one of them"
        yield (("input", "features"), "E402", message)


def _masks(spec: Spec) -> Iterator[Broken]:
    if spec.input.mask_value is not None and spec.input.features is None:
        message = "'mask_value' needs input.features; for tokens, use embedding.mask_zero"
        yield (("input", "mask_value"), "E403", message)
    if spec.embedding is not None and spec.embedding.mask_zero and spec.embedding.vocabulary == 1:
        message = "with 'mask_zero', token 0 is padding, and a vocabulary of 1 has no other token"
        yield (("embedding", "mask_zero"), "E404", message)


def _empty_sections(spec: Spec) -> Iterator[Broken]:
    for name in ("input", "initializers", "data", "expect"):
        section = getattr(spec, name)
        if spec.states(name) and not section.model_fields_set:
            keys = listed(tuple(type(section).model_fields))
            message = f"empty section {name!r} has no effect; its keys are {keys}"
            yield ((name,), "E405", message)


def _recurrent_layers(spec: Spec) -> Iterator[Broken]:
    for index, layer in _recurrent(spec):
        path = ("rnn", index)
        if layer.states("merge") and not layer.bidirectional:
            yield ((*path, "merge"), "E406", "'merge' has no effect without 'bidirectional: true'")
        # A written 'dropout: 0' drops nothing either.
        if layer.states("variational") and layer.dropout == 0.0:
            yield ((*path, "variational"), "E407", "'variational' has no effect without 'dropout'")
        if layer.residual and spec.gives_state(index):
            message = (
                "'residual' adds the input sequence to the output sequence, but this layer returns "
                "only its final state"
            )
            yield ((*path, "residual"), "E408", message)


def _repeats(spec: Spec) -> Iterator[Broken]:
    last = len(spec.rnn) - 1
    for index, layer in enumerate(spec.rnn):
        if not isinstance(layer, RepeatVector):
            continue
        path = ("rnn", index, "type")
        if index == 0:
            yield (
                path,
                "E410",
                "'repeat' cannot be first: it repeats the final state of the layer before it",
            )
        elif isinstance(spec.rnn[index - 1], RepeatVector):
            yield (
                path,
                "E410",
                "'repeat' cannot follow another 'repeat'; put a recurrent layer between them",
            )
        if index == last:
            yield (
                path,
                "E410",
                "'repeat' cannot be last: a recurrent layer must follow it",
            )


def _pretrained_vectors(spec: Spec) -> Iterator[Broken]:
    embedding = spec.embedding
    if embedding is None:
        return
    if embedding.words is not None and embedding.weights is None:
        yield (("embedding", "words"), "E411", "'words' has no effect without 'weights'")
    if embedding.weights is not None and embedding.words is None:
        message = "'weights' needs 'words', a file with the word of each token"
        yield (("embedding", "weights"), "E411", message)


# The path rules of all systems at once, so that a spec is valid on all of them or on none.
_OUTSIDE = re.compile(r"[/\\~]|[A-Za-z]:|(.*[/\\])?\.\.([/\\]|$)")


def _paths_inside(spec: Spec) -> Iterator[Broken]:
    if spec.embedding is None or spec.allow_outside:
        return
    for key in ("weights", "words"):
        path = getattr(spec.embedding, key)
        if path is not None and _OUTSIDE.match(path):
            message = (
                f"expected a path inside the folder of the spec, received {quoted(path)}; "
                "--allow-outside allows paths outside it"
            )
            yield (("embedding", key), "E602", message)


def _number_of_layers(spec: Spec) -> Iterator[Broken]:
    # 'layers' is limited for each item, but a list may have many items.
    total = sum(layer.layers for _, layer in _recurrent(spec))
    if total > MAX_LAYERS:
        message = f"expected at most {MAX_LAYERS} recurrent layers in total, received {total}"
        yield (("rnn",), "E412", message)


def _head(spec: Spec) -> Iterator[Broken]:
    head = spec.head
    if head is None:
        return
    for key in ("name", "activation", "bias"):
        if head.units is None and head.states(key):
            yield (("head", key), "E413", f"{key!r} has no effect without 'units'")
    if head.normalize != "none" and head.pooling == "none":
        message = "'normalize' is for one vector, not for one at every time step: use a 'pooling'"
        yield (("head", "normalize"), "E418", message)


def _initializers(spec: Spec) -> Iterator[Broken]:
    # Defaults without effect are normal; only a written value promises an effect.
    written = spec.initializers.model_fields_set
    if "embedding" in written and spec.embedding is None:
        yield (
            ("initializers", "embedding"),
            "E414",
            "'embedding' has no effect without an embedding",
        )
    # Hidden layers always have a bias.
    in_head = spec.head is not None and (
        bool(spec.head.hidden) or (spec.head.units is not None and spec.head.bias)
    )
    if "bias" in written and not (in_head or any(layer.bias for _, layer in _recurrent(spec))):
        yield (("initializers", "bias"), "E414", "'bias' has no effect: no layer has a bias")
    if "forget_bias" in written and not any(
        isinstance(layer, LSTM) and layer.bias for _, layer in _recurrent(spec)
    ):
        message = "'forget_bias' has no effect without an LSTM with a bias"
        yield (("initializers", "forget_bias"), "E414", message)


def _recurrent(spec: Spec) -> Iterator[tuple[int, RecurrentLayer]]:
    """Yield each item of ``rnn`` that is not a repeat, with its index."""
    for index, layer in enumerate(spec.rnn):
        if not isinstance(layer, RepeatVector):
            yield (index, layer)


_RULES = (
    _one_kind_of_input,
    _masks,
    _empty_sections,
    _recurrent_layers,
    _repeats,
    _pretrained_vectors,
    _paths_inside,
    _number_of_layers,
    _head,
    _initializers,
)
