"""The values in a traced ``forward``: tensors, by the layers that give them, and other things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rnnspec.importing.layer_graph import Place


NO_STATES = (
    "a spec has no input for states, which start at zeros; give the argument the default None"
)
"""What to do about initial states that are an argument."""


Form = Literal["steps", "vector", "one step", "squeezed", "rows"]
"""Tokens or features at all steps, one vector, a vector with an axis for a single step, a result
without its last axis of size 1, or the features of all steps of all sequences, one below another.
"""


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""Attributes of a module with functions that are called before or after it."""


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

    @property
    def where(self) -> str:
        """What errors call it."""
        return self.target if self.kind in ("module", "array", "call") else self.name


@dataclass(frozen=True, slots=True)
class Tensor:
    """The output of a layer, the one at ``at`` in the graph; 0 is the input.

    ``axes`` has a character for each axis: that of the axis of the input that it comes from, 0, 1
    or 2, or ``-`` for an axis of size 1. ``padded`` is true if it has steps of padding, which a
    packed sequence left. ``backward_first`` is true if the features of the backward direction come
    before those of the forward one, which the graph has the other way round. ``pad`` is how often
    the next window sees ``pad_value`` before and after the steps, and ``surplus`` is the number of
    steps at the end that a causal convolution does not have.
    """

    at: int
    form: Form
    axes: str
    padded: bool = False
    backward_first: bool = False
    pad: tuple[int, int] = (0, 0)
    pad_value: float = 0.0
    surplus: int = 0


@dataclass(frozen=True, slots=True)
class Half:
    """The features of one direction of a bidirectional layer, the forward one if ``index`` is 0.

    ``step`` is 0 for those of the first step, -1 for those of the last, and None for all steps.
    """

    sequence: Tensor
    index: int
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Halves:
    """The features of both directions along an axis of their own, before that of the features."""

    sequence: Tensor


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of an attention: a softmax over the steps of the scores at ``at``."""

    at: int
    axes: str


@dataclass(frozen=True, slots=True)
class Weighted:
    """The steps of a sequence multiplied by weights."""

    weights: Weights
    steps: Tensor


@dataclass(frozen=True, slots=True)
class ModuleArray:
    """An array of the module that is outside of a layer, or that a function takes of one."""

    path: str
    turned: bool = False


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed sequence."""

    steps: Tensor


@dataclass(frozen=True, slots=True)
class States:
    """The final states of a recurrent module, (layers x directions, batch, units).

    ``module`` is its path, and ``at`` its top layer in the graph. ``swapped`` is true if the batch
    comes first.
    """

    module: str
    at: int
    number: int
    directions: int
    axes: str
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
    """The number of real steps of each sequence: an input, counted, or of ``pad_packed_sequence``.

    ``argument`` is the name of the input. ``counted`` is the axis along which the tokens that are
    no padding were counted.
    """

    argument: str = ""
    counted: str = ""


@dataclass(frozen=True, slots=True)
class TokenMask:
    """Which tokens of the input are not 0, with the axes of the input."""

    axes: str


@dataclass(frozen=True, slots=True)
class Zeros:
    """A tensor of zeros, for a batch of a fixed size if ``batch`` is not 0."""

    batch: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class Size:
    """A size, a device, a dtype: something beside the values of tensors.

    ``of`` is the tensor whose size it is, along the axis of this number; without one, it is all of
    its sizes.
    """

    of: Tensor | None = None
    axis: int | None = None

    def __repr__(self) -> str:
        return "a size"


@dataclass(frozen=True, slots=True)
class Unknown:
    """The result of an operation that was refused."""


Value = (
    Tensor
    | Packed
    | States
    | State
    | Several
    | Half
    | Halves
    | Weights
    | Weighted
    | ModuleArray
    | Lengths
    | TokenMask
    | Zeros
    | Size
    | Unknown
)


@dataclass(frozen=True, slots=True)
class Result:
    """A result of a module: its name, empty if it is the only one, and how it differs.

    ``order`` are the axes that make it batch first, then the steps, then the features; a last axis
    of size 1 may be missing. It is ``padded`` if it has steps of padding.
    """

    name: str
    order: tuple[int, ...]
    padded: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """How the input and the results of a module differ from those of its network.

    ``order`` are the axes of the input of the network that make the input of the module. ``inputs``
    is the number of inputs of ``forward``, the lengths of packed sequences among them: the one at
    ``lengths``, 0 if there are none. The module may have ``counted`` the tokens that are not 0
    instead. Lengths must be ``decreasing`` unless the module packs with ``enforce_sorted=False``.
    ``batch`` is the only batch size that the module takes, 0 if it takes
    any. ``casts`` is true if ``forward`` names a dtype.
    """

    order: tuple[int, ...]
    results: tuple[Result, ...]
    inputs: int
    lengths: int
    counted: bool
    decreasing: bool
    batch: int
    casts: bool


Given = tuple[tuple[Any, ...], dict[str, Any]] | None
"""The arguments of a call, None if the operations that give them were refused."""


_FORMS = {
    "vector": "a vector",
    "one step": "a sequence of one step",
    "squeezed": "a result without its last axis",
    "rows": "the steps of all sequences as one batch; expected view(batch, steps, features)",
}


_NAMES = {
    "Several": "a tuple: nn.RNN, nn.GRU and nn.LSTM return their output and their states",
    "Packed": "a packed sequence",
    "Zeros": "zeros",
    "Size": "a size",
    "States": "all final states",
    "Unknown": "an unknown value",
    "Half": "the features of one direction",
    "Halves": "the features of both directions, each by itself",
    "Weights": "the weights of an attention",
    "Weighted": "steps multiplied by weights; expected their sum over the steps",
    "ModuleArray": "an array of the module outside of a layer",
    "TokenMask": "which tokens are not 0",
}


def describe(value: Any) -> str:
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
