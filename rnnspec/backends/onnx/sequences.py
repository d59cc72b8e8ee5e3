"""Sequences in a graph: the order of their axes, and which of their steps are padding.

Recurrent operators take (steps, batch, features), and padding at the end alone: real steps are
moved to the front of each sequence. A step of padding keeps the state, so without it every layer
does the same, and the order of real steps stays as it is. Windows see each step in its own place,
so whatever is moved has its steps first, and whatever has its batch first is not moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, assert_never

from rnnspec.backends.onnx.graph import BOOL, FLOAT, INT32, INT64
from rnnspec.backends.onnx.slots import INPUT, MASK, PLACE, array, output_name
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.backends.onnx.graph import Builder

Axes = Literal["sbf", "bsf", "bfs", "sb", "bs", "bf", "b"]
"""The axes of a value in order: steps, batch and features."""

MOVING = "Move real steps to the front: the operators take padding at the end alone."

_ABOUT: dict[Axes, str] = {
    "sbf": "Recurrent layers take (steps, batch, features).",
    "bfs": "NAME_NCW is (batch, features, steps), as convolutions and pools take it.",
    "bsf": "NAME_NWC is (batch, steps, features).",
}

TO_END = 2**63 - 1
"""The end of a slice that goes on to the end of an axis."""


@dataclass(slots=True)
class Padding:
    """Values about the padding of sequences, each of which is added when it is first needed.

    ``axes`` are those of the mask, and ``prefix`` begins the names of all values. After a window
    that leaves out steps, ``before`` is the padding of what it takes; after a join, it is all that
    is joined, and a step is real if it is so in each of them.
    """

    into: Builder
    axes: Axes
    prefix: str = ""
    before: tuple[Padding, ...] = ()
    window: nodes.Window | None = None
    added: set[str] = field(default_factory=set)

    def _add(
        self, name: str, operator: str, *inputs: str, **attributes: int | tuple[int, ...]
    ) -> str:
        """Add a value unless it was added before, and return its name."""
        name = f"{self.prefix}{name}"
        if name not in self.added:
            self.added.add(name)
            self.into.add(name, operator, *inputs, **attributes)
        return name

    @property
    def _step_axis(self) -> int:
        return self.axes.index("s")

    def find(self, network_input: nodes.SequenceInput, x: str) -> None:
        """Add the mask of the input ``x``: ``Padded`` is 1 at padding, and ``Real`` elsewhere."""
        into = self.into
        match network_input:
            case nodes.TokenInput():
                equal = self._add("Is_Padding", "Equal", x, into.scalar("Padding_Token", 0))
                padded = self._add("Padded", "Cast", equal, to=INT64)
            case nodes.NumericInput(mask_value=value):
                assert value is not None
                # Each named input has a value of its own.
                about = "Mask_Value"
                number = into.number(about, value) if self.prefix else into.scalar(about, value)
                equal = self._add("Is_Value", "Equal", x, number)
                values = self._add("Values", "Cast", equal, to=INT64)
                last = into.integers("Axis_last", -1)
                padded = self._add("Padded", "ReduceMin", values, last, keepdims=0)
            case _:
                assert_never(network_input)
        if self.axes == "sb":
            into.integers("Axis_0", 0)
        self._add("Real", "Sub", into.scalar("One", 1), padded)

    def after(self, layer: str, window: nodes.Window) -> Padding:
        """Return the padding of what a layer makes of its windows."""
        if window.keeps_steps:
            return self
        return Padding(self.into, self.axes, array(layer, MASK), (self,), window)

    def real(self) -> str:
        """Return the mask, which is 1 at real steps."""
        if not self.before or f"{self.prefix}Real" in self.added:
            return f"{self.prefix}Real"
        into, axis, window = self.into, self._step_axis, self.window
        if window is None:
            return self._add("Real", "Min", *(part.real_in(self.axes) for part in self.before))
        start = into.integers(f"Step_{window.anchor}", window.anchor)
        end = into.integers("To_End", TO_END)
        along = into.integers(f"Axis_{axis}", axis)
        every = into.integers(f"Every_{window.stride}", window.stride)
        return self._add("Real", "Slice", self.before[0].real(), start, end, along, every)

    def real_in(self, axes: Axes) -> str:
        """Return the mask with its axes in an order."""
        real = self.real()
        if axes == self.axes:
            return real
        name = "Real_Steps" if axes == "sb" else "Real_Batch"
        return self._add(name, "Transpose", real, perm=(1, 0))

    def _mask(self) -> str:
        return self._add("Mask", "Cast", self.real(), to=BOOL)

    def _length(self) -> str:
        """Return the number of real steps of each sequence, with the axes of the mask."""
        axis = self._step_axis
        return self._add(
            "Length", "ReduceSum", self.real(), self.into.integers(f"Axis_{axis}", axis)
        )

    def count(self) -> str:
        """Return the number of real steps of each sequence as a float, (batch, 1)."""
        number = self._add("Length_Float", "Cast", self._length(), to=FLOAT)
        return (
            self._add("Length_2", "Transpose", number, perm=(1, 0)) if self.axes == "sb" else number
        )

    def exists(self) -> str:
        """Return a value that is true for sequences with a real step, (batch, 1)."""
        return self._add("Any_Real", "Greater", self.count(), self.into.scalar("Zero", 0.0))

    def is_real(self, axes: Axes) -> str:
        """Return a value that is true at the real steps of a sequence, one for all features."""
        if axes == "sbf":
            place, last = self._place(), self.into.integers("Axis_last", -1)
            real = self.real_in("sb")
            moved = self._add("Real_Moved", "ScatterElements", real, place, real, axis=0)
            return self._add(
                "Is_Real", "Cast", self._add("Real_3", "Unsqueeze", moved, last), to=BOOL
            )
        mask = self._mask()
        if self.axes == "sb":
            mask = self._add("Mask_NW", "Transpose", mask, perm=(1, 0))
        if axes == "bfs":
            return self._add("Mask_NCW", "Unsqueeze", mask, self.into.integers("Axis_1", 1))
        return self._add("Mask_NWC", "Unsqueeze", mask, self.into.integers("Axis_last", -1))

    def share(self) -> str:
        """Return 1.0 at real steps and 0.0 at padding, (batch, 1, steps)."""
        return self._add("Mask_Float", "Cast", self.is_real("bfs"), to=FLOAT)

    def _place(self) -> str:
        """Return the place of each step, (steps, batch), once real ones are moved to the front."""
        into, name = self.into, f"{self.prefix}{PLACE}"
        if name in self.added:
            return name
        real, one = self.real(), into.scalar("One", 1)
        padded = f"{self.prefix}Padded"
        padded = self._add("Padded", "Sub", one, real) if self.before else padded
        length, steps_first = self._length(), self.axes == "sb"
        axis = into.scalar("First", 0) if steps_first else one
        counts = self._add("Real_Count", "CumSum", real, axis)
        behind = self._add("Padded_Count", "CumSum", padded, axis)
        behind = self._add("Padded_Place", "Add", behind, length)
        place = self._add("Place_1", "Where", self._mask(), counts, behind)
        if steps_first:
            return self._add(PLACE, "Sub", place, one)
        place = self._add("Place_2", "Sub", place, one)
        return self._add(PLACE, "Transpose", place, perm=(1, 0))

    def lengths(self) -> str:
        """Return the number of real steps of each sequence as fused operators take it, (batch)."""
        axis = self._step_axis
        flat = self._add(
            "Length_1", "Squeeze", self._length(), self.into.integers(f"Axis_{axis}", axis)
        )
        # The operators take no other type.
        return self._add("Lengths", "Cast", flat, to=INT32)

    def move_to_front(self, name: str, about: str, x: str, *, tokens: bool = False) -> str:
        """Return ``x`` with its real steps in front, named ``name``."""
        place = self._place()
        if not tokens:
            place = self._place_like(f"{about}_Place", x)
        return self.into.add(name, "ScatterElements", x, place, x, axis=0)

    def move_back(self, about: str, x: str) -> str:
        """Return a sequence with each step in its own place again."""
        place = self._place_like(f"{about}_Place", x)
        return self.into.add(f"{about}_Back", "GatherElements", x, place, axis=0)

    def _place_like(self, name: str, x: str) -> str:
        """Return the places of the steps in the shape of ``x``."""
        last = self.into.integers("Axis_last", -1)
        place = self.into.add(f"{name}_1", "Unsqueeze", self._place(), last)
        return self.into.add(name, "Expand", place, self.into.add(f"{name}_Shape", "Shape", x))


@dataclass(slots=True)
class Sequences:
    """The inputs and the outputs of the layers so far, in the orders of axes that were needed.

    ``axes_of`` has the order in which each was made.
    """

    into: Builder
    values: dict[str, dict[Axes, str]] = field(default_factory=dict)
    axes_of: dict[str, Axes] = field(default_factory=dict)
    paddings: dict[str, Padding | None] = field(default_factory=dict)
    described: set[str] = field(default_factory=set)

    def begin(
        self, network_input: nodes.Input, x: str, axes: Axes, prefix: str, *, padded: bool
    ) -> None:
        """Take an input, which is ``x`` in the graph, with its steps or its batch first.

        The names of what is made of it begin with ``prefix``.
        """
        into, name, tokens = self.into, network_input.name, False
        match network_input:
            case nodes.VectorInput():
                self.put(name, "bf", x)
                return
            case nodes.LabelInput():
                self.put(name, "b", x)
                return
            case nodes.TokenInput():
                tokens = True
            case nodes.NumericInput():
                pass
            case _:
                assert_never(network_input)
        steps_first = axes[0] == "s"
        mask_axes: Axes = "sb" if steps_first else "bs"
        padding = Padding(into, mask_axes, prefix) if padded else None
        into.block()
        value = x
        if steps_first:
            if "sbf" not in self.described:
                of = "(steps, batch)" if tokens and not prefix else "(steps, batch, features)"
                into.block(f"Inside, sequences are {of}.")
                self.described.add("sbf")
            value = into.add(f"{prefix}Steps", "Transpose", x, perm=(1, 0) if tokens else (1, 0, 2))
        if padding is not None:
            if steps_first and MOVING not in self.described:
                into.block(MOVING)
                self.described.add(MOVING)
            padding.find(network_input, value)
            if steps_first:
                value = padding.move_to_front(
                    f"{prefix}Moved", f"{prefix}Input", value, tokens=tokens
                )
                if not prefix:
                    # Of several inputs, some lead to no layer that needs the lengths.
                    padding.lengths()
        self.put(name, mask_axes if tokens else axes, value, padding)
        self.values[name]["bs" if tokens else "bsf"] = x
        into.block()

    def put(self, layer: str, axes: Axes, value: str, padding: Padding | None = None) -> None:
        """Remember the output of a layer."""
        self.values[layer] = {axes: value}
        self.axes_of[layer] = axes
        self.paddings[layer] = padding

    def axes(self, layer: str) -> Axes:
        """Return the order of axes in which the output of a layer was made."""
        return self.axes_of[layer]

    def any(self, layer: str) -> tuple[str, Axes]:
        """Return the output of a layer as it was made, and its axes."""
        axes = self.axes_of[layer]
        return self.values[layer][axes], axes

    def padding(self, layer: str) -> Padding | None:
        """Return the padding of the output of a layer, None if it has none."""
        return self.paddings[layer]

    def join_paddings(self, join: nodes.Join) -> Padding | None:
        """Return the padding of a join, which has one of its own if those of its parts differ."""
        paddings = {id(one): one for name in join.of if (one := self.paddings[name]) is not None}
        if len(paddings) < 2:
            return next(iter(paddings.values()), None)
        axes = {one.axes for one in paddings.values()}
        order: Axes = axes.pop() if len(axes) == 1 else "bs"
        return Padding(self.into, order, array(join.name, MASK), tuple(paddings.values()))

    def take(self, layer: str, axes: Axes) -> str:
        """Return the output of a layer with its axes in an order."""
        known = self.values[layer]
        if axes not in known:
            known[axes] = self._rearrange(layer, axes)
        return known[axes]

    def _rearrange(self, layer: str, axes: Axes) -> str:
        into, padding, known = self.into, self.paddings[layer], self.values[layer]
        # With the batch first, each step is in its own place.
        old = next((old for old in known if old[0] == axes[0]), self.axes(layer))
        x = known[old]
        # An input has its own name with the batch first.
        about = {INPUT: "Input", layer: array(layer, "Input")}.get(known.get("bsf", ""), layer)
        name = output_name(about, axes)
        name = array(about, "Steps") if name == about != layer else name
        self._describe(axes)
        if padding is not None and old == "sbf":
            x = padding.move_back(about, x)
        perm = tuple(map(old.index, axes))
        if padding is None or axes != "sbf":
            return into.add(name, "Transpose", x, perm=perm)
        x = into.add(f"{about}_In_Place", "Transpose", x, perm=perm)
        if MOVING not in self.described:
            self.described.add(MOVING)
            into.block(MOVING)
        return padding.move_to_front(name, about, x)

    def _describe(self, axes: Axes) -> None:
        """Begin a group of nodes, with a comment about an order of axes the first time."""
        self.into.block("" if axes in self.described else _ABOUT[axes])
        self.described.add(axes)
