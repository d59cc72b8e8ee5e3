"""Messages about invalid values, including strings that only YAML 1.1 reads as other types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

from rnnspec.errors import listed
from rnnspec.errors.wording import nearest, quoted, received
from rnnspec.spec import models
from rnnspec.spec.messages.foreign_keys import form_for, reason_for
from rnnspec.spec.messages.foreign_values import home_for, layer_for, type_for, value_for
from rnnspec.spec.names import NAME_PATTERN
from rnnspec.spec.yaml.text import foreign_letter
from rnnspec.spec.yaml.tree import without_comma
from rnnspec.words import Activation, Score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from rnnspec.errors.wording import Guess
    from rnnspec.spec.yaml.document import Document
    from rnnspec.spec.yaml.text import Path

Message = tuple[str, str]
"""The code and the text of a message."""

_UNQUOTED = " (remove the quotes)"
_TRUE = frozenset({"yes", "on", "y", "true"})
_FALSE = frozenset({"no", "off", "n", "false"})
_CUSTOM = {
    "name_form": "E311",
    "name_taken": "E312",
    "version": "E310",
    "inexact": "E315",
    "pair": "E313",
    "cell_taken": "E430",
    "setting_taken": "E431",
}
"""Codes of the custom errors that the models and ``spec.names`` raise with a message."""


def invalid_value(detail: ErrorDetails, path: Path, document: Document, guess: Guess) -> Message:
    """Return the message for the invalid value at ``path``."""
    value, kind = detail["input"], detail["type"]
    if kind in _CUSTOM:
        hint = _UNQUOTED if value == "1" else _in_ascii(value) if kind == "version" else ""
        return _CUSTOM[kind], detail["msg"] + hint
    if kind == "union_tag_not_found":
        return "E314", _unknown_form(value, path)
    if kind == "literal_error":
        # pydantic's message lists the allowed values as 'a', 'b' or 'c'.
        allowed = tuple(detail["ctx"]["expected"].split("'")[1::2])
        what, mapping = _alternative(path, allowed)
        return unknown_value(what, value, (*allowed, *mapping), guess)
    word = value.lower() if isinstance(value, str) else ""
    if kind == "bool_type" and word in _TRUE | _FALSE:
        literal = "true" if word in _TRUE else "false"
        return "E214", f"expected true or false, received {received(value)} (write {literal})"
    short = kind == "too_short" and value
    is_there = f"a list of {len(value)}" if short else received(value)
    as_head: Path = ("head", *path[2:]) if path[0] == "heads" and len(path) > 1 else path
    hint = (
        _cut_expression(value, path, document)
        or _hint(value, kind, as_head)
        or _value_hint(value, kind, path, document)
    )
    expected = _expectation(kind, detail, path)
    if not hint and expected == "a mapping" and path[-1] in _EXAMPLES:
        expected = f"a mapping like {_EXAMPLES[str(path[-1])]}"
    text = f"expected {expected}, received {is_there}{hint}"
    # Such as 1e3 or 32.0, which are floats in YAML.
    if kind == "int_type" and isinstance(value, float):
        return _fraction(value, document.text_of(path))
    if kind in ("int_type", "float_type") and isinstance(value, str):
        return _string_for_number(value, text, integer=kind == "int_type")
    if value is None:
        return "E219", text
    return "E308" if kind in _BOUNDS else _CODES.get(kind, "E305"), text


def unknown_value(what: str, value: Any, allowed: tuple[str, ...], guess: Guess) -> Message:
    """Return the message for a ``value`` that is not one of the ``allowed`` names."""
    if value is None:
        hint = _NULL_HINTS.get(what, "omit the key")
        return "E219", f"expected {listed(allowed, 'or')}, received null ({hint})"
    if not isinstance(value, str):
        hint = ""
        if what == "padding" and type(value) is int and value >= 0:
            hint = f" (write {allowed[0] if value == 0 else [value, value]})"
        return "E305", f"expected {listed(allowed, 'or')}, received {received(value)}{hint}"
    unknown = f"unknown {what} {quoted(value)}"
    if known := value_for(what, value, allowed):
        return "E307", f"{unknown}; {known}"
    if home := home_for(what, value, allowed):
        return "E306", f"{unknown}, {home}; expected {listed(allowed, 'or')}"
    similar = guess(value, allowed)
    letter = foreign_letter(value)
    contains = f", which contains {letter}" if letter else ""
    hint = f"did you mean {similar!r}?" if similar else f"expected {listed(allowed, 'or')}"
    return "E306", f"{unknown}{contains}; {hint}"


def example_layer(kind: str, values: Mapping[str, Any] | None = None) -> str:
    """Return a layer of type ``kind`` with the keys that it needs, some of them from ``values``."""
    parts = [f"type: {kind}"]
    for key, field in models.KINDS[kind].model_fields.items():
        # A repeat needs its steps or another key.
        if key != "type" and (field.is_required() or key == "steps"):
            own = (values or {}).get(key)
            example = own if type(own) is int and own > 0 else (field.examples or [""])[0]
            text = f"[{', '.join(example)}]" if isinstance(example, list) else example
            parts.append(f"{key}: {text}")
    return f"{{{', '.join(parts)}}}"


def meant_type(value: str, types: tuple[str, ...], guess: Guess) -> str | None:
    """Return the type of layer that ``value`` was probably meant to be, or None."""
    kind = type_for(value) or (None if layer_for(value) else guess(value, types))
    return kind if kind in types else None


def _alternative(path: Path, allowed: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the purpose of a name at ``path``, and the alternatives to a name, if any."""
    match path:
        case ("initializers", _):
            return "initializer", ("a mapping like {uniform: 0.05}",)
        case ("cells", _, "initialize", _):
            return "initializer", ("a number", "a mapping like {uniform: 0.05}")
        case ("cells", _, "parameters", _):
            return "shape", ("a list of one or two sizes like [units, features]",)
        case (*_, "activation") if "softmax" in allowed:
            return "activation", ("a mapping like {leaky_relu: 0.01}",)
        case (*_, "pooling"):
            return "pooling", ("a mapping like {attention: {units: 64}}", "a list of poolings")
        case (*_, "pooling", _):
            return "pooling", ("a mapping like {attention: {units: 64}}",)
        case (*_, "padding"):
            return "padding", ("two numbers like [2, 2]",)
        case (*_, "initial_state"):
            return "initial_state", ("a mapping like {of: encoder}",)
        case _:
            return str(path[-1]), ()


