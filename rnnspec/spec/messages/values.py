"""What is wrong with a value: what was expected, what was received, and the traps of YAML 1.1."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rnnspec.errors import listed
from rnnspec.spec.wording import nearest, quoted, received
from rnnspec.spec.yaml.characters import foreign_letter
from rnnspec.spec.yaml.syntax import without_comma

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from rnnspec.spec.wording import Guess
    from rnnspec.spec.yaml.document import Document
    from rnnspec.spec.yaml.places import Path

Said = tuple[str, str]
"""The code of a fault, and what to say of it."""

_UNQUOTED = " (write it without quotes)"
_TRUE = frozenset({"yes", "on", "y", "true"})
_FALSE = frozenset({"no", "off", "n", "false"})
_OWN = {"name_form": "E311", "name_taken": "E312", "version": "E310", "inexact": "E315"}
"""The codes of the errors that the models and ``spec.names`` raise in their own words."""


def complaint(detail: ErrorDetails, path: Path, document: Document, guess: Guess) -> Said:
    """Return what is wrong with the value at ``path``."""
    value, kind = detail["input"], detail["type"]
    if kind in _OWN:
        return _OWN[kind], detail["msg"] + (_UNQUOTED if value == "1" else "")
    if kind == "union_tag_not_found":
        return "E314", _no_form(value)
    if kind == "literal_error":
        return _not_among(detail, path, guess)
    if kind == "bool_type" and (right := _boolean(value)):
        return "E214", f"expected true or false, received {received(value)} (write {right})"
    said = f"expected {_expected(kind, detail, path)}, received {received(value)}"
    said += _instead(value, kind, path)
    if kind == "int_type" and isinstance(value, float):
        return _fraction(value, document.written(path))
    if kind in ("int_type", "float_type") and isinstance(value, str):
        return _text_for_number(value, said, whole=kind == "int_type")
    return _code(kind, value), said


def unknown_word(what: str, value: Any, words: tuple[str, ...], guess: Guess) -> Said:
    """Say that ``value`` is none of ``words``, and which of them was probably meant."""
    if value is None:
        hint = _NULL_WORDS.get(what, "leave the key out")
        return "E219", f"expected {listed(words, 'or')}, received nothing ({hint})"
    if not isinstance(value, str):
        return "E305", f"expected {listed(words, 'or')}, received {received(value)}"
    # Imported here: only a wrong spec pays for it.
    from rnnspec.spec.messages.foreign import home_for, word_for

    unknown = f"unknown {what} {quoted(value)}"
    if known := word_for(what, value, words):
        return "E307", f"{unknown}; {known}"
    if home := home_for(what, value, words):
        return "E306", f"{unknown}; {home}; expected {listed(words, 'or')}"
    word = guess(value, words)
    letter = foreign_letter(value)
    holds = f", which holds {letter}" if letter else ""
    hint = f"did you mean {word!r}?" if word else f"expected {listed(words, 'or')}"
    return "E306", f"{unknown}{holds}; {hint}"


def meant_type(value: str, types: tuple[str, ...], guess: Guess) -> str | None:
    """Return the type of layer that ``value`` was probably meant to be, or None."""
    # Imported here: only a wrong spec pays for it.
    from rnnspec.spec.messages.foreign import layer_for, type_for

    return type_for(value) or (None if layer_for(value) else guess(value, types))


def _not_among(detail: ErrorDetails, path: Path, guess: Guess) -> Said:
    # pydantic says the words as 'a', 'b' or 'c'.
    words = tuple(detail["ctx"]["expected"].split("'")[1::2])
    if path[0] != "initializers":
        return unknown_word(str(path[-1]), detail["input"], words, guess)
    words = (*words, "a mapping like {uniform: 0.05}")
    return unknown_word("initializer", detail["input"], words, guess)


def _no_form(value: dict[str, Any]) -> str:
    """Say of an initializer's mapping that it has none of the keys that say which it is."""
    # Imported here: only a wrong spec pays for it.
    from rnnspec.spec.messages.foreign import form_for

    said = f"expected {_EXPECTED['union_tag_not_found']}, received "
    for key in list(value)[:_KEYS_LOOKED_AT]:
        if form := form_for(key):
            return f"{said}the key {quoted(key)} (here it is {form!r})"
        if form := nearest(key, _FORMS):
            return f"{said}the key {quoted(key)} (did you mean {form!r}?)"
    return said + (f"the key {quoted(next(iter(value)))}" if value else received(value))


_FORMS = ("uniform", "normal", "constant")
_KEYS_LOOKED_AT = 4
_REQUIRED = {"units", "vocabulary", "dim", "steps", "uniform", "normal", "constant"}
_SCALARS = {"int_type", "float_type", "bool_type", "string_type"}
_NULL_WORDS = {
    "activation": "no activation is 'linear'",
    "recurrent_activation": "no activation is 'linear'",
    "pooling": "the word none is not null",
    "type": "each layer has one",
}


