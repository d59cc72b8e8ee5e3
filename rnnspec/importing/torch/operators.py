"""The operators that the calls in a ``forward`` are, with what PyTorch says of their arguments."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.importing.graph.bounds import interval, number, size_of
from rnnspec.importing.graph.graph import DoubtError, GraphNode
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.reader import Budget, OperatorReader
from rnnspec.importing.graph.values import CarriedStates, ExtraInput, Known, Pairs, Tensor
from rnnspec.importing.graph.values import Value as GraphValue
from rnnspec.importing.torch.values import (
    ARRAY_OUTSIDE,
    LENGTHS,
    ModuleArray,
    Zeros,
    describe,
    is_size,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.importing.torch.scope import ModuleScope
    from rnnspec.importing.torch.values import Value

_BOOL, _INT, _DOUBLE = 9, 7, 11
"""ONNX's numbers of dtypes."""


def lacks_operation(name: str) -> RefusedError:
    """Return the refusal of an operation that rnnspec does not support."""
    return RefusedError(
        f"rnnspec does not support the operation '{name}'; take it out of the module", "E701"
    )


def axis_number(dim: Any, rank: int) -> int:
    """Return the number of an axis from the front.

    Raises:
        RefusedError: there is none.
    """
    if type(dim) is not int or not -rank <= dim < rank:
        message = f"expected the number of one of {rank} axes, received {describe(dim)}"
        raise RefusedError(message, "E703")
    return dim % rank


