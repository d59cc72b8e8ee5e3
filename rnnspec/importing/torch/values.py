"""The operations of a traced ``forward``, and its values beside tensors and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.importing.graph import values as graph_values
from rnnspec.importing.graph.values import CarriedStates, ExtraInput, Known, Pairs, Tensor, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.importing.graph.layer_graph import SourcePlace


NO_STATES = "give example=, which tells whether it is a tensor or a tuple, or the default None"
"""Advice on initial states that are an argument."""


ARRAY_OUTSIDE = (
    "expected layers of PyTorch alone, received an array of the module outside of a layer"
)


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""Attributes of a module with functions that are called before or after it."""

LENGTHS = "lengths of "
"""The prefix of the name of numbers that follow from an argument of lengths."""


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of an earlier operation."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operation of ``forward``, of a kind: input, module, array, call or output.

    ``target`` is the path of the module or array, or the name of the function or method, whose
    first argument is the tensor it belongs to. ``module`` is the module, or a tensor that
    ``forward`` makes of plain numbers. ``layer`` is the class of the module if it is one of
    ``torch.nn``. ``overwrites`` is true if the operation changes a tensor in place that is used
    again under an older name. ``modes`` are those that ``forward`` switches on for the operation:
    autocast, no_grad.
    """

    name: str
    kind: str
    target: str
    module: Any
    layer: str
    overwrites: bool
    modes: frozenset[str]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    place: SourcePlace

    @property
    def where(self) -> str:
        """The name that errors use."""
        return self.target if self.kind in ("module", "array", "call") else self.name


@dataclass(frozen=True, slots=True)
class ModuleArray:
    """An array of the module that is outside of a layer, or that a function takes of one.

    With a ``shape``, it has axes of size 1 that the array lacks.
    """

    path: str
    turned: bool = False
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed sequence."""

    steps: Tensor


@dataclass(frozen=True, slots=True)
class FeatureSlice:
    """Some of the features of a vector, from one on."""

    vector: Tensor
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class StackedRows:
    """Zeros and parts of vectors, one after the other along a first axis."""

    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Copies:
    """A list of as many copies of a value as a size says."""

    value: Tensor
    number: Any


@dataclass(frozen=True, slots=True)
class LearnedRows:
    """The rows of an array of the module, each the same for each sequence."""

    path: str
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Zeros:
    """A tensor of zeros, for a batch of a fixed size if ``batch`` is not 0.

    ``rows`` are those along the axis of layers, 0 if that is not known.
    """

    batch: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class NonTensor:
    """A device, a dtype, places of a maximum: something beside the values of tensors."""

    what: str = "a size"


Value = (
    Tensor
    | Pairs
    | Known
    | ExtraInput
    | CarriedStates
    | Packed
    | StackedRows
    | Copies
    | FeatureSlice
    | LearnedRows
    | ModuleArray
    | Zeros
    | NonTensor
    | Unknown
)


@dataclass(frozen=True, slots=True)
class ResultLayout:
    """An output of a network in the results of its module: its name, and how it differs.

    ``path`` are the places or keys that lead to it, and ``rows`` those of its first axis, if it is
    some of all final states. ``axes`` has what lies along its axes in the module: the letters of
    ``Tensor``; a last axis of size 1 may be missing. It is ``padded`` if it has steps of padding.
    """

    name: str
    path: tuple[int | str, ...]
    axes: tuple[str, ...]
    padded: bool
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class GivenStates:
    """An argument of ``forward`` with the states that recurrent layers begin with.

    It is a tensor (layers x directions, batch, units), or a tuple of ``parts`` of these; if it is
    ``swapped``, the batch comes first, and if ``flat``, it is (batch, units). ``names`` are the
    inputs of the network that it becomes, one for each layer of each of these.
    """

    parts: int
    rows: int
    directions: int
    units: int
    swapped: bool = False
    flat: bool = False
    names: tuple[tuple[str, ...], ...] = ()

    @property
    def levels(self) -> int:
        """The number of layers in each tensor."""
        return self.rows // self.directions


