"""Expressions of a cell as Python."""

from __future__ import annotations

import keyword
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, assert_never

from rnnspec.ir.equations import (
    INPUT,
    Apply,
    ApplyToVector,
    Choose,
    Concat,
    Elementwise,
    Expression,
    Name,
    Number,
    Part,
    Product,
    Transpose,
)
from rnnspec.source.code import Code, code

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rnnspec.ir.equations import Equations

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


@dataclass(slots=True)
class ExpressionWriter:
    """The names of a cell's functions, and the text for the values of names that have another.

    A function without a name is the identity.
    """

    functions: Mapping[str, str]
    lines: dict[str, Code] = field(default_factory=dict)

    def idiom(self, expression: Elementwise) -> Code | None:
        """Return the call that computes an expression at once, if there is one."""
        del expression
        return None

    def call(
        self, expression: Elementwise | Transpose | Choose | ApplyToVector | Concat | Part
    ) -> Code:
        """Return what a framework has a function for, and Python no operator."""
        raise AssertionError(f"no standard cell has {expression!r}")

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
            case Transpose() | Choose() | ApplyToVector() | Concat() | Part():
                return self.call(expression)
            case _:
                assert_never(expression)

    def write_number(self, value: float) -> Code:
        """Return the literal of a number."""
        return code("{!r}", int(value) if value.is_integer() else value)

    def write_name(self, name: Name, binding: int) -> Code:
        """Return the text for a name, by default the name itself."""
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
