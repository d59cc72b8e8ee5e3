"""Equations: what a cell computes at each time step, in expressions that are never evaluated here.

``x`` is the input of the step, of size ``features``. A state is its value before the step until a
line assigns it, and the new one after that. ``ir.parser`` reads them from text.
"""

from __future__ import annotations

import math
import operator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, assert_never, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

INPUT = "x"

Path = tuple[str | int, ...]
"""The keys that lead to a text of a cell."""

Size = str
"""A number, or the name of one (``units``, ``features``), or a sum: ``2 * units + features``."""

Shape = tuple[Size, ...]
"""No size for a scalar, that of a vector, or those of the result and the input of a matrix."""

Kind = Literal["input", "state", "line", "parameter"]
"""The kind of a name.

``state`` is a state before the step, and ``line`` the value of a line.
"""

Operator = Literal["+", "-", "*", "/", "minimum", "maximum"]
Comparison = Literal["<", "<=", ">", ">="]
Reduction = Literal["sum", "mean", "max", "norm"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)
"""Functions of a vector that give one number; the norm is sqrt(sum(v * v) + ``NORM_EPSILON``)."""
NORM_EPSILON = 1e-12
"""What gives the norm of zeros a gradient."""
VectorFunction = Literal["softmax", "standardize", Reduction]
"""Functions of a vector as a whole; ``standardize`` is (v - mean) / sqrt(variance + epsilon)."""


class EquationError(Exception):
    """A text of a cell that is wrong by itself, or does not fit the others.

    ``path`` leads to the text. Columns are counted from 1; 0 is for the text as a whole, or with
    ``key``, for its name. ``others`` are wrong in the same cell.
    """

    def __init__(self, path: Path, column: int, message: str, *, key: bool = False) -> None:
        place = f"{path[-1]}, column {column}" if column else f"{path[-1]}"
        super().__init__(f"{place}: {message}")
        self.path, self.column, self.message, self.key = path, column, message, key
        self.others: tuple[EquationError, ...] = ()


