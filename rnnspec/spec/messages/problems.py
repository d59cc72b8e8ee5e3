"""Conversion of pydantic's errors to problems, with a hint at what was probably meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rnnspec.errors import listed
from rnnspec.errors.wording import nearest, no_guess, quoted
from rnnspec.spec import models
from rnnspec.spec.messages.foreign_keys import is_answered, key_beside, key_for
from rnnspec.spec.messages.foreign_values import type_for
from rnnspec.spec.messages.values import (
    example_layer,
    invalid_value,
    meant_type,
    unknown_value,
    without_space,
)
from rnnspec.spec.zoo import settings_of_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

    from rnnspec.errors import Problem
    from rnnspec.errors.wording import Guess
    from rnnspec.spec.yaml.document import Document
    from rnnspec.spec.yaml.text import Path

_GUESSES = 50
"""Maximum number of searches for a similar name: more of them take seconds."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The problems of a document, and the document that was probably meant.

    ``slips`` are the problems with a known correction. ``corrected`` is the document with these
    corrections, so that the values behind them can be checked too, or None if there are none.
    """

    problems: tuple[Problem, ...]
    slips: tuple[Problem, ...]
    corrected: Document | None


def find_problems(error: ValidationError, document: Document) -> Findings:
    """Return the problems of pydantic's errors, except consequences of faults in ``document``."""
    details = error.errors(include_url=False)
    cells = {detail["input"] for detail in details if detail["type"] == "cell_taken"}
    settings = {detail["input"] for detail in details if detail["type"] == "setting_taken"}
    flaws = [
        _flaw(detail, document, nearest if number < _GUESSES else no_guess)
        for number, detail in enumerate(
            detail
            for detail in details
            # pydantic also reports a list as too short because its items are invalid.
            if (detail["type"] != "too_short" or len(detail["input"]) < detail["ctx"]["min_length"])
            and not _is_consequence(detail["loc"], cells, settings)
            and not models.is_taken_over(document, _path(detail["loc"]))
        )
    ]
    slips = _slips(flaws, document)
    keys = {flaw.path: flaw.meant for flaw in slips if flaw.key}
    values = {flaw.path: flaw.meant for flaw in slips if not flaw.key}
    corrected = document.correct(keys, values) if slips else None
    return Findings(_problems(flaws, document), _problems(slips, document), corrected)


def _is_consequence(loc: Path, cells: set[str], settings: set[str]) -> bool:
    """True for a layer that is meant to have a cell, or a key that is meant to be a setting.

    ``cells`` and ``settings`` are those whose names are refused.
    """
    match loc:
        case ("rnn", _, kind, *_) if kind in cells:
            return True
        case ("rnn", _, "cell", key, *_):
            return key in settings
        case _:
            return False


def _slips(flaws: Sequence[_Flaw], document: Document) -> list[_Flaw]:
    """Return the flaws with a known correction, and only the first with the same correction."""
    slips: dict[Path, _Flaw] = {}
    for flaw in flaws:
        meant = (*flaw.path[:-1], flaw.meant) if flaw.key else flaw.path
        # A correction is useless if the key has no value to check.
        if (
            flaw.meant
            and flaw.certain
            and not (flaw.key and document.contains(meant))
            and document.has_value(flaw.path)
        ):
            slips.setdefault(meant, flaw)
    return list(slips.values())


def _problems(flaws: Sequence[_Flaw], document: Document) -> tuple[Problem, ...]:
    faulty = {fault.path for fault in document.faults if not fault.key}
    incomplete = {fault.path[:-1] for fault in document.faults if fault.hides_keys}
    meant = {(*flaw.path[:-1], flaw.meant) for flaw in flaws if flaw.meant and flaw.key}
    # A key is not reported as missing if a fault hides it, or if it is there but misspelled.
    return tuple(
        document.problem(flaw.path, flaw.message, code=flaw.code, key=flaw.key)
        for flaw in flaws
        if (flaw.key or document.steps(flaw.path) not in faulty)
        and not (flaw.missing and document.steps(flaw.path) in incomplete)
        and not (flaw.missing and (*flaw.path, flaw.missing) in meant)
    )


