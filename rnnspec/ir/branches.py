"""Equations whose gradients are finite where those of the branches that are taken are.

Backpropagation computes the branch of ``where`` that is not taken, too, and multiplies what comes
back by 0. If a value or a derivative in it is infinite, as that of ``sqrt`` at 0, the product is
not a number. So the argument of such a function is 1 wherever its branch is not taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from rnnspec.ir.equations import (
    INPUT,
    Apply,
    Choose,
    Elementwise,
    Equations,
    Expression,
    Line,
    Name,
    Number,
    Product,
    Shape,
    operands,
    rewrite,
    walk,
)
from rnnspec.ir.schedule import shape_of

_UNBOUNDED = frozenset({"exp", "log", "sqrt"})
"""The functions that have an infinite value or derivative; so has a division."""
_MOST_ADDED = 100
_ONE, _HALF, _ZERO = Number(1.0), Number(0.5), Number(0.0)


@lru_cache
def guard_branches(equations: Equations, flat: frozenset[str] = frozenset()) -> Equations:
    """Return equations in which a branch that is not taken has only finite values and derivatives.

    ``flat`` are functions for whose flat parts a framework multiplies by 0 as well, instead of
    choosing. Under a root they are written as the choices that they are.
    """
    guard = _Guard(equations, flat)
    for line in equations.lines:
        guard.add(line)
        # Of very many choices inside each other, source would be mostly guards.
        if len(guard.lines) > len(equations.lines) + _MOST_ADDED:
            return equations
    if guard.lines == list(equations.lines):
        return equations
    used, kept = set(equations.states), list[Line]()
    # A value that only branches took has been copied into them.
    for line in reversed(guard.lines):
        if line.name in used:
            kept.append(line)
            used |= {part.name for part in walk(line.value) if isinstance(part, Name)}
    return replace(
        equations,
        lines=tuple(reversed(kept)),
        shapes=tuple((name, guard.shapes[name]) for name in guard.named if name in used),
    )


class _Guard:
    """The guarded lines so far, and what is known of the values that they are made of."""

    def __init__(self, equations: Equations, flat: frozenset[str]) -> None:
        self.flat = flat
        self.lines: list[Line] = []
        self.named = [name for name, _ in equations.shapes]
        self.shapes: dict[str, Shape] = {
            INPUT: ("features",),
            **dict(equations.parameters),
            **dict(equations.shapes),
        }
        self._states, self._assigned = set(equations.states), set[str]()
        self._old: dict[str, Name] = {}
        self._values: dict[str, Expression] = {}
        # Lines that are more than parameters and numbers, and those that have such functions.
        self._varying, self._unbounded, self._flat = set[str](), set[str](), set[str]()
        self._parts: dict[Expression, Name] = {}
        self._copies: dict[tuple[Choose | None, str], Name] = {}

    def add(self, line: Line) -> None:
        """Add a line, behind the new ones that it needs."""
        self._add(line.name, self._visit(line.value), line.value)
        self._assigned |= {line.name} & self._states

    def _add(self, name: str, value: Expression, known: Expression) -> None:
        self.lines.append(Line(name, value))
        self._values[name] = known
        self._varying |= {name} if self._varies(known) else set()
        self._unbounded |= {name} if self._is_unbounded(known) else set()
        self._flat |= {name} if self._is_flat(known) else set()

    def _new(self, name: str, value: Expression, known: Expression) -> Name:
        """Add a line for a part of others, whose value is ``known`` as it was without guards."""
        value, known = (rewrite(side, self._find_old_state) for side in (value, known))
        name = self._declare(name, value)
        self._add(name, value, known)
        return Name(name, "line")

    def _declare(self, name: str, value: Expression) -> str:
        while name in self.shapes:
            name = f"{name}_part"
        self.shapes[name] = shape_of(value, self.shapes)
        self.named.append(name)
        return name

    def _find_old_state(self, expression: Expression) -> Expression | None:
        """Return the value before the step of a state that has its new one already."""
        match expression:
            case Name(name=name, kind="state") if name in self._assigned:
                if name not in self._old:
                    alias = self._declare(f"{name}_before", expression)
                    self.lines.insert(0, Line(alias, expression))
                    self._values[alias] = expression
                    self._varying.add(alias)
                    self._old[name] = Name(alias, "line")
                return self._old[name]
            case _:
                return None

    def _visit(self, expression: Expression) -> Expression:
        """Return an expression that always counts, with guards in the branches inside it."""
        return rewrite(expression, self._change)

    def _change(self, expression: Expression) -> Expression | None:
        match expression:
            case Choose() if self._is_unbounded(expression):
                return self._guard(self._cut(expression), None)
            case Elementwise(operator="minimum" | "maximum") if self._is_unbounded(expression):
                return self._guard(self._cut(expression), None)
            case Apply(function="sqrt", operand=operand) if self._is_flat(operand):
                return Apply("sqrt", self._visit(self._with_choices(self._cut(operand))))
            case _:
                return None

    def _cut(self, expression: Expression) -> Expression:
        """Return an expression with names for its products, which stand in it more than once."""

        def change(part: Expression) -> Expression | None:
            is_sum = any(isinstance(term, Product) for term in _terms(part))
            return self._named(part) if is_sum else None

        return rewrite(expression, change)

    def _named(self, expression: Expression) -> Expression:
        """Return a name for an expression that is neither a name nor a number."""
        if isinstance(expression, Name | Number):
            return expression
        if expression not in self._parts:
            self._parts[expression] = self._new("part", self._visit(expression), expression)
        return self._parts[expression]

    def _guard(self, expression: Expression, mask: Choose | None) -> Expression:
        """Return a value that counts where a mask is 1, or everywhere without one."""

        def inner(part: Expression) -> Expression:
            return self._guard(part, mask)

        def bounded(part: Expression) -> Expression:
            value = inner(part)
            if mask is None or not self._varies(part):
                return value
            branches = (value, _ONE) if mask.chosen == _ONE else (_ONE, value)
            return replace(mask, chosen=branches[0], otherwise=branches[1])

        if not self._is_unbounded(expression):
            return self._visit(expression)
        match expression:
            case Name(name=name):
                return expression if mask is None else self._copy(name, mask)
            case Choose(chosen=chosen, otherwise=otherwise):
                return replace(
                    expression,
                    chosen=self._guard(chosen, self._narrow(mask, expression, taken=True)),
                    otherwise=self._guard(otherwise, self._narrow(mask, expression, taken=False)),
                )
            case Elementwise(operator="minimum" | "maximum"):
                return inner(self._chosen(expression))
            case Elementwise(operator=operator, left=left, right=right):
                right = bounded(right) if operator == "/" else inner(right)
                return replace(expression, left=inner(left), right=right)
            case Apply(function=function, operand=operand):
                if function == "sqrt" and self._is_flat(operand):
                    operand = self._with_choices(operand)
                operand = bounded(operand) if function in _UNBOUNDED else inner(operand)
                return replace(expression, operand=operand)
            case _:
                raise AssertionError(f"{expression!r} is bounded")

    def _copy(self, name: str, mask: Choose | None) -> Name:
        """Return the value of a line where a mask is 1, or one with choices without a mask."""
        if (mask, name) not in self._copies:
            value = self._cut(self._values[name])
            value = self._guard(value, mask) if mask else self._visit(self._with_choices(value))
            self._copies[mask, name] = self._new(f"{name}_part", value, value)
        return self._copies[mask, name]

    def _narrow(self, mask: Choose | None, choice: Choose, *, taken: bool) -> Choose:
        """Return a mask that is 1 where another one is and a choice is ``taken``, or is not."""
        one: Expression = _ONE if mask is None else mask
        branches = (one, _ZERO) if taken else (_ZERO, one)
        own = replace(choice, chosen=branches[0], otherwise=branches[1])
        # Deeper masks would have all others in them.
        return own if mask is None else Choose(">", self._named(own), _HALF, _ONE, _ZERO)

    def _is_unbounded(self, expression: Expression) -> bool:
        for part in _elements(expression):
            match part:
                case Name(name=name, kind="line") if name in self._unbounded:
                    return True
                case Apply(function=function, operand=operand) if function in _UNBOUNDED:
                    if self._varies(operand):
                        return True
                case Elementwise(operator="/", right=right) if self._varies(right):
                    return True
                case _:
                    pass
        return False

    def _varies(self, expression: Expression) -> bool:
        """True if a value is more than parameters and numbers, which stay where they are finite."""
        names = (part for part in walk(expression) if isinstance(part, Name))
        return any(
            name.name in self._varying if name.kind == "line" else name.kind != "parameter"
            for name in names
        )

    def _is_flat(self, expression: Expression) -> bool:
        return any(
            _function(part) in self.flat or (isinstance(part, Name) and part.name in self._flat)
            for part in _elements(expression)
        )

    def _chosen(self, expression: Elementwise) -> Choose:
        """Return a minimum or a maximum as the choice that it is."""
        left, right = self._named(expression.left), self._named(expression.right)
        return Choose("<" if expression.operator == "minimum" else ">", left, right, left, right)

    def _with_choices(self, expression: Expression) -> Expression:
        """Return a value with the choices that its flat functions are."""
        if not self._is_flat(expression):
            return expression
        match expression:
            case Name(name=name):
                return self._copy(name, None)
            case Elementwise() if _function(expression) in self.flat:
                left, right = map(self._with_choices, (expression.left, expression.right))
                return self._chosen(replace(expression, left=left, right=right))
            case Apply(function="relu", operand=operand) if "relu" in self.flat:
                return self._chosen(Elementwise("maximum", self._with_choices(operand), _ZERO))
            case Apply(function="hard_sigmoid", operand=operand) if "hard_sigmoid" in self.flat:
                share = Elementwise("/", self._with_choices(operand), Number(6.0))
                line = self._named(Elementwise("+", share, Number(0.5)))
                return Choose("<", line, _ONE, Choose(">", line, _ZERO, line, _ZERO), _ONE)
            case Choose():
                chosen, rest = map(self._with_choices, (expression.chosen, expression.otherwise))
                return replace(expression, chosen=chosen, otherwise=rest)
            case Elementwise(left=left, right=right):
                left, right = self._with_choices(left), self._with_choices(right)
                return replace(expression, left=left, right=right)
            case Apply(operand=operand):
                return replace(expression, operand=self._with_choices(operand))
            case _:
                raise AssertionError(f"{expression!r} has no flat function")


def _elements(expression: Expression) -> Iterator[Expression]:
    """Yield what the elements of a value are computed from, element by element."""
    yield expression
    match expression:
        case Choose(chosen=chosen, otherwise=otherwise):
            parts: tuple[Expression, ...] = (chosen, otherwise)
        case Apply() | Elementwise():
            parts = operands(expression)
        case _:
            parts = ()
    for part in parts:
        yield from _elements(part)


def _terms(expression: Expression) -> Iterator[Expression]:
    match expression:
        case Elementwise(operator="+" | "-", left=left, right=right):
            yield from _terms(left)
            yield from _terms(right)
        case _:
            yield expression


def _function(expression: Expression) -> str:
    match expression:
        case Apply(function=name) | Elementwise(operator=name):
            return name
        case _:
            return ""