class EquationErrors:
    """The errors of a cell so far, so that all of them are told."""

    def __init__(self) -> None:
        self._errors: dict[tuple[Path, int, str], EquationError] = {}

    def add(self, error: EquationError) -> None:
        """Add an error and its others; a line of a repeated block has the same one each time."""
        for fault in (error, *error.others):
            self._errors.setdefault((fault.path, fault.column, fault.message), fault)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Add the error that is raised inside, and go on."""
        try:
            yield
        except EquationError as error:
            self.add(error)

    def check(self) -> None:
        """Raise the first error, with the others.

        Raises:
            EquationError: there is one.
        """
        if self._errors:
            first, *others = self._errors.values()
            first.others = tuple(others)
            raise first


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float
    column: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Name:
    """The value of a name."""

    name: str
    kind: Kind
    column: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Apply:
    """A function of each element."""

    function: str
    operand: Expression
    column: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Elementwise:
    """An operation on the elements of two values; a scalar goes with all of a vector."""

    operator: Operator
    left: Expression
    right: Expression
    column: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Transpose:
    """The transpose of a matrix, which is a parameter."""

    matrix: Name
    column: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix, which is made of parameters only, times a vector."""

    matrix: Expression
    vector: Expression
    column: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Choose:
    """``where(left > right, chosen, otherwise)``, by element."""

    comparison: Comparison
    left: Expression
    right: Expression
    chosen: Expression
    otherwise: Expression
    column: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ApplyToVector:
    """A function of a vector as a whole, or a softmax of each of its equal ``groups``."""

    function: VectorFunction
    operand: Expression
    epsilon: float = 0.0
    groups: int = 1
    column: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Concat:
    """Vectors, one after the other."""

    parts: tuple[Expression, ...]
    column: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One of ``count`` equal parts of a vector, the first at ``index`` 0."""

    operand: Expression
    index: int
    count: int
    column: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Features:
    """The feature of a vector at a place, as a number, or those from one place to another.

    Places are counted as in Python: from 0, or back from the end, which is None. With
    ``once``, they are of the input, and the same at each step of it.
    """

    operand: Expression
    places: int | tuple[int, int | None]
    once: bool = False
    column: int = field(default=0, compare=False, repr=False)

    @property
    def start(self) -> int:
        """The first place, behind the end of the vector if it is negative."""
        return self.places if isinstance(self.places, int) else self.places[0]

    @property
    def text(self) -> str:
        """The places between brackets."""
        if isinstance(self.places, int):
            return str(self.places)
        start, stop = self.places
        return f"{start or ''}:{'' if stop is None else stop}"

    def range_of(self, size: int) -> range:
        """Return the places in a vector of a size, fewer than those meant if it has not all."""
        if isinstance(self.places, int):
            return range(size)[self.places : self.places + 1 or None]
        return range(size)[slice(*self.places)]

    def size_of(self, whole: Size) -> Size | None:
        """Return how many features are taken of a vector, or None if they are not all there.

        Raises:
            ValueError: no number is known of a size with a name.
        """
        start, stop = (self.start, None) if isinstance(self.places, int) else self.places
        least = max(-start, start + 1, -(stop or 0), stop or 0)
        if whole.isdigit():
            places = self.range_of(int(whole))
            return str(len(places)) if places and int(whole) >= least else None
        if isinstance(self.places, int):
            return "1"
        if (start < 0) != (stop is None or stop < 0):
            raise ValueError(f"{whole} is no number")
        count = (stop or 0) - start
        return str(count) if count > 0 else None


@dataclass(frozen=True, slots=True)
class Attend:
    """The context of a query over a ``memory``: the mean of its steps, of ``size`` features.

    What the weights of the steps are is said by the layer, not by the cell.
    """

    query: Expression
    memory: str
    size: Size
    column: int = field(default=0, compare=False, repr=False)


Expression = (
    Number
    | Name
    | Apply
    | Elementwise
    | Transpose
    | Product
    | Choose
    | ApplyToVector
    | Concat
    | Part
    | Features
    | Attend
)


def operands(expression: Expression) -> tuple[Expression, ...]:
    """Return the expressions that an operation takes."""
    match expression:
        case Apply() | ApplyToVector() | Part() | Features():
            return (expression.operand,)
        case Elementwise(left=left, right=right):
            return left, right
        case Transpose(matrix=matrix):
            return (matrix,)
        case Product(matrix=matrix, vector=vector):
            return matrix, vector
        case Choose():
            return expression.left, expression.right, expression.chosen, expression.otherwise
        case Concat(parts=parts):
            return parts
        case Attend(query=query):
            return (query,)
        case Number() | Name():
            return ()
        case _:
            assert_never(expression)


def walk(expression: Expression) -> Iterator[Expression]:
    """Yield an expression and all inside it."""
    yield expression
    for operand in operands(expression):
        yield from walk(operand)


def rewrite(
    expression: Expression, change: Callable[[Expression], Expression | None]
) -> Expression:
    """Return an expression with what ``change`` makes of its parts, where that is not None."""
    changed = change(expression)
    if changed is not None:
        return changed
    match expression:
        case Apply() | ApplyToVector() | Part() | Features():
            return replace(expression, operand=rewrite(expression.operand, change))
        case Elementwise(left=left, right=right):
            left, right = rewrite(left, change), rewrite(right, change)
            return replace(expression, left=left, right=right)
        case Product(vector=vector):
            return replace(expression, vector=rewrite(vector, change))
        case Choose():
            left, right, chosen, otherwise = (
                rewrite(part, change) for part in operands(expression)
            )
            return replace(expression, left=left, right=right, chosen=chosen, otherwise=otherwise)
        case Concat(parts=vectors):
            return replace(expression, parts=tuple(rewrite(part, change) for part in vectors))
        case Attend(query=query):
            return replace(expression, query=rewrite(query, change))
        case Number() | Name() | Transpose():
            return expression
        case _:
            assert_never(expression)


def interpolation(expression: Expression) -> tuple[Expression, Expression, Expression] | None:
    """Return n, h and z of an expression that is z h + (1 - z) n in any order, or None."""
    match expression:
        case Elementwise("+", Elementwise("*") as one, Elementwise("*") as other):
            for first, second in ((one, other), (other, one)):
                for share, end in ((first.left, first.right), (first.right, first.left)):
                    rest = Elementwise("-", Number(1.0), share)
                    if rest in (second.left, second.right):
                        start = second.right if second.left == rest else second.left
                        return start, end, share
            return None
        case _:
            return None


_OF_NUMBERS: Mapping[str, Callable[..., float]] = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": abs,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "minimum": min,
    "maximum": max,
}
"""What is computed of numbers alone: all but activations, whose meaning is not told here."""


def evaluate(expression: Expression) -> float:
    """Return the value of an expression of numbers alone.

    Raises:
        ValueError: it is none; so have ``OverflowError`` and ``ZeroDivisionError``.
        LookupError: it has an activation.
    """
    match expression:
        case Number(value=value):
            return value
        case Apply(function=function, operand=operand):
            return _OF_NUMBERS[function](evaluate(operand))
        case Elementwise(operator=sign, left=left, right=right):
            return _OF_NUMBERS[sign](evaluate(left), evaluate(right))
        case _:
            raise ValueError(f"{type(expression).__name__} is not of numbers alone")


@dataclass(frozen=True, slots=True)
class Line:
    """A name and its value."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Equations:
    """The lines of a cell in their order, its states, the output first, and its parameters.

    Each name is assigned once. ``shapes`` are those of the states and of all lines.
    """

    states: tuple[str, ...]
    lines: tuple[Line, ...]
    parameters: tuple[tuple[str, Shape], ...]
    shapes: tuple[tuple[str, Shape], ...]


