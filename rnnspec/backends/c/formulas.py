"""The body of a function that computes a formula by its recipe, a step at a time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rnnspec.backends.c.names import activation, loop, number, own_name
from rnnspec.backends.c.verbs import product as product_of
from rnnspec.errors import GenerationError
from rnnspec.ir import core
from rnnspec.source.verbs import SIGNS

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

_LOCALS = frozenset({"t", "u", "steps", "work", "y"})
_FUNCTIONS = {"sqrt": "sqrtf", "log": "logf", "abs": "fabsf"}


@dataclass(frozen=True, slots=True)
class Operand:
    """A parameter with an input of a formula: its name, how wide it is, and if it has steps."""

    name: str
    width: int
    steps: bool


@dataclass(frozen=True, slots=True)
class Matrix:
    """A parameter with a matrix (rows, columns), and the call of its product up to the weights.

    One without a call is read as it is.
    """

    name: str
    rows: int
    columns: int
    call: str = ""


def parameter_names(names: Iterable[str], taken: Iterable[str], prefix: str) -> dict[str, str]:
    """Return the parameter for each name that a formula has for an input."""
    reserved, result = set(_LOCALS.union(taken)), dict[str, str]()
    for name in names:
        result[name] = _free(own_name(name), reserved, prefix)
        reserved.add(result[name])
    return result


def _free(name: str, taken: Container[str], prefix: str) -> str:
    """Return a name that is not taken, and hides no function, all of which have a prefix."""
    name = f"of_{name}" if name.startswith(f"{prefix}_") else name
    while name in taken:
        name += "_"
    return name


@dataclass(slots=True)
class FormulaLines:
    """The lines so far of one step, the floats of ``work`` that they use, and what they call."""

    prefix: str
    arrays: dict[core.Expression, Operand]
    matrices: Mapping[core.Param, Matrix]
    stepped: bool
    lines: list[str] = field(default_factory=list)
    declared: list[str] = field(default_factory=list)
    floats: int = 0
    names: set[str] = field(default_factory=set)
    kernels: set[str] = field(default_factory=set)

    def write(self, results: Iterable[core.Result], width: int) -> tuple[str, ...]:
        """Return the lines that compute ``y``, whose rows are as wide as ``width``."""
        has_steps = any(array.steps for array in self.arrays.values()) and not self.stepped
        if not has_steps:
            self.arrays = {key: replace(array, steps=False) for key, array in self.arrays.items()}
        y = Operand("y", width, has_steps)
        for result in results:
            to = y if result.name == "x" else self._memory(result.name, self._width(result.value))
            self._assign(to, result.value)
            self.arrays[core.Name(result.name)] = to
        lines = list(loop("t", "steps", self.lines)) if has_steps else self.lines
        return (*self.declared, *[""][: len(self.declared)], *lines)

    def _memory(self, name: str, width: int) -> Operand:
        """Declare memory for one step of a value."""
        taken = {*self.names, *_LOCALS, *(array.name for array in self.arrays.values())}
        name = _free(name, taken, self.prefix)
        self.names.add(name)
        self.declared.append(
            f"float *const {name} = work{f' + {self.floats}' * (self.floats > 0)};"
        )
        self.floats += width
        return Operand(name, width, steps=False)

    def _assign(self, to: Operand, value: core.Expression, start: int = 0, size: int = 0) -> None:
        """Add the lines that put a value into memory, from a feature on."""
        match value:
            case core.Join(parts):
                for part in parts:
                    width = self._width(part)
                    self._assign(to, part, start, width)
                    start += width
            case core.Combine("add", core.MatMul() as product, core.Param() as bias) if (
                self._width(bias) == (size or to.width) and self.matrices[product.kernel].call
            ):
                self._multiply(product, to, start, self.arrays[bias].name)
            case core.MatMul():
                self._multiply(value, to, start)
            case core.Apply("softmax" as function, x):
                self._assign(to, x, start, size)
                self.kernels.add(function)
                row, width = self._row(to, start), size or to.width
                self.lines.append(f"{self.prefix}_{function}({row}, {width});")
            case _:
                width = size or to.width
                text = f"{self._at(to, start, whole=width > 1)} = {self._element(value)};"
                self.lines += loop("u", str(width), [text]) if width > 1 else [text]

    @staticmethod
    def _row(operand: Operand, start: int) -> str:
        parts = [operand.name]
        if operand.steps:
            parts.append(f"t * {operand.width}" if operand.width > 1 else "t")
        return " + ".join([*parts, *([str(start)] if start else [])])

    def _at(self, operand: Operand, start: int = 0, *, whole: bool = True, index: str = "u") -> str:
        """Return the element ``index`` behind a feature."""
        _, *parts = self._row(operand, start).split(" + ")
        parts += [index] if operand.width > 1 and whole else []
        return f"{operand.name}[{' + '.join(parts) or '0'}]"

    def _width(self, value: core.Expression) -> int:
        match value:
            case _ if value in self.arrays:
                return self.arrays[value].width
            case float() | core.OverFeatures():
                return 1
            case core.MatMul(_, kernel, transposed):
                matrix = self.matrices[kernel]
                return matrix.rows if transposed else matrix.columns
            case core.Repeat(x) | core.Apply(_, x) | core.Function(_, x):
                return self._width(x)
            case core.Take(_, (0, 1), (int(start), int(end))) | core.Slice(_, start, end):
                return end - start
            case core.Combine(_, left, right):
                return max(self._width(left), self._width(right))
            case core.Fill(condition, x, otherwise):
                return max(map(self._width, (condition, x, otherwise)))
            case core.Join(parts):
                return sum(map(self._width, parts))
            case _:
                raise self._error(value)

    def _element(  # noqa: PLR0912 - a branch for each verb
        self, value: core.Expression, binding: int = 0
    ) -> str:
        """Return the element ``u`` of a value, in parentheses if its operator binds less."""
        match value:
            case _ if value in self.arrays:
                return self._at(self.arrays[value])
            case float():
                return number(value)
            case core.Repeat(x):
                return self._element(x, binding)
            case core.Take(x, (0, 1), (start, int(end))) | core.Slice(x, start, end):
                of = self._kept(x)
                return self._at(of, start, whole=end - start > 1)
            case core.OverFeatures():
                return self._reduce(value)
            case core.Join() | core.Apply("softmax") | core.MatMul():
                return self._at(self._kept(value))
            case core.Function(function, x):
                self.kernels.add("sqrtf")
                return f"{_FUNCTIONS[function]}({self._element(x)})"
            case core.Apply(function, x):
                name = "exp" if function == "exponential" else activation(function).name
                self.kernels.add(name)
                return f"{self.prefix}_{name}({self._element(x)})"
            case core.Combine("subtract", 0.0, x):
                text = f"-{self._element(x, 3)}"
                return f"({text})" if binding else text
            case core.Combine("maximum" | "minimum" as how, left, right):
                self.kernels.add(how)
                return f"{self.prefix}_{how}({self._element(left)}, {self._element(right)})"
            case core.Combine(how, left, right):
                sign, rank = SIGNS[how]
                text = f"{self._element(left, rank)} {sign} {self._element(right, rank + 1)}"
                return f"({text})" if rank < binding else text
            case core.Fill(condition, x, otherwise):
                parts = (self._element(part) for part in (condition, x, otherwise))
                text = "{} ? {} : {}".format(*parts)
                return f"({text})"
            case _:
                raise self._error(value)

    def _kept(self, value: core.Expression) -> Operand:
        """Return a value in memory of its own, if it is not in some already."""
        if isinstance(value, core.Repeat):
            return self._kept(value.x)
        if value not in self.arrays:
            to = self._memory(f"part_{len(self.declared) + 1}", self._width(value))
            self._assign(to, value)
            self.arrays[value] = to
        return self.arrays[value]

    def _multiply(self, product: core.MatMul, to: Operand, start: int = 0, bias: str = "") -> None:
        """Add the lines of a product with a matrix, from a feature of its memory on."""
        matrix, x = self.matrices[product.kernel], self._kept(product.x)
        rows, columns = matrix.rows, matrix.columns
        if matrix.call:
            sizes = str(columns), str(rows)
            self.lines += product_of(
                matrix.call, bias, self._row(x, 0), sizes, self._row(to, start)
            )
            return
        results, inputs = (rows, columns) if product.transposed else (columns, rows)
        place = f"u * {columns} + i" if product.transposed else f"i * {columns} + u"
        y, factor = self._at(to, start), self._at(x, index="i")
        text = f"{y} += {matrix.name}[{place}] * {factor};"
        self.lines += loop("u", str(results), [f"{y} = 0.0f;", *loop("i", str(inputs), [text])])

    def _reduce(self, value: core.OverFeatures) -> str:
        """Return a statistic of the features of a value."""
        how, width = value.how, self._width(value.x)
        first, of = "0.0f", ""
        if how == "max":
            vector = self._kept(value.x)
            first, of = self._at(vector, whole=False), self._at(vector)
            self.kernels.add("maximum")
        to = self._memory(f"{how}_{len(self.declared) + 1}", 1)
        self.lines.append(f"{to.name}[0] = {first};")
        text = f"{to.name}[0] = {self.prefix}_maximum({to.name}[0], {of});"
        if how != "max":
            text = f"{to.name}[0] += {self._element(value.x)};"
        self.lines += loop("u", str(width), [text]) if width > 1 else [text]
        if how == "mean":
            self.lines.append(f"{to.name}[0] /= {number(float(width))};")
        self.arrays[value] = to
        return self._at(to)

    @staticmethod
    def _error(value: core.Expression) -> GenerationError:
        return GenerationError(f"the verb {type(value).__name__} is not supported here in C")