def _unknown_form(value: dict[str, Any], path: Path) -> str:
    """Return the message for a mapping that must have one of some keys, and has none of them."""
    forms: tuple[str, ...]
    match path:
        case ("cells", _, "parameters", _):
            return f"expected scalar or a list like [units, features], received {received(value)}"
        case ("initializers", _) | ("cells", *_):
            forms = tuple(models.FORMS)
        case (*_, "activation"):
            forms = tuple(models.ACTIVATION_FORMS)
        case (*_, "pooling"):
            forms = tuple(models.POOLING_FORMS)
        case _:
            forms = ("attention",)
    keys = f"one of the keys {listed(forms)}" if len(forms) > 1 else f"the key {forms[0]}"
    text = f"expected a name, or a mapping with {keys}, received "
    for key in list(value)[:_KEYS_CHECKED]:
        if known := form_for(key, forms):
            return f"{text}the key {quoted(key)} (use {known!r})"
        if similar := nearest(key, forms):
            return f"{text}the key {quoted(key)} (did you mean {similar!r}?)"
    # A name as a key, or as the value of one, as in {type: relu}.
    names = {item for pair in list(value.items())[:_KEYS_CHECKED] for item in map(str, pair)}
    match path:
        case ("initializers", "kernel" | "recurrent") | ("cells", *_):
            names &= set(get_args(models.MatrixName))
        case ("initializers", _):
            names &= set(get_args(models.VectorName))
        case _:
            names &= set(get_args(Activation if path[-1] == "activation" else models.PoolingName))
    text += f"the key {quoted(next(iter(value)))}" if value else received(value)
    return f"{text} (write {min(names)})" if names else text


_KEYS_CHECKED = 4
_REQUIRED = {
    *("units", "vocabulary", "dim", "steps", "uniform", "normal", "constant"),
    *("filters", "kernel_size", "size", "rate", "leaky_relu", "clipped_relu", "last_steps", "over"),
}
_SCALARS = {"int_type", "float_type", "bool_type", "string_type"}
_NULL_HINTS = {
    "activation": "for no activation, write 'linear'",
    "recurrent_activation": "for no activation, write 'linear'",
    "pooling": "the string 'none' is not null",
    "type": "each layer needs a type",
    "score": "an attention needs a score",
    "initial_state": "omit the key, or write zeros",
}


