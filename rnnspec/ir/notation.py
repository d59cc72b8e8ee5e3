"""The notation in which a spec writes cells: its parts, and equations as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import wrap
from typing import TYPE_CHECKING, assert_never, get_args

from rnnspec.ir.equations import (
    INPUT,
    REDUCTIONS,
    Apply,
    ApplyToVector,
    Attend,
    Choose,
    Concat,
    Elementwise,
    Equations,
    Expression,
    Features,
    Name,
    Number,
    Part,
    Product,
    Transpose,
)
from rnnspec.ir.shapes import NAMED_SIZES
from rnnspec.words import CellActivation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.equations import Path, Shape, Size

FUNCTIONS = (*get_args(CellActivation), "exp", "log", "sqrt", "abs")
"""The functions of each element."""
OTHER_FUNCTIONS: Mapping[str, str] = {
    "minimum": "minimum(a, b)",
    "maximum": "maximum(a, b)",
    "where": "where(a > b, c, d)",
    "softmax": "softmax(v) or softmax(v, groups)",
    "standardize": "standardize(v) or standardize(v, epsilon)",
    "layer_norm": "layer_norm(v) or layer_norm(v, epsilon)",
    "concat": "concat(a, b)",
    "split": "split(v, i, n), part i of n, with numbers 1 <= i <= n",
    "sum": "sum(v)",
    "mean": "mean(v)",
    "max": "max(v); maximum(a, b) is by element",
    "norm": "norm(v)",
    "dot": "dot(a, b), the product of two vectors",
    "attend": "attend(q, m), the context of a query over a memory",
}
"""The other functions, each with how it is called."""
RESERVED = frozenset({INPUT, *NAMED_SIZES, *FUNCTIONS, *OTHER_FUNCTIONS}) - {
    *REDUCTIONS,
    "dot",
    "attend",
}
"""Names that no state, line, parameter or setting can have; others are functions before ( only."""


@dataclass(frozen=True, slots=True)
class WrittenLine:
    """A line as it is written; its text has the expression from column ``start`` on."""

    name: str
    text: str
    path: Path
    start: int = 1


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that are repeated; each repetition has parameters of its own."""

    rows: tuple[WrittenLine, ...]
    path: Path
    repeat: int | None = None
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notation:
    """A cell as it is written.

    ``sizes`` are those of states and lines, and ``parameters`` the shapes of parameters, as far as
    they are declared; ``initialized`` has the names of the parameters with an initializer, and
    ``sized`` the names that stand in sizes. ``inputs`` has the shapes of what the equations read,
    and ``memory`` the number of features of what they attend to. If there are no states, the last
    line is the output.
    """

    states: tuple[str, ...]
    blocks: tuple[Block, ...]
    inputs: Mapping[str, Shape] = field(default_factory=lambda: {INPUT: ("features",)})
    memory: Mapping[str, Size] = field(default_factory=dict)
    output: WrittenLine | None = None
    settings: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Shape] = field(default_factory=dict)
    initialized: tuple[str, ...] = ()
    sized: frozenset[str] = frozenset()
    functions: tuple[str, ...] = FUNCTIONS


@dataclass(frozen=True, slots=True)
class Reading:
    """The equations of a cell, and the name as written of each parameter.

    ``norms`` has the initial values of the parameters of layer norms, by their names as written.
    """

    equations: Equations
    written: Mapping[str, str]
    norms: Mapping[str, float]


_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "@": 2}


def write_expression(  # noqa: PLR0912 - a branch for each kind of expression
    expression: Expression, binding: int = 0
) -> str:
    """Return the text of an expression, in parentheses if its operator binds less than another."""
    match expression:
        case Number(value=value):
            text = repr(int(value) if value.is_integer() and abs(value) < 1e16 else value)
            return f"({text})" if value < 0.0 and binding else text
        case Name(name=name):
            return name
        case Apply(function=function, operand=operand):
            return f"{function}({write_expression(operand)})"
        case Elementwise(operator="minimum" | "maximum" as function, left=left, right=right):
            return f"{function}({write_expression(left)}, {write_expression(right)})"
        case Elementwise(operator="-", left=Number(value=0.0), right=right):
            text = f"-{write_expression(right, 3)}"
            return f"({text})" if binding > 1 else text
        case Elementwise(operator=operator, left=left, right=right):
            return _write_sides(left, operator, right, binding)
        case Transpose(matrix=matrix):
            return f"{matrix.name}.T"
        case Product(matrix=matrix, vector=vector):
            return _write_sides(matrix, "@", vector, binding)
        case Choose(comparison=comparison, left=left, right=right):
            sides = f"{write_expression(left, 1)} {comparison} {write_expression(right, 1)}"
            chosen, rest = map(write_expression, (expression.chosen, expression.otherwise))
            return f"where({sides}, {chosen}, {rest})"
        case ApplyToVector(function=function, operand=operand, epsilon=epsilon, groups=groups):
            more = f", {groups}" if groups > 1 else f", {epsilon!r}" if epsilon else ""
            return f"{function}({write_expression(operand)}{more})"
        case Concat(parts=parts):
            return f"concat({', '.join(map(write_expression, parts))})"
        case Part(operand=operand, index=index, count=count):
            return f"split({write_expression(operand)}, {index + 1}, {count})"
        case Features(operand=operand, text=text):
            return f"{write_expression(operand, 4)}[{text}]"
        case Attend(query=query, memory=memory):
            return f"attend({write_expression(query)}, {memory})"
        case _:
            assert_never(expression)


def _write_sides(left: Expression, operator: str, right: Expression, binding: int) -> str:
    rank = _BINDING[operator]
    text = f"{write_expression(left, rank)} {operator} {write_expression(right, rank + 1)}"
    return f"({text})" if rank < binding else text


def describe(equations: Equations, width: int) -> Iterator[str]:
    """Yield the lines of equations for a docstring, none longer than a width."""
    for line in equations.lines:
        text = f"{line.name} = {write_expression(line.value)}"
        yield from wrap(text, width, subsequent_indent="    ", break_long_words=False)
