"""The stacked LSTM in Keras, as an expert would write it by hand: no rnnspec in here."""

from collections.abc import Callable

import keras
from keras import layers

STEPS, VOCABULARY, DIM, UNITS, LAYERS, RATE = 500, 10_000, 32, 32, 3, 0.2


def sequential() -> keras.Model:
    """Return the textbook's model: one layer after another."""
    return keras.Sequential(
        [
            keras.Input((STEPS,), dtype="int32"),
            layers.Embedding(VOCABULARY, DIM),
            layers.LSTM(UNITS, return_sequences=True, dropout=RATE),
            layers.LSTM(UNITS, return_sequences=True, dropout=RATE),
            layers.LSTM(UNITS, dropout=RATE),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def stacked_cells() -> keras.Model:
    """Return the model with one loop over time, which steps three cells."""
    return keras.Sequential(
        [
            keras.Input((STEPS,), dtype="int32"),
            layers.Embedding(VOCABULARY, DIM),
            layers.RNN([layers.LSTMCell(UNITS, dropout=RATE) for _ in range(LAYERS)]),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


MODELS: dict[str, Callable[[], keras.Model]] = {
    "Sequential": sequential,
    "stacked cells": stacked_cells,
}
