"""Padding: real steps are moved to the front of each sequence, where the operators expect them.

``sequence_lens`` means padding at the end. A step of padding keeps the state, so without it every
layer does the same, and the order of real steps stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rnnspec.backends.onnx.names import PLACE
from rnnspec.ir.nodes import NumericInput, TokenInput

if TYPE_CHECKING:
    from rnnspec.backends.onnx.graph import Builder
    from rnnspec.ir.nodes import Input

_INT32, _INT64, FLOAT, _BOOL = 6, 7, 1, 9
"""Element types. Source: https://onnx.ai/onnx/api/helper.html#onnx.TensorProto.DataType."""

LOWEST = -3.4028234663852886e38
"""The lowest number of float32, which is no maximum over real steps."""


@dataclass(slots=True)
class Padding:
    """Values of the graph: the number of real steps, and which steps are real once moved.

    Each is added when it is first needed.
    """

    into: Builder
    lengths: str = "Lengths"
    added: set[str] = field(default_factory=set)

    def steps(self) -> str:
        """Return a value that is true at real steps, (steps, batch, 1)."""
        if self._lacks("Is_Real"):
            last = self.into.integers("Axis_last", -1)
            moved = self.into.add("Real_Moved", "ScatterElements", "Real", PLACE, "Real", axis=0)
            wide = self.into.add("Real_3", "Unsqueeze", moved, last)
            self.into.add("Is_Real", "Cast", wide, to=_BOOL)
        return "Is_Real"

    def count(self) -> str:
        """Return the number of real steps of each sequence, (batch, 1)."""
        if self._lacks("Length_2"):
            number = self.into.add("Length_Float", "Cast", "Length", to=FLOAT)
            self.into.add("Length_2", "Transpose", number, perm=(1, 0))
        return "Length_2"

    def exists(self) -> str:
        """Return a value that is true for sequences with a real step, (batch, 1)."""
        if self._lacks("Any_Real"):
            self.into.add("Any_Real", "Greater", self.count(), self.into.scalar("Zero", 0.0))
        return "Any_Real"

    def _lacks(self, name: str) -> bool:
        """Return true the first time that a value is needed."""
        lacking = name not in self.added
        self.added.add(name)
        return lacking

    def back(self, name: str, x: str) -> str:
        """Return a sequence with each step in its own place again."""
        place = _wide(self.into, f"{name}_Place", x)
        return self.into.add(f"{name}_Back", "GatherElements", x, place, axis=0)


def moved(into: Builder, network_input: Input, x: str) -> tuple[str, Padding]:
    """Move the real steps of ``x`` to the front, and return it with the values for padding."""
    into.block("Move real steps to the front: the operators take padding at the end alone.")
    padded = _padded(into, network_input, x)
    first, one = into.integers("Axis_0", 0), into.scalar("One", 1)
    real = into.add("Real", "Sub", one, padded)
    length = into.add("Length", "ReduceSum", real, first)
    axis = into.scalar("First", 0)
    counts = into.add("Real_Count", "CumSum", real, axis)
    after = into.add("Padded_Count", "CumSum", padded, axis)
    after = into.add("Padded_Place", "Add", after, length)
    is_real = into.add("Mask", "Cast", real, to=_BOOL)
    place = into.add("Place_1", "Where", is_real, counts, after)
    place = into.add(PLACE, "Sub", place, one)
    if isinstance(network_input, NumericInput):
        place = _wide(into, "Input_Place", x)
    x = into.add("Moved", "ScatterElements", x, place, x, axis=0)
    # The operators take no other type.
    lengths = into.add("Length_1", "Squeeze", length, first)
    return x, Padding(into, into.add("Lengths", "Cast", lengths, to=_INT32))


def _padded(into: Builder, network_input: Input, x: str) -> str:
    """Return a value that is 1 at padding and 0 at real steps, (steps, batch)."""
    match network_input:
        case TokenInput():
            equal = into.add("Is_Padding", "Equal", x, into.scalar("Padding_Token", 0))
            return into.add("Padded", "Cast", equal, to=_INT64)
        case NumericInput(mask_value=value):
            assert value is not None
            equal = into.add("Is_Value", "Equal", x, into.scalar("Mask_Value", value))
            each = into.add("Values", "Cast", equal, to=_INT64)
            last = into.integers("Axis_last", -1)
            return into.add("Padded", "ReduceMin", each, last, keepdims=0)


def _wide(into: Builder, name: str, x: str) -> str:
    """Return the places of the steps in the shape of ``x``."""
    last = into.integers("Axis_last", -1)
    place = into.add(f"{name}_1", "Unsqueeze", PLACE, last)
    return into.add(name, "Expand", place, into.add(f"{name}_Shape", "Shape", x))
