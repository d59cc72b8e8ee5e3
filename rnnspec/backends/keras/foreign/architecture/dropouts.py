"""Places of dropout, which the language has before recurrent layers and in the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.keras.foreign.architecture import pieces
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.keras.foreign.architecture.pieces import Piece


def no_place(
    piece: pieces.Dropout,
    after: Piece | None,
    rest: Sequence[Piece],
    placed: Sequence[nodes.Layer],
) -> str:
    """Return why the language has no place for a dropout, empty if it has one.

    ``placed`` are the nodes before it, ``after`` is the next piece and the first of ``rest``.
    """
    if placed and isinstance(placed[-1], nodes.Dropout):
        return "the language has one dropout in a place"
    if isinstance(after, pieces.Recurrent):
        if after.dropout:
            return "the next layer has a dropout of its own"
        if piece.spatial and (after.merge or after.recurrent_dropout):
            return "the language draws a mask for each direction or gate"
        return ""
    if piece.spatial:
        return "the language has it before a layer in one direction"
    if any(isinstance(each, pieces.Recurrent | pieces.Repeat | pieces.Add) for each in rest):
        return "the language has dropout before a recurrent layer"
    if any(isinstance(each, pieces.Pooling) for each in rest):
        return "the language has dropout behind the pooling"
    recurrent = any(isinstance(each, nodes.Recurrent) for each in placed)
    return "" if recurrent else "the language has no place for it"
