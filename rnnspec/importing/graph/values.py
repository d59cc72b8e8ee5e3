"""The values in a graph of another tool: numbers, and tensors by the layers that give them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from rnnspec.importing.graph.bounds import UNBOUNDED
from rnnspec.importing.graph.layer_graph import RefusedError

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.bounds import Bounds
    from rnnspec.importing.graph.formulas import FeatureFunction
    from rnnspec.importing.graph.graph import DoubtError
    from rnnspec.words import Merge

    Probed = tuple[Array, ...]
    """An array for each probe."""

_FEW_NUMBERS = 4096


class _Described:
    """A value whose ``repr``, which may reach a message, is its description."""

    __slots__ = ()

    def __repr__(self) -> str:
        return describe(cast("Value", self))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Known(_Described):
    """Numbers that follow from the input and from constants, for each of the probes.

    Sizes, indices, masks and weights are such numbers. ``name`` is that of an array of the file.
    ``samples`` are the numbers for the probes, and the rest is what the nodes say of them:
    ``kind`` is ``input`` for numbers of the input, some of them moved, ``magnitude`` for what is 0
    exactly where these are padding, and at least 0, and ``derived`` for all that follows from
    constants, sizes and padding alone. ``at`` is the place of the input. ``bounds`` hold for all
    sizes. If there is a ``doubt``, other samples may show other numbers, and with a
    ``doubt_of_shape`` another shape.
    """

    samples: Probed
    name: str = ""
    kind: Literal["input", "magnitude", "derived"] = "derived"
    at: int = 0
    bounds: Bounds = UNBOUNDED
    doubt: DoubtError | None = None
    doubt_of_shape: DoubtError | None = None

    @property
    def arrays(self) -> Probed:
        """The numbers for the probes, which stand for those of all inputs.

        Raises:
            RefusedError: they do not.
        """
        if self.kind != "derived" or self.doubt is not None:
            raise self.doubt or RefusedError("expected sizes or padding, received the input")
        return self.samples

    @property
    def moved_input(self) -> Probed | None:
        """The numbers for the probes if they are those of the input, moved.

        Raises:
            DoubtError: they only look like it.
        """
        if self.doubt is not None:
            raise self.doubt
        return self.samples if self.kind == "input" else None

    @property
    def constant(self) -> Array | None:
        """The array, if it is the same for every input.

        Raises:
            DoubtError: the probes do not show whether it is.
        """
        array = self.same_array if self.kind == "derived" else None
        if array is not None and self.doubt is not None:
            raise self.doubt
        return array

    @property
    def same_array(self) -> Array | None:
        """The array, if it is the same for every probe."""
        first, *others = self.samples
        for other in others:
            if other is first:
                continue
            if first.size > _FEW_NUMBERS or not np.array_equal(first, other):
                return None
        return first


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Tensor(_Described):
    """A value that follows from the output of the layer at ``at`` in the graph; 0 is the input.

    ``axes`` has a text for each axis: the letters of what lies along it, outermost first, B for the
    batch, T for the steps, F for the features, and D and U for their directions and units. An axis
    of size 1 may be empty. Apart from axes, it may differ from the output of the layer: by a
    ``formula`` of its features; ``half`` is the direction whose features it has, 0 or 1;
    ``is_final`` if it is the final state, of the ``part`` of the cell if that is not its output;
    ``steps`` has the step that stands at each position, or
    the one step of each sequence if it has no axis of steps; -1 is any step of padding.

    ``rows`` has the sequence at each position of the batch, None if each is in its place.

    ``role`` says if it is the weights of an attention with the scores at ``at``, or the steps of a
    sequence multiplied by the weights with the scores at ``scores``. ``numbers`` are those that it
    has for the probes, as long as no layer is before it.

    ``pad`` is how often the next window sees ``pad_value`` before and after the steps, and
    ``surplus`` is the number of steps at the end that a causal convolution does not have.
    ``filler`` is what padded steps hold, None for anything. It is ``backward_first`` if the
    features of the backward direction come before those of the forward one, which the graph has the
    other way round. ``merge`` is how the directions of its layer were combined to make it.
    """

    at: int
    axes: tuple[str, ...]
    formula: FeatureFunction | None = None
    half: int | None = None
    is_final: bool = False
    part: str = ""
    steps: Probed | None = None
    rows: Probed | None = None
    role: Literal["plain", "weights", "weighted"] = "plain"
    scores: int = 0
    numbers: Known | None = None
    pad: tuple[int, int] = (0, 0)
    pad_value: float = 0.0
    surplus: int = 0
    filler: float | None = None
    backward_first: bool = False
    merge: Merge = "concat"

    def axis(self, letter: str) -> int:
        """Return the number of the axis that a letter is along, -1 if there is none."""
        return next((i for i, axis in enumerate(self.axes) if letter in axis), -1)

    def add_steps(self, before: int, after: int, number: float) -> Tensor:
        """Return it with steps of a number before and after, for a window.

        Raises:
            RefusedError: it has steps of another number there.
        """
        if any(self.pad) and self.pad_value != number:
            raise RefusedError("pad: expected one number at all steps that are added")
        pad = (self.pad[0] + before, self.pad[1] + after)
        return replace(self, pad=pad, pad_value=number)

    def check_zeros_added(self) -> None:
        """Check that the steps that are added are zeros, as a convolution has them.

        Raises:
            RefusedError: they are others.
        """
        if any(self.pad) and self.pad_value:
            message = f"expected zeros before and after, received {self.pad_value}"
            raise RefusedError(message, "E703")

    def check_steps(self, advice: str, *, with_pad: bool = False) -> None:
        """Check that it has the steps of its layer.

        Args:
            advice: what is expected of a causal convolution.
            with_pad: whether steps may be added, for a window.

        Raises:
            RefusedError: it has others.
        """
        if self.surplus:
            message = f"takes {self.surplus} steps more than rnnspec supports; expected"
            raise RefusedError(f"{message} {advice}")
        if any(self.pad) and not with_pad:
            raise RefusedError("expected a convolution or a pool behind steps that are added")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CarriedStates(_Described):
    """Vectors one after the other along an axis, such as the final states of several layers.

    ``sizes`` are theirs along it.
    """

    parts: tuple[Tensor, ...]
    sizes: tuple[int, ...]
    axis: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pairs(_Described):
    """Numbers of each query and each step of another sequence: scores of an attention, or weights.

    The steps of ``one`` and ``two`` are along the axes ``1`` and ``2``, and F are the features of
    their ``sums``, and of the tanh of these, which is ``hidden``. Without ``sums``, scores are
    products. ``scored`` is the place of the dense layer that makes scores of them. ``masked`` is
    the axis whose padding is left out, empty for none, and ``over`` that along which the weights
    add up to 1. ``shift`` is a number that is added to all of them. Where weights are no numbers,
    they are ``absent``. With several ``heads``, there are as many of each, side by side in the
    features. If they are ``causal``, no query has one of a step behind its own.
    """

    one: Tensor
    two: Tensor
    axes: tuple[str, ...]
    stage: Literal["sums", "hidden", "scores", "weights", "absent"]
    scale: float = 1.0
    shift: float = 0.0
    scored: int | None = None
    masked: str = ""
    over: str = ""
    heads: int = 1
    causal: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class PaddedState(_Described):
    """A state after the steps of padding, which no network of the language has."""


@dataclass(frozen=True, slots=True, repr=False)
class ExtraInput(_Described):
    """Another input of the graph than the first one, which is no lengths."""

    name: str


@dataclass(frozen=True, slots=True, repr=False)
class Unknown(_Described):
    """The result of a node that was refused."""


Value = Known | Tensor | Pairs | CarriedStates | PaddedState | ExtraInput | Unknown | None
"""A value; None is an input that is left out."""


class RestartError(Exception):
    """The graph has to be read again, with other probes of the input at a place."""

    def __init__(self, at: int = 0, **changes: Any) -> None:
        super().__init__()
        self.at = at
        self.changes = changes


_NAMES = {
    "Known": "numbers that are no output of a layer",
    "CarriedStates": "the final states of several layers",
    "PaddedState": "a state that padding has changed",
    "Unknown": "an unknown value",
    "NoneType": "nothing",
}


NAMES_OF_AXES = {
    "B": "batch",
    "T": "steps",
    "F": "features",
    "D": "directions",
    "U": "units",
}


def name_axis(letters: str) -> str:
    """Return the name of an axis, for messages."""
    return " x ".join(NAMES_OF_AXES[letter] for letter in letters) or "1"


def describe(value: Value) -> str:
    """Describe a value, for messages."""
    match value:
        case Tensor(role="weights"):
            return "the weights of an attention"
        case Tensor(role="weighted"):
            return "steps multiplied by weights; expected their sum over the steps"
        case Tensor(axes=axes):
            return f"({', '.join(map(name_axis, axes))})"
        case Pairs(stage=stage):
            what = "weights" if stage == "weights" else "scores"
            return f"the {what} of the steps for each query"
        case ExtraInput(name=name):
            return f"the input '{name}'"
        case _:
            return _NAMES[type(value).__name__]


def are_equal(one: Probed | None, two: Probed | None) -> bool:
    """True if the arrays of all probes are the same, or there are none."""
    if one is two:
        return True
    return (
        one is not None
        and two is not None
        and all(a.shape == b.shape and (a == b).all() for a, b in zip(one, two, strict=True))
    )