@dataclass(frozen=True, slots=True)
class _Flaw:
    """One of pydantic's errors, about the value at ``path`` or, with ``key``, about the key.

    ``missing`` is the key that a mapping lacks; ``meant`` is the key or the type that was probably
    meant, and ``certain`` is whether its value would be the one that is there.
    """

    path: Path
    code: str
    message: str
    key: bool = False
    missing: str = ""
    meant: str = ""
    certain: bool = True


def _flaw(detail: ErrorDetails, document: Document, guess: Guess) -> _Flaw:
    path = _path(detail["loc"])
    match detail["type"]:
        case "extra_forbidden":
            return _unknown_key(detail["loc"], path, document, guess)
        case "missing":
            key = str(path[-1])
            hint = _POOLED if key == "over" and len(path) == len(("rnn", 0, "over")) else ""
            if path[:1] == ("rnn",) and len(path) == len(("rnn", 0, "units")):
                hint = hint or _nothing_shared(document, path)
            return _Flaw(path[:-1], "E304", f"missing key {key!r}{hint}", missing=key)
        case "union_tag_not_found" if path[:1] == ("rnn",) and len(path) == len(("rnn", 0)):
            return _missing_type(path, detail["input"], guess)
        case "union_tag_invalid" | "union_tag_not_found" if path[-2:-1] in (("rnn",), ("hidden",)):
            value = detail["input"]["type"]
            kinds = tuple(models.KINDS if path[0] == "rnn" else models.HIDDEN)
            if path[0] == "rnn":
                kinds += tuple(settings_of_cells(document.data))
            meant = meant_type(value, kinds, guess) if isinstance(value, str) else None
            if layer := meant in models.KINDS and _layer_instead(meant, path, detail["input"]):
                place = " after a recurrent layer" if meant == "repeat" else ""
                message = f"unknown type {quoted(value)}; write {layer}{place}"
                return _Flaw((*path, "type"), "E307", message)
            code, message = unknown_value("type", value, kinds, guess)
            return _Flaw((*path, "type"), code, message, meant=meant or "")
        case "too_short" if path in (("heads",), ("inputs",)):
            # A name that is no string is reported, and then the mapping is not empty.
            return _Flaw(path, *invalid_value(detail, path, document, guess), missing="name")
        case _ if path[-1:] == ("[key]",):
            return _Flaw(path[:-1], *invalid_value(detail, path, document, guess), key=True)
        case _:
            return _Flaw(path, *invalid_value(detail, path, document, guess))


def _nothing_shared(document: Document, path: Path) -> str:
    """Return a hint for a layer that lacks a key, which that with its arrays would have."""
    layer = document.value(path[:-1])
    name = layer.get("shares") if isinstance(layer, dict) else None
    if not isinstance(name, str):
        return ""
    return f"; no {layer.get('type')} before this one has the name {quoted(name)}"


_POOLED = (
    ", what the layer attends to; attention over the steps of one sequence is a pooling: "
    "write 'pooling: {attention: {units: 64}}' in head"
)


def _layer_instead(kind: str, path: Path, layer: dict[str, Any]) -> str:
    """Return a layer of type ``kind`` to write instead of a foreign one, or nothing.

    There is one if ``layer`` lacks keys that ``kind`` needs, so that more than the type is to
    change, and for a repeat, which has only one key.
    """
    # The other keys of a misspelled type are probably right.
    if type_for(layer["type"]) is None:
        return ""
    fields = models.KINDS[kind].model_fields
    part = "rnn" if kind in models.RECURRENT else kind
    values = dict[str, Any]()
    for key, value in list(layer.items())[:_GUESSES]:
        known = None if key in fields else key_for(key, str(path[0]), part, tuple(fields))
        values[known[1] if known else nearest(key, fields) or key] = value
    needed = {key for key, field in fields.items() if field.is_required()}
    return example_layer(kind, values) if kind == "repeat" or needed - values.keys() else ""


def _path(loc: Path) -> Path:
    """Return ``loc`` without the tag that pydantic adds after the position of each union."""
    path: Path = ()
    tagged = False
    for step in loc:
        if step == models.SETTINGS or step in models.OF:
            continue
        # An error about a key has no tag.
        path = path if tagged and step != "[key]" else (*path, step)
        tagged = not tagged and _is_union(path)
    return path


