"""Loops over the elements of vectors in C: those of a step of a cell.

A function of a whole vector is applied in place, to all neighbours that have it at once: small
loops that a compiler can keep in registers. The rest goes through all vectors in one loop.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import assert_never, get_args

from rnnspec.backends.c.names import Activation, activation, loop, number
from rnnspec.ir.equations import (
    ApplyToVector,
    Attend,
    Choose,
    Concat,
    Elementwise,
    Expression,
    Features,
    Name,
    Number,
    Part,
    Transpose,
    interpolation,
    walk,
)
from rnnspec.source.code import Code
from rnnspec.source.expressions import Call, ExpressionWriter
from rnnspec.words import CellActivation


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector of numbers: one of several that are side by side behind a pointer.

    ``size`` is the number of elements as it is called in C. ``offset`` is that of a part of another
    vector.
    """

    pointer: str
    size: str
    place: int = 0
    offset: str = ""

    @property
    def text(self) -> str:
        """The pointer to its first number."""
        return f"{self.pointer} + {self._offset}" if self._offset else self.pointer

    @property
    def first(self) -> str:
        """Its first element."""
        return f"{self.pointer}[{self._offset or 0}]"

    @property
    def element(self) -> Code:
        """Its element ``u``."""
        return Code(f"{self.pointer}[{self._offset} + u]" if self._offset else f"{self.pointer}[u]")

    @property
    def _offset(self) -> str:
        return times(self.place, self.size) if self.place else self.offset


def times(count: int, size: str) -> str:
    """Return a number of sizes in C."""
    return size if count == 1 else f"{count} * {size}"


_LINEAR = Activation("linear")
OF_LIBRARY = {"log": "logf", "sqrt": "sqrtf", "abs": "fabsf"}
FUNCTIONS = {name: activation(name) for name in get_args(CellActivation)}
FUNCTIONS |= {"exp": Activation("exponential")}
"""The functions that are there for many numbers too."""


@dataclass(slots=True)
class Elements(ExpressionWriter):
    """Expressions of the elements ``u``, of vectors some places before those that are named.

    ``vectors`` have the values of names, ``old`` those of states before the step, and ``scalars``
    those of names that are numbers. ``preceding`` are vectors right before others in memory. In a
    matrix, an element is in a row and a column.
    """

    prefix: str = ""
    vectors: dict[str, Vector] = field(default_factory=dict)
    old: dict[str, Vector] = field(default_factory=dict)
    scalars: dict[str, str] = field(default_factory=dict)
    matrices: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    preceding: dict[Vector, Vector] = field(default_factory=dict)
    before: int = 0
    called: set[str] = field(default_factory=set)

    def find(self, name: Name) -> Vector:
        """Return the vector that has the value of a name."""
        return (self.old if name.kind == "state" else self.vectors)[name.name]

    def vectors_in(self, expression: Expression) -> set[Vector]:
        """Return the vectors that have the values in an expression."""
        names = (part for part in walk(expression) if isinstance(part, Name))
        return {self.find(name) for name in names if name.name not in self.scalars}

    def element(self, vector: Vector) -> Code:
        """Return the element of a vector, or of one some places before it."""
        for _ in range(self.before):
            vector = self.preceding.get(vector) or replace(vector, place=vector.place - 1)
        return vector.element

    def write(self, expression: Expression, binding: int = 0) -> Code:
        """Return an expression, in parentheses if its operator binds less."""
        text = super(Elements, self).write(expression, binding)
        # What follows a minus must not begin with one.
        return Code(f"({text})") if binding > 2 and text.startswith("-") else text

    def write_number(self, value: float) -> Code:
        """Return the literal of a number."""
        return Code(number(value))

    def write_name(self, name: Name, binding: int) -> Code:  # noqa: ARG002 - it never needs parentheses
        """Return a number, or the element of a vector or a matrix."""
        if name.name in self.scalars:
            return Code(self.scalars[name.name])
        if name.name in self.matrices:
            pointer, _, columns = self.matrices[name.name]
            return Code(f"{pointer}[row * {columns} + column]")
        return self.element(self.find(name))

    def activate(self, function: str, value: Code | str) -> Code:
        """Return the call of a function of one number."""
        if function in OF_LIBRARY:
            self.called.add("sqrtf")
            return Code(f"{OF_LIBRARY[function]}({value})")
        self.called.add(function)
        return Code(f"{self.prefix}_{function}({value})")

    def call(self, expression: Call) -> Code:
        """Return what C has a function for, and no operator."""
        match expression:
            case Elementwise(operator=operator, left=left, right=right):
                self.called.add(operator)
                return Code(f"{self.prefix}_{operator}({self.write(left)}, {self.write(right)})")
            case Choose(comparison=comparison, left=left, right=right):
                condition = f"{self.write(left, 1)} {comparison} {self.write(right, 1)}"
                chosen, otherwise = self.write(expression.chosen), self.write(expression.otherwise)
                return Code(f"({condition} ? {chosen} : {otherwise})")
            case Transpose(matrix=matrix):
                pointer, _, columns = self.matrices[matrix.name]
                return Code(f"{pointer}[column * {columns} + row]")
            case ApplyToVector() | Concat() | Part() | Features() | Attend():
                raise AssertionError(f"{expression!r} is a vector of its own")
            case _:
                assert_never(expression)

    def idiom(self, expression: Elementwise) -> Code | None:
        """Return a product and a sum in one."""
        if mixed := interpolation(expression):
            start, end, share = mixed
            return self._madd(share, Elementwise("-", end, start), start)
        match expression:
            case Elementwise("+", Elementwise("*", one, other), added) | Elementwise(
                "+", added, Elementwise("*", one, other)
            ):
                return self._madd(one, other, added)
            case Elementwise("-", added, Elementwise("*", one, other)):
                return self._madd(negative(one), other, added)
            case _:
                return None

    def _madd(self, *parts: Expression) -> Code:
        self.called.add("madd")
        return Code(f"{self.prefix.upper()}_MADD({', '.join(map(self.write, parts))})")


