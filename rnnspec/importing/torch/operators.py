"""The operators that the calls in a ``forward`` are, with what PyTorch says of their arguments."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.importing.graph.bounds import bounded, number, size_of
from rnnspec.importing.graph.graph import DoubtError, Node
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.reader import Budget, OperatorReader
from rnnspec.importing.graph.values import Argument, Known, Tensor
from rnnspec.importing.torch.values import (
    ARRAY_OUTSIDE,
    LENGTHS,
    ModuleArray,
    State,
    Zeros,
    describe,
    is_size,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.importing.graph.values import Value as GraphValue
    from rnnspec.importing.torch.scope import ModuleScope
    from rnnspec.importing.torch.values import Value

_BOOL, _INT, _DOUBLE = 9, 7, 11
"""ONNX's numbers of dtypes."""


def lacks_operation(name: str) -> RefusedError:
    """Return the refusal of an operation that rnnspec does not support."""
    return RefusedError(
        f"rnnspec does not support the operation '{name}'; take it out of the module", "E701"
    )


class Operators:
    """Operators in a scope, in the operation of ``forward`` that is read."""

    def __init__(self, scope: ModuleScope) -> None:
        self.scope = scope
        self._reader = OperatorReader(scope, Budget("module", ()), {})

    def node(self, op: str, inputs: int = 1, outputs: int = 1, **attributes: Any) -> Node:
        """Return an operator at the place of the operation that is read."""
        now = self.scope.op
        assert now is not None, "an operation is read"
        names = ("",) * inputs, ("",) * outputs
        return Node(now.where, op, "", *names, attributes, place=now.place)

    def several(self, op: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> list[Any]:
        """Return the outputs of an operator for values, numbers and arrays of numbers.

        Raises:
            RefusedError: rnnspec does not support it, or not in this place.
        """
        values: list[GraphValue] = [self.numbers(each) for each in inputs]
        node = self.node(op, len(values), outputs, **attributes)
        return list(self._reader.read(node, values))

    def run(self, op: str, *inputs: Any, **attributes: Any) -> Any:
        """Return the output of an operator for values, numbers and arrays of numbers.

        Raises:
            RefusedError: rnnspec does not support it, or not in this place.
        """
        return self.several(op, *inputs, **attributes)[0]

    def numbers(self, value: Any) -> Any:
        """Return plain numbers and lengths as known numbers, and other values as they are."""
        probes = self.scope.probes
        match value:
            case Argument(name=name):
                if name:
                    self.scope.note_lengths(name)
                bounds = bounded(number(0), size_of(probes.steps))
                named = f"{LENGTHS}{name}" if name else ""
                return Known(probes.lengths, named, bounds=bounds)
            case int() | float() | list() | np.ndarray():
                return Known((np.asarray(value),) * len(probes.rows))
            case State():
                return self.scope.whole(value)
            case Zeros():
                return self.numbers(0.0)
            case _:
                return value

    def as_integers(self, value: Any) -> Known:
        """Return truth values as 0 and 1; other numbers are as they are."""
        known: Known = self.numbers(value)
        if known.samples[0].dtype == np.bool_:
            cast: Known = self.run("Cast", known, to=_INT)
            return cast
        return known

    def as_floats(self, value: Any) -> Known:
        """Return known numbers as real ones."""
        cast: Known = self.run("Cast", value, to=_DOUBLE)
        return cast

    def as_truth(self, value: Any) -> Known:
        """Return known numbers as truth values."""
        cast: Known = self.run("Cast", value, to=_BOOL)
        return cast

    def elementwise(self, op: str, operands: Sequence[Any], refused: RefusedError) -> Value:
        """Return the result of an operator on each number of tensors and of known numbers.

        Args:
            op: the operator.
            operands: tensors, numbers, and arrays of the module.
            refused: why the operation alone cannot be taken over.

        Raises:
            RefusedError: they are something else.
        """
        scope = self.scope
        if op == "Mul" and any(isinstance(each, ModuleArray) for each in operands):
            refused = RefusedError(ARRAY_OUTSIDE, "E701")
        refused.origin = refused.origin or scope.op
        values = [self._operand(each, refused) for each in operands]
        tensors = [each for each in values if isinstance(each, Tensor)]
        for place, value in enumerate(values):
            if not isinstance(value, ModuleArray):
                continue
            known = scope.stand_in(tensors[0], value.path) if tensors and not value.turned else None
            if known is None:
                raise refused
            values[place] = known
        if not tensors:
            computed: Value = self.run(op, *values)
            return computed
        values = [
            self.numbers(float(each)) if isinstance(each, int) else value
            for each, value in zip(operands, values, strict=True)
        ]
        sizes = [each for each in operands if is_size(each)]
        if sizes:
            name = scope.op.where if scope.op else ""
            message = f"'{name}': expected no size beside {describe(tensors[0])}, received one"
            raise RefusedError(message, "E701")
        is_mask = any(isinstance(each, Known) and each.same_array is None for each in values)
        if is_mask:
            return self.masked(op, *values)
        try:
            result = self.run(op, *values)
        except DoubtError:
            raise
        except RefusedError as error:
            raise (error if op == "Add" and len(tensors) == 2 else refused) from None
        return self.pending(result, refused)

    def _operand(self, value: Any, refused: RefusedError) -> Any:
        match value:
            case bool():
                raise refused
            case State() | Tensor():
                return self.scope.operand(value)
            case int() | float() | Known() | Argument():
                return self.numbers(value)
            case ModuleArray():
                return value
            case _:
                raise refused

    def masked(self, op: str, *values: Any) -> Value:
        """Return the result of an operator with a mask, or with the number of real steps.

        Raises:
            RefusedError: rnnspec does not support it.
        """
        solid = [
            self.scope.layer_output(each)
            if isinstance(each, Tensor) and each.role == "plain"
            else each
            for each in values
        ]
        result: Value = self.run(op, *solid)
        if isinstance(result, Tensor) and result.filler is not None:
            self.scope.masks = True
        return result

    def pending(self, value: Value, refused: RefusedError) -> Value:
        """Return a function of features that is refused for a reason if it becomes no layer."""
        if not isinstance(value, Tensor) or value.formula is None:
            return value
        refused.origin = refused.origin or self.scope.op
        reason = value.formula.refused or refused
        return replace(value, formula=replace(value.formula, refused=reason))
