"""Statements as text, with lines broken as ``ruff format`` breaks them."""

from __future__ import annotations

import json
import math
from typing import assert_never

from rnnspec.backends.expressions import (
    Assign,
    Attribute,
    Binary,
    Call,
    Choice,
    Comment,
    Entries,
    Evaluate,
    Expression,
    For,
    Formatted,
    Function,
    If,
    Index,
    Items,
    Name,
    Raise,
    Return,
    Statement,
    Target,
)
from rnnspec.errors import GenerationError

LINE_LENGTH = 88
"""The default line length of ``ruff format``."""

_INDENT = 4
_COMPARISONS = ("==", "!=", ">", "is not", "or")


def definition(function: Function, indent: int) -> str:
    """Return the line that begins a function, or three lines if it would be too long."""
    opening, closing = f"def {function.name}(", f") -> {function.returns}:"
    line = f"{opening}{function.arguments}{closing}"
    if indent + len(line) <= LINE_LENGTH:
        return line
    return _nested([function.arguments], indent, opening, closing)


def statement(value: Statement, indent: int) -> str:
    """Return a statement as text; ``indent`` applies to all lines but the first."""
    match value:
        case Assign(target, expression):
            before = f"{_target(target)} = "
            if isinstance(target, str) or indent + len(before) < LINE_LENGTH:
                return _given(expression, indent, before)
            *opening, closing = _spread_target(target, indent).split("\n")
            last = _broken(expression, indent, f"{closing.strip()} = ", "")
            return "\n".join([*opening, " " * indent + last])
        case Comment(text):
            return f"# {text}"
        case Evaluate(expression):
            return _broken(expression, indent, "", "")
        case Return(Items(items, fixed=True)):
            return f"return {', '.join(map(flat, items))}"
        case Return(expression):
            return _given(expression, indent, "return ")
        case Raise(expression):
            return _given(expression, indent, "raise ")
        case If():
            return _conditional(value, indent)
        case For(target, iterable, body):
            return _block(f"for {_target(target)} in {flat(iterable)}:", body, indent)
        case _:
            assert_never(value)


def _conditional(value: If, indent: int) -> str:
    words = ("if ", *("elif " for _ in value.branches[1:]))
    pragma = f"  # type: ignore[{value.ignored}]" if value.ignored else ""
    blocks = [
        _block(_broken(test, indent, word, ":") + pragma, body, indent)
        for word, (test, body) in zip(words, value.branches, strict=True)
    ]
    if value.otherwise:
        blocks.append(_block("else:", value.otherwise, indent))
    return f"\n{' ' * indent}".join(blocks)


def _block(opening: str, body: tuple[Statement, ...], indent: int) -> str:
    inner = indent + _INDENT
    return "\n".join([opening, *(" " * inner + statement(each, inner) for each in body)])


def _target(target: Target, *, nested: bool = False) -> str:
    if isinstance(target, str):
        rest = "*" if target.startswith("*") else ""
        return rest + Name(target.removeprefix("*")).text
    inside = ", ".join(_target(item, nested=True) for item in target)
    return f"({inside})" if nested else inside


def _spread_target(target: tuple[Target, ...], indent: int) -> str:
    """Return a target with one item on each line."""
    inner, lines = indent + _INDENT, list[str]()
    for item in target:
        text = _target(item, nested=True)
        if not isinstance(item, str) and inner + len(text) >= LINE_LENGTH:
            text = _spread_target(item, inner)
        lines.append(f"{text},")
    return _nested(lines, indent, "(", ")")


def flat(value: Expression) -> str:
    """Return an expression on one line."""
    match value:
        case Name(text):
            return text
        case Index(inner, item):
            return f"{flat(inner)}[{_item(item)}]"
        case Attribute(inner, name):
            return f"{_operand(inner)}.{Name(name).text}"
        case Binary(left, operator, right):
            return f"{_operand(left, operator)} {operator} {_operand(right, operator)}"
        case Call(function):
            return f"{flat(function)}({', '.join(_arguments(value))})"
        case Items(items, fixed):
            return _bracketed(", ".join(flat(item) for item in items), fixed, len(items))
        case Entries(entries):
            return "{" + ", ".join(f"{_text(key)}: {flat(item)}" for key, item in entries) + "}"
        case Choice(chosen, test, otherwise):
            return f"{flat(chosen)} if {flat(test)} else {flat(otherwise)}"
        case Formatted(text, inner):
            return f'f{_text(text)[:-1]}{{{flat(inner)}}}"'
        case _:
            return _literal(value)


def _bracketed(inside: str, fixed: bool, length: int) -> str:
    if not fixed:
        return f"[{inside}]"
    return f"({inside},)" if length == 1 else f"({inside})"


