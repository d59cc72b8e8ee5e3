"""Each layer of a Keras model as a piece: its settings checked and in the words of the language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnspec.importing.keras.arrays import Foreign
    from rnnspec.ir.initializers import Initializer
    from rnnspec.ir.nodes import Activation, Cell, Window
    from rnnspec.words import Merge, Statistic, WindowStatistic


@dataclass(frozen=True, slots=True)
class Input:
    """The shape of one sample, None if the file does not give it."""

    layer: Foreign
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class Masking:
    """Padding where every feature is ``value``."""

    layer: Foreign
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """An embedding; ``steps`` is its own ``input_length``."""

    layer: Foreign
    vocabulary: int
    dim: int
    masked: bool
    trainable: bool
    steps: int | None
    initializer: Initializer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrent:
    """A recurrent layer, in both directions if ``merge`` is set.

    With ``zeros`` its output at padding is zero, where otherwise it is held.
    """

    layer: Foreign
    cell: Cell
    units: int
    merge: Merge | None
    bias: bool
    dropout: float
    recurrent_dropout: float
    return_sequences: bool
    zeros: bool
    kernel: Initializer | None
    recurrent: Initializer | None
    bias_initializer: Initializer | None


@dataclass(frozen=True, slots=True)
class Stack:
    """A recurrent layer whose cells stand on each other: as many layers."""

    layer: Foreign
    layers: tuple[Recurrent, ...]


@dataclass(frozen=True, slots=True)
class Lacking:
    """A layer that was refused, so that nothing is known of what it returns."""

    layer: Foreign


@dataclass(frozen=True, slots=True)
class Repeat:
    """A vector repeated as a sequence."""

    layer: Foreign
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv:
    """A convolution over the steps."""

    layer: Foreign
    filters: int
    window: Window
    activation: Activation
    bias: bool
    kernel: Initializer | None
    bias_initializer: Initializer | None


@dataclass(frozen=True, slots=True)
class WindowPooling:
    """A statistic of windows over the steps."""

    layer: Foreign
    statistic: WindowStatistic
    window: Window


@dataclass(frozen=True, slots=True)
class ZeroPadding:
    """Zeros ``before`` and ``after`` the steps."""

    layer: Foreign
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Norm:
    """A norm along an ``axis`` of the batch, without the arrays that it ``lacks``.

    It is a batch norm if it has a ``momentum``; that of Keras 2 may count padding in training.
    """

    layer: Foreign
    axis: Any
    epsilon: float
    lacks: tuple[str, ...]
    momentum: float | None = None
    counts_padding: bool = False


@dataclass(frozen=True, slots=True)
class Normalize:
    """A vector divided by its norm."""

    layer: Foreign


@dataclass(frozen=True, slots=True)
class Add:
    """The sum of outputs, which has a mask if ``either`` or else if all have."""

    layer: Foreign
    either: bool = False


@dataclass(frozen=True, slots=True)
class Concat:
    """Outputs side by side along an ``axis`` of the batch; for ``either`` see ``Add``."""

    layer: Foreign
    axis: Any
    either: bool = False


@dataclass(frozen=True, slots=True)
class Dropout:
    """Dropout of single elements, or of a feature at all time steps if ``spatial``."""

    layer: Foreign
    rate: float
    spatial: bool = False


@dataclass(frozen=True, slots=True)
class Pooling:
    """A statistic over the time steps."""

    layer: Foreign
    statistic: Statistic


@dataclass(frozen=True, slots=True)
class LastStep:
    """The last time step of a sequence, padded or not."""

    layer: Foreign


@dataclass(frozen=True, slots=True)
class LastSteps:
    """The last ``count`` time steps of a sequence, padded or not."""

    layer: Foreign
    count: int


@dataclass(frozen=True, slots=True)
class Reshape:
    """Another shape of a sample, with -1 for one size; a vector of all numbers if it is None."""

    layer: Foreign
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """A dense layer; its kernel is that of the embedding named ``layer.tied``, if there is one."""

    layer: Foreign
    units: int
    activation: Activation
    bias: bool
    kernel: Initializer | None
    bias_initializer: Initializer | None


@dataclass(frozen=True, slots=True)
class Activated:
    """An activation as a layer of its own, which also reads the mask if it ``masks``."""

    layer: Foreign
    activation: Activation
    masks: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """A layer that changes nothing in inference, but for the mask if it ``drops`` that."""

    layer: Foreign
    drops: bool = False


Known = (
    Input
    | Masking
    | Embedding
    | Recurrent
    | Repeat
    | Conv
    | WindowPooling
    | ZeroPadding
    | Norm
    | Normalize
    | Add
    | Concat
    | Dropout
    | Pooling
    | LastStep
    | LastSteps
    | Reshape
    | Dense
    | Activated
    | Identity
)
"""The pieces that a layer of Keras may be."""

Piece = Known | Lacking


def has_arrays(piece: Piece) -> bool:
    """Return whether a file has arrays for a piece."""
    match piece:
        case Dense():
            return not piece.layer.tied
        case Norm():
            return piece.momentum is not None or len(piece.lacks) < len(("gamma", "beta"))
        case _:
            return isinstance(piece, Embedding | Recurrent | Conv)


def sizes(value: Any) -> tuple[int | None, ...] | None:
    """Return the shape of one sample from a shape with the batch in front, or None."""
    match value:
        case [_, *rest] if rest and all(
            each is None or (type(each) is int and each >= 1) for each in rest
        ):
            return tuple(rest)
        case _:
            return None


def stated_shape(layer: Foreign) -> tuple[int | None, ...] | None:
    """Return the shape of one sample that the settings of a first layer state, or None."""
    return sizes(layer.config.get("batch_shape") or layer.config.get("batch_input_shape"))
