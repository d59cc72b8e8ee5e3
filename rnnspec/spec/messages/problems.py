"""pydantic's errors as problems: what was expected, what was received, what was probably meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from rnnspec.errors import listed
from rnnspec.spec import models
from rnnspec.spec.messages.values import complaint, meant_type, unknown_word
from rnnspec.spec.wording import nearest, no_guess, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic_core import ErrorDetails

    from rnnspec.errors import Problem
    from rnnspec.spec.wording import Guess
    from rnnspec.spec.yaml.document import Document
    from rnnspec.spec.yaml.places import Path

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


@dataclass(frozen=True, slots=True)
class Findings:
    """pydantic's errors as problems, and the document as it was probably meant.

    ``mended`` has the meant keys and types in place of what ``slips`` says is wrong, so that what
    lies behind them can be checked too; it is None where there is no such problem.
    """

    problems: tuple[Problem, ...]
    slips: tuple[Problem, ...]
    mended: Document | None


def findings(error: ValidationError, document: Document) -> Findings:
    """Return a problem for each of pydantic's errors that no fault of ``document`` explains."""
    flaws = list(_flaws(error, document))
    slips = _slips(flaws, document)
    keys = {flaw.path: flaw.meant for flaw in slips if flaw.key}
    values = {flaw.path: flaw.meant for flaw in slips if not flaw.key}
    mended = document.mended(keys, values) if slips else None
    return Findings(_problems(flaws, document), _problems(slips, document), mended)


def _slips(flaws: Sequence[_Flaw], document: Document) -> list[_Flaw]:
    """Return the flaws of which it is known what was meant; of two for one key the first."""
    slips: dict[Path, _Flaw] = {}
    for flaw in flaws:
        meant = (*flaw.path[:-1], flaw.meant) if flaw.key else flaw.path
        # Behind a key without a value there is nothing to check.
        if flaw.meant and not (flaw.key and document.holds(meant)) and document.says(flaw.path):
            slips.setdefault(meant, flaw)
    return list(slips.values())


def _flaws(error: ValidationError, document: Document) -> Iterator[_Flaw]:
    details = [each for each in error.errors(include_url=False) if not _is_echo(each)]
    for number, detail in enumerate(details):
        yield _flaw(detail, document, nearest if number < _GUESSES else no_guess)


def _problems(flaws: Sequence[_Flaw], document: Document) -> tuple[Problem, ...]:
    wrong = {fault.path for fault in document.faults if not fault.key}
    torn = {fault.path[:-1] for fault in document.faults if fault.hides_keys}
    meant = {(*flaw.path[:-1], flaw.meant) for flaw in flaws if flaw.meant and flaw.key}
    return tuple(
        document.problem(flaw.path, flaw.message, code=flaw.code, key=flaw.key)
        for flaw in flaws
        if (flaw.key or document.steps(flaw.path) not in wrong)
        and not (flaw.lacks and document.steps(flaw.path) in torn)
        and not (flaw.lacks and (*flaw.path, flaw.lacks) in meant)
    )


@dataclass(frozen=True, slots=True)
class _Flaw:
    """What one of pydantic's errors comes to: of the key at ``path``, or of the value there.

    ``lacks`` is the key that a mapping lacks; ``meant`` the key or the type that was probably
    meant.
    """

    path: Path
    code: str
    message: str
    key: bool = False
    lacks: str = ""
    meant: str = ""


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
            return _unknown_type((*path, "type"), detail["input"]["type"], guess)
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
    code, hint, meant = _hint(key, loc, allowed, guess)
    return _Flaw(path, code, f"unknown key {quoted(key)}; {hint}", key=True, meant=meant)


def _hint(key: str, loc: Path, allowed: tuple[str, ...], guess: Guess) -> tuple[str, str, str]:
    """Return a code, what to write in place of ``key``, and the key here that was meant, if any."""
    # Imported here: only a wrong spec pays for it.
    from rnnspec.spec.messages.foreign import key_for

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
    # Imported here: only a wrong spec pays for it.
    from rnnspec.spec.messages.foreign import key_for, type_for

    for key in list(layer)[:_GUESSES]:
        if key_for(key, "rnn", ("type",)) == ("here it is 'type'", "type"):
            message = f"unknown key {quoted(key)}; here it is 'type'"
            return _Flaw((*path, key), "E302", message, key=True, meant="type")
    if word := guess("type", list(layer)[:_GUESSES]):
        message = f"unknown key {quoted(word)}; did you mean 'type'?"
        return _Flaw((*path, word), "E301", message, key=True, meant="type")
    if len(layer) == 1 and (kind := type_for(*layer)):
        message = f"unknown key {quoted(*layer)}; a layer says 'type: {kind}' among its keys"
        return _Flaw((*path, *layer), "E301", message, key=True)
    return _missing_key(path, "type")


def _unknown_type(path: Path, value: Any, guess: Guess) -> _Flaw:
    kinds = tuple(_KINDS)
    meant = meant_type(value, kinds, guess) if isinstance(value, str) else None
    return _Flaw(path, *unknown_word("type", value, kinds, guess), meant=meant or "")