def _is_union(path: Path) -> bool:
    match path:
        case ("heads" | "inputs", _):
            return False
        case (*_, "padding" | "initial_state" | "tied") | ("inputs", _, "embedding") | ("stream",):
            return True
        case ("rnn" | "initializers", _) | ("rnn", _, "layer_norm") | (*_, "hidden", int()):
            return True
        case ("cells", _) | ("cells", _, "equations") | ("cells", _, "equations", int()):
            return True
        case ("cells", _, "parameters" | "initialize", _):
            return True
        case ("cells", *_):
            return False
        case (*_, "activation" | "pooling") | (*_, "pooling", int()):
            return True
        case _:
            return False


def _model(loc: Path) -> type[models.Model]:  # noqa: PLR0912 - a branch for each mapping
    """Return the model of the mapping at ``loc``, which includes pydantic's tags."""
    match loc:
        case ("rnn", _, str() as kind):
            return models.KINDS.get(kind, models.CellLayer)
        case ("cells", _, "from"):
            return models.ZooCell
        case ("cells", _, "cell"):
            return models.Cell
        case ("cells", _, "cell", "equations", "list", _, "repeat"):
            return models.EquationBlock
        case ("cells", _, "cell", "initialize", _, str() as form):
            return models.FORMS[form]
        case ("rnn", _, _, "layer_norm", _):
            return models.LayerNorm
        case ("rnn", _, _, "attention"):
            return models.StepAttention
        case ("initializers", _, str() as form):
            return models.FORMS[form]
        case ("heads", _):
            return models.Head
        case ("inputs", _):
            return models.NamedInput
        case ("inputs", _, "embedding", _):
            return models.InputEmbedding
        case (*_, "hidden", int(), str() as kind):
            return models.HIDDEN[kind]
        case (*_, "activation", str() as form):
            return models.ACTIVATION_FORMS[form]
        case (*_, "attention", "attention"):
            return models.AttentionSettings
        case (*_, "last_steps" | "attention" as form):
            return models.POOLING_FORMS[form]
        case (str() as section,):
            return models.SECTIONS[section]
        case _:
            return models.Spec


def _unknown_key(loc: Path, path: Path, document: Document, guess: Guess) -> _Flaw:
    key, part = str(loc[-1]), _part(loc[:-1])
    model = _model(loc[:-1])
    allowed = tuple(field.alias or name for name, field in model.model_fields.items())
    kind = str(loc[-2]) if len(loc) > 1 else ""
    if model is models.CellLayer:
        # The settings of its cell are keys of a layer.
        cells = settings_of_cells(document.data)
        kind = str(document.value((*path[:-1], "type")))
        allowed = (*(name for name in allowed if name != models.SETTINGS), *sorted(cells[kind]))
    if (name := without_space(key)) in allowed:
        return _without_space(path, name)
    # Before the search for similar keys: this one is spelled correctly, but belongs to another
    # type.
    if "type" in allowed and not is_answered(key, _section(loc), part, allowed):
        kinds = models.KINDS if loc[0] == "rnn" else models.HIDDEN
        if others := [kind for kind, model in kinds.items() if key in model.model_fields]:
            gates = (kind, key) == ("simple", "recurrent_activation")
            reason = ", which has no gates" if gates else ""
            message = f"key {key!r} is not available for type {kind!r}{reason}"
            return _Flaw(path, "E303", f"{message}; only for {listed(others)}", key=True)
    # The only key of a mapping, with another one that could be.
    if len(allowed) == 1 and key in _FORMS:
        message = f"{key!r} cannot be combined with {allowed[0]!r}; keep one of them"
        return _Flaw(path, "E314", message, key=True)
    if why := key_beside(key, part, document.value(path[:-1])):
        return _Flaw(path, "E302", f"unknown key {quoted(key)}; {why}", key=True)
    code, hint, meant = _hint(key, loc, allowed, guess)
    # Otherwise the hint names a value too, because this one is that of another key.
    certain = hint.startswith((f"use {meant!r}", f"did you mean {meant!r}"))
    message = f"unknown key {quoted(key)}; {hint}"
    return _Flaw(path, code, message, key=True, meant=meant, certain=certain)


_FORMS = {**models.FORMS, **models.ACTIVATION_FORMS, **models.POOLING_FORMS}


def _section(loc: Path) -> str:
    """Return the name of the section that ``loc`` is in, where ``heads`` are as ``head``."""
    match loc:
        case (_,):
            return ""
        case ("inputs", _, *inside):
            return "embedding" if inside[:1] == ["embedding"] else "input"
        case _:
            pass
    return "head" if loc[0] == "heads" and len(loc) > len(("heads", "name")) else str(loc[0])


