"""Rules that involve several keys: keys that need another key, and keys without effect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rnnspec.errors import listed
from rnnspec.errors.wording import nearest, quoted
from rnnspec.spec.models import (
    LSTM,
    OWN_KEYS,
    RECURRENT,
    Attention,
    AttentionLayer,
    BatchNorm,
    CellLayer,
    Conv,
    Dropout,
    Embedding,
    Head,
    Model,
    Pool,
    RecurrentLayer,
    RepeatVector,
    Spec,
    StepAttention,
    ZooCell,
    is_taken_over,
)
from rnnspec.spec.names import MAX_CELL_NAME_LENGTH
from rnnspec.spec.yaml.text import Path
from rnnspec.spec.zoo import zoo_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.errors import Problem
    from rnnspec.spec.models import AnyLayer, HiddenLayer

MAX_LAYERS = 2_000

UNSOUND = frozenset({"E401", "E402", "E410", "E412", "E433", "E436"})
"""Codes of the rules without which the layers and their shapes are unknown."""

Broken = tuple[Path, str, str]
"""A broken rule: the path of the key, the code and the message."""


_ABOUT_VALUES = frozenset({"E401", "E419", "E433", "E439", "E602"})


def broken_rules(spec: Spec) -> tuple[Problem, ...]:
    """Return a problem for each rule that ``spec`` breaks."""
    return tuple(
        spec.document.problem(path, message, code=code, key=_is_about_key(path, code))
        for rule in _RULES
        for path, code, message in rule(spec)
        # The layer with the arrays has the same problem.
        if not is_taken_over(spec.document, path)
    )


def _is_about_key(path: Path, code: str) -> bool:
    """True if a broken rule is about a key: not the document, an item or a value."""
    return bool(path) and isinstance(path[-1], str) and code not in _ABOUT_VALUES


def _one_kind_of_input(spec: Spec) -> Iterator[Broken]:
    if spec.inputs is not None:
        for key in ("input", "embedding"):
            if spec.writes(key):
                message = (
                    f"{key!r} is for one input, 'inputs' for several by name; remove one of them"
                )
                yield ((key,), "E402", message)
        return
    if spec.stream is not None:
        message = "'stream' has no effect without 'inputs': the only input comes in chunks"
        yield (("stream",), "E436", message)
    if spec.embedding is None and spec.input.features is None:
        message = "expected input.features (numbers) or embedding (tokens), received neither"
        yield ((), "E401", message)
    if spec.embedding is not None and spec.input.features is not None:
        message = "'features' is for numbers, 'embedding' for tokens; remove one of them"
        yield (("input", "features"), "E402", message)


def _named_inputs(spec: Spec) -> Iterator[Broken]:
    for name, declared in (spec.inputs or {}).items():
        path: Path = ("inputs", name)
        if declared.features is None and declared.embedding is None:
            message = "expected features (numbers) or embedding (tokens), received neither"
            yield (path, "E401", message)
        if declared.features is not None and declared.embedding is not None:
            message = "'features' is for numbers, 'embedding' for tokens; remove one of them"
            yield ((*path, "features"), "E402", message)
        if declared.mask_value is not None and declared.embedding is not None:
            message = "'mask_value' is for numbers; for tokens, use 'mask_zero' of the embedding"
            yield ((*path, "mask_value"), "E403", message)
        if declared.per == "step":
            continue
        for key in ("length", "mask_value"):
            if declared.writes(key):
                message = f"{key!r} is for time steps, and with 'per: sequence' there are none"
                yield ((*path, key), "E436", message)
        if isinstance(declared.embedding, Embedding) and declared.embedding.mask_zero:
            message = "'mask_zero' is for time steps, and with 'per: sequence' there are none"
            yield ((*path, "embedding", "mask_zero"), "E436", message)


def _masks(spec: Spec) -> Iterator[Broken]:
    if spec.input.mask_value is not None and spec.input.features is None:
        message = "'mask_value' needs input.features; for tokens, use embedding.mask_zero"
        yield (("input", "mask_value"), "E403", message)
    for path, embedding in spec.embeddings:
        if embedding.mask_zero and embedding.vocabulary == 1:
            message = (
                "with 'mask_zero', token 0 is padding, and a vocabulary of 1 has no other token"
            )
            yield ((*path, "mask_zero"), "E404", message)


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
        if len(name) > MAX_CELL_NAME_LENGTH:
            message = f"expected at most {MAX_CELL_NAME_LENGTH} characters: layers get numbers"
            yield (path, "E430", message)
        elif name not in used:
            yield (path, "E430", f"no layer has the type {name!r}; use the cell or remove it")
        if isinstance(cell, ZooCell) and cell.zoo not in zoo_names():
            # Imported here because a valid spec does not need it.
            from rnnspec.spec.messages.foreign_values import cell_for

            if cell.zoo in RECURRENT:
                hint = f"it is a type of layer: write 'type: {cell.zoo}', without a cell"
            elif meant := cell_for(cell.zoo):
                hint = f"use {meant!r}"
            else:
                near = nearest(cell.zoo, zoo_names())
                hint = f"did you mean {near!r}?" if near else "expected one such as 'peephole_lstm'"
            message = f"unknown cell {quoted(cell.zoo)}; {hint}"
            yield ((*path, "from"), "E433", message)


def _recurrent_layers(spec: Spec) -> Iterator[Broken]:
    for index, layer in _recurrent(spec):
        path = ("rnn", index)
        if layer.writes("merge") and not layer.bidirectional:
            yield ((*path, "merge"), "E406", "'merge' has no effect without 'bidirectional: true'")
        if layer.attention is not None:
            yield from _step_attention(layer, path, "attention")
        if isinstance(layer, CellLayer):
            yield from _asked_memory(layer, path)
        if layer.writes("direction") and layer.bidirectional:
            message = "'direction' has no effect with 'bidirectional: true', which has both"
            yield ((*path, "direction"), "E406", message)
        # A written 'dropout: 0' drops nothing either.
        if layer.writes("variational") and layer.dropout == 0.0:
            yield ((*path, "variational"), "E407", "'variational' has no effect without 'dropout'")


def _step_attention(layer: RecurrentLayer, path: Path, key: str) -> Iterator[Broken]:
    """Yield what does not go with a memory, which a key of the layer gives it."""
    where = (*path, key)
    if layer.bidirectional:
        message = f"{key!r} asks with one state, and 'bidirectional: true' has two"
        yield (where, "E438", message)
    if layer.layers > 1 and key == "attention":
        # One that the equations of a cell ask is asked by each of its layers.
        message = f"{key!r} is of one layer, and this item has 'layers: {layer.layers}'"
        yield (where, "E438", f"{message} (write a layer for each)")
    if layer.recurrent_dropout:
        message = f"'recurrent_dropout' is not supported in a layer with {key!r}"
        yield ((*path, "recurrent_dropout"), "E438", message)


def _asked_memory(layer: CellLayer, path: Path) -> Iterator[Broken]:
    if layer.over is not None:
        yield from _step_attention(layer, path, "over")
        if layer.attention is not None:
            message = "'attention' asks before the cell, and the equations ask what 'over' gives"
            yield ((*path, "attention"), "E438", f"{message}; remove one of them")
    for key in ("score", "score_units", "score_bias"):
        if layer.over is None and layer.writes(key):
            message = f"{key!r} has no effect without 'over', which gives a cell its memory"
            yield ((*path, key), "E438", message)


def _idle_settings(spec: Spec) -> Iterator[Broken]:
    lists: list[tuple[Path, Sequence[AnyLayer | HiddenLayer]]] = [(("rnn",), spec.rnn)]
    for where, head in spec.all_heads:
        lists.append(((*where, "hidden"), head.hidden))
        for index, hidden in enumerate(head.hidden):
            if hidden.of is not None:
                message = "'of' is for layers of 'rnn' and for heads; a hidden layer takes the one "
                message = f"{message}before it"
                yield ((*where, "hidden", index, "of"), "E425", message)
            if getattr(hidden, "shares", None) is not None:
                message = "'shares' is for layers of 'rnn', not for those of a head"
                yield ((*where, "hidden", index, "shares"), "E439", message)
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


def _attention_layer(layer: AttentionLayer, path: Path) -> Iterator[Broken]:
    if layer.writes("activation") and layer.score != "additive":
        message = "'activation' has no effect without 'score: additive', whose sum has one"
        yield ((*path, "activation"), "E438", message)
    if layer.values == layer.over:
        message = "'values' has no effect if it is 'over', whose steps are averaged anyway"
        yield ((*path, "values"), "E438", message)
    if layer.output != "context":
        for key in ("heads", "values"):
            if getattr(layer, key) is not None:
                message = f"'output: {layer.output}' does not go with {key!r}: "
                message += "each head has its own" if key == "heads" else "no steps are averaged"
                yield ((*path, "output"), "E438", message)
    if layer.heads is not None:
        yield from _heads_of(layer, layer.heads, path)
    elif layer.score is None:
        yield (path, "E438", "an attention needs a 'score', or 'heads'")
    elif layer.writes("projections"):
        yield ((*path, "projections"), "E438", "'projections' has no effect without 'heads'")


def _heads_of(layer: AttentionLayer, heads: int, path: Path) -> Iterator[Broken]:
    if layer.score in ("general", "additive"):
        message = f"'heads' score by products, expected dot or scaled_dot, received {layer.score}"
        yield ((*path, "score"), "E438", message)
    if not layer.projections:
        for key in ("units", "bias"):
            if layer.writes(key):
                message = f"{key!r} has no effect with 'projections: false'"
                yield ((*path, key), "E438", message)
    elif layer.units is None:
        message = "'heads' need 'units', the size of their dense layers, or 'projections: false'"
        yield ((*path, "heads"), "E438", message)
    elif layer.units % heads:
        message = f"expected 'units' that 'heads: {heads}' divides, received {layer.units}"
        yield ((*path, "units"), "E438", message)


def _shared_layers(spec: Spec) -> Iterator[Broken]:
    declared = {layer.name: index for index, layer in enumerate(spec.rnn) if layer.name}
    for index, layer in enumerate(spec.rnn):
        name = getattr(layer, "shares", None)
        if name is None:
            continue
        path, at = ("rnn", index, "shares"), declared.get(name)
        if at is None or at >= index:
            yield (path, "E439", _no_layer_to_share(spec, index, name, at))
            continue
        other = spec.rnn[at]
        its = getattr(other, "shares", None)
        if other.type != layer.type:
            message = f"expected a layer of type {layer.type}; {quoted(name)} is of {other.type}"
            yield (path, "E439", message)
        elif its is not None:
            message = f"{quoted(name)} has no arrays of its own; did you mean {quoted(its)}?"
            yield (path, "E439", message)
        elif isinstance(layer, BatchNorm):
            message = (
                "a 'batch_norm' has running statistics, which would be of both inputs: write one "
                "for each"
            )
            yield (path, "E439", message)
        else:
            yield from _other_settings(spec, index, at)


def _no_layer_to_share(spec: Spec, index: int, name: str, at: int | None) -> str:
    layer = spec.rnn[index]
    if at is not None:
        of = "this layer itself" if at == index else "a layer behind this one"
        return f"expected a layer before this one, {quoted(name)} is {of}"
    names = [one.name for one in spec.rnn[:index] if one.type == layer.type and one.name]
    near = nearest(name, names)
    if near:
        hint = f"did you mean {near!r}?"
    else:
        hint = f"expected {listed(names, 'or')}" if names else "give that layer a 'name'"
    return f"no layer before this one has the name {quoted(name)}; {hint}"


def _other_settings(spec: Spec, index: int, at: int) -> Iterator[Broken]:
    """Yield each setting in which a layer differs from the one whose arrays it shares."""
    layer, other = spec.rnn[index], spec.rnn[at]
    for key in type(layer).model_fields:
        own, its = getattr(layer, key), getattr(other, key)
        if key == "initial_state" and "learned" in (own, its) and own != its:
            # It is an array of the layer.
            learned = "learned" if its == "learned" else "no learned states"
            message = f"expected {learned}, as in {quoted(str(other.name))}"
            yield (("rnn", index, key), "E439", message)
        if isinstance(own, StepAttention) and isinstance(its, StepAttention):
            # Another call may attend to another layer.
            its = its.model_copy(update={"over": own.over})
        if key in {*OWN_KEYS, "direction"} or own == its:
            continue
        pairs = {key: (own, its)}
        if key == "settings":
            pairs = {name: (own.get(name), its.get(name)) for name in {**own, **its}}
        for name, (received, expected) in pairs.items():
            if received != expected:
                message = f"expected {_shown(expected)}, as in {quoted(str(other.name))}"
                message = f"{message}; received {_shown(received)}"
                yield (("rnn", index, name), "E439", message)


def _shown(value: object) -> str:
    """Return a value as in a spec; None is a key that is not written."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case Model():
            parts = (f"{key}: {_shown(getattr(value, key))}" for key in value.model_fields_set)
            return f"{{{', '.join(sorted(parts))}}}"
        case _:
            return str(value)


