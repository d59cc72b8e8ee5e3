"""The small language in which a backend describes source code.

A backend turns each node into statements, and ``source`` lays them out. No text is ever pasted: a
value becomes a literal, and a name is checked where it is made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, assert_never

from rnnspec.errors import GenerationError

if TYPE_CHECKING:
    from rnnspec.source.code import Code
    from rnnspec.words import Merge

# ASCII only: Python normalizes other identifiers, so two that differ here could be one name.
# Source: https://peps.python.org/pep-3131/.
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Name:
    """A dotted ASCII name, as it is written in the source."""

    text: str

    def __post_init__(self) -> None:
        if _DOTTED.fullmatch(self.text) is None:
            raise GenerationError(f"{self.text!r} is not a name")


@dataclass(frozen=True, slots=True)
class Index:
    """``value[item]``; a slice without a stop is ``value[start:]``."""

    value: Expression
    item: int | str | slice | tuple[slice, int]


LAST_STEP = (slice(None), -1)
"""The item of ``x[:, -1]``: the last step of (batch, steps, features)."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """``value.name``, where ``value`` is more than a name."""

    value: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Binary:
    """``left operator right``."""

    left: Expression
    operator: str
    right: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """``function(*args, **kwargs)``."""

    function: Expression
    args: tuple[Expression, ...] = ()
    kwargs: tuple[tuple[str, Expression], ...] = ()


@dataclass(frozen=True, slots=True)
class Items:
    """``[item, ...]``, or ``(item, ...)`` if ``fixed``."""

    items: tuple[Expression, ...]
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Entries:
    """``{"key": value, ...}``."""

    entries: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """``value if test else otherwise``."""

    value: Expression
    test: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Formatted:
    """``f"text{value}"``; the text has no braces of its own."""

    text: str
    value: Expression


Literal = bool | int | float | str | None
Expression = (
    Literal | Name | Index | Attribute | Binary | Call | Items | Entries | Choice | Formatted
)


@dataclass(frozen=True, slots=True)
class Assign:
    """``target = value``; a target may be a nested tuple of names."""

    target: Target
    value: Expression


@dataclass(frozen=True, slots=True)
class Evaluate:
    """An expression evaluated for its effect."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment line. Its text comes from the backend, never from the spec."""

    text: str


@dataclass(frozen=True, slots=True)
class Return:
    """``return value``."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Raise:
    """``raise value``."""

    value: Expression


@dataclass(frozen=True, slots=True)
class If:
    """``if test:`` and its body, an ``elif`` for each further branch, then ``else``, if any.

    ``ignored`` is the error that mypy is to ignore in a test.
    """

    branches: tuple[tuple[Expression, tuple[Statement, ...]], ...]
    otherwise: tuple[Statement, ...] = ()
    ignored: str = ""


@dataclass(frozen=True, slots=True)
class For:
    """``for target in iterable:`` and its body; a target that begins with ``*`` takes the rest."""

    target: Target
    iterable: Expression
    body: tuple[Statement, ...]


Target = str | tuple["Target", ...]
Statement = Assign | Comment | Evaluate | Return | Raise | If | For


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method of the generated source; ``docstring`` has one line per entry."""

    name: str
    arguments: str
    returns: str
    docstring: tuple[str, ...]
    body: tuple[Statement, ...]
    decorators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of source above the model: its template, and the values for the template."""

    template: str
    values: tuple[tuple[str, str], ...] = ()


class Text(Protocol):
    """What a template lays out as text, in Python or in another language.

    ``entry`` is the name of the model. ``parts`` are rendered first. ``before_loading`` are lines
    of Python to run before a saved model is loaded.
    """

    @property
    def template(self) -> str:
        """The name of the template."""

    @property
    def entry(self) -> str:
        """The class, function or graph that is the model."""

    @property
    def parts(self) -> tuple[Part | Code, ...]:
        """Pieces of source above the model."""

    @property
    def before_loading(self) -> tuple[str, ...]:
        """Lines of Python."""


@dataclass(frozen=True, slots=True)
class Source:
    """A generated file of Python. ``entry`` is the class or function that makes the model.

    ``imports`` are import lines for the standard library; the template imports the framework.
    ``before_loading`` are lines of Python to run before a saved model is loaded.
    """

    template: str
    title: str
    comment: str
    entry: str
    docstring: tuple[str, ...]
    parts: tuple[Part | Code, ...]
    imports: tuple[str, ...]
    functions: tuple[Function, ...]
    before_loading: tuple[str, ...] = ()


def call(
    function: str,
    positional: tuple[Expression, ...],
    arguments: Mapping[str, Expression],
    defaults: Mapping[str, Expression],
) -> Call:
    """Return a call without the arguments that are equal to the framework's defaults."""
    said = [(k, v) for k, v in arguments.items() if k not in defaults or v != defaults[k]]
    return Call(Name(function), positional, tuple(said))


def merged(ahead: Expression, back: Expression, merge: Merge, joined: Expression) -> Expression:
    """Return both directions merged; ``joined`` is the call that concatenates them."""
    match merge:
        case "concat":
            return joined
        case "sum":
            return Binary(ahead, "+", back)
        case "mul":
            return Binary(ahead, "*", back)
        case "ave":
            return Binary(Binary(ahead, "+", back), "/", 2)
        case _:
            assert_never(merge)
