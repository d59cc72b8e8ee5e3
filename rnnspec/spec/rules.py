"""Rules that involve several keys: keys that need another key, and keys without effect."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from rnnspec.errors import listed
from rnnspec.spec.models import (
    KINDS,
    LSTM,
    Attention,
    CellLayer,
    Conv,
    Dropout,
    Head,
    PointwiseLayer,
    RecurrentLayer,
    RepeatVector,
    Spec,
    ZooCell,
)
from rnnspec.spec.names import MAX_CELL_NAME_LENGTH
from rnnspec.spec.yaml.text import Path
from rnnspec.spec.zoo import zoo_names
from rnnspec.wording import nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.errors import Problem
    from rnnspec.spec.models import AnyLayer, HiddenLayer

MAX_LAYERS = 2_000

UNSOUND = frozenset({"E401", "E402", "E408", "E410", "E412", "E433"})
"""Codes of the rules without which the layers and their shapes are unknown."""

Broken = tuple[Path, str, str]
"""A broken rule: the path of the key, the code and the message."""


def broken_rules(spec: Spec) -> tuple[Problem, ...]:
    """Return a problem for each rule that ``spec`` breaks."""
    return tuple(
        spec.document.problem(path, message, code=code, key=_is_about_key(path, code))
        for rule in _RULES
        for path, code, message in rule(spec)
    )


def _is_about_key(path: Path, code: str) -> bool:
    """True if a broken rule is about a key: not the document, an item or a value."""
    return bool(path) and isinstance(path[-1], str) and code not in ("E419", "E433", "E602")


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
        if spec.writes(name) and not section.model_fields_set:
            keys = listed(tuple(type(section).model_fields))
            message = f"empty section {name!r} has no effect; its keys are {keys}"
            yield ((name,), "E405", message)


def _cells(spec: Spec) -> Iterator[Broken]:
    used = {layer.type for layer in spec.rnn if isinstance(layer, CellLayer)}
    for name, cell in (spec.cells or {}).items():
        path = ("cells", name)
        if name in KINDS:
            message = f"{name!r} is a type of layer; choose another name for the cell"
            yield (path, "E430", message)
        elif len(name) > MAX_CELL_NAME_LENGTH:
            message = f"expected at most {MAX_CELL_NAME_LENGTH} characters: layers get numbers"
            yield (path, "E430", message)
        elif name not in used:
            yield (path, "E430", f"no layer has the type {name!r}; use the cell or remove it")
        if isinstance(cell, ZooCell) and cell.zoo not in zoo_names():
            near = nearest(cell.zoo, zoo_names())
            hint = f"did you mean {near!r}?" if near else "expected one such as 'peephole_lstm'"
            message = f"unknown cell {quoted(cell.zoo)}; {hint}"
            yield ((*path, "from"), "E433", message)


def _recurrent_layers(spec: Spec) -> Iterator[Broken]:
    for index, layer in _recurrent(spec):
        path = ("rnn", index)
        if layer.writes("merge") and not layer.bidirectional:
            yield ((*path, "merge"), "E406", "'merge' has no effect without 'bidirectional: true'")
        # A written 'dropout: 0' drops nothing either.
        if layer.writes("variational") and layer.dropout == 0.0:
            yield ((*path, "variational"), "E407", "'variational' has no effect without 'dropout'")
        if layer.residual and spec.gives_state(index):
            message = (
                "'residual' adds the input sequence to the output sequence, but this layer returns "
                "only its final state"
            )
            yield ((*path, "residual"), "E408", message)


def _idle_settings(spec: Spec) -> Iterator[Broken]:
    lists: list[tuple[Path, Sequence[AnyLayer | HiddenLayer]]] = [(("rnn",), spec.rnn)]
    lists += [((*path, "hidden"), head.hidden) for path, head in spec.all_heads]
    for path, layers in lists:
        for index, layer in enumerate(layers):
            match layer:
                case Conv(kernel_size=1, dilation=dilation) if dilation > 1:
                    message = f"'dilation: {dilation}' has no effect with 'kernel_size: 1'"
                    message = f"{message}, expected a kernel_size above 1"
                    yield ((*path, index, "dilation"), "E428", message)
                case Dropout(rate=0.0, variational=True):
                    message = "'variational' has no effect with 'rate: 0', expected a rate above 0"
                    yield ((*path, index, "variational"), "E407", message)
                case _:
                    pass


def _repeats(spec: Spec) -> Iterator[Broken]:
    last = len(spec.rnn) - 1
    for index, layer in enumerate(spec.rnn):
        if not isinstance(layer, RepeatVector):
            continue
        path = ("rnn", index, "type")
        before = [layer for layer in spec.rnn[:index] if not isinstance(layer, PointwiseLayer)]
        if not before and index == last:
            message = "'repeat' needs a recurrent layer before it, and a layer after it"
            yield (path, "E410", message)
            continue
        if not before:
            message = "'repeat' cannot be first: it repeats the final state of the layer before it"
            yield (path, "E410", message)
        elif isinstance(before[-1], RepeatVector):
            message = "'repeat' cannot follow another 'repeat'; put a recurrent layer between them"
            yield (path, "E410", message)
        elif not isinstance(before[-1], RecurrentLayer):
            message = (
                f"'repeat' repeats the final state of a recurrent layer, but a {before[-1].type!r}"
            )
            yield (path, "E410", f"{message} is before it")
        if index == last:
            yield (
                path,
                "E410",
                "'repeat' cannot be last: a layer must follow it",
            )


def _recurrent_layer(spec: Spec) -> Iterator[Broken]:
    # A repeat without a recurrent layer before it is misplaced, which is reported.
    if not any(isinstance(layer, RecurrentLayer | RepeatVector) for layer in spec.rnn):
        message = (
            "expected at least one recurrent layer (simple, lstm, gru or a cell), received none"
        )
        yield (("rnn",), "E420", message)


def _may_give_state(spec: Spec) -> bool:
    """True if the heads can take the final state, not the sequence, of the last layer."""
    for layer in reversed(spec.rnn):
        if not isinstance(layer, PointwiseLayer):
            return isinstance(layer, RecurrentLayer) and not layer.residual
        if isinstance(layer, Dropout) and layer.variational:
            return False
    return False


def _final_state(spec: Spec) -> Iterator[Broken]:
    changing = [layer for layer in spec.rnn if not isinstance(layer, PointwiseLayer)]
    if not changing or isinstance(changing[-1], RecurrentLayer):
        return
    for path, head in spec.all_heads:
        if head.pooling == "last":
            written = (
                "'pooling: last'" if head.writes("pooling") else "'pooling: last', the default,"
            )
            message = (
                f"{written} is the final state of a recurrent layer, but a "
                f"{changing[-1].type!r} follows the last one{_advice(spec, head)}"
            )
            yield ((*path, "pooling"), "E421", message)


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
                "--allow-outside or allow_outside=True allows paths outside it"
            )
            yield (("embedding", key), "E602", message)


def _number_of_layers(spec: Spec) -> Iterator[Broken]:
    # 'layers' is limited for each item, but a list may have many items.
    total = sum(getattr(layer, "layers", 1) for layer in spec.rnn)
    if total > MAX_LAYERS:
        message = f"expected at most {MAX_LAYERS} layers in total, received {total}"
        yield (("rnn",), "E412", message)


def _heads(spec: Spec) -> Iterator[Broken]:
    if spec.head is not None and spec.heads is not None:
        message = "'head' is for one output, 'heads' for several by name; remove one of them"
        yield (("heads",), "E427", message)
    shares_state = all(head.pooling == "last" for _, head in spec.all_heads)
    for path, head in spec.all_heads:
        yield from _head(spec, path, head)
        joins = isinstance(head.pooling, tuple)
        for index, part in enumerate(head.poolings):
            where: Path = (*path, "pooling", index) if joins else (*path, "pooling")
            advice = partial(_advice, spec, head, index if joins else None)
            if part in head.poolings[:index]:
                # Without it, a list of two would be a list of one.
                remedy = (
                    "remove it" if len(head.poolings) > 2 else "write it once, without the list"
                )
                yield (where, "E426", f"the list has this pooling already; {remedy}")
            if part == "last_step" and spec.is_padded:
                message = "the last step may be padding, which 'last_step' does not skip"
                yield (where, "E419", message + advice())
            if part == "last" and not shares_state and (reason := _missing_state(spec)):
                yield (where, "E426", f"beside another pooling, 'last' {reason}{advice()}")
            if _is_without_layer(part):
                message = "'activation' has no effect without 'units', the layer it belongs to"
                yield ((*where, "attention", "activation"), "E413", message)


def _is_without_layer(pooling: object) -> bool:
    """True if an attention states the activation of a hidden layer that it has not."""
    if not isinstance(pooling, Attention):
        return False
    return pooling.attention.units is None and pooling.attention.writes("activation")


def _head(spec: Spec, path: Path, head: Head) -> Iterator[Broken]:
    for key in ("name", "activation", "bias", "tied"):
        if head.units is None and head.writes(key):
            yield ((*path, key), "E413", f"{key!r} has no effect without 'units'")
    if head.normalize != "none" and head.gives_steps:
        message = "'normalize' is for one vector, not for one at every time step"
        yield ((*path, "normalize"), "E418", message + _advice(spec, head))
    if head.tied and head.units is not None and spec.embedding is None:
        message = "'tied' needs an embedding, whose vectors are the kernel of the output layer"
        yield ((*path, "tied"), "E422", message)


def _missing_state(spec: Spec) -> str:
    """Return why the final state cannot be read from the sequence that others need too, if so."""
    last = spec.rnn[-1]
    if not isinstance(last, RecurrentLayer) or last.is_followed:
        return (
            "is the final state of the last layer, which must be recurrent and without "
            "'layer_norm' or 'residual'"
        )
    if last.bidirectional and last.merge != "concat":
        return (
            f"needs the states of both directions, which 'merge: {last.merge}' does not keep apart"
        )
    return ""


def _advice(spec: Spec, head: Head, index: int | None = None) -> str:
    """Return which poolings break no rule in place of one, which is item ``index`` of a list."""
    others = () if index is None else head.poolings[:index] + head.poolings[index + 1 :]
    rest = [other for _, other in spec.all_heads if other is not head]
    state = index is None and all(other.pooling == "last" for other in rest)
    possible = {
        "last": (state and _may_give_state(spec)) or not _missing_state(spec),
        "last_step": not spec.is_padded,
        "mean": True,
        "max": True,
        "sum": True,
    }
    names = [name for name in possible if possible[name] and name not in others]
    return f"; use another pooling: {listed(names, 'or')}" if names else "; remove it"


def _initializers(spec: Spec) -> Iterator[Broken]:
    # Defaults without effect are normal; only a written value promises an effect.
    written = spec.initializers.model_fields_set
    if "embedding" in written and spec.embedding is None:
        yield (
            ("initializers", "embedding"),
            "E414",
            "'embedding' has no effect without an embedding",
        )
    # The bias of an LSTM by equations begins as its own cell says.
    if "forget_bias" in written and not any(
        isinstance(layer, LSTM) and layer.bias for _, layer in _recurrent(spec)
    ):
        message = "'forget_bias' has no effect without an LSTM with a bias"
        yield (("initializers", "forget_bias"), "E414", message)


def _recurrent(spec: Spec) -> Iterator[tuple[int, RecurrentLayer]]:
    """Yield each item of ``rnn`` that is recurrent, with its index."""
    for index, layer in enumerate(spec.rnn):
        if isinstance(layer, RecurrentLayer):
            yield (index, layer)


_RULES = (
    _one_kind_of_input,
    _masks,
    _cells,
    _empty_sections,
    _recurrent_layers,
    _idle_settings,
    _repeats,
    _recurrent_layer,
    _final_state,
    _pretrained_vectors,
    _paths_inside,
    _number_of_layers,
    _heads,
    _initializers,
)