def _scores(spec: Spec) -> Iterator[Broken]:
    attentions: list[tuple[Path, str, AttentionLayer | StepAttention | CellLayer]] = []
    for index, layer in enumerate(spec.rnn):
        if isinstance(layer, AttentionLayer):
            attentions.append((("rnn", index), "", layer))
        elif isinstance(layer, RecurrentLayer) and layer.attention is not None:
            attentions.append((("rnn", index, "attention"), "", layer.attention))
        if isinstance(layer, CellLayer) and layer.over is not None:
            attentions.append((("rnn", index), "score_", layer))
    for path, prefix, scored in attentions:
        if isinstance(scored, AttentionLayer):
            yield from _attention_layer(scored, path)
            if scored.heads is not None or scored.score is None:
                continue
        if scored.score == "additive" and getattr(scored, f"{prefix}units") is None:
            message = f"'score: additive' needs '{prefix}units', the size of what it adds"
            yield ((*path, "score"), "E438", message)
        for key in (f"{prefix}units", f"{prefix}bias"):
            if scored.score != "additive" and scored.writes(key):
                message = f"{key!r} has no effect with 'score: {scored.score}', only with additive"
                yield ((*path, key), "E438", message)


def _repeats(spec: Spec) -> Iterator[Broken]:
    for index, layer in enumerate(spec.rnn):
        if isinstance(layer, RepeatVector) and (layer.steps is None) == (layer.like is None):
            what = "neither" if layer.steps is None else "both"
            message = f"'repeat' needs 'steps' or 'like', received {what}"
            yield (("rnn", index, "type"), "E410", message)


