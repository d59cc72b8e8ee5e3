"""The values in a traced ``forward``, as far as the language has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from rnnspec.errors import Span

Form = Literal["steps", "vector", "one step", "squeezed"]
"""Tokens or features at all steps, one vector, a vector with an axis for a single step, or a result
without its last axis of size 1.
"""


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""Attributes of a module with functions that are called before or after it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A piece of a source file, empty if the source is not at hand."""

    file: str = ""
    span: Span | None = None


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
    place: Place


@dataclass(frozen=True, slots=True)
class Tensor:
    """The output of the layers so far.

    ``version`` is that of the chain when it was made. ``turned`` is true if the steps and the batch
    have changed places an odd number of times since the input. ``drops`` are rates of dropouts that
    have no place in the chain yet. ``backward_first`` is true if the features of the backward
    direction come before those of the forward one, which the chain has the other way round.
    """

    version: int
    form: Form
    turned: bool = False
    drops: tuple[float, ...] = ()
    backward_first: bool = False


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed sequence."""

    steps: Tensor


@dataclass(frozen=True, slots=True)
class States:
    """The final states of a recurrent module, (layers x directions, batch, units).

    ``module`` is its path. ``swapped`` is true if the batch comes first.
    """

    module: str
    version: int
    number: int
    directions: int
    is_cell: bool = False
    swapped: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """One of the final states; ``index`` counts from the end, -1 for the last."""

    states: States
    index: int

    def __str__(self) -> str:
        return f"{'c' if self.states.is_cell else 'h'}[{self.index}]"


@dataclass(frozen=True, slots=True)
class Several:
    """A tuple of values."""

    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Lengths:
    """The number of real steps of each sequence: an input, or of ``pad_packed_sequence``.

    ``argument`` is the name of the input.
    """

    argument: str = ""


@dataclass(frozen=True, slots=True)
class Zeros:
    """A tensor of zeros, for a batch of a fixed size if ``batch`` is not 0."""

    batch: int = 0


@dataclass(frozen=True, slots=True)
class Size:
    """A size, a device, a dtype: something beside the values of tensors."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The result of an operation that was refused."""


Value = Tensor | Packed | States | State | Several | Lengths | Zeros | Size | Unknown


@dataclass(frozen=True, slots=True)
class Layout:
    """How the input and the result of a module differ from those of its network.

    ``time_first`` and ``gives_time_first`` are true if the steps come before the batch, ``padded``
    if the result has steps of padding. ``inputs`` is the number of inputs of ``forward``, the
    lengths of packed sequences among them: the one at ``lengths``, 0 if there are none. They must
    be ``decreasing`` unless the module packs with ``enforce_sorted=False``. ``batch`` is the only
    batch size that the module takes, 0 if it takes any. ``casts`` is true if ``forward`` names a
    dtype.
    """

    time_first: bool
    gives_time_first: bool
    padded: bool
    inputs: int
    lengths: int
    decreasing: bool
    batch: int
    casts: bool


Given = tuple[tuple[Any, ...], dict[str, Any]] | None
"""The arguments of a call, None if the operations that give them were refused."""


class RefusedError(Exception):
    """The reason why an operation cannot be taken over, with its code."""

    def __init__(self, message: str, code: str = "E704") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


_FORMS = {
    "vector": "a vector",
    "one step": "a sequence of one step",
    "squeezed": "a result without its last axis",
}
_NAMES = {
    "Several": "a tuple: nn.RNN, nn.GRU and nn.LSTM return their output and their states",
    "Packed": "a packed sequence",
    "Zeros": "zeros",
    "Size": "a number",
    "States": "all final states",
    "Unknown": "an unknown value",
}


def said(value: Any) -> str:
    """Return what a value is, for messages."""
    match value:
        case Lengths(argument=name) if name:
            return f"the argument '{name}' of forward"
        case Lengths():
            return "lengths"
        case State():
            return f"{value}"
        case States(is_cell=True):
            return "all cell states"
        case Tensor(form="steps"):
            return "a sequence"
        case Tensor(form=form):
            return _FORMS[form]
        case None | bool() | int() | float() | str():
            return f"{value!r}"
        case _:
            kind = type(value).__name__
            return _NAMES.get(kind, f"a {kind}")