def _part(loc: Path) -> str:
    """Return the name of the mapping at ``loc``: a section, a type of layer, or a part of one."""
    match loc:
        case ("rnn", _, str() as kind):
            return "rnn" if kind in (*models.RECURRENT, "cell") else kind
        case (*_, "hidden", int(), str() as kind):
            return "hidden" if kind == "dense" else kind
        case ("initializers", _, _):
            return "form"
        case ("rnn", _, _, "layer_norm", _):
            return "layer_norm"
        case ("heads", _):
            return "head"
        case ("inputs", *_):
            return _section((*loc, ""))
        case ("rnn", _, _, "attention"):
            return "step_attention"
        case (*_, "attention", "attention"):
            return "attention_pooling"
        case (section,):
            return str(section)
        case _:
            return ""


def _without_space(path: Path, name: str) -> _Flaw:
    """Return the flaw of a key such as ``type:lstm`` in braces, where YAML needs the space."""
    message = f"expected a space after ':' in {quoted(str(path[-1]))}"
    # A key that ends in the middle of a mapping has no value that could be checked.
    meant = "" if re.search(r"[\[{]", str(path[-1])) else name
    return _Flaw(path, "E117", message, key=True, meant=meant)


def _hint(key: str, loc: Path, allowed: tuple[str, ...], guess: Guess) -> tuple[str, str, str]:
    """Return the code, a hint at what to write instead of ``key``, and the key meant, if any."""
    if known := key_for(key, _section(loc), _part(loc[:-1]), allowed):
        return ("E302", *known)
    if similar := guess(key, allowed):
        return "E301", f"did you mean {similar!r}?", similar
    if sections := _sections(key, loc):
        return "E301", f"it belongs {listed(sections, 'or')}", ""
    expected = f"one of {listed(allowed)}" if len(allowed) > 1 else repr(allowed[0])
    return "E301", f"expected {expected}", ""


_OF_ANYTHING = frozenset({"name", "type", "of", "description"})
_SETTINGS = ("step_attention", "attention_pooling", "layer_norm", "form", "")


def _sections(key: str, loc: Path) -> tuple[str, ...]:
    """Return the sections that ``key`` was meant for, the first with a preposition."""
    key = key.lower()
    # In a section, such a key is about that section; in an attention or a norm, every key is.
    if len(loc) > 1 and (key in _OF_ANYTHING or _part(loc[:-1]) in _SETTINGS):
        return ()
    sections = [name for name, model in models.SECTIONS.items() if key in model.model_fields]
    if any(key in model.model_fields for model in models.KINDS.values()):
        sections.append("rnn")
    sections[:1] = [f"in {name}" for name in sections[:1]]
    if key in models.Spec.model_fields:
        sections.append("at the top level")
    return tuple(sections)


def _missing_type(path: Path, layer: dict[str, Any], guess: Guess) -> _Flaw:
    for key in list(layer)[:_GUESSES]:
        if without_space(key) == "type":
            return _without_space((*path, key), "type")
        # A key with a note, such as 'layer', may also mean 'layers'.
        known = key_for(key, "rnn", "rnn", ("type",))
        is_type = isinstance(layer[key], str) and type_for(layer[key]) is not None
        if known == ("use 'type'", "type") or (known and known[1] and is_type):
            message = f"unknown key {quoted(key)}; use 'type'"
            return _Flaw((*path, key), "E302", message, key=True, meant="type")
    if similar := guess("type", list(layer)[:_GUESSES]):
        message = f"unknown key {quoted(similar)}; did you mean 'type'?"
        return _Flaw((*path, similar), "E301", message, key=True, meant="type")
    # A layer written as {lstm: {units: 4}}.
    if len(layer) == 1 and (kind := type_for(*layer)):
        (inner,) = layer.values()
        hint = f"'type: {kind}' as a key of the layer"
        if not isinstance(inner, dict) or _layer_instead(kind, path, {**inner, "type": kind}):
            hint = example_layer(kind, dict.fromkeys(("units", "steps", "size"), inner))
        message = f"unknown key {quoted(*layer)}; write {hint}"
        return _Flaw((*path, *layer), "E301", message, key=True)
    message = f"missing key 'type'; expected {listed(tuple(models.KINDS), 'or')}"
    return _Flaw(path, "E304", message, missing="type")
