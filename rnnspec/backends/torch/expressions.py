"""Expressions of a cell by equations as calls of PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.torch.classes import ACTIVATIONS
from rnnspec.backends.torch.slots import RESERVED
from rnnspec.ir.equations import (
    INPUT,
    Apply,
    ApplyToVector,
    Concat,
    Elementwise,
    Name,
    Number,
    Product,
    interpolation,
    walk,
)
from rnnspec.source.code import Code, code, listed
from rnnspec.source.expressions import Call, Calls, ExpressionWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rnnspec.ir.equations import Expression, Shape

FUNCTIONS: Mapping[str, str] = {
    **{str(name): function for name, function in ACTIVATIONS.items()},
    **{name: f"torch.{name}" for name in ("exp", "log", "sqrt", "abs")},
}
"""The function of PyTorch for each function of equations, empty for the identity."""

CALLS = Calls(
    bound="torch.{}({}, {})",
    transpose="{}.T",
    choose="torch.where({}, {}, {})",
    softmax="torch.softmax({}, dim=-1)",
    standardize="standardize({}, {!r})",
    concat="torch.cat([{}], dim=-1)",
    part="torch.chunk({}, {!r}, dim=-1)[{!r}]",
    reduce="torch.{}({}, dim=-1, keepdim=True)",
    norm="torch.sqrt(torch.sum(torch.square({}), dim=-1, keepdim=True) + {!r})",
    once="x[:, 0, {}]",
)


class TensorWriter(ExpressionWriter):
    """Expressions of tensors, with the calls of PyTorch that compute several operations at once.

    ``inlined`` are expressions that stand in the place of their names, ``constants`` names whose
    values follow from parameters, ``once`` those of values of a sequence, and ``before`` those of
    values of all steps. In a step, these have the names in ``steps`` instead, and a parameter that
    of a variable, not of an attribute, which is slower.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        parameters: Mapping[str, Shape],
        functions: Mapping[str, str],
        scheduled: Iterable[str],
    ) -> None:
        super().__init__(functions, calls=CALLS)
        self.names = {**{name: name for name in scheduled}, **names}
        self.shapes = parameters
        self.inlined: dict[str, Expression] = {}
        self.constants, self.before = set(self.shapes), {INPUT}
        self.once = set[str]()
        self.is_once = self.is_step = False
        self.steps: dict[str, str] = {}
        self.variables: dict[str, None] = {}

    def new(self, name: str) -> str:
        """Return a variable that nothing else has: the name, or with a number."""
        taken, number, variable = {*self.names.values(), *RESERVED}, 0, name
        while variable in taken:
            number += 1
            variable = f"{name}_{number}"
        self.names[variable] = variable
        return variable

    def write(self, expression: Expression, binding: int = 0) -> Code:
        """Return an expression, in parentheses if its operator binds less."""
        match expression:
            case Name(name=name) if name in self.inlined:
                return self.write(self.inlined[name], binding)
            case Apply(function=function, operand=Number() as number):
                return self.activate(function, self.as_tensor(number, number))
            case _:
                return super().write(expression, binding)

    def write_name(self, name: Name, binding: int) -> Code:
        """Return the variable or the attribute of a name."""
        is_new = name.kind == "line" and name.name in self.new_states
        if is_new:
            return super().write_name(name, binding)
        spread = name.name in self.once and not (self.is_once or self.is_step)
        # Beside values of all steps.
        return code("{}.unsqueeze(1)" if spread else "{}", self._name(name.name))

    def _name(self, name: str) -> str:
        variable = self.names[name]
        if name in self.shapes and not self.is_step:
            return f"self.{variable}"
        if name in self.shapes:
            self.variables[variable] = None
        if not self.is_step or name not in self.before:
            return variable
        if variable not in self.steps:
            self.steps[variable] = self.new(f"{variable}_t")
        return self.steps[variable]

    def is_constant(self, expression: Expression) -> bool:
        """True if a value has no axis of the batch."""
        names = {part.name for part in walk(expression) if isinstance(part, Name)}
        return names <= self.constants

    def batched(self, expression: Expression) -> Code:
        """Return a vector for each sequence, or in all steps, for each of them."""
        value, has_steps = self.write(expression), not (self.is_once or self.is_step)
        if isinstance(expression, Name) and expression.name in self.once and has_steps:
            return code("{}.expand(-1, x.shape[1], -1)", value)
        if not self.is_constant(expression):
            return value
        axes = code("x.shape[0], x.shape[1], -1" if has_steps else "x.shape[0], -1")
        return code("{}.expand({})" if "(" not in value else "({}).expand({})", value, axes)

    def idiom(self, expression: Elementwise) -> Code | None:
        """Return one call for two operations, all on tensors."""
        if expression.operator not in ("+", "-"):
            return None
        left, right = self._resolve(expression.left), self._resolve(expression.right)
        is_sum = expression.operator == "+"
        if is_sum:
            mixed = interpolation(expression)
            if mixed and not any(isinstance(part, Number) for part in mixed):
                return self._call("lerp", *mixed)
            if norm := self._layer_norm(left, right):
                return norm
            if _is_multiplied(left) and not _is_multiplied(right):
                left, right = right, left
        if isinstance(left, Number):
            return None
        match right:
            case Product(matrix=vector, vector=weight) if not self.is_constant(vector):
                return self._call("addmm", left, vector, weight)
            case Elementwise("*", Number(value), tensor) | Elementwise("*", tensor, Number(value)):
                scale = {} if value == 1.0 else {"alpha": value}
                return self._call("add" if is_sum else "sub", left, tensor, **scale)
            case Elementwise("*", one, other):
                negative = {} if is_sum else {"value": -1.0}
                return self._call("addcmul", left, one, other, **negative)
            case _:
                return None

    def _resolve(self, expression: Expression) -> Expression:
        name = expression.name if isinstance(expression, Name) else ""
        return self.inlined.get(name, expression)

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

    def call(self, expression: Call) -> Code:
        """Return the call of a function of PyTorch, whose bounds are tensors."""
        match expression:
            case Elementwise(operator=operator, left=left, right=right):
                if isinstance(left, Number):
                    left, right = right, left
                if isinstance(right, Number):
                    bound = "max" if operator == "minimum" else "min"
                    return code("torch.clamp({}, {}={!r})", self.write(left), bound, right.value)
            case ApplyToVector(function="max", operand=operand):
                # torch.max returns indices too.
                return code("torch.amax({}, dim=-1, keepdim=True)", self.write(operand))
            case _:
                pass
        return super().call(expression)

    def as_tensor(self, expression: Expression, beside: Expression) -> Code:
        """Return an expression, as a tensor beside a number: two would be of the default dtype."""
        value = self.write(expression)
        are_numbers = isinstance(expression, Number) and isinstance(beside, Number)
        return code("x.new_full((), {})", value) if are_numbers else value

    def write_parts(self, whole: Concat) -> Iterator[Code]:
        """Yield the parts of a vector: of each sequence, if one of them is."""
        yield from map(self.write if self.is_constant(whole) else self.batched, whole.parts)


def _is_multiplied(expression: Expression) -> bool:
    match expression:
        case Product() | Elementwise("*"):
            return True
        case _:
            return False