@dataclass(slots=True)
class VectorRun:
    """Neighbouring vectors that one loop assigns, one function changes, or both.

    If it is ``repeated``, the only statement is that of all of them.
    """

    function: str
    bound: str
    statements: list[str]
    targets: list[Vector]
    repeated: bool = False

    @property
    def count(self) -> int:
        """The number of vectors."""
        return len(self.targets)

    def add(self, target: Vector, *, repeated: bool = False) -> None:
        """Add a vector, to which the same statement applies if it is ``repeated``."""
        self.targets.append(target)
        self.repeated = repeated


@dataclass(slots=True, kw_only=True)
class StepLines:
    """The lines of a step so far; ``waiting`` are the statements of a loop up to ``bound``.

    ``copies`` are those that assign a whole vector: what they assign, and from where.
    """

    writer: Elements
    lines: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    copies: dict[str, tuple[str, str]] = field(default_factory=dict)
    bound: str = ""
    run: VectorRun | None = None

    def assign(self, target: Vector, value: Expression | None, function: str = "") -> None:
        """Assign a value to a vector, and apply a function to it in place.

        If the value is None, it is there already.
        """
        run, writer = self.run, self.writer
        bound = target.size
        text = self._assignment(target, value)
        if (
            run
            and (run.function, run.bound) == (function, bound)
            and writer.preceding.get(target) == run.targets[-1]
        ):
            writer.before = run.count
            shifted = self._assignment(target, value)
            writer.before = 0
            if [shifted] == run.statements and run.repeated == (run.count > 1):
                run.add(target, repeated=True)
                return
            reads = writer.vectors_in(value) if value else set()
            if function and not run.repeated and not reads & set(run.targets):
                run.statements += [text] if text else []
                run.add(target)
                return
        self._close()
        self.run = VectorRun(function, bound, [text] if text else [], [target])
        if isinstance(value, Name) and value.name not in writer.scalars:
            self.copies[text] = target.text, writer.find(value).text

    def _assignment(self, target: Vector, value: Expression | None) -> str:
        if value is None:
            return ""
        element, text = self.writer.element(target), self.writer.write(value)
        if text.startswith(f"{element} + "):
            return f"{element} += {text.removeprefix(f'{element} + ')};"
        return f"{element} = {text};"

    def _close(self) -> None:
        run, self.run = self.run, None
        if run is None:
            return
        count = times(run.count, run.bound)
        if run.statements:
            bound = count if run.repeated else run.bound
            if self.bound != bound:
                self._end_loop()
            self.bound = bound
            self.waiting += run.statements
        own = FUNCTIONS.get(run.function, _LINEAR)
        if own.name != "linear":
            self._end_loop()
            self.writer.called.add(own.function)
            call = f"{self.writer.prefix}_{own.function}"
            self.lines.append(f"{call}({run.targets[0].text}, {count});")

    def _end_loop(self) -> None:
        match self.waiting:
            case []:
                pass
            case [only] if only in self.copies:
                target, source = self.copies[only]
                self.lines.append(f"memcpy({target}, {source}, {self.bound} * sizeof(float));")
            case _:
                self.lines += loop("u", self.bound, self.waiting)
        self.waiting = []

    def finish(self) -> None:
        """Add the lines of what is left."""
        self._close()
        self._end_loop()


def negative(value: Expression) -> Expression:
    """Return a value with the other sign."""
    if isinstance(value, Number):
        return Number(-value.value)
    return Elementwise("-", Number(0.0), value)