def _hint(value: Any, kind: str, path: Path) -> str:
    """Return a hint at what to write instead of ``value``, if it is known."""
    # None and nil are null in Python and Ruby, but strings in YAML.
    if kind in _SCALARS and (value is None or value in ("None", "none", "nil", "Nil", "NULL")):
        needed = (path[-1] in _REQUIRED and path != ("head", "units")) or path == ("name",)
        # To omit a key that is required would be the next error.
        return "" if needed else " (omit the key)"
    if path[-1] == "layer_norm" and isinstance(value, float):
        return f" (write {{epsilon: {value!r}}})"
    if path == ("head", "hidden"):
        if type(value) is int:
            return f" (write [{{units: {value}}}])"
        return " (omit the key)" if value in (None, []) else ""
    if path[:2] == ("head", "hidden") and type(value) is int:
        return f" (write {{units: {value}}})" if kind.startswith("model") else ""
    return ""


def _cut_expression(value: Any, path: Path, document: Document) -> str:
    """Return a hint if YAML has cut an expression such as concat(x, h) at the comma, in braces."""
    if value is not None or path[0] != "cells" or "equations" not in path[2:-1]:
        return ""
    if not any(str(key).count(")") > str(key).count("(") for key in document.value(path[:-1])):
        return ""
    return " (quote the expression before it: in braces, each ',' begins another key)"


# What a number, or a list of two, in place of a section stands for.
_SINGLE = {
    "input": "length: {}",
    "embedding": "vocabulary: {}, dim: 64",
    "head": "units: {}",
    "data": "examples: {}",
    "expect": "parameters: {}",
}
_EXAMPLES = {
    "input": "{length: 24, features: 7}",
    "embedding": "{vocabulary: 10000, dim: 32}",
    "head": "{units: 1}",
    "initializers": "{kernel: glorot_uniform}",
    "data": "{examples: 25000}",
    "expect": "{parameters: 344993}",
}
_PAIRS = {"input": "length: {}, features: {}", "embedding": "vocabulary: {}, dim: {}"}
# Not after a slash or a backslash, as in a URL or a path of Windows.
_NO_SPACE = re.compile(r"(?P<key>[A-Za-z_]\w{0,40}):[^\s/\\][^\n]{0,60}")


def without_space(text: str) -> str:
    """Return the key in a text such as ``type:lstm``, in which YAML finds none, or nothing."""
    match = _NO_SPACE.fullmatch(text)
    return match["key"] if match else ""


def _value_hint(value: Any, kind: str, path: Path, document: Document) -> str:
    """Return a hint that depends on the value itself, if there is one."""
    match value:
        case str() | int() | None if path[0] == "rnn" and path[2:] == ("attention",):
            return _attention_hint(value)
        case str() if kind.startswith(("model", "tuple")) and without_space(value):
            return " (a space is missing after ':')"
        # Whoever writes 20 most likely means 20 %.
        case int() | float() if kind == "less_than" and 5 <= value < 100 and value == int(value):
            return f" (did you mean {value / 100:g}?)"
        # As frameworks write the size of a window, which has one axis.
        case [int() as size] if kind == "int_type":
            return f" (write {size})"
        case [str(), str(), *_] if kind == "string_type" and path[-1] == "of":
            return " (a layer of type concat, add, multiply or formula joins several)"
        case [str()] if kind == "string_type" and path[-1] in _NAMES:
            return " (write it without the list)"
        case int() | float() if kind == "string_type" and path[-1] == "name":
            example = f"write 'n{value}': " if type(value) is int and value >= 0 else ""
            return f" ({example}quoted or not, a name starts with a letter)"
        case int() | float() if kind == "string_type":
            return f" (quote it: {document.text_of(path)!r})"
        case _:
            return _section_hint(value, kind, path)


def _section_hint(value: Any, kind: str, path: Path) -> str:
    """Return a hint at the form that a section, a head, a pooling or ``units`` has."""
    section = str(path[0]) if len(path) == 1 else ""
    number = type(value) is int
    match value:
        case int() if number and section in _SINGLE:
            return f" (write {{{_SINGLE[section].format(value)}}})"
        case int() if number and path[-1] == "attention":
            return f" (write {{units: {value}}})"
        case int() if number and path[0] == "heads" and len(path) == len(("heads", "name")):
            is_key = path[-1] in models.Head.model_fields
            return " (one head is 'head')" if is_key else f" (write {{units: {value}}})"
        case str() if section == "initializers" and value in get_args(models.MatrixName):
            return f" (write {{kernel: {value}}})"
        case [dict(), *_] if section == "head":
            return " (several heads are in 'heads', by name)"
        case [first, second] if section in _PAIRS and type(first) is type(second) is int:
            return f" (write {{{_PAIRS[section].format(first, second)}}})"
        case int() if number and path[0] == "inputs" and path[-1] in models.Input.model_fields:
            return " (one input is 'input')" if len(path) == len(("inputs", "name")) else ""
        case [int(), int(), *_] if path[-1] == "units":
            return " (write a layer for each)"
        case [str() as single] if kind == "too_short" and single in get_args(models.PoolingName):
            return f" (write {single})"
        case [dict()] if kind == "too_short" and "pooling" in path:
            return " (write it without the list)"
        case _:
            return ""


