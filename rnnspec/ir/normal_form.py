"""The normal form of equations, by which two cells are compared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, assert_never

from rnnspec.ir.equations import (
    Apply,
    ApplyToVector,
    Choose,
    Concat,
    Elementwise,
    Equations,
    Expression,
    Name,
    Number,
    Part,
    Product,
    Transpose,
    operands,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class NormalForm:
    """Equations without the order, the names and the grouping in which they are written.

    Equal digests mean equal cells: the names of one, in their order, are those of the other.
    """

    digest: str
    names: tuple[str, ...] = field(compare=False)


def normal_form(equations: Equations) -> NormalForm:
    """Return the normal form of equations.

    A name is told by the places where it stands. If several are alike, one of them comes first,
    which is right unless they cannot be swapped: then the forms of equal cells may differ.
    """
    colours = {name: f"parameter {shape}" for name, shape in equations.parameters}
    colours |= dict.fromkeys(equations.states, "state") | {equations.states[0]: "output"}
    while True:
        colours = _refine(equations, colours)
        names = sorted(colours, key=lambda name: colours[name])
        alike = next((a for a, b in pairwise(names) if colours[a] == colours[b]), None)
        if alike is None:
            break
        colours[alike] = _digest("first", colours[alike])
    numbers = {name: str(number) for number, name in enumerate(names)}
    return NormalForm(_digest_cell(equations, numbers), tuple(names))


def _refine(equations: Equations, colours: dict[str, str]) -> dict[str, str]:
    """Tell apart the names whose places differ, given what is known of the other names."""
    while True:
        finer = {
            name: _digest(colour, _digest_cell(equations, colours | {name: "here"}))
            for name, colour in colours.items()
        }
        if len(set(finer.values())) == len(set(colours.values())):
            return colours
        colours = finer


def _digest(*texts: str) -> str:
    # Imported here because only a comparison of cells needs it.
    from hashlib import sha256

    return sha256(repr(texts).encode()).hexdigest()


def _digest_cell(equations: Equations, colours: Mapping[str, str]) -> str:
    values = dict[str, _Terms]()
    for line in equations.lines:
        values[line.name] = _expand(line.value, values, colours)
    changes = (_digest(colours[name], _digest_terms(values[name])) for name in equations.states)
    return _digest(*sorted(changes))


_Terms = dict[tuple[tuple[str, int], ...], float]
"""A sum: the coefficient of each product of powers, which are digests with their exponents."""


def _digest_terms(terms: _Terms) -> str:
    return _digest(*sorted(f"{factors} {factor:.12g}" for factors, factor in terms.items()))


def _expand(  # noqa: PLR0912 - a branch for each kind of expression
    expression: Expression, values: Mapping[str, _Terms], colours: Mapping[str, str]
) -> _Terms:
    """Return an expression as a sum, with the values of lines in place of their names."""

    def atom(*texts: str) -> _Terms:
        return {((_digest(*texts), 1),): 1.0}

    match expression:
        case Number(value=value):
            return {(): value}
        case Name(name=name, kind="line"):
            return values[name]
        case Name(name=name, kind=kind):
            return atom(kind, colours.get(name, ""))
        case Apply(function=function, operand=operand):
            return atom(function, _digest_terms(_expand(operand, values, colours)))
        case Product(matrix=matrix, vector=vector):
            sides = (_digest_terms(_expand(part, values, colours)) for part in (matrix, vector))
            return atom("@", *sides)
        case Transpose(matrix=matrix):
            return atom("T", colours[matrix.name])
        case Elementwise(operator="minimum" | "maximum" as operator, left=left, right=right):
            sides = (_digest_terms(_expand(part, values, colours)) for part in (left, right))
            return atom(operator, *sorted(sides))
        case Choose(comparison=comparison):
            parts = operands(expression)
            digests = (_digest_terms(_expand(part, values, colours)) for part in parts)
            return atom(comparison, *digests)
        case ApplyToVector(function=function, operand=operand, epsilon=epsilon):
            terms = _digest_terms(_expand(operand, values, colours))
            return atom(function, repr(epsilon), terms)
        case Concat(parts=parts):
            return atom(
                "concat", *(_digest_terms(_expand(part, values, colours)) for part in parts)
            )
        case Part(operand=operand, index=index, count=count):
            terms = _digest_terms(_expand(operand, values, colours))
            return atom(f"part {index} of {count}", terms)
        case Elementwise(operator=operator, left=left, right=right):
            one, other = _expand(left, values, colours), _expand(right, values, colours)
            if operator in "+-":
                sign = 1.0 if operator == "+" else -1.0
                total = dict(one)
                for factors, coefficient in other.items():
                    total[factors] = total.get(factors, 0.0) + sign * coefficient
                return {factors: value for factors, value in total.items() if value}
            return _multiply(one, other, 1 if operator == "*" else -1)
        case _:
            assert_never(expression)


def _multiply(one: _Terms, other: _Terms, exponent: Literal[1, -1]) -> _Terms:
    """Return a product or a quotient, in which a sum of several terms is one factor."""
    powers, coefficient = Counter[str](), 1.0
    for terms, sign in ((one, 1), (other, exponent)):
        if len(terms) != 1 or (sign < 0 and 0.0 in terms.values()):
            powers[_digest_terms(terms)] += sign
            continue
        ((factors, number),) = terms.items()
        coefficient = coefficient * number if sign > 0 else coefficient / number
        for digest, power in factors:
            powers[digest] += sign * power
    return {tuple(sorted(item for item in powers.items() if item[1])): coefficient}
