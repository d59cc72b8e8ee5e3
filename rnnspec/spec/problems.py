"""pydantic's errors as problems: what was expected, what was received, what was probably meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from rnnspec.spec import models
from rnnspec.spec.wording import listed, nearest, quoted, received

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from rnnspec.errors import Problem
    from rnnspec.spec.places import Path
    from rnnspec.spec.source import Document

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
    "expect": models.Expect,
}
_BOOLEAN_TEXTS = frozenset({"yes", "no", "on", "off", "y", "n", "true", "false"})


def problems_of(error: ValidationError, document: Document) -> tuple[Problem, ...]:
    """Return a problem for each of pydantic's errors that no fault of ``document`` explains."""
    details = error.errors(include_url=False)
    flaws = [_flaw(detail) for detail in details if not _is_echo(detail)]
    meant = {flaw.meant for flaw in flaws if flaw.meant}
    wrong = {fault.path for fault in document.faults if not fault.key}
    torn = {fault.path[:-1] for fault in document.faults if fault.hides_keys}
    return tuple(
        document.problem(flaw.path, flaw.message, key=flaw.key)
        for flaw in flaws
        if (flaw.key or document.steps(flaw.path) not in wrong)
        and not (flaw.lacks and document.steps(flaw.path) in torn)
        and not (flaw.lacks and (*flaw.path, flaw.lacks) in meant)
    )


@dataclass(frozen=True, slots=True)
class _Flaw:
    """What one of pydantic's errors comes to: of the key at ``path``, or of the value there.

    ``lacks`` is the key that a mapping lacks; ``meant`` the path that an unknown key was
    probably meant to have.
    """

    path: Path
    message: str
    key: bool = False
    lacks: str = ""
    meant: Path = ()


def _is_echo(detail: ErrorDetails) -> bool:
    """Tell whether pydantic calls a list short only because all its items are wrong."""
    return detail["type"] == "too_short" and bool(detail["input"])


def _flaw(detail: ErrorDetails) -> _Flaw:
    path = _path(detail["loc"])
    match detail["type"]:
        case "extra_forbidden":
            return _unknown_key(detail["loc"], path)
        case "missing":
            return _missing_key(path[:-1], str(path[-1]))
        case "union_tag_not_found" if path[0] == "rnn":
            return _missing_type(path, detail["input"])
        case "union_tag_invalid":
            message = _unknown_word("type", detail["input"]["type"], tuple(_KINDS))
            return _Flaw((*path, "type"), message)
        case _:
            return _Flaw(path, _message(detail, path))


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


def _unknown_key(loc: Path, path: Path) -> _Flaw:
    key, allowed = str(loc[-1]), tuple(_model(loc[:-1]).model_fields)
    if loc[0] == "rnn" and (message := _key_of_another_type(key, str(loc[2]))):
        return _Flaw(path, message, key=True)
    if loc[0] == "initializers" and len(loc) > 3 and key in _FORMS:
        return _Flaw(path, f"{key!r} cannot stand beside {loc[2]!r}", key=True)
    word = nearest(key, allowed)
    hint = f"did you mean {word!r}?" if word else f"the keys here are {listed(allowed)}"
    meant = (*path[:-1], word) if word else ()
    return _Flaw(path, f"unknown key {quoted(key)}; {hint}", key=True, meant=meant)


def _key_of_another_type(key: str, kind: str) -> str | None:
    """Say that ``kind`` has no ``key`` but other types of layer have it, or None."""
    others = [other for other, model in _KINDS.items() if key in model.model_fields]
    if not others:
        return None
    reason = ", which has no gates" if (kind, key) == ("simple", "recurrent_activation") else ""
    have = "has" if len(others) == 1 else "have"
    return f"{key!r} has no effect on type {kind!r}{reason}; only {listed(others)} {have} it"


def _missing_key(path: Path, key: str) -> _Flaw:
    return _Flaw(path, f"missing key {key!r}", lacks=key)


def _missing_type(path: Path, layer: dict[str, Any]) -> _Flaw:
    word = nearest("type", layer)
    if word is None:
        return _missing_key(path, "type")
    return _Flaw((*path, word), f"unknown key {word!r}; did you mean 'type'?", key=True)


def _unknown_word(what: str, value: Any, words: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        return f"expected {listed(words, 'or')}, received {received(value)}"
    word = nearest(value, words)
    hint = f"did you mean {word!r}?" if word else f"expected {listed(words, 'or')}"
    return f"unknown {what} {quoted(value)}; {hint}"


def _message(detail: ErrorDetails, path: Path) -> str:
    """Return what is wrong with a value."""
    value = detail["input"]
    match detail["type"]:
        case "literal_error":
            words = _literals(detail["ctx"]["expected"])
            if path[0] != "initializers":
                return _unknown_word(str(path[-1]), value, words)
            return _unknown_word("initializer", value, (*words, "a mapping like {uniform: 0.05}"))
        case "bool_type" if str(value).lower() in _BOOLEAN_TEXTS:
            return f"expected true or false, received {received(value)} (write true or false)"
        case "name" | "version" | "inexact":
            return detail["msg"]
        case kind:
            return f"expected {_expected(kind, detail, path)}, received {received(value)}"


def _expected(kind: str, detail: ErrorDetails, path: Path) -> str:
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        bound = detail["ctx"][name]
        number = "a whole number" if isinstance(bound, int) else "a number"
        return f"{number} {words} {bound if isinstance(bound, int) else format(bound, 'g')}"
    if kind == "tuple_type" and path == ("rnn",):
        return "a layer or a list of layers"
    return _EXPECTED.get(kind, detail["msg"])


def _literals(expected: str) -> tuple[str, ...]:
    """Return the words in pydantic's ``'a', 'b' or 'c'``."""
    return tuple(expected.split("'")[1::2])


_BOUNDS = {
    "greater_than_equal": ("of at least", "ge"),
    "less_than_equal": ("of at most", "le"),
    "greater_than": ("above", "gt"),
    "less_than": ("below", "lt"),
}
_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_pattern_mismatch": "the path of a file, without control characters",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "too_short": "at least one item",
    "union_tag_not_found": "a word, or a mapping with one of the keys uniform, normal and constant",
}
