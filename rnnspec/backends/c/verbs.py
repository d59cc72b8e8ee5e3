"""The verbs of the core as C: the body of a function that computes a layer by its recipe.

For each feature ``u``, results that depend on the steps are in the output ``y``, and others are
variables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rnnspec.backends.c.names import loop, number
from rnnspec.errors import GenerationError
from rnnspec.ir import core
from rnnspec.ir.expand import MASK, X
from rnnspec.source.verbs import SIGNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_EACH_STEP = "for (size_t t = 0; t < steps; ++t) {"


def copied(to: str, start: str, size: str) -> str:
    """Return the statement that copies a number of floats."""
    return f"memcpy({to}, {start}, {bytes_of(size)});"


def bytes_of(size: str) -> str:
    """Return the size of a number of floats."""
    return "sizeof(float)" if size == "1" else f"{size} * sizeof(float)"


def total(rows: str, units: int) -> str:
    """Return the product of a number of rows and of units, without a factor of 1."""
    return str(int(rows) * units) if rows.isdigit() else f"{rows} * {units}" if units > 1 else rows


def row(pointer: str, rows: str, size: int) -> str:
    """Return the row ``t`` of rows, or the only one."""
    return pointer if rows == "1" else f"{pointer} + {total('t', size)}"


def each(rows: str, lines: list[str]) -> Iterator[str]:
    """Yield lines for each row ``t``, as they are if there is only one."""
    yield from lines if rows == "1" else loop("t", rows, lines)


@dataclass(frozen=True, slots=True)
class Rows:
    """An array in memory: the pointer to it, how many rows it has, and the width of each."""

    pointer: str
    count: str
    width: int

    @property
    def row(self) -> str:
        """The row ``t``, or the only one."""
        return row(self.pointer, self.count, self.width)

    @property
    def element(self) -> str:
        """The element ``u`` of row ``t``."""
        index = "" if self.count == "1" else total("t", self.width)
        index = " + ".join(filter(None, (index, "u" if self.width > 1 else "")))
        return f"{self.pointer}[{index or '0'}]"

    @property
    def size(self) -> str:
        """The number of its numbers."""
        return total(self.count, self.width)

    def taken(self, step: int, features: tuple[int, int | None]) -> Rows:
        """Return the first step or the last one, from one feature to another."""
        start, end = features
        pointer = self.pointer
        if step and self.count != "1":
            pointer += f" + ({self.count} - 1) * {self.width}"
        pointer += f" + {start}" if start else ""
        return Rows(pointer, "1", (end or self.width) - start)

    def last(self, count: int) -> Rows:
        """Return the last few rows."""
        start = f"{self.pointer} + ({self.count} - {count}) * {self.width}"
        return Rows(start, str(count), self.width)


def moves(value: core.Expression | tuple[core.Result, ...]) -> bool:
    """Return whether ``statements`` computes a recipe, or a part of one."""
    match value:
        case (core.Result(_, only),):
            return moves(only)
        case core.Name() | core.EarlierOutput():
            return True
        case core.Combine(how, left, right):
            return how in SIGNS and moves(left) and moves(right)
        case core.Join(parts):
            return all(map(moves, parts))
        case core.Apply(_, x) | core.Repeat(x) | core.Transpose(x) | core.Take(x) | core.Flatten(x):
            return moves(x)
        case _:
            return False


def _terms(value: core.Expression) -> Iterator[core.Expression]:
    """Yield what arithmetic combines."""
    match value:
        case core.Combine(_, left, right):
            yield from _terms(left)
            yield from _terms(right)
        case _:
            yield value


def statements(
    value: core.Expression, arrays: Mapping[core.Expression, Rows], to: Rows
) -> Iterator[str]:
    """Yield the statements that move or combine numbers of arrays; an activation is not among them.

    In the arithmetic of rows, one row alone is the same in all.
    """

    def array(part: core.Expression) -> Rows:
        match part:
            case core.Repeat(x):
                return array(x)
            case core.Take(x, int(step), features):
                return array(x).taken(step, features)
            case core.Take(x, (start, 1)):
                return array(x).last(-start)
            case _ if part in arrays:
                return arrays[part]
            case _:
                raise _unknown(part)

    def term(part: core.Expression, binding: int = 0) -> str:
        match part:
            case core.Combine(how, left, right) if how in SIGNS:
                sign, rank = SIGNS[how]
                text = f"{term(left, rank)} {sign} {term(right, rank + 1)}"
                return f"({text})" if rank < binding else text
            case _:
                operand = array(part)
                return f"{operand.pointer}[i]" if is_even else operand.element

    match value:
        case core.Combine():
            like = (to.count, to.width)
            is_even = all((each.count, each.width) == like for each in map(array, _terms(value)))
            if is_even:
                yield from loop("i", to.size, [f"{to.pointer}[i] = {term(value)};"])
                return
            line = f"{to.element} = {term(value)};"
            lines = [line] if to.width == 1 else list(loop("u", str(to.width), [line]))
            yield from each(to.count, lines)
        case core.Join(parts):
            lines, at = list[str](), 0
            for part in map(array, parts):
                start = to.row + (f" + {at}" if at else "")
                lines.append(copied(start, part.row, str(part.width)))
                at += part.width
            yield from each(to.count, lines)
        case core.Repeat(x):
            yield from each(to.count, [copied(to.row, array(x).row, str(to.width))])
        case core.Transpose(x):
            of = array(x)
            turned = f"{to.pointer}[k * {to.width} + t] = {of.pointer}[t * {of.width} + k];"
            yield from loop("t", of.count, list(loop("k", str(of.width), [turned])))
        case core.Flatten(x) if not to.pointer:
            # The same numbers in the same order, where they are.
            pass
        case core.Flatten(x) | core.Apply(_, x):
            yield copied(to.pointer, array(x).pointer, to.size)
        case _:
            yield copied(to.pointer, array(value).pointer, to.size)


def recipe_lines(results: Iterable[core.Result]) -> tuple[str, ...]:
    """Return the lines that compute ``y`` from ``x``, (steps, units), and the arrays by name."""
    writer = _Writer()
    for result in results:
        writer.add(result)
    return ("for (size_t u = 0; u < units; ++u) {", *(f"    {each}" for each in writer.lines), "}")


def _unknown(value: core.Expression) -> GenerationError:
    return GenerationError(f"the verb {type(value).__name__} is not supported here in C")


@dataclass(slots=True)
class _Writer:
    """The lines so far, and what the names of a recipe stand for."""

    lines: list[str] = field(default_factory=list)
    names: dict[core.Expression, str] = field(
        default_factory=lambda: {X: "x[t * units + u]", MASK: "mask[t]"}
    )
    variables: int = 0

    def add(self, result: core.Result) -> None:
        """Add the lines of a result."""
        text = self.write(result.value)
        name = core.Name(result.name)
        if "[t" not in text:
            self.lines.append(f"const float {result.name}_u = {text};")
            self.names[name] = f"{result.name}_u"
        elif name == X:
            # What is computed from x at each step is not computed from this x.
            kept = {key: held for key, held in self.names.items() if "[t * " not in held}
            self.names = kept | {X: "y[t * units + u]"}
            self.lines += [_EACH_STEP, f"    {self.names[X]} = {text};", "}"]
        else:
            self.names[name] = text

    def write(self, value: core.Expression, binding: int = 0) -> str:
        """Return an expression at step ``t``, in parentheses if its operator binds less."""
        match value:
            case float():
                return number(value)
            case core.Setting(name):
                return name
            case core.Name() if value in self.names:
                return self.names[value]
            case core.Param(_, name):
                return f"{name}[u]"
            case core.SquareRoot(x):
                return f"sqrtf({self.write(x)})"
            case core.Combine("maximum", left, right):
                text, limit = self.write(left), self.write(right)
                name = text if text.isidentifier() else self._declare(text)
                return self._declare(f"{name} > {limit} ? {name} : {limit}")
            case core.Combine(how, left, right):
                sign, rank = SIGNS[how]
                text = f"{self.write(left, rank)} {sign} {self.write(right, rank + 1)}"
                return f"({text})" if rank < binding else text
            case core.Column(mask):
                return self.write(mask)
            case core.Fill(condition, x, otherwise):
                parts = self.write(condition, 1), self.write(x), self.write(otherwise)
                text = f"{parts[0]} ? {parts[1]} : {parts[2]}"
                return f"({text})" if binding else text
            case core.Reduce(("sum" | "mean") as how, x, keep=True):
                text, name = self.write(x), self._declare("0.0f")
                self.lines += [_EACH_STEP, f"    {name} += {text};", "}"]
                return name if how == "sum" else f"{name} / (float)steps"
            case _:
                raise _unknown(value)

    def _declare(self, value: str) -> str:
        """Add the declaration of a variable, and return its name."""
        self.variables += 1
        name = f"value_{self.variables}"
        self.lines.append(f"float {name} = {value};")
        return name
