"""The networks in Keras."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras import layers

from benchmarks.networks import CELLS, DIM, SEQUENTIAL, STEPS, UNITS, VOCABULARY

LAYERS, RATE = 3, 0.2


def stacked_lstm(*, padded: bool) -> keras.Model:
    """Return the textbook model, with one layer after another."""
    between = (layers.LSTM(UNITS, return_sequences=True, dropout=RATE) for _ in range(LAYERS - 1))
    return _model([*between, layers.LSTM(UNITS, dropout=RATE)], padded=padded)


def stacked_cells(*, padded: bool) -> keras.Model:
    """Return the model with a single loop over time for all three cells."""
    cells = [layers.LSTMCell(UNITS, dropout=RATE) for _ in range(LAYERS)]
    return _model([layers.RNN(cells)], padded=padded)


def standard_rnn(*, padded: bool) -> keras.Model:
    """Return the model with a simple recurrent layer."""
    return _model([layers.SimpleRNN(UNITS)], padded=padded)


def bidirectional_lstm(*, padded: bool) -> keras.Model:
    """Return the model with a bidirectional layer."""
    return _model([layers.Bidirectional(layers.LSTM(UNITS, dropout=RATE))], padded=padded)


def _model(recurrent: Iterable[keras.Layer], *, padded: bool) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((STEPS,), dtype="int32"),
            # A mask costs time in every layer, so only padded batches get one.
            layers.Embedding(VOCABULARY, DIM, mask_zero=padded),
            *recurrent,
            layers.Dense(1, activation="sigmoid"),
        ]
    )


MODELS: dict[str, dict[str, Callable[..., keras.Model]]] = {
    "stacked_lstm": {SEQUENTIAL: stacked_lstm, CELLS: stacked_cells},
    "standard_rnn": {SEQUENTIAL: standard_rnn},
    "bidirectional_lstm": {SEQUENTIAL: bidirectional_lstm},
}


class Cells(keras.Model):  # type: ignore[misc]
    """The founding stack as cells, for one step at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = layers.Embedding(VOCABULARY, DIM)
        self.cells = [layers.LSTMCell(UNITS) for _ in range(LAYERS)]
        self.head = layers.Dense(1, activation="sigmoid")

    def call(self, inputs: tuple[Any, Any]) -> tuple[Any, Any]:
        """Return the output for tokens (batch,), and the new states."""
        tokens, states = inputs
        x, after = self.embedding(tokens), []
        for cell, state in zip(self.cells, states, strict=True):
            x, new = cell(x, state)
            after.append(new)
        return self.head(x), after