class Operators:
    """Operators in a scope, in the operation of ``forward`` that is read."""

    def __init__(self, scope: ModuleScope) -> None:
        self.scope = scope
        self._reader = OperatorReader(scope, Budget("module", ()), {})

    def node(self, op: str, inputs: int = 1, outputs: int = 1, **attributes: Any) -> GraphNode:
        """Return an operator at the place of the operation that is read."""
        now = self.scope.op
        assert now is not None, "an operation is read"
        names = ("",) * inputs, ("",) * outputs
        return GraphNode(now.where, op, "", *names, attributes, place=now.place)

    def several(self, op: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> list[Any]:
        """Return the outputs of an operator for values, numbers and arrays of numbers.

        Raises:
            RefusedError: rnnspec does not support it, or not in this place.
        """
        values: list[GraphValue] = [self.numbers(value) for value in inputs]
        for value in values:
            if isinstance(value, ModuleArray):
                raise RefusedError(ARRAY_OUTSIDE, "E701")
            if not isinstance(value, GraphValue):
                raise RefusedError(f"expected a tensor, received {describe(value)}")
        node = self.node(op, len(values), outputs, **attributes)
        try:
            return [*self._reader.read(node, values)]
        except RefusedError as refused:
            # By the word that stands in the source.
            refused.message = re.sub(rf"\b{op}\b", node.name, refused.message)
            raise

    def run(self, op: str, *inputs: Any, **attributes: Any) -> Any:
        """Return the output of an operator for values, numbers and arrays of numbers.

        Raises:
            RefusedError: rnnspec does not support it, or not in this place.
        """
        return self.several(op, *inputs, **attributes)[0]

    def run_on(self, tensor: Tensor, op: str, *inputs: Any, **attributes: Any) -> Tensor:
        """Return the tensor that an operator makes of one; see ``run``."""
        result = self.run(op, tensor, *inputs, **attributes)
        assert isinstance(result, Tensor), "a tensor makes one"
        return result

    def compute(self, op: str, *inputs: Any, **attributes: Any) -> Known:
        """Return the numbers that an operator makes of numbers; see ``run``."""
        known = self.run(op, *inputs, **attributes)
        assert isinstance(known, Known), "numbers alone make numbers"
        return known

    def numbers(self, value: Any) -> Any:
        """Return plain numbers and lengths as known numbers, and other values as they are."""
        probes = self.scope.probes
        match value:
            case ExtraInput(name=name):
                if name:
                    self.scope.note_lengths(name)
                bounds = interval(number(0), size_of(probes.steps))
                named = f"{LENGTHS}{name}" if name else ""
                return Known(probes.lengths, named, bounds=bounds)
            case int() | float() | list() | np.ndarray():
                return Known((np.asarray(value),) * len(probes.rows))
            case Zeros():
                return self.numbers(0.0)
            case _:
                return value

    def rank(self, x: Any) -> int:
        """Return the number of axes of a value."""
        match x:
            case Known(samples=[array, *_]):
                return array.ndim
            case ExtraInput():
                return 1
            case Pairs(axes=axes):
                return len(axes)
            case CarriedStates(parts=[part, *_]):
                return len(part.axes)
            case _:
                return len(self.scope.operand(x, either_order=True).axes)

    def single_axes(self, x: Any) -> tuple[int, ...]:
        """Return the axes of size 1, which are so for every input."""
        axes = x.axes if isinstance(x, Tensor | Pairs) else ()
        if isinstance(x, Tensor) and "" not in axes and self.scope.features(x) == 1:
            return tuple(i for i, axis in enumerate(axes) if axis == "F")
        return tuple(i for i, axis in enumerate(axes) if not axis)

    def is_input(self, x: Any) -> bool:
        """True if a value is the input."""
        return (isinstance(x, Tensor) and x.at <= 0 and x.formula is None) or (
            isinstance(x, Known) and x.kind == "input"
        )

    def is_order(self, index: Any) -> bool:
        """True if an index may be an order of the sequences of a batch."""
        return (
            isinstance(index, Known)
            and index.samples[0].ndim == 1
            and index.samples[0].dtype != bool
        )

    def fit_features(self, x: Any, y: Any) -> None:
        """Have an input with as many features as what it is added to, if nothing else tells them.

        Raises:
            RestartError: it has others than before.
        """
        tensors = [value for value in (x, y) if isinstance(value, Tensor) and value.role == "plain"]
        widths = {self.scope.width(value.at) for value in tensors if value.axes[-1:] == ("F",)}
        if len(tensors) == 2 and None in widths and len(widths) == 2:
            (known,) = widths - {None}
            for value in tensors:
                if self.scope.width(value.at) is None and known is not None:
                    self.scope.fit_features(value.at, known)

    def as_integers(self, value: Any) -> Known:
        """Return truth values as 0 and 1; other numbers are as they are."""
        known: Known = self.numbers(value)
        if known.samples[0].dtype == np.bool_:
            return self.compute("Cast", known, to=_INT)
        return known

    def as_floats(self, value: Any) -> Known:
        """Return known numbers as real ones."""
        return self.compute("Cast", value, to=_DOUBLE)

    def as_truth(self, value: Any) -> Known:
        """Return known numbers as truth values."""
        return self.compute("Cast", value, to=_BOOL)

    def elementwise(self, op: str, operands: Sequence[Any], refused: RefusedError) -> Any:
        """Return the result of an operator on each number of tensors and of known numbers.

        Args:
            op: the operator.
            operands: tensors, numbers, and arrays of the module.
            refused: why the operation alone cannot be taken over.

        Raises:
            RefusedError: they are something else.
        """
        scope = self.scope
        if any(isinstance(operand, Pairs) for operand in operands):
            return self.run(op, *operands)
        roles = [value.role for value in operands if isinstance(value, Tensor)]
        halves = [v for v in operands if isinstance(v, Tensor) and v.half is not None]
        if "weights" in roles or len(halves) == 2:
            return self.run(op, *map(scope.operand, operands))
        if op == "Mul" and any(isinstance(operand, ModuleArray) for operand in operands):
            refused = RefusedError(ARRAY_OUTSIDE, "E701")
        refused.origin = refused.origin or scope.op
        values = [self._operand(operand, refused) for operand in operands]
        tensors = [value for value in values if isinstance(value, Tensor)]
        for place, value in enumerate(values):
            if not isinstance(value, ModuleArray):
                continue
            known = scope.stand_in(tensors[0], value.path) if tensors and not value.turned else None
            if known is None:
                raise refused
            values[place] = known
        if not tensors:
            return self.run(op, *values)
        values = [
            self.numbers(float(operand)) if isinstance(operand, int) else value
            for operand, value in zip(operands, values, strict=True)
        ]
        sizes = [operand for operand in operands if is_size(operand)]
        if sizes:
            name = scope.op.where if scope.op else ""
            message = f"'{name}': expected no size beside {describe(tensors[0])}, received one"
            raise RefusedError(message, "E701")
        if any(isinstance(value, Known) and value.same_array is None for value in values):
            return self.apply_mask(op, *values)
        try:
            result = self.run(op, *values)
        except DoubtError:
            raise
        except RefusedError as error:
            raise (error if op == "Add" and len(tensors) == 2 else refused) from None
        return self.refuse_later(result, refused)

    def _operand(self, value: Any, refused: RefusedError) -> Any:
        match value:
            case bool():
                raise refused
            case Tensor():
                return self.scope.operand(value)
            case int() | float() | Known() | ExtraInput():
                return self.numbers(value)
            case ModuleArray():
                return value
            case _:
                raise refused

    def apply_mask(self, op: str, *values: Any) -> Value:
        """Return the result of an operator with a mask, or with the number of real steps.

        Raises:
            RefusedError: rnnspec does not support it.
        """
        solid = [
            self.scope.layer_output(value)
            if isinstance(value, Tensor) and value.role == "plain"
            else value
            for value in values
        ]
        result: Value = self.run(op, *solid)
        if isinstance(result, Tensor) and result.filler is not None:
            self.scope.masks = True
        return result

    def refuse_later(self, value: Value, refused: RefusedError) -> Value:
        """Return a function of features that is refused for a reason if it becomes no layer."""
        if not isinstance(value, Tensor) or value.formula is None:
            return value
        refused.origin = refused.origin or self.scope.op
        reason = value.formula.refused or refused
        return replace(value, formula=replace(value.formula, refused=reason))
