"""The verbs of the core as C statements: what only moves or combines numbers.

They are of arrays with known sizes, where they are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.backends.c.names import loop
from rnnspec.errors import GenerationError
from rnnspec.ir import core
from rnnspec.source.verbs import SIGNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def copied(to: str, start: str, size: str) -> str:
    """Return the statement that copies a number of floats."""
    return f"memcpy({to}, {start}, {bytes_of(size)});"


def bytes_of(size: str) -> str:
    """Return the size of a number of floats."""
    if size == "1":
        return "sizeof(float)"
    return f"{f'({size})' if ' - ' in size else size} * sizeof(float)"


def product(call: str, bias: str, x: str, sizes: tuple[str, str], to: str) -> Iterator[str]:
    """Yield the product of one row, which begins with a bias, or with zeros if there is none.

    ``call`` ends behind the weights; ``sizes`` are the numbers of inputs and of columns.
    """
    if not bias:
        yield f"memset({to}, 0, {bytes_of(sizes[1])});"
    yield f"{call}, {bias or to}, {x}, {', '.join(sizes)}, {to});"


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


def moves(value: core.Expression) -> bool:
    """Return whether ``statements`` computes a value."""
    match value:
        case core.Name() | core.EarlierOutput():
            return True
        case core.Combine(how, left, right):
            return how in SIGNS and moves(left) and moves(right)
        case core.Join(parts):
            return all(map(moves, parts))
        case core.Repeat(x) | core.Transpose(x) | core.Take(x) | core.Flatten(x):
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
    """Yield the statements that move or combine numbers of arrays.

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
                raise unknown(part)

    match value:
        case core.Combine():
            operands = {term: array(term) for term in _terms(value)}
            yield from _arithmetic(value, operands, to)
        case core.Join(parts, "steps"):
            pointer = to.pointer
            for part in map(array, parts):
                yield copied(pointer, part.pointer, part.size)
                pointer += f" + {part.size}"
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
        case core.Flatten(x):
            yield copied(to.pointer, array(x).pointer, to.size)
        case _:
            yield copied(to.pointer, array(value).pointer, to.size)


def _arithmetic(
    value: core.Combine, operands: Mapping[core.Expression, Rows], to: Rows
) -> Iterator[str]:
    """Yield the statements of arithmetic, in one loop if all have the same rows."""
    like = (to.count, to.width)
    is_even = all((operand.count, operand.width) == like for operand in operands.values())

    def term(part: core.Expression, binding: int = 0) -> str:
        match part:
            case core.Combine(how, left, right) if how in SIGNS:
                sign, rank = SIGNS[how]
                text = f"{term(left, rank)} {sign} {term(right, rank + 1)}"
                return f"({text})" if rank < binding else text
            case _:
                operand = operands[part]
                return f"{operand.pointer}[i]" if is_even else operand.element

    if is_even:
        yield from loop("i", to.size, [f"{to.pointer}[i] = {term(value)};"])
        return
    line = f"{to.element} = {term(value)};"
    lines = [line] if to.width == 1 else list(loop("u", str(to.width), [line]))
    yield from each(to.count, lines)


def unknown(value: core.Expression) -> GenerationError:
    """Return the error of a verb that is not written here."""
    return GenerationError(f"the verb {type(value).__name__} is not supported here in C")
