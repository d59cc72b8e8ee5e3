"""Equations: what a cell computes at each time step, read from text and never evaluated here.

A line is ``name: expression``. ``@`` is the product of a matrix and a vector, the other operators
and all functions are by element. ``x`` is the input of the step, of size ``features``. A state is
its value before the step until a line assigns it, and the new one after that. Any other name that
no line assigns is a parameter, whose shape follows from where it stands.
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, assert_never

from rnnspec.wording import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

INPUT = "x"
MAX_LINES = 64
MAX_DEPTH = 32
MAX_LENGTH = 400
"""The most lines, nested operations of one, and characters of one."""
_LARGEST = 3e38

Size = str
"""A number, or the name of one (``units``, ``features``), or a sum: ``2 * units + features``."""

Shape = tuple[Size, ...]
"""No size for a scalar, that of a vector, or those of the result and the input of a matrix."""

Kind = Literal["input", "state", "line", "parameter", "gate"]
"""The kind of a name.

``state`` is a state before the step, ``line`` the value of a line, and ``gate`` a part of a product
for several gates, which no text has.
"""

Operator = Literal["+", "-", "*", "/", "minimum", "maximum"]
Comparison = Literal["<", "<=", ">", ">="]
VectorFunction = Literal["softmax", "standardize"]
"""Functions of a vector as a whole; ``standardize`` is (v - mean) / sqrt(variance + epsilon)."""


class EquationError(Exception):
    """A line that is no equation, or does not fit the others; columns are counted from 1."""

    def __init__(self, line: str, column: int, message: str) -> None:
        super().__init__(f"{line}, column {column}: {message}")
        self.line, self.column, self.message = line, column, message


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """The value of a name."""

    name: str
    kind: Kind
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Apply:
    """A function of each element."""

    function: str
    operand: Expression
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Elementwise:
    """An operation on the elements of two values; a scalar goes with all of a vector."""

    operator: Operator
    left: Expression
    right: Expression
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Transpose:
    """The transpose of a matrix, which is a parameter."""

    matrix: Name
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix, which is made of parameters only, times a vector."""

    matrix: Expression
    vector: Expression
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Choose:
    """``where(left > right, chosen, otherwise)``, by element."""

    comparison: Comparison
    left: Expression
    right: Expression
    chosen: Expression
    otherwise: Expression
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ApplyToVector:
    """A function of a vector as a whole."""

    function: VectorFunction
    operand: Expression
    epsilon: float = 0.0
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Concat:
    """Vectors, one after the other."""

    parts: tuple[Expression, ...]
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One of ``count`` equal parts of a vector, the first at ``index`` 0."""

    operand: Expression
    index: int
    count: int
    column: int = field(default=0, compare=False)


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
)


def operands(expression: Expression) -> tuple[Expression, ...]:
    """Return the expressions that an operation takes."""
    match expression:
        case Apply(operand=operand) | ApplyToVector(operand=operand) | Part(operand=operand):
            return (operand,)
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
        case Apply(operand=operand) | ApplyToVector(operand=operand) | Part(operand=operand):
            return replace(expression, operand=rewrite(operand, change))
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
        case Number() | Name() | Transpose():
            return expression
        case _:
            assert_never(expression)


def interpolation(expression: Expression) -> tuple[Expression, Expression, Expression] | None:
    """Return n, h and z of an expression that is z h + (1 - z) n, or None."""
    match expression:
        case Elementwise("+", Elementwise("*", share, end), Elementwise("*", rest, start)) if (
            rest == Elementwise("-", Number(1.0), share)
        ):
            return start, end, share
        case _:
            return None


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


def parse(
    text: str,
    states: Sequence[str],
    functions: Collection[str],
    shapes: Mapping[str, Shape] | None = None,
) -> Equations:
    """Return the equations of a text.

    Args:
        text: the lines, ``name: expression``.
        states: the names of the states, vectors of size ``units``; the first is the output.
        functions: the names of the functions.
        shapes: those of parameters that are none of a vector beside vectors or of a matrix.

    Raises:
        EquationError: a line is no equation, a name is wrong, or two shapes do not fit.
    """
    rows = [row.strip() for row in text.splitlines() if row.strip()]
    if len(rows) > MAX_LINES:
        name = rows[MAX_LINES].partition(":")[0]
        raise EquationError(name, 1, f"expected at most {MAX_LINES} lines, received {len(rows)}")
    parser = _Parser(rows, states, functions)
    lines = [parser.read_line(row) for row in rows]
    parser.check_uses(lines)
    return Equations(tuple(states), tuple(lines), *infer_shapes(lines, states, shapes or {}))


_OPERATORS: dict[type[ast.operator], Operator] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
}


class _Parser:
    """The names that lines have assigned so far, and those that any line assigns."""

    def __init__(
        self, rows: Sequence[str], states: Sequence[str], functions: Collection[str]
    ) -> None:
        self.states, self.functions = states, functions
        self.targets = {row.partition(":")[0].strip() for row in rows}
        self.assigned = dict[str, int]()
        self.line, self.start = "", 0

    def read_line(self, row: str) -> Line:
        name, _, expression = row.partition(":")
        self.line = name = name.strip()
        text = expression.strip()
        self.start = 1 + len(row) - len(expression.lstrip())
        if not (name.isidentifier() and name.isascii()) or name in {INPUT, *self.functions}:
            raise EquationError(name, 1, f"expected a name other than {INPUT} and functions")
        if name in self.assigned:
            raise EquationError(name, 1, f"{name} is assigned twice")
        if len(row) > MAX_LENGTH:
            message = f"expected at most {MAX_LENGTH} characters, received {len(row)}"
            raise EquationError(name, MAX_LENGTH + 1, message)
        for offset, character in enumerate(text, 1):
            if not (character.isascii() and character.isprintable()):
                raise self._error(offset, f"expected printable ASCII, received {character!r}")
        try:
            with warnings.catch_warnings():
                # Python warns of what is refused below: 1or 2.
                warnings.simplefilter("ignore")
                tree = ast.parse(text, mode="eval").body
        except (SyntaxError, MemoryError) as error:
            offset = getattr(error, "offset", 1) or len(text) + 1
            raise self._error(offset, "expected an expression") from None
        value = self._read(tree, 1)
        self.assigned[name] = len(self.assigned)
        return Line(name, value)

    def _error(self, offset: int, message: str) -> EquationError:
        return EquationError(self.line, self.start + offset - 1, message)

    def _read(self, tree: ast.expr, depth: int) -> Expression:
        offset = tree.col_offset + 1
        column = self.start + offset - 1
        if depth > MAX_DEPTH:
            raise self._error(offset, f"expected at most {MAX_DEPTH} operations inside each other")
        match tree:
            case ast.Constant(value=float() | int() as value) if not isinstance(value, bool):
                if not -_LARGEST <= value <= _LARGEST:
                    raise self._error(offset, "expected a number that a float32 can hold")
                return Number(float(value), column)
            case ast.Name(id=name):
                return self._read_name(name, offset)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Elementwise("-", Number(0.0, column), self._read(operand, depth + 1), column)
            case ast.BinOp(op=ast.MatMult(), left=left, right=right):
                matrix = self._read(left, depth + 1)
                if not isinstance(matrix, Name) or matrix.kind != "parameter":
                    raise self._error(offset, "expected a parameter, a matrix, before @")
                return Product(matrix, self._read(right, depth + 1), column)
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
                sides = self._read(left, depth + 1), self._read(right, depth + 1)
                return Elementwise(_OPERATORS[type(op)], *sides, column)
            case ast.Call(func=ast.Name(id=function), args=[operand], keywords=[]):
                if function not in self.functions:
                    raise self._error(offset, self._unknown_function(function))
                return Apply(function, self._read(operand, depth + 1), column)
            case _:
                message = "expected a number, a name, + - * / @ or a function of one value"
                raise self._error(offset, message)

    def _unknown_function(self, name: str) -> str:
        near = nearest(name, self.functions)
        hint = f"did you mean {near}?" if near else f"known are {', '.join(sorted(self.functions))}"
        return f"unknown function {name}; {hint}"

    def _read_name(self, name: str, offset: int) -> Name:
        column = self.start + offset - 1
        if name in self.functions:
            raise self._error(offset, f"{name} is a function: expected {name}(...)")
        if name == INPUT:
            return Name(name, "input", column)
        if name in self.assigned:
            return Name(name, "line", column)
        if name in self.states:
            return Name(name, "state", column)
        if name in self.targets:
            raise self._error(offset, f"{name} is used before it is assigned")
        return Name(name, "parameter", column)

    def check_uses(self, lines: Sequence[Line]) -> None:
        used = {part.name for line in lines for part in walk(line.value) if isinstance(part, Name)}
        for name in self.assigned:
            if name not in used and name not in self.states:
                raise EquationError(name, 1, f"{name} is never used")
        for state in self.states:
            if state not in self.assigned:
                raise EquationError(state, 1, f"the state {state} is never assigned")
        if INPUT not in used:
            raise EquationError(lines[0].name, 1, f"the input {INPUT} is never used")


def infer_shapes(
    lines: Sequence[Line], states: Sequence[str], shapes: Mapping[str, Shape]
) -> tuple[tuple[tuple[str, Shape], ...], tuple[tuple[str, Shape], ...]]:
    """Return the shape of each parameter, in the order in which they stand, and of each line.

    Raises:
        EquationError: two shapes do not fit, or a shape does not follow.
    """
    inference = _Inference(states, shapes)
    before = -1
    while before != len(inference.shapes):
        before = len(inference.shapes)
        for line in lines:
            inference.infer_line(line)
    parameters: dict[str, Shape] = {}
    for line in lines:
        for part in walk(line.value):
            if isinstance(part, Name) and part.kind == "parameter":
                if part.name not in inference.shapes:
                    message = f"the shape of {part.name} does not follow from the equations"
                    raise EquationError(line.name, part.column, message)
                parameters[part.name] = inference.shapes[part.name]
    values = {line.name: inference.shapes.get(line.name, ()) for line in lines}
    return tuple(parameters.items()), tuple(values.items())


class _Inference:
    """The shapes of parameters and lines so far; a state has one, before and after the step."""

    def __init__(self, states: Sequence[str], shapes: Mapping[str, Shape]) -> None:
        self.shapes: dict[str, Shape] = {INPUT: ("features",), **shapes}
        self.shapes |= dict.fromkeys(states, ("units",))
        self.line = ""

    def infer_line(self, line: Line) -> None:
        self.line = line.name
        shape = self._infer(line.value)
        if line.name in self.shapes:
            self._expect(line.value, self.shapes[line.name])
            if shape == () != self.shapes[line.name]:
                raise self._misfit(line.value, _text(self.shapes[line.name]), shape)
        elif shape is not None:
            self.shapes[line.name] = shape

    def _infer(self, expression: Expression) -> Shape | None:
        """Return the shape of a value, or None if nothing has decided it."""
        match expression:
            case Number():
                return ()
            case Name(name=name):
                return self.shapes.get(name)
            case Apply(operand=operand):
                return self._infer(operand)
            case Product(matrix=matrix, vector=vector):
                known = self._infer(matrix)
                rows, size = (known or ("units",))[:1], self._infer(vector)
                if size is not None:
                    if len(size) != 1:
                        raise self._misfit(vector, "a vector", size)
                    self._expect(matrix, (*rows, *size))
                return rows
            case Elementwise(left=left, right=right):
                one, other = self._infer(left), self._infer(right)
                if one is None and other:
                    self._expect(left, other)
                if other is None and one:
                    self._expect(right, one)
                if one and other and one != other:
                    message = f"expected two equal shapes, received {_text(one)} and {_text(other)}"
                    raise EquationError(self.line, expression.column, message)
                # Beside a scalar, nothing decides the shape of another value.
                return one or other or (None if None in (one, other) else ())
            case Transpose() | Choose() | ApplyToVector() | Concat() | Part():
                raise NotImplementedError
            case _:
                assert_never(expression)

    def _expect(self, expression: Expression, shape: Shape) -> None:
        """Decide the shape of a value that has none yet, and check that of one that has."""
        known = self._infer(expression)
        if known is None:
            for part in walk(expression):
                # What is beside it has the same shape.
                if isinstance(part, Name) and part.name not in self.shapes:
                    self.shapes[part.name] = shape
        elif known != shape and (known or len(shape) == 2):
            raise self._misfit(expression, _text(shape), known)

    def _misfit(self, expression: Expression, expected: str, received: Shape) -> EquationError:
        message = f"expected {expected}, received {_text(received)}"
        return EquationError(self.line, expression.column, message)


def _text(shape: Shape) -> str:
    match shape:
        case ():
            return "a scalar"
        case (size,):
            return f"a vector of {size}"
        case _:
            return f"a matrix of {' x '.join(shape)}"


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
