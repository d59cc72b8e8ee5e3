"""The rows of the table: networks, and the batches on which their files run.

Every tool exports with a batch of ``TRACED`` sizes and is asked to leave both sizes open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from rnnspec.slots import Array

FEATURES, UNITS = 3, 4
TRACED = (2, 7)
"""The batch size and the number of steps of the batch for tracing."""
SIZES = {"traced sizes": TRACED, "other steps": (2, 5), "other batch": (5, 7)}

Cell = Literal["simple", "lstm", "gru"]
Padding = Literal["none", "right", "inside"]


@dataclass(frozen=True, slots=True)
class Row:
    """A network: ``layers`` of a cell, and what it has beyond that."""

    title: str
    cell: Cell = "lstm"
    layers: int = 1
    bidirectional: bool = False
    padding: Padding = "none"
    states: bool = False
    hard: bool = False

    def batch(self, sizes: tuple[int, int], seed: int = 0) -> Array:
        """Return a batch (batch, steps, features) of float32, in which padding is zero."""
        rng = np.random.default_rng((*sizes, seed))
        batch = rng.standard_normal((*sizes, FEATURES)).astype(np.float32)
        for at, sequence in enumerate(batch):
            match self.padding:
                case "right":
                    sequence[sizes[1] - at % 4 :] = 0
                case "inside":
                    sequence[1 + at % 2 : 3 + at % 2] = 0
                case "none":
                    pass
        return batch


ROWS = (
    Row("RNN", "simple"),
    Row("LSTM"),
    Row("GRU", "gru"),
    Row("two LSTM layers", layers=2),
    Row("bidirectional LSTM", bidirectional=True),
    Row("LSTM, padding on the right", padding="right"),
    Row("LSTM, padding inside", padding="inside"),
    Row("LSTM, states in and out", states=True),
    Row("LSTM, `hard_sigmoid` gates", hard=True),
)