def _instead(value: Any, kind: str, path: Path) -> str:
    """Return what to write in place of ``value``, where something else was meant."""
    if kind in _SCALARS and (value is None or value in ("None", "none", "nil", "Nil", "NULL")):
        needed = (path[-1] in _REQUIRED and path != ("head", "units")) or path == ("name",)
        return "" if needed else " (leave the key out)"
    if path == ("head", "hidden"):
        if type(value) is int:
            return f" (write [{{units: {value}}}])"
        return " (leave the key out)" if value in (None, []) else ""
    if path[:2] == ("head", "hidden") and type(value) is int:
        return f" (write {{units: {value}}})" if kind.startswith("model") else ""
    return ""


def _boolean(value: Any) -> str | None:
    text = value.lower() if isinstance(value, str) else ""
    return "true" if text in _TRUE else "false" if text in _FALSE else None


def _fraction(value: float, written: str) -> Said:
    if not value.is_integer():
        return "E305", f"expected a whole number, received {received(value)}"
    how = "an exponent" if "e" in written.lower() else "a decimal point"
    message = f"expected a whole number, received one with {how}, {quoted(written)}"
    # Above it a float is not what was written.
    return "E218", f"{message} (write {int(value)})" if abs(value) <= 2**53 else message


_SEXAGESIMAL = re.compile(r"[-+]?[0-9]{1,9}(:[0-5]?[0-9]){1,4}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?")
_GROUPED = re.compile(r"[-+]?[0-9]{1,3}([_, '][0-9]{3}){1,6}|[-+]?[0-9]{1,19}(_[0-9]{1,19}){1,18}")
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]{1,19},[0-9]{1,40}")
_PERCENT = re.compile(r"([0-9]{1,2}(\.[0-9]{1,4})?) ?%")
_BINARY = re.compile(r"0b[01]{1,63}")
_NUMBER = re.compile(r"[-+]?([0-9]{1,19}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][-+]?[0-9]{1,3})?")


def _text_for_number(value: str, said: str, *, whole: bool) -> Said:
    """Name the trap that ``value`` is, if it is one."""
    if _SEXAGESIMAL.fullmatch(value):
        return "E215", f"{said} (YAML 1.1 alone reads it as {_in_sixties(value)}, in base 60)"
    if _DATE.fullmatch(value):
        return "E217", f"{said} (YAML 1.1 alone reads it as a date)"
    if not whole and _DECIMAL_COMMA.fullmatch(value) and (number := without_comma(value)):
        return "E216", f"{said} (write {number})"
    if _GROUPED.fullmatch(value):
        return "E216", f"{said} (write {_ungrouped(value)})"
    if not whole and (match := _PERCENT.fullmatch(value)):
        return "E305", f"{said} (write {float(match[1]) / 100:.6g})"
    if _BINARY.fullmatch(value):
        return "E211", f"{said} (write {int(value, 0)})"
    if _NUMBER.fullmatch(value):
        return "E309", said + _UNQUOTED
    return "E305", said


def _ungrouped(value: str) -> str:
    return str(int(re.sub("[_, ']", "", value)))


def _in_sixties(value: str) -> int:
    total = 0
    for digits in value.lstrip("+-").split(":"):
        total = total * 60 + int(digits)
    return -total if value.startswith("-") else total


def _code(kind: str, value: Any) -> str:
    if value is None:
        return "E219"
    return "E308" if kind in _BOUNDS else _CODES.get(kind, "E305")


def _expected(kind: str, detail: ErrorDetails, path: Path) -> str:
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        bound = detail["ctx"][name]
        number = "a whole number" if isinstance(bound, int) else "a number"
        return f"{number} {words} {bound if isinstance(bound, int) else format(bound, 'g')}"
    if layers := _expected_layers(kind, path):
        return layers
    return _EXPECTED.get(kind, detail["msg"])


def _expected_layers(kind: str, path: Path) -> str:
    example = "{type: lstm, units: 32}" if path[0] == "rnn" else "{units: 64}"
    if kind == "tuple_type":
        return (
            f"a list of layers like {example}"
            if path != ("rnn",)
            else (f"a layer like {example}, or a list of layers")
        )
    if kind == "too_short":
        return f"at least one layer like {example}"
    if kind.startswith("model") and len(path) > 1:
        return f"a layer like {example}"
    return ""


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
    "union_tag_not_found": "a word, or a mapping with one of the keys uniform, normal and constant",
}
_CODES = {
    "string_pattern_mismatch": "E601",
    "too_short": "E313",
    "union_tag_not_found": "E314",
}