def _operand(value: Expression, operator: str = "") -> str:
    """Return an operand, in parentheses if it is binary and not a comparison in an ``or``."""
    if not isinstance(value, Binary) or (operator == "or" and value.operator in _COMPARISONS):
        return flat(value)
    return f"({flat(value)})"


def _item(item: int | str | slice | tuple[slice, int]) -> str:
    if isinstance(item, tuple):
        return ", ".join(_item(each) for each in item)
    if isinstance(item, slice):
        start, stop = ("" if end is None else end for end in (item.start, item.stop))
        return f"{start}:{stop}"
    return _literal(item)


def _arguments(call: Call) -> list[str]:
    return _listed(call.args, call.kwargs)


def _listed(items: tuple[Expression, ...], named: tuple[tuple[str, Expression], ...]) -> list[str]:
    return [*map(flat, items), *(f"{Name(key).text}={flat(value)}" for key, value in named)]


def _literal(value: bool | float | str | None) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise GenerationError(f"{value!r} has no literal")
    # The repr of a float reads back as the same float; ruff writes 1e16, not 1e+16.
    return repr(value).replace("e+", "e")


def _text(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise GenerationError(f"{value!r} is not printable ASCII")
    # A JSON string of these characters is a Python string too, in the double quotes of ruff.
    return json.dumps(value)


def _given(value: Expression, indent: int, before: str) -> str:
    """Return a value after ``before``, in parentheses if its first line fits only inside them."""
    text = _broken(value, indent, before, "")
    inside = _broken(value, indent + _INDENT, "", "")
    if _starts_within(text, indent) or not _starts_within(inside, indent + _INDENT):
        return text
    return _nested([inside], indent, f"{before}(", ")")


def _starts_within(text: str, indent: int) -> bool:
    """Return whether the first line of a text is short enough."""
    return indent + len(text.partition("\n")[0]) <= LINE_LENGTH


def _broken(value: Expression, indent: int, before: str, after: str) -> str:
    line = f"{before}{flat(value)}{after}"
    if indent + len(line) <= LINE_LENGTH:
        return line
    # As in ruff, the last brackets of a chain are broken first, and earlier ones only if the text
    # before the last ones is too long.
    match value:
        case Call(function) if value.args or value.kwargs:
            opening = f"{before}{flat(function)}("
            if not _breakable(function) or indent + len(opening) <= LINE_LENGTH:
                return _spread(value.args, value.kwargs, indent, opening, f"){after}")
            text = _broken(function, indent, before, f"({', '.join(_arguments(value))}){after}")
            if len(text.rpartition("\n")[2]) <= LINE_LENGTH:
                return text
            opening = _broken(function, indent, before, "(")
            return _spread(value.args, value.kwargs, indent, opening, f"){after}")
        case Index(inner, item):
            opening = f"{before}{flat(inner)}["
            if not _breakable(inner) or indent + len(opening) <= LINE_LENGTH:
                return _nested([_item(item)], indent, opening, f"]{after}")
            return _broken(inner, indent, before, f"[{_item(item)}]{after}")
        case Attribute(inner, name) if _breakable(inner):
            return _broken(inner, indent, before, f".{name}{after}")
        case Entries(entries):
            lines = [
                _broken(item, indent + _INDENT, f"{_text(key)}: ", ",") for key, item in entries
            ]
            return _nested(lines, indent, before + "{", "}" + after)
        case Items(items, fixed):
            opening, closing = ("(", ")") if fixed else ("[", "]")
            return _spread(items, (), indent, before + opening, closing + after)
        case _:
            return line


def _breakable(value: Expression) -> bool:
    """Return true if an expression has brackets at which a line can be broken."""
    return isinstance(value, Index) or (
        isinstance(value, Call) and bool(value.args or value.kwargs)
    )


def _spread(
    items: tuple[Expression, ...],
    named: tuple[tuple[str, Expression], ...],
    indent: int,
    opening: str,
    closing: str,
) -> str:
    """Return the items between brackets, on one line if they fit, otherwise one per line."""
    inside = ", ".join(_listed(items, named))
    if indent + _INDENT + len(inside) <= LINE_LENGTH:
        return _nested([inside], indent, opening, closing)
    # Ruff adds a trailing comma only to more than one item.
    comma = "," if len(items) + len(named) > 1 else ""
    lines = [_broken(item, indent + _INDENT, "", comma) for item in items]
    lines += [_broken(value, indent + _INDENT, f"{Name(key).text}=", comma) for key, value in named]
    return _nested(lines, indent, opening, closing)


def _nested(lines: list[str], indent: int, opening: str, closing: str) -> str:
    inner = " " * (indent + _INDENT)
    return "\n".join([opening, *(inner + line for line in lines), " " * indent + closing])
