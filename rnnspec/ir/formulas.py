"""The recipe of a formula: equations without a state, in the verbs of the core."""

from __future__ import annotations

from itertools import chain, count
from typing import TYPE_CHECKING, assert_never, cast

from rnnspec.ir import core, equations
from rnnspec.ir.branches import guard_branches
from rnnspec.ir.core import Combine, Fill, OverFeatures, Repeat, Result
from rnnspec.ir.equations import Choose, Elementwise, Name, evaluate_size, walk
from rnnspec.ir.schedule import shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.ir.core import Arithmetic, Expression
    from rnnspec.ir.equations import Equations
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Activation, Formula, Join

_ARITHMETIC: Mapping[equations.Operator, Arithmetic] = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "minimum": "minimum",
    "maximum": "maximum",
}


_FLAT = frozenset({"hard_sigmoid", "maximum", "minimum", "relu"})
"""The functions whose gradient is a product in some framework."""


def expand_formula(layer: Join, formula: Formula, form: Form) -> Iterator[Result]:
    """Yield the results of a formula: a line for each of its own, and the last one as ``x``."""
    lines_of = formula.equations
    if form == "training":
        lines_of = guard_branches(lines_of, _FLAT)
    writer = _Writer(layer, formula, lines_of)
    *lines, last = lines_of.lines
    for line in lines:
        if writer.has_steps(line.value):
            value = writer.write(line.value)
            writer.taken.remove(line.name)
            writer.lines[line.name] = writer.keep(line.name, value)
        else:
            writer.vectors[line.name] = line.value
    value = writer.write(last.value)
    yield from writer.results
    yield Result("x", value)


