"""The source of classes that run a cell by its equations, step by step."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, reduce
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.torch.backend import TORCH
from rnnspec.backends.torch.classes import ACTIVATIONS, choose_result
from rnnspec.backends.torch.plan import plan_of
from rnnspec.ir.equations import (
    INPUT,
    Apply,
    ApplyToVector,
    Choose,
    Concat,
    Elementwise,
    Expression,
    Line,
    Name,
    Number,
    Part,
    Product,
    Shape,
    Size,
    Transpose,
    interpolation,
    rewrite,
    walk,
)
from rnnspec.ir.nodes import EquationCell
from rnnspec.ir.schedule import JoinedProduct, JoinedSum, Slice, schedule
from rnnspec.source.code import Code, code, docstring, lines, listed
from rnnspec.source.expressions import ExpressionWriter, describe_equations, fold_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rnnspec.backends.torch.classes import CellClass
    from rnnspec.ir.schedule import Statement

_FUNCTIONS = {
    **ACTIVATIONS,
    **{name: f"torch.{name}" for name in ("exp", "log", "sqrt", "abs")},
}
_ATTRIBUTES = TORCH.reserved_names.in_framework | {"training", "T_destination"}
"""What every module has, and so no parameter can be."""
_VARIABLES = frozenset(
    """
    hard_sigmoid legacy_hard_sigmoid mask nn outputs real real_steps self softplus standardize torch
    zip
    """.split()  # noqa: SIM905 - names side by side are easier to check
)
"""What a method uses beside the variables of the equations."""


class _Names:
    """Names in Python, each for one meaning: the same, or with underscores behind it."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = set(taken)
        self.by_meaning: dict[str, str] = {}

    def add(self, meaning: str) -> str:
        """Return the name of a meaning."""
        if meaning not in self.by_meaning:
            self.by_meaning[meaning] = self.new(meaning)
        return self.by_meaning[meaning]

    def new(self, name: str) -> str:
        """Return a name that nothing else has."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


@lru_cache
def attributes(cell: EquationCell) -> Mapping[str, str]:
    """Return the attribute of each parameter, each size, and each setting of a layer."""
    names = _Names(_ATTRIBUTES)
    settings = ("recurrent_dropout", "return_sequences")
    for name in ("units", "features", *settings, *dict(cell.sizes), *dict(cell.equations.parameters)):
        names.add(name)
    return names.by_meaning


def equation_class(class_: CellClass) -> Code:
    """Return the source of a class that runs the cell of a layer as a loop over the steps."""
    layer, cell = class_.first, class_.first.equation_cell
    method = _Forward(class_)
    forward = method.write()
    description = [f"The cell {cell.name}, run step by step.", "", *describe_equations(cell.equations)]
    if layer.recurrent_dropout:
        description += ["", "In training each matrix has a mask a sequence on its vector of states."]
    names, sizes = attributes(cell), ("features", "units", *dict(cell.sizes))
    arguments = {"features": "int", "units": "int"}
    keywords = {names[size]: "int" for size in dict(cell.sizes)}
    keywords |= {key: _TYPES[key] for key in class_.options if key in _TYPES}
    stored = [names[size] for size in sizes if size in method.sizes_in_use]
    stored += [key for key in keywords if key in _TYPES]
    return code(
        """
        class {name}(nn.Module):
            {docstring}

            def __init__(self, {arguments}) -> None:
                super().__init__()
                {stored}
                {parameters}

            {forward}
        """,
        name=class_.name,
        docstring=docstring(description),
        arguments=listed(
            *(code("{}: {}", *item) for item in arguments.items()),
            Code("*" if keywords else ""),
            *(code("{}: {}", *item) for item in keywords.items()),
        ),
        stored=lines(code("self.{name} = {name}", name=name) for name in stored),
        parameters=lines(
            code(
                "self.{} = nn.Parameter(torch.empty({}))",
                names[name],
                listed(*(_write_size([size], names) for size in shape)) or Code("()"),
            )
            for name, shape in cell.equations.parameters
        ),
        forward=forward,
    )


_TYPES = {"recurrent_dropout": "float", "return_sequences": "bool"}


def _write_size(sizes: Sequence[Size], names: Mapping[str, str], of: str = "") -> Code:
    """Return the sum of sizes as Python: ``2 * units + features``."""
    counts = Counter[str]()
    for term in " + ".join(sizes).split(" + "):
        *factor, name = term.split(" * ")
        counts[name] += int(factor[0]) if factor else 1
    number = sum(int(name) * count for name, count in counts.items() if name.isdigit())
    terms = [
        code("{}{}{}", code("{!r} * ", count) if count > 1 else Code(), Code(of), names[name])
        for name, count in counts.items()
        if not name.isdigit()
    ]
    return Code(" + ".join([*terms, *([code("{!r}", number)] if number or not terms else [])]))


class _Writer(ExpressionWriter):
    """Expressions of tensors, with the calls of PyTorch that compute several operations at once.

    ``inlined`` are expressions that stand in the place of their names, and ``constants`` names
    whose values follow from parameters. In a step, a value of all steps has the name of its part,
    and a parameter that of a variable: attributes of a module are slow.
    """

    def __init__(self, names: _Names, cell: EquationCell) -> None:
        super().__init__(_FUNCTIONS)
        self.names, self.shapes = names, dict(cell.equations.parameters)
        self.attributes = attributes(cell)
        self.inlined: dict[str, Expression] = {}
        self.constants = set(self.shapes)
        self.before = {INPUT}
        self.is_step = False
        self.parts_of_steps: dict[str, str] = {}
        self.variables: dict[str, str] = {}

    def write(self, expression: Expression, binding: int = 0) -> Code:
        """Return an expression, in parentheses if its operator binds less."""
        match expression:
            case Name(name=name) if name in self.inlined:
                return self.write(self.inlined[name], binding)
            case Name(name=name):
                return code("{}", self._name(name))
            case Apply(function=function, operand=Number() as number):
                tensor = code("x.new_full((), {})", self.write(number))
                return self.activate(function, tensor)
            case _:
                return super().write(expression, binding)

    def _name(self, name: str) -> str:
        if name in self.shapes:
            attribute = f"self.{self.attributes[name]}"
            if not self.is_step:
                return attribute
            variable = self.names.add(name)
            self.variables[variable] = attribute
            return variable
        variable = self.names.add(name)
        if self.is_step and name in self.before:
            if variable not in self.parts_of_steps:
                self.parts_of_steps[variable] = self.names.new(f"{variable}_t")
            return self.parts_of_steps[variable]
        return variable

    def is_constant(self, expression: Expression) -> bool:
        """True if a value has no axis of the batch."""
        names = {part.name for part in walk(expression) if isinstance(part, Name)}
        return names <= self.constants

    def batched(self, expression: Expression) -> Code:
        """Return a vector for each sequence, or in all steps, for each of them."""
        value = self.write(expression)
        if not self.is_constant(expression):
            return value
        axes = code("x.shape[0], -1" if self.is_step else "x.shape[0], x.shape[1], -1")
        return code("{}.expand({})" if "(" not in value else "({}).expand({})", value, axes)

    def idiom(self, expression: Elementwise) -> Code | None:
        """Return one call for two operations, all on tensors."""
        if expression.operator not in ("+", "-"):
            return None
        left, right = expression.left, expression.right
        is_sum = expression.operator == "+"
        if is_sum:
            swapped = replace(expression, left=right, right=left)
            mixed = interpolation(expression) or interpolation(swapped)
            if mixed and not any(isinstance(part, Number) for part in mixed):
                return self._call("lerp", *mixed)
            if norm := self._layer_norm(left, right):
                return norm
            if _is_product(left) and not _is_product(right):
                left, right = right, left
        if isinstance(left, Number):
            return None
        match right:
            case Product(matrix=vector, vector=weight):
                return self._call("addmm", left, vector, weight)
            case Elementwise("*", Number(value), tensor) | Elementwise("*", tensor, Number(value)):
                return self._call("add" if is_sum else "sub", left, tensor, alpha=value)
            case Elementwise("*", one, other):
                negative = {} if is_sum else {"value": -1.0}
                return self._call("addcmul", left, one, other, **negative)
            case _:
                return None

    def _call(self, function: str, *operands: Expression, **numbers: float) -> Code:
        values = (code("{}={!r}", name, value) for name, value in numbers.items())
        return code("torch.{}({})", function, listed(*map(self.write, operands), *values))

    def _layer_norm(self, scaled: Expression, shift: Expression) -> Code | None:
        """Return the call that scales and shifts a standardized vector."""
        match scaled, shift:
            case (
                Elementwise("*", Name(name=gain), ApplyToVector("standardize", operand, epsilon)),
                Name(name=bias),
            ) if len(self.shapes.get(gain, ())) == len(self.shapes.get(bias, ())) == 1:
                gamma, beta = self._name(gain), self._name(bias)
                arguments = listed(self.write(operand), code("{}.shape", gamma), gamma, beta)
                return code("nn.functional.layer_norm({}, {!r})", arguments, epsilon)
            case _:
                return None

    def call(
        self, expression: Elementwise | Transpose | Choose | ApplyToVector | Concat | Part
    ) -> Code:
        """Return the call of a function of PyTorch."""
        match expression:
            case Elementwise(operator=operator, left=left, right=right):
                if isinstance(left, Number):
                    left, right = right, left
                if isinstance(right, Number):
                    bound = "max" if operator == "minimum" else "min"
                    return code("torch.clamp({}, {}={!r})", self.write(left), bound, right.value)
                return code("torch.{}({}, {})", operator, self.write(left), self.write(right))
            case Transpose(matrix=matrix):
                return code("{}.T", self.write(matrix))
            case Choose(comparison=comparison, chosen=chosen, otherwise=otherwise):
                results = [self.write(chosen), self.write(otherwise)]
                if isinstance(chosen, Number) and isinstance(otherwise, Number):
                    # Two numbers would be of the default dtype.
                    results[0] = code("x.new_full((), {})", results[0])
                sides = self.write(expression.left), self.write(expression.right)
                condition = code(f"{{}} {comparison} {{}}", *sides)
                return code("torch.where({})", listed(condition, *results))
            case ApplyToVector(function="softmax", operand=operand):
                return code("torch.softmax({}, dim=-1)", self.write(operand))
            case ApplyToVector(operand=operand, epsilon=epsilon):
                return code("standardize({}, {!r})", self.write(operand), epsilon)
            case Concat(parts=parts):
                write = self.write if self.is_constant(expression) else self.batched
                return code("torch.cat([{}], dim=-1)", listed(*map(write, parts)))
            case Part(operand=operand, index=index, count=count):
                return code("torch.chunk({}, {!r}, dim=-1)[{!r}]", self.write(operand), count, index)
            case _:
                assert_never(expression)


def _is_product(expression: Expression) -> bool:
    return isinstance(expression, Elementwise) and expression.operator == "*"


class _Forward:
    """The method that runs the cell over all steps: what precedes the loop, and a step.

    ``pieces`` are the parts of joined products that sums take, and ``sizes_in_use`` the sizes that
    the method reads from the module.
    """

    def __init__(self, class_: CellClass) -> None:
        self.class_, self.layer, self.cell = class_, class_.first, class_.first.equation_cell
        self.plan = fold_numbers(schedule(self.cell.equations))
        self.is_stepped = plan_of(self.layer).form == "step"
        self.drops = self.layer.recurrent_dropout > 0
        self.names = _Names(_VARIABLES)
        for name in (*self.cell.equations.states, *dict(self.cell.equations.shapes)):
            self.names.add(name)
        self.writer = _Writer(self.names, self.cell)
        self.pieces: dict[Slice, Expression] = {}
        self.sizes_in_use: set[str] = set()
        slices = Counter(
            part
            for statement in self.plan.step
            if isinstance(statement, JoinedSum)
            for part in statement.slices
        )
        self.slices = sorted(slices, key=lambda part: part.start)

    def write(self) -> Code:
        """Return the method."""
        shapes, states = dict(self.cell.equations.shapes), self.cell.equations.states
        constants = lines(self._constants())
        before = lines(self._statements(self.plan.before))
        self.writer.before |= {name for s in self.plan.before for name in targets(s)}
        self.writer.is_step = True
        weights = lines(
            self._weight(statement)
            for statement in self.plan.step
            if isinstance(statement, JoinedProduct)
        )
        split = lines(self._split_inputs())
        step = lines(self._statements(self.plan.step))
        loop = dict(self.writer.parts_of_steps)
        by_step = {part: code("{}.unbind(1)", whole) for whole, part in loop.items()}
        real_steps = outputs = append = Code()
        if self.layer.masked:
            by_step["real"] = code("real_steps")
            real_steps = code("""
                # Padded steps are computed and discarded; the state does not depend on them.
                real_steps = mask.unsqueeze(-1).unbind(1)
            """)
        return Code()
