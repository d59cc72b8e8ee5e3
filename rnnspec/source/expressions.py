"""Expressions of a cell as Python."""

from __future__ import annotations

import keyword
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, assert_never

from rnnspec.ir.equations import (
    INPUT,
    NORM_EPSILON,
    Apply,
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
    Product,
    Transpose,
)
from rnnspec.source.code import Code, code, listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from rnnspec.ir.equations import Equations

Call = Elementwise | Transpose | Choose | ApplyToVector | Concat | Part | Features | Attend
"""What may be a call in a language."""
_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "@": 2}


def local_names(equations: Equations, reserved: Collection[str]) -> dict[str, str]:
    """Return a name in source for each name of equations, with a number where it is reserved.

    A name that schedules make has a word more than these, and never a number at its end alone.
    """
    names = dict.fromkeys((INPUT, *dict(equations.shapes), *dict(equations.parameters)))
    taken = {*reserved, *keyword.kwlist, *names}
    result = dict[str, str]()
    for name in names:
        is_free = name not in reserved and not keyword.iskeyword(name)
        numbered = (f"{name}_{number}" for number in count(1))
        result[name] = name if is_free else next(text for text in numbered if text not in taken)
        taken.add(result[name])
    return result


@dataclass(frozen=True, slots=True)
class Calls:
    """How a framework spells what it has a function for, and Python no operator.

    ``bound`` takes its function and two sides, ``choose`` a comparison and two results,
    ``standardize`` a vector and the epsilon, ``part`` a vector, the number of its parts and the
    index of one, ``reduce`` a function and a vector, and ``norm`` a vector and the epsilon.
    ``attend`` takes a query, and ``once`` the places of features that are the same at each step.
    """

    bound: str
    transpose: str
    choose: str
    softmax: str
    standardize: str
    concat: str
    part: str
    reduce: str
    norm: str
    attend: str = ""
    once: str = ""


@dataclass(slots=True)
class ExpressionWriter:
    """The names of a cell's functions, and the text for the values of names that have another.

    A function without a name is the identity. What is none of them is written as ``calls``.
    ``new_states`` are the variables of states after a step, if that may be padding.
    """

    functions: Mapping[str, str]
    lines: dict[str, Code] = field(default_factory=dict)
    calls: Calls | None = None
    new_states: dict[str, str] = field(default_factory=dict)

    def idiom(self, expression: Elementwise) -> Code | None:
        """Return the call that computes an expression at once, if there is one."""
        del expression
        return None

    def call(  # noqa: PLR0912 - a branch for each kind of expression
        self, expression: Call
    ) -> Code:
        """Return what a framework has a function for, and Python no operator."""
        calls, write = self.calls, self.write
        assert calls, f"no standard cell has {expression!r}"
        match expression:
            case Elementwise(operator=operator, left=left, right=right):
                return code(calls.bound, operator, self.as_tensor(left, right), write(right))
            case Transpose(matrix=matrix):
                return code(calls.transpose, write(matrix, 3))
            case Choose(comparison=comparison, chosen=chosen, otherwise=otherwise):
                results = self.as_tensor(chosen, otherwise), write(otherwise)
                sides = write(expression.left, 1), write(expression.right, 1)
                condition = code(f"{{}} {comparison} {{}}", *sides)
                return code(calls.choose, condition, *results)
            case ApplyToVector(function="softmax", operand=operand):
                return code(calls.softmax, write(operand))
            case ApplyToVector(function="standardize", operand=operand, epsilon=epsilon):
                return code(calls.standardize, write(operand), epsilon)
            case ApplyToVector(function="norm", operand=operand):
                return code(calls.norm, write(operand), NORM_EPSILON)
            case ApplyToVector(function=function, operand=operand):
                return code(calls.reduce, function, write(operand))
            case Features(operand=operand, start=start, text=text):
                if isinstance(expression.places, int):
                    text = f"{start}:{start + 1 or ''}"
                if expression.once:
                    return code(calls.once, Code(text))
                return code("{}[..., {}]", write(operand, 4), Code(text))
            case Concat():
                return code(calls.concat, listed(*self.write_parts(expression)))
            case Part(operand=operand, index=index, count=count):
                return code(calls.part, write(operand), count, index)
            case Attend(query=query):
                # Unless it is an argument, something follows it.
                return code(calls.attend, write(query, 0 if "({})" in calls.attend else 4))
            case _:
                assert_never(expression)

    def as_tensor(self, expression: Expression, beside: Expression) -> Code:
        """Return what a function takes beside a value, which may have to be a tensor."""
        del beside
        return self.write(expression)

    def write_parts(self, whole: Concat) -> Iterator[Code]:
        """Yield the parts of a vector, which may have to be of each sequence."""
        yield from map(self.write, whole.parts)

    def write(self, expression: Expression, binding: int = 0) -> Code:
        """Return an expression, in parentheses if its operator binds less."""
        match expression:
            case Number(value=value):
                return self.write_number(value)
            case Name():
                return self.write_name(expression, binding)
            case Apply(function=function, operand=operand):
                if not self.functions[function]:
                    return self.write(operand, binding)
                return self.activate(function, self.write(operand))
            case Elementwise(operator="minimum" | "maximum"):
                return self.call(expression)
            case Elementwise(operator="-", left=Number(value=0.0), right=right):
                return code("-{}", self.write(right, 3))
            case Elementwise(operator=operator, left=left, right=right):
                if call := self.idiom(expression):
                    return call
                return self._write_sides(left, operator, right, binding)
            case Product(matrix=matrix, vector=vector):
                return self._write_sides(matrix, "@", vector, binding)
            case (
                Transpose() | Choose() | ApplyToVector() | Concat() | Part() | Features() | Attend()
            ):
                return self.call(expression)
            case _:
                assert_never(expression)

    def write_number(self, value: float) -> Code:
        """Return the literal of a number."""
        return code("{!r}", int(value) if value.is_integer() else value)

    def write_name(self, name: Name, binding: int) -> Code:
        """Return the text for a name, by default the name itself."""
        if name.kind == "line" and name.name in self.new_states:
            return code("{}", self.new_states[name.name])
        text = self.lines.get(name.name) or code("{}", name.name)
        return code("({})", text) if binding and " + " in text else text

    def _write_sides(
        self, left: Expression, operator: str, right: Expression, binding: int
    ) -> Code:
        rank = _BINDING[operator]
        text = code(f"{{}} {operator} {{}}", self.write(left, rank), self.write(right, rank + 1))
        return code("({})", text) if rank < binding else text

    def activate(self, function: str, value: Code | str) -> Code:
        """Return a value under a function."""
        name = self.functions[function]
        return code("{}({})", name, value) if name else code("{}", value)
