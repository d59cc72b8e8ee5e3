"""pydantic's errors as problems: what was expected, what was received, what was probably meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from rnnspec.spec import models
from rnnspec.spec.values import complaint, meant_type, unknown_word
from rnnspec.spec.wording import listed, nearest, no_guess, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

    from rnnspec.errors import Problem
    from rnnspec.spec.places import Path
    from rnnspec.spec.source import Document
    from rnnspec.spec.wording import Guess

_KINDS: dict[str, type[models.Model]] = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in get_args(get_args(models.RnnLayer)[0])
}
"""The model of each ``type``, out of the union itself, so that no kind can be forgotten here."""
_FORMS: dict[str, type[models.Model]] = {
    "uniform": models.Uniform,
    "normal": models.Normal,
    "constant": models.Constant,
}
_SECTIONS: dict[str, type[models.Model]] = {
    "input": models.Input,
    "embedding": models.Embedding,
    "head": models.Head,
    "initializers": models.Initializers,
    "data": models.Data,
    "expect": models.Expect,
}
_GUESSES = 50
"""For how many errors a near word is looked for: after so many it would take seconds."""


def problems_of(error: ValidationError, document: Document) -> tuple[Problem, ...]:
    """Return a problem for each of pydantic's errors that no fault of ``document`` explains."""
    details = [each for each in _details(error) if not _is_echo(each)]
    flaws = [
        _flaw(detail, document, nearest if number < _GUESSES else no_guess)
        for number, detail in enumerate(details)
    ]
    meant = {flaw.meant for flaw in flaws if flaw.meant}
    wrong = {fault.path for fault in document.faults if not fault.key}
    torn = {fault.path[:-1] for fault in document.faults if fault.hides_keys}
    return tuple(
        document.problem(flaw.path, flaw.message, code=flaw.code, key=flaw.key)
        for flaw in flaws
        if (flaw.key or document.steps(flaw.path) not in wrong)
        and not (flaw.lacks and document.steps(flaw.path) in torn)
        and not (flaw.lacks and (*flaw.path, flaw.lacks) in meant)
    )


def _details(error: ValidationError) -> Iterator[ErrorDetails]:
    """Yield pydantic's errors, and those of layers whose type it does not know but we guess."""
    for number, detail in enumerate(error.errors(include_url=False)):
        yield detail
        if detail["type"] == "union_tag_invalid" and number < _GUESSES:
            yield from _layer_details(detail)


def _layer_details(detail: ErrorDetails) -> Iterator[ErrorDetails]:
    said = detail["input"]["type"]
    kind = meant_type(said, tuple(_KINDS)) if isinstance(said, str) else None
    if kind is None:
        return
    try:
        _KINDS[kind].model_validate({**detail["input"], "type": kind})
    except ValidationError as error:
        for each in error.errors(include_url=False):
            each["loc"] = (*detail["loc"], kind, *each["loc"])
            yield each


@dataclass(frozen=True, slots=True)
class _Flaw:
    """What one of pydantic's errors comes to: of the key at ``path``, or of the value there.

    ``lacks`` is the key that a mapping lacks; ``meant`` the path that an unknown key was
    probably meant to have.
    """

    path: Path
    code: str
    message: str
    key: bool = False
    lacks: str = ""
    meant: Path = ()


def _is_echo(detail: ErrorDetails) -> bool:
    """Tell whether pydantic calls a list short only because all its items are wrong."""
    return detail["type"] == "too_short" and bool(detail["input"])


def _flaw(detail: ErrorDetails, document: Document, guess: Guess) -> _Flaw:
    path = _path(detail["loc"])
    match detail["type"]:
        case "extra_forbidden":
            return _unknown_key(detail["loc"], path, guess)
        case "missing":
            return _missing_key(path[:-1], str(path[-1]))
        case "union_tag_not_found" if path[0] == "rnn":
            return _missing_type(path, detail["input"], guess)
        case "union_tag_invalid":
            value = detail["input"]["type"]
            return _Flaw((*path, "type"), *unknown_word("type", value, tuple(_KINDS), guess))
        case _:
            return _Flaw(path, *complaint(detail, path, document, guess))


def _path(loc: Path) -> Path:
    """Return ``loc`` without the tags that pydantic puts after the place of a union."""
    match loc:
        case ("rnn", _, _, *rest):
            return (*loc[:2], *rest)
        case ("initializers", "kernel" | "recurrent" | "bias" | "embedding", _, *rest):
            return (*loc[:2], *rest)
        case _:
            return loc


def _model(loc: Path) -> type[models.Model]:
    """Return the model of the mapping at ``loc``, which still has pydantic's tags."""
    match loc:
        case ("rnn", _, str() as kind):
            return _KINDS[kind]
        case ("initializers", _, str() as form):
            return _FORMS[form]
        case ("head", "hidden", _):
            return models.Hidden
        case (str() as section,):
            return _SECTIONS[section]
        case _:
            return models.Spec


def _unknown_key(loc: Path, path: Path, guess: Guess) -> _Flaw:
    key, allowed = str(loc[-1]), tuple(_model(loc[:-1]).model_fields)
    if loc[0] == "rnn" and (message := _key_of_another_type(key, str(loc[2]))):
        return _Flaw(path, "E303", message, key=True)
    if loc[0] == "initializers" and len(loc) > 3 and key in _FORMS:
        return _Flaw(path, "E314", f"{key!r} cannot stand beside {loc[2]!r}", key=True)
    code, hint, word = _hint(key, loc, allowed, guess)
    meant = (*path[:-1], word) if word else ()
    return _Flaw(path, code, f"unknown key {quoted(key)}; {hint}", key=True, meant=meant)


def _hint(key: str, loc: Path, allowed: tuple[str, ...], guess: Guess) -> tuple[str, str, str]:
    """Return a code, what to write in place of ``key``, and the key here that was meant, if any."""
    # Imported here: only a wrong spec pays for it.
    from rnnspec.spec.foreign import key_for

    if known := key_for(key, str(loc[0]) if len(loc) > 1 else "", allowed):
        return ("E302", *known)
    if word := guess(key, allowed):
        return "E301", f"did you mean {word!r}?", word
    if places := _homes(key):
        return "E301", f"it belongs in {listed(places, 'or')}", ""
    return "E301", f"the keys here are {listed(allowed)}", ""


def _homes(key: str) -> tuple[str, ...]:
    """Return the sections that have ``key``."""
    key = key.lower()
    homes = [name for name, model in _SECTIONS.items() if key in model.model_fields]
    if any(key in model.model_fields for model in _KINDS.values()):
        homes.append("rnn")
    if key in models.Spec.model_fields:
        homes.append("the spec itself")
    return tuple(homes)


def _key_of_another_type(key: str, kind: str) -> str | None:
    """Say that ``kind`` has no ``key`` but other types of layer have it, or None."""
    others = [other for other, model in _KINDS.items() if key in model.model_fields]
    if not others:
        return None
    reason = ", which has no gates" if (kind, key) == ("simple", "recurrent_activation") else ""
    have = "has" if len(others) == 1 else "have"
    return f"{key!r} has no effect on type {kind!r}{reason}; only {listed(others)} {have} it"


def _missing_key(path: Path, key: str) -> _Flaw:
    return _Flaw(path, "E304", f"missing key {key!r}", lacks=key)


def _missing_type(path: Path, layer: dict[str, Any], guess: Guess) -> _Flaw:
    word = guess("type", list(layer)[:_GUESSES])
    if word is None:
        return _missing_key(path, "type")
    message = f"unknown key {word!r}; did you mean 'type'?"
    return _Flaw((*path, word), "E301", message, key=True)