class _Writer:
    """What the names of a formula stand for.

    ``lines`` are those that have a variable. Lines without steps, beside sequences, are written
    where they stand, from ``vectors``, since what they are joined with decides their steps.
    """

    def __init__(self, layer: Join, formula: Formula, of_lines: Equations) -> None:
        self.name = layer.name
        self.results: list[Result] = []
        self.taken = {*formula.names, *(line.name for line in of_lines.lines)}
        shapes = dict(zip(formula.names, layer.inputs, strict=True))
        self.inputs = {
            name: core.EarlierOutput(of) for name, of in zip(formula.names, layer.of, strict=True)
        }
        self.sequences = [name for name, shape in shapes.items() if len(shape) > 1]
        self.shapes = {**dict(of_lines.parameters), **dict(of_lines.shapes)}
        self.lines: dict[str, core.Name | core.EarlierOutput] = {}
        self.vectors: dict[str, equations.Expression] = {}

    def has_steps(self, expression: equations.Expression) -> bool:
        """True if a value has steps, or if nothing in the formula has; parameters have none."""
        names = {part.name for part in walk(expression) if isinstance(part, Name)}
        above = any(self.has_steps(self.vectors[name]) for name in names & self.vectors.keys())
        return above or not names.isdisjoint({*(self.sequences or self.inputs), *self.lines})

    def write(  # noqa: PLR0912 - a branch for each kind of expression
        self, expression: equations.Expression, steps: int | core.CountSteps = 1
    ) -> Expression:
        """Return an expression; what is a vector stands at each of some steps."""

        def write(part: equations.Expression) -> Expression:
            return self.write(part, steps)

        match expression:
            case equations.Number(value=value):
                return value
            case Name(name=name, kind="input"):
                value_of_input = self.inputs[name]
                is_vector = self.sequences and name not in self.sequences
                return Repeat(value_of_input, steps) if is_vector else value_of_input
            case Name(name=name, kind="parameter"):
                return core.Param(self.name, name)
            case Name(name=name) if name in self.vectors:
                return write(self.vectors[name])
            case Name(name=name):
                return self.lines[name]
            case equations.Product(matrix=equations.Transpose(matrix=matrix), vector=factor):
                return core.MatMul(write(factor), core.Param(self.name, matrix.name))
            case equations.Product(matrix=Name(name=name), vector=factor):
                return core.MatMul(write(factor), core.Param(self.name, name), True)
            case equations.Apply(function="exp", operand=operand):
                return core.Apply("exponential", write(operand))
            case equations.Apply(function="sqrt" | "log" | "abs" as function, operand=operand):
                return core.Function(function, write(operand))
            case equations.Apply(function="linear", operand=operand):
                return write(operand)
            case equations.Apply(function=function, operand=operand):
                return core.Apply(cast("Activation", function), write(operand))
            case Elementwise("minimum" | "maximum" as how, equations.Number() as left, right):
                return Combine(how, write(right), write(left))
            case Elementwise(operator=operator, left=left, right=right):
                return Combine(_ARITHMETIC[operator], write(left), write(right))
            case Choose(comparison=comparison, left=left, right=right):
                yes, no = write(expression.chosen), write(expression.otherwise)
                one, other = write(left), write(right)
                if comparison in ("<", ">="):
                    one, other = other, one
                # a <= b if a is not greater.
                yes, no = (no, yes) if "=" in comparison else (yes, no)
                return Fill(Combine("greater", one, other), yes, no)
            case equations.ApplyToVector(function="softmax", operand=operand, groups=groups):
                vector = write(operand)
                if groups == 1:
                    return core.Apply("softmax", vector)
                vector, width = self.keep("vector", vector), self._width(operand) // groups
                parts = (self._slice(vector, at * width, width) for at in range(groups))
                return core.Join(tuple(core.Apply("softmax", part) for part in parts))
            case equations.ApplyToVector(function="sum" | "mean" | "max" as how, operand=operand):
                return OverFeatures(how, write(operand))
            case equations.ApplyToVector(function="norm", operand=operand):
                vector = self.keep("vector", write(operand))
                total = OverFeatures("sum", vector * vector)
                root = core.Function("sqrt", total + equations.NORM_EPSILON)
                return self.keep("norm", root)
            case equations.ApplyToVector(operand=operand, epsilon=epsilon):
                vector = self.keep("vector", write(operand))
                centred = self.keep("centred", vector - OverFeatures("mean", vector))
                variance = self.keep("variance", OverFeatures("mean", centred * centred))
                return centred / core.Function("sqrt", variance + epsilon)
            case equations.Concat(parts=parts):
                return core.Join(tuple(map(self._write_whole, parts)))
            case equations.Part(operand=operand, index=index, count=count):
                width = self._width(operand) // count
                return self._slice(write(operand), index * width, width)
            case equations.Features(operand=operand):
                places = expression.range_of(self._width(operand))
                return self._slice(write(operand), places.start, len(places))
            case equations.Transpose() | equations.Product() | equations.Attend():
                raise AssertionError("a formula has no matrix but before @, and no memory")
            case _:
                assert_never(expression)

    def _width(self, vector: equations.Expression) -> int:
        return evaluate_size(shape_of(vector, self.shapes)[0], {})

    def _slice(self, vector: Expression, start: int, width: int) -> Expression:
        """Return some features of a vector."""
        if self.sequences:
            return core.Take(vector, (0, 1), (start, start + width))
        return core.Slice(vector, start, start + width)

    def keep(self, name: str, value: Expression) -> core.Name | core.EarlierOutput:
        """Return the name of a result of its own with a value, unless that is a name itself."""
        if isinstance(value, core.Name | core.EarlierOutput):
            return value
        names = chain([name], (f"{name}_{number}" for number in count(2)))
        # The names of lines are theirs, before they are there.
        name = next(free for free in names if free not in self.taken)
        self.taken.add(name)
        self.results.append(Result(f"{self.name}_{name}" if self.name else name, value))
        return core.Name(self.results[-1].name)

    def _write_whole(self, part: equations.Expression) -> Expression:
        """Return a part that stands beside others, at as many steps as they have."""
        if self.has_steps(part):
            return self.write(part)
        return self.write(part, core.CountSteps(self.inputs[self.sequences[0]]))
