"""The values in a traced ``forward``, and the layers so far."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rnnspec.importing.graph.layer_graph import LayerGraph, RefusedError, pooling
from rnnspec.importing.torch.values import (
    ARRAY_OUTSIDE,
    ModuleArray,
    Op,
    Size,
    State,
    States,
    Tensor,
    describe,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.importing.imported import Account
    from rnnspec.importing.torch.values import Function, Lengths
    from rnnspec.slots import Array

_SIZE_ONE = "-"


_ROLES = ("batch", "steps", "features")


class Scope(LayerGraph):
    """The layers so far, as a graph, and where they come from.

    ``steps`` has the layers by their places, which begin at 1. ``modules`` are those with arrays,
    by their paths. ``packed`` says of each recurrent module whether it was given a packed sequence.
    ``arrays`` has all arrays of the module by their paths. ``padding`` is an embedding with its
    ``padding_idx``. ``masks`` is true if padded steps are left out by masks, and ``masked`` are the
    poolings that do so. ``flattened`` has the sizes of flattened sequences by their places. Others
    are those of ``Layout``, ``lengths`` by its name. ``stand_ins`` are numbers in place of those of
    arrays in functions of features, by their paths, and ``settled`` has the places of the layers
    that such functions are.
    """

    def __init__(self, account: Account, arrays: dict[str, Any], *, tokens: bool) -> None:
        super().__init__(account)
        self.arrays = arrays
        self.tokens = tokens
        self.op: Op | None = None
        self.modules: dict[str, Any] = {}
        self.packed: dict[str, bool] = {}
        self.casts_to_integers = False
        self.casts = False
        self.lengths = ""
        self.counted = False
        self.decreasing = False
        self.batch = 0
        self.padding: tuple[Op, int] | None = None
        self.masks = False
        self.masked = set[int]()
        self.stand_ins: dict[str, Array] = {}
        self.settled: dict[Function, int] = {}
        self._roles: dict[str, str] = {"2": "features"} if tokens else {}
        self._final: dict[str, int] = {}

    # Axes

    def role(self, axis: str) -> str:
        """Return what an axis is, empty as long as no layer has told it."""
        return _SIZE_ONE if axis == _SIZE_ONE else self._roles.get(axis, "")

    def roles(self, value: Tensor) -> tuple[str, ...]:
        """Return what the axes of a value are."""
        return tuple(map(self.role, value.axes))

    def lay_out(self, value: Tensor, *expected: str, where: str) -> None:
        """Note what the axes of a value are to a layer; an empty text is any axis.

        Raises:
            RefusedError: an earlier layer has it otherwise.
        """
        known, agrees = dict(self._roles), len(expected) == len(value.axes)
        for axis, role in zip(value.axes, expected, strict=False):
            agrees &= not role or known.setdefault(axis, role) == role
        others = set("012") - known.keys()
        if agrees and len(others) == 1:
            known[others.pop()] = (set(_ROLES) - set(known.values())).pop()
        if not agrees or len(set(known.values())) < len(known):
            axes, received = (
                ", ".join(each or "any" for each in roles)
                for roles in (expected, self.roles(value))
            )
            raise RefusedError(f"{where}: expected ({axes}), received ({received})")
        self._roles = known

    def axis(self, value: Tensor, role: str) -> int:
        """Return the number of an axis of a value.

        Raises:
            RefusedError: no layer has told which it is, or there is none.
        """
        roles = self.roles(value)
        if role in roles:
            return roles.index(role)
        if "" in roles:
            raise RefusedError("expected a recurrent layer before it, received none")
        raise RefusedError(f"expected a tensor with {role}, received {describe(value)}")

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of a batch of the network that make the input of the module."""
        return tuple(_ROLES.index(self._roles[axis]) for axis in ("01" if self.tokens else "012"))

    def is_steps(self, size: Size, value: Tensor) -> bool:
        """Return whether a size is the number of steps of a value, or of one with as many."""
        one = size.of
        if one is None or size.axis is None or self.role(one.axes[size.axis]) != "steps":
            return False
        whole = not (any(one.pad) or one.surplus or any(value.pad) or value.surplus)
        return whole and self._steps_from(one.at) == self._steps_from(value.at)

    def _steps_from(self, at: int) -> int:
        """Return the last place on the way to a value at which the number of steps changed."""
        while at:
            match self.steps[at].layer:
                case nodes.Conv(window=window) | nodes.WindowPooling(window=window):
                    if not window.keeps_steps:
                        return at
                case nodes.Repeat() | nodes.LastSteps():
                    return at
                case _:
                    pass
            at = self.steps[at].sources[0]
        return 0

    # Layers

    def add(self, layer: nodes.Layer, *sources: Tensor | int, modules: tuple[str, ...] = ()) -> int:
        """Add a layer, and return its place."""
        assert self.op is not None, "layers are made by operations"
        places = tuple(each.at if isinstance(each, Tensor) else each for each in sources)
        return self.add_layer(layer, places, self.op, modules)

    def result(self, value: Tensor, at: int, **changes: Any) -> Tensor:
        """Return the output of a layer in the layout of ``value``."""
        return replace(
            value, at=at, **{"backward_first": False, "filler": None, "function": None, **changes}
        )

    def note_lengths(self, lengths: Lengths) -> None:
        """Note which argument has the lengths of sequences.

        Raises:
            RefusedError: it is another one than before, or they were counted.
        """
        if self.counted and (self.lengths or lengths.argument):
            message = "expected all lengths from an argument, or all counted, received both"
            raise RefusedError(f"{message}; a spec has one mask")
        if self.lengths and lengths.argument not in ("", self.lengths):
            raise RefusedError(
                f"expected the lengths of the first packing, '{self.lengths}', received "
                f"'{lengths.argument}'; a spec has one mask"
            )
        self.lengths = self.lengths or lengths.argument

    @property
    def has_padding(self) -> bool:
        """Whether padded steps are left out: by packed sequences, or by masks."""
        return self.masks or any(self.packed.values())

    def is_same(self, one: str, other: str) -> bool:
        """Return whether two paths lead to the same array of the module."""
        return one == other or self.arrays.get(one, 0) is self.arrays.get(other, 1)

    def fit(self, value: Tensor, features: int) -> None:
        """Check the number of features of a value, or note it.

        Raises:
            RefusedError: it has another number.
        """
        self.fit_features(value.at, features)

    def whole(self, value: State | States) -> Tensor:
        """Return final states as one vector.

        Raises:
            RefusedError: they are those of a lower layer, of one direction of two, or cell states.
        """
        states = value.states if isinstance(value, State) else value
        if states.is_cell:
            raise RefusedError("uses the cell state c; the language passes on the hidden state h")
        if states.directions == 2 and isinstance(value, State):
            way = "backward" if value.index % 2 else "forward"
            raise RefusedError(
                f"uses the {way} direction alone; expected torch.cat((h[-2], h[-1]), dim=1)"
            )
        if isinstance(value, State) and value.index != -1:
            raise RefusedError(
                "uses the final state of a lower layer; expected that of the top, h[-1]"
            )
        if isinstance(value, States) and states.number != 1:
            raise RefusedError(
                f"expected one final state, such as h[-1], received all {states.number}"
            )
        return self.final(states)

    def final(self, states: States) -> Tensor:
        """Return the final state of a recurrent layer."""
        if states.module not in self._final:
            self._final[states.module] = self.add(pooling("last"), states.at)
        return Tensor(self._final[states.module], "vector", states.axes)

    def tensor(self, value: Any, *, either_order: bool = False, with_pad: bool = False) -> Tensor:
        """Return a value as a tensor.

        Args:
            value: the value.
            either_order: whether the backward direction may come before the forward one.
            with_pad: whether it may have zeros before and after its steps.

        Raises:
            RefusedError: it is something else.
        """
        if isinstance(value, State):
            value = self.whole(value)
        if isinstance(value, ModuleArray):
            raise RefusedError(ARRAY_OUTSIDE, "E701")
        if not isinstance(value, Tensor):
            raise RefusedError(f"expected a tensor, received {describe(value)}")
        return self.check(value, either_order=either_order, with_pad=with_pad)

    @staticmethod
    def check(value: Tensor, *, either_order: bool = False, with_pad: bool = False) -> Tensor:
        """Return a tensor that does not differ from what the graph has.

        Raises:
            RefusedError: it does.
        """
        if value.backward_first and not either_order:
            raise RefusedError(
                "uses h[-1] before h[-2], which the spec has only in front of nn.Linear; expected "
                "torch.cat((h[-2], h[-1]), dim=1)"
            )
        advice = "padding='same', or a causal convolution cut by [..., :-PADDING]"
        value.check_steps(advice, with_pad=with_pad)
        return value

    def sequence(self, value: Any, **words: bool) -> Tensor:
        """Return a value as a sequence.

        Raises:
            RefusedError: it is something else.
        """
        tensor = self.tensor(value, **words)
        if tensor.form != "steps":
            raise RefusedError(f"expected a sequence, received {describe(tensor)}")
        return tensor
