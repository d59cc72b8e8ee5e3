"""The normal form of equations, by which two cells are compared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, assert_never

from rnnspec.ir.equations import (
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


@lru_cache(maxsize=256)
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
        case Apply(function="linear", operand=operand):
            return _expand(operand, values, colours)
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
            lower, upper, *results = (
                _digest_terms(_expand(part, values, colours)) for part in operands(expression)
            )
            if comparison in (">", "<="):
                lower, upper = upper, lower
            if comparison in ("<=", ">="):
                results.reverse()
            return atom("<", lower, upper, *results)
        case ApplyToVector(function=function, operand=operand, epsilon=epsilon, groups=groups):
            terms = _digest_terms(_expand(operand, values, colours))
            return atom(function, repr(epsilon), repr(groups), terms)
        case Features(operand=operand, text=text):
            return atom(f"features {text}", _digest_terms(_expand(operand, values, colours)))
        case Concat(parts=parts):
            return atom(
                "concat", *(_digest_terms(_expand(part, values, colours)) for part in parts)
            )
        case Part(operand=operand, index=index, count=count):
            terms = _digest_terms(_expand(operand, values, colours))
            return atom(f"part {index} of {count}", terms)
        case Attend(query=query, memory=memory):
            return atom(f"attend {memory}", _digest_terms(_expand(query, values, colours)))
        case Elementwise(operator=operator, left=one_side, right=other_side):
            one, other = (_expand(side, values, colours) for side in (one_side, other_side))
            if operator in "+-":
                sign = 1.0 if operator == "+" else -1.0
                total = dict(one)
                for factors, coefficient in other.items():
                    total[factors] = total.get(factors, 0.0) + sign * coefficient
                return {factors: value for factors, value in total.items() if value}
            return _multiply(one, other if operator == "*" else _invert(other))
        case _:
            assert_never(expression)


def _invert(terms: _Terms) -> _Terms:
    """Return 1 / a sum, in which a sum of several terms is one factor."""
    if len(terms) != 1 or 0.0 in terms.values():
        return {((_digest_terms(terms), -1),): 1.0}
    ((factors, number),) = terms.items()
    inverse: tuple[tuple[str, int], ...] = tuple((digest, -power) for digest, power in factors)
    return {inverse: 1.0 / number}


def _multiply(one: _Terms, other: _Terms) -> _Terms:
    """Return the sum of the products of all terms; of very many, each side is one factor."""
    if len(one) * len(other) > _MOST_TERMS:
        one, other = {((_digest_terms(one), 1),): 1.0}, {((_digest_terms(other), 1),): 1.0}
    total = _Terms()
    for left, coefficient in one.items():
        for right, factor in other.items():
            powers = Counter(dict(left))
            for digest, power in right:
                powers[digest] += power
            key = tuple(sorted(item for item in powers.items() if item[1]))
            total[key] = total.get(key, 0.0) + coefficient * factor
    return {factors: value for factors, value in total.items() if value}


_MOST_TERMS = 64
