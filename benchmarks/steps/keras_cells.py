"""One step at a time in Keras: the step form against ``LSTMCell`` layers in a model of its own.

Both run in Keras's compiled function for one batch.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.handwritten.keras import VOCABULARY
from benchmarks.lane import Prepared
from benchmarks.names import OURS
from benchmarks.networks import Case
from benchmarks.steps.loop import LAYERS, UNITS, built, drawn, looped, prepared

# Before TensorFlow computes anything.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


class Cells(keras.Model):  # type: ignore[misc]
    """The founding stack as cells."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = keras.layers.Embedding(VOCABULARY, UNITS)
        self.cells = [keras.layers.LSTMCell(UNITS) for _ in range(LAYERS)]
        self.head = keras.layers.Dense(1, activation="sigmoid")

    def call(self, given: tuple[Any, Any]) -> tuple[Any, Any]:
        """Return the output for tokens (batch,), and the new states."""
        tokens, states = given
        x, after = self.embedding(tokens), []
        for cell, state in zip(self.cells, states, strict=True):
            x, new = cell(x, state)
            after.append(new)
        return self.head(x), after


def prepare(case: Case) -> Prepared:
    """Build the contestants of a case, and check that they are the same network."""
    ours, cells = built(case, "keras"), Cells()
    chunks = drawn(case)
    singles = [chunk[:, 0] for chunk in chunks]
    zeros = [[_zeros(case)] * 2 for _ in range(LAYERS)]
    cells.predict_on_batch((singles[0], zeros))
    cells.set_weights(ours.get_weights())
    names = [each.name for each in ours.inputs if each.name != "inputs"]

    def step(chunk: Any, states: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        found = ours.predict_on_batch({"inputs": chunk, **states})
        return found.pop("output"), found

    return prepared(
        {
            OURS: looped(step, chunks, {name: _zeros(case) for name in names}),
            "loop of LSTMCell": looped(
                lambda *given: cells.predict_on_batch(given), singles, zeros
            ),
        }
    )


def _zeros(case: Case) -> Any:
    return np.zeros((case.batch, UNITS), np.float32)
