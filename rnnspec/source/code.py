"""The language in which a backend writes source: text with holes for checked values.

A backend writes Python as it is to be read, and says what goes into each hole. Nothing from a spec
reaches the text but names that are checked and literals of values.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from string import Formatter
from textwrap import dedent, indent
from typing import Protocol, Self

from rnnspec.errors import GenerationError

# ASCII only: Python normalizes other identifiers, so two that differ here could be one name.
# Source: https://peps.python.org/pep-3131/.
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_EMPTY = "\0"


class Code(str):
    """Source text that was made by ``code``: an expression, or lines of statements."""

    __slots__ = ()


_NONE = Code()


class OutputStatement(Code):
    """A statement that assigns the output of a layer, to ``x`` unless another variable is told.

    Variables ``before`` and ``after`` this one are assigned with it.
    """

    __slots__ = ("after", "before", "value")

    after: Code
    before: Code
    value: Code

    def __new__(cls, value: Code, *, before: Code = _NONE, after: Code = _NONE) -> Self:
        """Return the statement of a value."""
        output = super().__new__(cls, f"{listed(before, 'x', after)} = {value}")
        output.value, output.before, output.after = value, before, after
        return output

    def into(self, variable: Code) -> Code:
        """Return the statement with the output in a variable."""
        return code("{} = {}", listed(self.before, variable, self.after), self.value)


def assignment(names: Sequence[Code | str], value: Code) -> Code:
    """Return the statement that assigns a value to variables, the output of a layer to ``x``."""
    if "x" not in names:
        return code("{} = {}", listed(*names), value)
    at = names.index("x")
    return OutputStatement(value, before=listed(*names[:at]), after=listed(*names[at + 1 :]))


Literal = bool | int | float | str | tuple[int | None, ...] | None


class Source(Protocol):
    """The text of a file, which a template lays out, in Python or in another language.

    ``entry`` is the class, function or graph that is the model. ``before_loading`` are lines of
    Python to run before a saved model is loaded.
    """

    @property
    def template(self) -> str:
        """The name of the template."""

    @property
    def entry(self) -> str:
        """The name of the model."""

    @property
    def before_loading(self) -> tuple[str, ...]:
        """Lines of Python."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A generated file of Python.

    ``imports`` are the lines of its imports. ``parts`` are its functions and classes, the last of
    them the model.
    """

    template: str = "python/model.py.j2"
    title: str
    comment: str
    entry: str
    parts: tuple[Code, ...]
    imports: tuple[str, ...] = ()
    before_loading: tuple[str, ...] = ()


def code(template: str, /, *values: object, **holes: object) -> Code:
    """Return source with its holes filled, without the margin of the template.

    ``{}`` and ``{hole}`` take code, or a dotted ASCII name; ``{hole!r}`` takes a value and writes
    its literal. Code of several lines gets the indentation of its hole. A hole that is alone in its
    line and gets no code leaves no line.

    Raises:
        GenerationError: a text is neither code nor a name, or a value has no literal or no hole.
    """
    text, numbered = "", iter(values)
    for before, hole, conversion in _parse(template):
        text += before
        if hole is None:
            continue
        value = holes[hole] if hole else next(numbered)
        filling = literal(value) if conversion == "r" else _checked(value)
        if "\n" in filling:
            margin = text.rpartition("\n")[2]
            if not margin.strip(" "):
                filling = indent(filling, margin)[len(margin) :]
        text += filling or _EMPTY
    if unused := tuple(numbered):
        raise GenerationError(f"no hole is left for {unused}")
    if _EMPTY not in text:
        return Code(text)
    lines = (line for line in text.split("\n") if line.strip(" ") != _EMPTY)
    return Code("\n".join(lines).replace(_EMPTY, ""))


@cache
def _parse(template: str) -> tuple[tuple[str, str | None, str | None], ...]:
    """Return texts, each with the name and the conversion of the hole after it, or None."""
    parsed = Formatter().parse(dedent(template).strip("\n"))
    return tuple((before, hole, conversion) for before, hole, _, conversion in parsed)


def literal(value: object) -> str:
    """Return the literal of a value, as ``ruff format`` writes it.

    Tuples are written with parentheses.

    Raises:
        GenerationError: the value has no literal.
    """
    match value:
        case str():
            if not (value.isascii() and value.isprintable()):
                raise GenerationError(f"{value!r} is not printable ASCII")
            # A JSON string of these characters is a Python string too, in double quotes.
            return json.dumps(value)
        case bool() | int() | None:
            return repr(value)
        case float() if math.isfinite(value):
            # The repr of a float reads back as the same float; ruff writes 1e16, not 1e+16.
            return repr(value).replace("e+", "e")
        case tuple():
            items = ", ".join(map(literal, value))
            return f"({items},)" if len(value) == 1 else f"({items})"
        case _:
            raise GenerationError(f"{value!r} has no literal")


def _checked(value: object) -> str:
    if isinstance(value, Code):
        return value
    if isinstance(value, str) and _DOTTED.fullmatch(value):
        return value
    raise GenerationError(f"{value!r} is neither code nor a name")


def lines(*pieces: Code | Iterable[Code]) -> Code:
    """Return code one below the other; empty code leaves no line."""
    flat = (part for piece in pieces for part in ([piece] if isinstance(piece, Code) else piece))
    return Code("\n".join(piece for piece in flat if piece))


def listed(*items: Code | str) -> Code:
    """Return code and names with commas between them, leaving out empty ones."""
    return Code(", ".join(_checked(item) for item in items if item))


def call(
    function: str,
    /,
    *positional: Code | Literal,
    _defaults: Mapping[str, object] | None = None,
    **arguments: Code | Literal,
) -> Code:
    """Return a call without the arguments that are equal to the framework's defaults.

    An argument is code, or a value whose literal is written. It may be a setting of a cell, with
    any name that begins with a letter.
    """
    differing = {
        name: value
        for name, value in arguments.items()
        if _defaults is None or name not in _defaults or value != _defaults[name]
    }
    return code(
        "{}({})",
        function,
        listed(
            *(Code(_argument(value)) for value in positional),
            *(Code(f"{_checked(name)}={_argument(value)}") for name, value in differing.items()),
        ),
    )


def _argument(value: Code | Literal) -> str:
    return value if isinstance(value, Code) else literal(value)


def docstring(text: Iterable[str]) -> Code:
    """Return a docstring with its quotes, given its lines.

    Lines behind the first that are all indented are not: Python takes their margin away.
    """
    first, *rest = text
    if not rest:
        return Code(f'"""{first}"""')
    return Code("\n".join([f'"""{first}', dedent("\n".join(rest)), '"""']))


def function(
    signature: Code,
    *body: Code | Iterable[Code],
    describes: Iterable[str] = (),
    decorators: Iterable[Code] = (),
) -> Code:
    """Return a function or method: ``def signature:``, its docstring and its body."""
    description = tuple(describes)
    return code(
        """
        {decorators}
        def {signature}:
            {docstring}
            {body}
        """,
        decorators=lines(Code(f"@{decorator}") for decorator in decorators),
        signature=signature,
        docstring=docstring(description) if description else Code(),
        body=lines(*body),
    )


def define_class(name: str, base: str, describes: Iterable[str], *functions: Code) -> Code:
    """Return a class: ``class name(base):``, its docstring and its methods."""
    return code(
        """
        class {}{}:
            {}

            {}
        """,
        name,
        code("({})", base) if base else Code(),
        docstring(describes),
        Code("\n\n".join(functions)),
    )