def attends_of(equations: Equations) -> Iterator[Attend]:
    """Yield what asks a memory, in the order of the lines."""
    for line in equations.lines:
        yield from (part for part in walk(line.value) if isinstance(part, Attend))


def is_linear_recurrence(equations: Equations) -> bool:
    """True if each state is a * s + b, by element, of its value s before the step.

    a and b are free of it. They may have other states of this kind, whose values of all steps are
    known by then.
    """
    known = set[str]()
    while True:
        more = {
            state
            for state in equations.states
            if state not in known and _is_linear_in(state, equations, known)
        }
        if not more:
            return known == set(equations.states)
        known |= more


def _is_linear_in(state: str, equations: Equations, known: Collection[str]) -> bool:
    """True if the new value of a state is a * s + b of its value s before the step."""
    # In the order of the lines, as a block may repeat them beyond the depth of a recursion.
    degrees = dict[str, int | None]()
    for line in equations.lines:
        degrees[line.name] = 0 if line.name in known else _degree(line.value, state, known, degrees)
    return degrees[state] is not None


def _degree(
    expression: Expression,
    state: str,
    known: Collection[str],
    degrees: Mapping[str, int | None],
) -> int | None:
    """Return 0 for a value free of a state, 1 for a * s + b, and None for anything else."""

    def of(part: Expression) -> int | None:
        return _degree(part, state, known, degrees)

    match expression:
        case Name(name=name, kind="state"):
            return 0 if name in known else 1 if name == state else None
        case Name(name=name, kind="line"):
            return degrees[name]
        case Elementwise(operator="+" | "-", left=left, right=right):
            sides = of(left), of(right)
            return None if None in sides else max(side or 0 for side in sides)
        case Elementwise(operator="*", left=left, right=right):
            one, other = of(left), of(right)
            return None if one is None or other is None or one + other > 1 else one + other
        case Elementwise(operator="/", left=left, right=right) if of(right) == 0:
            return of(left)
        case Attend():
            # It is computed in each step.
            return None
        case _:
            return 0 if all(of(part) == 0 for part in operands(expression)) else None


def evaluate_size(size: Size, values: Mapping[str, int]) -> int:
    """Return a size as a number, given those of its names."""
    total = 0
    for term in size.split(" + "):
        *factor, name = term.split(" * ")
        total += int(factor[0] if factor else 1) * (int(name) if name.isdigit() else values[name])
    return total


def divide_size(size: Size, count: int) -> Size:
    """Return one of ``count`` equal parts of a size.

    Raises:
        ValueError: there are no such parts.
    """
    totals = dict[str, int]()
    for term in size.split(" + "):
        *factor, name = term.split(" * ")
        number, name = (int(name), "") if name.isdigit() else (1, name)
        totals[name] = totals.get(name, 0) + number * int(factor[0] if factor else 1)
    if any(number % count for number in totals.values()):
        raise ValueError(f"{size} has no {count} equal parts")
    parts = ((number // count, name) for name, number in totals.items())
    texts = (f"{n} * {name}" if n > 1 and name else name or str(n) for n, name in parts)
    return " + ".join(texts)


def leave_out(equations: Equations, names: Collection[str]) -> Equations:
    """Return equations without some terms of their sums: parameters that a layer does not have."""

    def change(expression: Expression) -> Expression | None:
        match expression:
            case Elementwise(operator="+", left=left, right=Name(name=name)) if name in names:
                return rewrite(left, change)
            case Elementwise(operator="+", left=Name(name=name), right=right) if name in names:
                return rewrite(right, change)
            case _:
                return None

    lines = (replace(line, value=rewrite(line.value, change)) for line in equations.lines)
    left = tuple(item for item in equations.parameters if item[0] not in names)
    return replace(equations, lines=tuple(lines), parameters=left)