@dataclass(frozen=True, slots=True)
class ModuleLayout:
    """How the inputs and the results of a module differ from those of its network.

    ``inputs`` are those of the network, in its order, by the names that the rest uses.
    ``arguments`` has each input of ``forward`` with the name of that of the network, empty for
    lengths of sequences, and ``axes`` what lies along the axes of each in the module: the letters
    of ``Tensor``. Arguments that are ``given`` have first states, and ``items`` are those of an
    argument that is a tuple, each with the places that lead to it. If it is ``stepwise``, the
    module takes one step, and the results are those of one step; ``axes`` are those of all.
    The module may have ``counted`` the tokens that are not 0 instead. Lengths must be
    ``decreasing`` unless the module packs with ``enforce_sorted=False``. ``batch`` is the only
    batch size that the module takes, 0 if it takes any. ``casts`` is true if ``forward`` names a
    dtype.
    """

    inputs: tuple[str, ...]
    arguments: tuple[tuple[str, str], ...]
    given: Mapping[str, GivenStates]
    items: Mapping[str, tuple[str, tuple[int, ...]]]
    axes: Mapping[str, tuple[str, ...]]
    results: tuple[ResultLayout, ...]
    counted: bool
    decreasing: bool
    batch: int
    casts: bool
    stepwise: bool = False

    @property
    def has_lengths(self) -> bool:
        """True if an argument has the lengths of sequences."""
        return any(not name for _, name in self.arguments)


Arguments = tuple[tuple[Any, ...], dict[str, Any]] | None
"""The arguments of a call, None if the operations that give them were refused."""


_NAMES = {
    "tuple": "a tuple: nn.RNN, nn.GRU and nn.LSTM return their output and their states",
    "Packed": "a packed sequence",
    "Zeros": "zeros",
    "CarriedStates": "all final states",
    "Copies": "copies of a value",
    "StackedRows": "several vectors, one after the other",
    "FeatureSlice": "a part of the features",
    "LearnedRows": "an array of the module for each sequence",
    "Unknown": "an unknown value",
    "ModuleArray": "an array of the module outside of a layer",
}


def is_size(value: Any) -> bool:
    """True if a value is a size, or another number that follows from sizes."""
    return (isinstance(value, NonTensor) and value.what == "a size") or (
        isinstance(value, Known)
        and value.kind == "derived"
        and not value.name
        and value.samples[0].ndim == 0
    )


def describe(value: Any) -> str:  # noqa: PLR0912 - a branch for each kind
    """Describe a value, for messages."""
    match value:
        case ExtraInput(name=name):
            return f"the argument '{name}' of forward"
        case Known(name=name) if name.startswith(LENGTHS):
            return f"the argument '{name.removeprefix(LENGTHS)}' of forward"
        case Known(kind="derived", samples=[array, *_]):
            if array.ndim == 0:
                return "a size"
            is_mask = array.ndim > 1 and bool(np.isin(array, (0, 1)).all())
            return "which tokens are not 0" if is_mask else "lengths"
        case Known():
            return "a sequence"
        case NonTensor(what=what):
            return what
        case CarriedStates(parts=[Tensor(part="c"), *_]):
            return "all cell states"
        case Tensor(role="plain", is_final=True, axes=(_, _, _), part=part):
            return "all cell states" if part == "c" else "all final states"
        case Tensor(role="plain", half=None):
            return _describe_tensor(value)
        case Tensor(role="plain"):
            return "the features of one direction"
        case Tensor() | Pairs():
            return graph_values.describe(value)
        case None | bool() | int() | float() | str():
            return f"{value!r}"
        case _:
            kind = type(value).__name__
            return _NAMES.get(kind, f"a {kind}")


def _describe_tensor(value: Tensor) -> str:
    letters = "".join(value.axes)
    if any(axis in ("BT", "TB") for axis in value.axes):
        return "the steps of all sequences as one batch; expected view(batch, steps, features)"
    if "D" in letters:
        return "the features of both directions, each by itself"
    if "F" not in letters:
        return "a result without its last axis"
    if "T" in letters:
        return "a sequence"
    return "a sequence of one step" if "" in value.axes else "a vector"


def names_in(value: Any) -> Iterator[str]:
    """Yield the names of all results in the arguments of an operation."""
    match value:
        case Ref(name=name):
            yield name
        case tuple():
            for item in value:
                yield from names_in(item)
        case dict():
            yield from names_in(tuple(value.values()))
        case slice():
            yield from names_in((value.start, value.stop, value.step))
        case _:
            pass
