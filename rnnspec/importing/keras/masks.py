"""Where Keras has a mask beside the output of a layer, and where it drops it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.importing.keras import pieces
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.importing.keras.pieces import Piece


@dataclass(frozen=True, slots=True)
class _Mask:
    """Whether Keras has a mask beside an output, and what dropped it if not."""

    kept: bool = False
    dropped: str = ""


class Masks:
    """Where Keras has a mask: beside the output of each layer, and at its input."""

    def __init__(self, found: Sequence[Piece]) -> None:
        self.at: dict[str, _Mask] = {}
        self.behind: dict[str, _Mask] = {}
        self.reader = False
        """True if a layer computes something else with its mask than without."""
        self.dropped = ""
        for piece in found:
            name = piece.layer.name
            taken = [self.behind.get(source, _Mask()) for source in piece.layer.inputs]
            own = self.at[name] = _mask_at(piece, taken)
            behind = self.behind[name] = _mask_behind(piece, own)
            self.reader |= own.kept and _reads_mask(piece)
            if own.kept and not behind.kept:
                self.dropped = self.dropped or behind.dropped


def _mask_at(piece: Piece, taken: Sequence[_Mask]) -> _Mask:
    layer = piece.layer
    dropped = next((mask.dropped for mask in taken if mask.dropped), "")
    if layer.operation:
        lost = any(mask.kept for mask in taken)
        return _Mask(dropped=f"the operation {layer.name}" if lost else dropped)
    if layer.mask is not None:
        return _Mask(kept=True)
    either = isinstance(piece, pieces.Add | pieces.Concat) and piece.either
    kept = [mask.kept for mask in taken]
    return _Mask(kept=bool(kept) and (any(kept) if either else all(kept)), dropped=dropped)


def _mask_behind(piece: Piece, own: _Mask) -> _Mask:
    match piece:
        case pieces.Masking() | pieces.Layer(node=nodes.Embedding(masked=True)):
            return _Mask(kept=True)
        case pieces.Layer(node=nodes.Recurrent(return_sequences=True)):
            return own
        case (
            pieces.Input()
            | pieces.Lacking()
            | pieces.Layer(node=nodes.Repeat() | nodes.Recurrent())
        ):
            return _Mask()
        case (
            pieces.ZeroPadding()
            | pieces.Reshape()
            | pieces.Identity(drops=True)
            | pieces.Layer(
                node=nodes.Conv() | nodes.WindowPooling() | nodes.Pooling() | nodes.LastSteps()
            )
        ):
            return _Mask(dropped=piece.layer.name) if own.kept else own
        case pieces.Layer(node=nodes.Dense()) if piece.layer.tied:
            return _Mask(dropped=piece.layer.name) if own.kept else own
        case _:
            return own


def _reads_mask(piece: Piece) -> bool:
    match piece:
        case pieces.Recurrent() | pieces.Activated(masks=True):
            return True
        case pieces.Layer(node=nodes.Pooling(statistic="mean"), layer=layer):
            return not layer.operation
        case _:
            return False
