"""Each layer of a Keras model as a piece: a node with the facts beside it, or what becomes none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.importing.keras.arrays import Foreign
    from rnnspec.ir.initializers import Initializer


@dataclass(frozen=True, slots=True)
class InputPiece:
    """The shape of one sample, None if the file does not give it."""

    layer: Foreign
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class Masking:
    """Padding where every feature is ``value``."""

    layer: Foreign
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer of the language, as a node without a place.

    The ``input`` of an embedding is its own ``input_length``, and ``masked`` its ``mask_zero``.
    ``initializers`` are those of the roles ``kernel``, ``recurrent``, ``bias`` and ``forget`` (the
    bias of that gate) that it has, None where rnnspec has none; the node does not have them yet.
    ``lacks`` are the arrays that the layer does without.
    """

    layer: Foreign
    node: nodes.Layer
    initializers: Mapping[str, Initializer | None] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentPiece(Layer):
    """A recurrent layer, whose output at padding is zero with ``zeros``, and held without.

    With ``apart``, its directions are two outputs. Keras passes no mask on to an ``unmasked`` one,
    though it has one beside the output.
    """

    node: nodes.Recurrent
    zeros: bool
    apart: bool = False
    unmasked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NormPiece(Layer):
    """A norm along an ``axis`` of the batch. A batch norm of Keras 2 counts padding in training."""

    node: nodes.LayerNorm | nodes.BatchNorm
    axis: Any
    counts_padding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated(Layer):
    """An activation as a layer of its own, which also reads the mask if it ``masks``."""

    node: nodes.Activate
    masks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionPiece(Layer):
    """An attention to steps, which its node does not name yet."""

    node: nodes.Attention


@dataclass(frozen=True, slots=True)
class DotPiece:
    """The products of two outputs along ``axes`` of the batch."""

    layer: Foreign
    axes: Any


@dataclass(frozen=True, slots=True)
class CellStack:
    """A recurrent layer whose cells stand on each other: as many layers."""

    layer: Foreign
    layers: tuple[RecurrentPiece, ...]


@dataclass(frozen=True, slots=True)
class Lacking:
    """A layer that was refused, so that nothing is known of what it returns."""

    layer: Foreign


@dataclass(frozen=True, slots=True)
class ZeroPadding:
    """Zeros ``before`` and ``after`` the steps."""

    layer: Foreign
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class AddPiece:
    """The sum or product of outputs, which has a mask if ``either`` or else if all have."""

    layer: Foreign
    either: bool = False
    how: Literal["add", "multiply"] = "add"


@dataclass(frozen=True, slots=True)
class Scaled:
    """An output multiplied by a number."""

    layer: Foreign
    factor: float


@dataclass(frozen=True, slots=True)
class Flip:
    """The steps in reverse order."""

    layer: Foreign


@dataclass(frozen=True, slots=True)
class ConcatPiece:
    """Outputs side by side along an ``axis`` of the batch; for ``either`` see ``AddPiece``."""

    layer: Foreign
    axis: Any
    either: bool = False


@dataclass(frozen=True, slots=True)
class Reshape:
    """Another shape of a sample, with -1 for one size; a vector of all numbers if it is None."""

    layer: Foreign
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Identity:
    """A layer that changes nothing in inference, but for the mask if it ``drops`` that."""

    layer: Foreign
    drops: bool = False


Known = (
    InputPiece
    | Masking
    | Layer
    | ZeroPadding
    | AddPiece
    | ConcatPiece
    | DotPiece
    | Scaled
    | Flip
    | Reshape
    | Identity
)
"""The pieces that a layer of Keras may be."""

Piece = Known | Lacking


def has_arrays(piece: Piece) -> bool:
    """True if a file has arrays for a piece, which are those of its first call."""
    if piece.layer.shared:
        return False
    match piece:
        case NormPiece(node=nodes.LayerNorm()):
            return piece.node.scale or piece.node.offset
        case Layer(node=nodes.Dense() | nodes.Embedding()):
            return not piece.layer.tied
        case AttentionPiece(node=node):
            return node.additive and not piece.lacks
        case Layer(node=node):
            kinds = nodes.Recurrent | nodes.Conv | nodes.BatchNorm
            return isinstance(node, kinds)
        case _:
            return False


def sizes(value: Any) -> tuple[int | None, ...] | None:
    """Return the shape of one sample from a shape with the batch in front, or None."""
    match value:
        case [_, *rest] if all(size is None or (type(size) is int and size >= 1) for size in rest):
            return tuple(rest)
        case _:
            return None


def stated_shape(layer: Foreign) -> tuple[int | None, ...] | None:
    """Return the shape of one sample that the settings of a first layer state, or None."""
    return sizes(layer.config.get("batch_shape") or layer.config.get("batch_input_shape"))
