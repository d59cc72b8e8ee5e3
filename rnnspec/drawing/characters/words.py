"""Words of pictures in characters that others have no room for, or need no words for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from rnnspec.drawing.words import Entry
from rnnspec.ir.nodes import GRU, LSTM, Cell, Layer, Recurrent, SimpleRNN


def cell_word(cell: Cell) -> str:
    """Return the short name of a cell."""
    match cell:
        case SimpleRNN():
            return "RNN"
        case LSTM():
            return "LSTM"
        case GRU():
            return "GRU"
        case _:
            assert_never(cell)


def heading(given: Entry) -> str:
    """Return the name and the kind of a layer, or of the input."""
    return f"{given.name}  {given.kind}"


def detail(given: Entry) -> str:
    """Return the shape and the number of parameters, closer together than in other pictures."""
    return given.detail.replace("  ·  ", " · ")


def dropout_words(layer: Layer) -> Iterator[str]:
    """Yield each dropout on the input and on the state of a layer."""
    if isinstance(layer, Recurrent) and layer.dropout:
        yield f"dropout {layer.dropout:g}"
    if isinstance(layer, Recurrent) and layer.recurrent_dropout:
        yield f"recurrent dropout {layer.recurrent_dropout:g}"


def remarks(layer: Layer) -> Iterator[str]:
    """Yield remarks on padding and on the last state of a layer."""
    if isinstance(layer, Recurrent) and layer.masked:
        yield "padding: the state is held"
    if isinstance(layer, Recurrent) and not layer.return_sequences:
        both = "last states only, the backward one at step 1"
        yield "last state only" if layer.merge is None else both
