"""Places of dropout, which the language has before recurrent layers and in the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.keras.foreign.architecture import pieces
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.keras.foreign.architecture.pieces import Piece


def no_place(
    piece: pieces.Dropout, after: Piece | None, later: set[type], before: Sequence[nodes.Layer]
) -> str:
    """Return why the language has no place for a dropout, empty if it has one.

    ``after`` is the next piece, ``later`` are the types of all that come, and ``before`` are the
    last recurrent node and the node before the dropout, as far as there are any.
    """
    if before and isinstance(before[-1], nodes.Dropout):
        return "the language has one dropout in a place"
    if isinstance(after, pieces.Recurrent):
        if after.dropout:
            return "the next layer has a dropout of its own"
        if piece.spatial and (after.merge or after.recurrent_dropout):
            return "the language draws a mask for each direction or gate"
        return ""
    if piece.spatial:
        return "the language has it before a layer in one direction"
    if later & {pieces.Recurrent, pieces.Repeat, pieces.Add}:
        return "the language has dropout before a recurrent layer"
    if pieces.Pooling in later:
        return "the language has dropout behind the pooling"
    recurrent = any(isinstance(each, nodes.Recurrent) for each in before)
    return "" if recurrent else "the language has no place for it"