def _attention_hint(value: str | int | None) -> str:
    """Return a hint at the attention of a recurrent layer.

    It has the score ``value``, or attends to the layer of that name.
    """
    if not isinstance(value, str):
        return " (omit the key)" if value is None else f" ({reason_for('over_steps')})"
    scores = get_args(Score)
    known = value if value in scores else (value_for("score", value, scores) or "")
    score = known.removeprefix("use ").strip("'")
    if score in scores:
        units = ", units: 64" if score == "additive" else ""
        return f" (write {{over: encoder, score: {score}{units}}})"
    is_name = re.fullmatch(NAME_PATTERN, value) and not known
    return f" (write {{over: {value}, score: general}})" if is_name else ""


def _fraction(value: float, written: str) -> Message:
    if not value.is_integer():
        return "E305", f"expected an integer, received {received(value)}"
    notation = "an exponent" if "e" in written.lower() else "a decimal point"
    message = f"expected an integer, received {quoted(written)}, which has {notation}"
    # Larger floats may differ from the number in the text.
    return "E218", f"{message} (write {int(value)})" if abs(value) <= 2**53 else message


# The repetitions are bounded, because a value may be as long as the file.
_SEXAGESIMAL = re.compile(r"[-+]?[0-9]{1,9}(:[0-5]?[0-9]){1,4}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?")
_GROUPED = re.compile(r"[-+]?[0-9]{1,3}([_, '][0-9]{3}){1,6}|[-+]?[0-9]{1,19}(_[0-9]{1,19}){1,18}")
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]{1,19},[0-9]{1,40}")
_PERCENT = re.compile(r"([0-9]{1,2}(\.[0-9]{1,4})?) ?%")
_BINARY = re.compile(r"0b[01]{1,63}")
_NUMBER = re.compile(r"[-+]?([0-9]{1,19}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][-+]?[0-9]{1,3})?")


def _string_for_number(value: str, text: str, *, integer: bool) -> Message:
    """Return ``text`` with a hint if the string looks like a number, a date or a percentage."""
    if _SEXAGESIMAL.fullmatch(value):
        total = 0
        for digits in value.lstrip("+-").split(":"):
            total = total * 60 + int(digits)
        total = -total if value.startswith("-") else total
        return "E215", f"{text} (only YAML 1.1 reads it as {total}, in base 60)"
    if _DATE.fullmatch(value):
        return "E217", f"{text} (only YAML 1.1 reads it as a date)"
    if not integer and _DECIMAL_COMMA.fullmatch(value) and (number := without_comma(value)):
        return "E216", f"{text} (write {number})"
    if _GROUPED.fullmatch(value):
        ungrouped = int(re.sub("[_, ']", "", value))
        return "E216", f"{text} (write {ungrouped})"
    if not integer and (match := _PERCENT.fullmatch(value)):
        return "E305", f"{text} (write {float(match[1]) / 100:.6g})"
    if _BINARY.fullmatch(value):
        return "E211", f"{text} (write {int(value, 0)})"
    if _NUMBER.fullmatch(value):
        if not integer or value.lstrip("+-").isdecimal():
            return "E309", text + _UNQUOTED
        # Without quotes, it would be a number with a decimal point or an exponent.
        plain = float(value)
        whole = plain.is_integer() and abs(plain) <= 2**53
        return "E309", f"{text} (write {int(plain)})" if whole else text
    return "E305", text + _in_ascii(value)


def _in_ascii(value: Any) -> str:
    """Return a hint if a string is a number in the digits of another script or of full width."""
    if not isinstance(value, str) or value.isascii() or len(value) > _LONGEST_NUMBER:
        return ""
    # Imported here because a valid spec does not need it.
    from unicodedata import decimal, normalize

    parts = (str(decimal(letter, letter)) for letter in normalize("NFKC", value))
    number = "".join(parts).replace("\N{MINUS SIGN}", "-")
    if not _NUMBER.fullmatch(number):
        return ""
    return f", which contains {foreign_letter(value)}; write {number}"