def _recurrent_layer(spec: Spec) -> Iterator[Broken]:
    if not any(isinstance(layer, RecurrentLayer) for layer in spec.rnn):
        message = (
            "expected at least one recurrent layer (simple, lstm, gru or a cell), received none"
        )
        yield (("rnn",), "E420", message)


def _pretrained_vectors(spec: Spec) -> Iterator[Broken]:
    for path, embedding in spec.embeddings:
        if embedding.words is not None and embedding.weights is None:
            yield ((*path, "words"), "E411", "'words' has no effect without 'weights'")
        if embedding.weights is not None and embedding.words is None:
            message = "'weights' needs 'words', a file with the word of each token"
            yield ((*path, "weights"), "E411", message)


# The path rules of all systems at once, so that a spec is valid on all of them or on none.
_OUTSIDE = re.compile(r"[/\\~]|[A-Za-z]:|(.*[/\\])?\.\.([/\\]|$)")


def _paths_inside(spec: Spec) -> Iterator[Broken]:
    if spec.allow_outside:
        return
    for where, embedding in spec.embeddings:
        for key in ("weights", "words"):
            path = getattr(embedding, key)
            if path is not None and _OUTSIDE.match(path):
                message = (
                    f"expected a path inside the folder of the spec, received {quoted(path)}; "
                    "--allow-outside or allow_outside=True allows paths outside it"
                )
                yield ((*where, key), "E602", message)


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
    for path, head in spec.all_heads:
        yield from _head(spec, path, head)
    pools: list[tuple[Path, Pool | Head]] = list(spec.all_heads)
    pools += [(("rnn", i), layer) for i, layer in enumerate(spec.rnn) if isinstance(layer, Pool)]
    for where, pool in pools:
        joins = isinstance(pool.pooling, tuple)
        for index, part in enumerate(pool.pooling if joins else (pool.pooling,)):
            if not isinstance(part, Attention) or part.attention.units is not None:
                continue
            if part.attention.writes("bias"):
                place = (*where, "pooling", index) if joins else (*where, "pooling")
                message = "'bias' has no effect without 'units', the layer it belongs to"
                yield ((*place, "attention", "bias"), "E413", message)


def _head(spec: Spec, path: Path, head: Head) -> Iterator[Broken]:
    is_activated = head.activation != "linear"
    for key in ("name", "activation", "bias", "tied"):
        if head.units is None and head.writes(key):
            if is_activated and key in ("name", "activation"):
                continue
            needed = "'units' or an 'activation'" if key == "name" else "'units'"
            yield ((*path, key), "E413", f"{key!r} has no effect without {needed}")
    if head.tied and head.units is not None and not spec.embeddings:
        message = "'tied' needs an embedding, whose vectors are the kernel of the output layer"
        yield ((*path, "tied"), "E422", message)


def _initializers(spec: Spec) -> Iterator[Broken]:
    # Defaults without effect are normal; only a written value promises an effect.
    written = spec.initializers.model_fields_set
    if "embedding" in written and not spec.embeddings:
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
    _named_inputs,
    _masks,
    _cells,
    _empty_sections,
    _recurrent_layers,
    _idle_settings,
    _shared_layers,
    _scores,
    _repeats,
    _recurrent_layer,
    _pretrained_vectors,
    _paths_inside,
    _number_of_layers,
    _heads,
    _initializers,
)