_LONGEST_NUMBER = 40


def _expectation(kind: str, detail: ErrorDetails, path: Path) -> str:
    if kind in _BOUNDS:
        relation, name = _BOUNDS[kind]
        bound = detail["ctx"][name]
        number = "an integer" if isinstance(bound, int) else "a number"
        return f"{number} {relation} {bound if isinstance(bound, int) else format(bound, 'g')}"
    if layers := _expected_layers(kind, path, detail["input"]):
        return layers
    return _EXPECTED.get(kind, detail["msg"])


def _expected_layers(kind: str, path: Path, value: Any) -> str:
    example = "{type: lstm, units: 32}" if path[0] == "rnn" else "{units: 64}"
    # A class or a call of a framework in place of a layer.
    called = type_for(value) if isinstance(value, str) else None
    if called in (models.KINDS if path[0] == "rnn" else models.HIDDEN):
        example = example_layer(called)
    if path[0] == "heads" and len(path) <= len(("heads", "name")):
        return "at least one head" if kind == "too_short" else "a head like {units: 5}, by its name"
    if path[0] == "cells":
        return "" if kind in _SCALARS else _EXPECTED_IN_CELLS.get(path[2:3], "a mapping")
    if path[0] == "inputs":
        return _expected_in_inputs(kind, path)
    if expected := _expected_names(kind, path):
        return expected
    if path[-1] == "over" and kind == "dict_type":
        return "a mapping like {m: encoder}"
    if path[-1] == "attention" and "pooling" not in path:
        return _ATTENTION
    if "pooling" in path and kind not in _SCALARS:
        at_least_two = "at least two poolings like [mean, max]"
        return at_least_two if kind == "too_short" else "a mapping like {units: 64}"
    if kind == "tuple_type":
        if path == ("rnn",):
            return f"a layer like {example}, or a list of layers"
        return f"a list of layers like {example}"
    if kind == "too_short":
        return f"at least one layer like {example}"
    if kind.startswith("model") and len(path) > 1:
        return f"a layer like {example}"
    return ""


def _expected_in_inputs(kind: str, path: Path) -> str:
    if len(path) == 1:
        how_many = "at least one input" if kind == "too_short" else "inputs"
        return f"{how_many} like {{features: 7}}, by name"
    if path[2:] == ("embedding",):
        return "a mapping like {vocabulary: 10000, dim: 32}, or the name of another input"
    return "" if kind in _SCALARS else "an input like {features: 7}"


def _expected_names(kind: str, path: Path) -> str:
    """Return what is expected under a key with names of layers."""
    match path:
        case _ if kind == "string_type" and _NAMES.intersection(path[-2:]):
            return "a name like lstm_1"
        case (*_, "initial_state"):
            return "a mapping like {of: encoder}"
        case (*_, "of", _) if kind == "string_type":
            return "a name like lstm_1"
        case ("stream",):
            names = "at least two names of inputs" if kind == "too_short" else "a list of names"
            return f"{names} like [pitch, loudness]"
        case (*_, "of") if kind == "dict_type":
            return "layers by their names in the equations, like {m: mask_1, a: input}"
        case (*_, "equations"):
            return "" if kind in _SCALARS else "lines like {y: m * a}"
        case (*_, "of"):
            names = "at least two names of layers" if kind == "too_short" else "a list of names"
            return f"{names} like [embedding_1, lstm_1]"
        case _:
            return ""


_ATTENTION = "a mapping like {over: encoder, score: general}"
_NAMES = frozenset({"of", "like", "over", "values", "query", "stream", "initial_state"})
"""Keys with the names of layers and inputs."""

_EXPECTED_IN_CELLS: dict[Path, str] = {
    (): "a cell with the keys states and equations, by its name",
    ("states",): "at least one name in a list like [h, c]",
    ("inputs",): "at least two names in a list like [x, s]",
    ("memory",): "one name in a list like [m]",
    ("equations",): "lines like {h: tanh(W @ x + U @ h + b)}",
    ("parameters",): "scalar or a list like [units, features], by the name of a parameter",
}
_BOUNDS = {
    "greater_than_equal": ("of at least", "ge"),
    "less_than_equal": ("of at most", "le"),
    "greater_than": ("above", "gt"),
    "less_than": ("below", "lt"),
}
_EXPECTED = {
    "int_type": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a string",
    "string_pattern_mismatch": "the path of a file without control characters",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_CODES = {
    "string_pattern_mismatch": "E601",
    "too_short": "E313",
    "union_tag_not_found": "E314",
}
