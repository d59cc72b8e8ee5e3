"""Models of Keras for import, made by the generation that this process is asked to run.

``python models.py keras|tf_keras FOLDER`` writes each model in every kind of file, and what it
predicts on a random batch.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.keras.outputs import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS, FEATURES, VOCABULARY = 7, 5, 11


def models(keras: Any) -> Iterator[tuple[str, Any]]:
    """Yield models by name, with fresh weights."""
    for make in (
        _stacked,
        _tokens,
        _masked,
        _residual,
        _per_step,
        _pooled,
        _repeat,
        _plain,
        _nested,
        _cells,
        _convolved,
        _speech,
        _joined,
        _poolings,
        _outputs,
    ):
        yield make.__name__.strip("_"), make(keras, keras.layers)


def _stacked(keras: Any, of: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            of.LSTM(4, return_sequences=True, dropout=0.2, recurrent_dropout=0.1),
            of.Dropout(0.5),
            of.LSTM(
                4,
                return_sequences=True,
                unit_forget_bias=False,
                recurrent_activation="hard_sigmoid",
            ),
            of.SimpleRNN(3, activation="relu", use_bias=False),
            of.Dropout(0.25),
            of.Dense(6),
            of.Activation("relu"),
            of.Dropout(0.1),
            of.Dense(2, name="answer", kernel_regularizer="l2"),
        ]
    )


def _tokens(keras: Any, of: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((STEPS,)),
            of.Embedding(VOCABULARY, 4, mask_zero=True),
            of.SpatialDropout1D(0.3),
            of.GRU(3, return_sequences=True, reset_after=False),
            of.Bidirectional(of.GRU(3), merge_mode="ave"),
            of.Dense(3, activation="softmax"),
        ]
    )


def _masked(keras: Any, of: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            of.Masking(-1.5),
            of.Bidirectional(of.LSTM(3, return_sequences=True), merge_mode="sum"),
            of.LayerNormalization(),
            of.Bidirectional(of.SimpleRNN(2, return_sequences=True), merge_mode="mul"),
            of.GlobalAveragePooling1D(),
            of.Dense(1, activation="sigmoid", use_bias=False),
        ]
    )


def _residual(keras: Any, of: Any) -> Any:
    start = keras.Input((None,), name="words")
    x = of.Embedding(VOCABULARY, 4, mask_zero=True)(start)
    for _ in range(2):
        y = of.LSTM(4, return_sequences=True)(of.Dropout(0.1)(x))
        x = of.Add()([x, of.LayerNormalization()(y)])
    return keras.Model(start, of.GRU(3)(x))


def _per_step(keras: Any, of: Any) -> Any:
    start = keras.Input((STEPS, FEATURES))
    x = of.LSTM(4, return_sequences=True, recurrent_activation="relu")(start)
    return keras.Model(start, of.TimeDistributed(of.Dense(3, activation="tanh"))(x))


def _pooled(keras: Any, of: Any) -> Any:
    start = keras.Input((STEPS, FEATURES))
    x = of.GRU(4, return_sequences=True, activation="softsign", recurrent_activation="elu")(start)
    return keras.Model(start, of.Dropout(0.5)(of.GlobalMaxPooling1D()(x)))


def _repeat(keras: Any, of: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((STEPS,)),
            of.Embedding(VOCABULARY, 3, mask_zero=True, embeddings_initializer="ones"),
            of.LSTM(3),
            of.RepeatVector(4),
            of.LSTM(2, return_sequences=True),
            of.GaussianNoise(0.1),
            of.TimeDistributed(of.Dense(3)),
            of.Softmax(),
        ]
    )


def _plain(keras: Any, of: Any) -> Any:
    return keras.Sequential([keras.Input((STEPS, FEATURES)), of.GRU(3, unroll=True)])


def _nested(keras: Any, of: Any) -> Any:
    outer = keras.Sequential(
        [keras.Input((None, 4)), of.LSTM(3, return_sequences=True), of.Dropout(0.1), of.LSTM(4)]
    )
    start = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), of.Dense(3, activation="tanh")])
    dense = keras.Model(start, of.Dense(3)(inner(start)), name="answer")
    words = keras.Input((STEPS,))
    x = of.Embedding(VOCABULARY, 4, mask_zero=True)(words)
    x = outer(of.LSTM(4, return_sequences=True)(x))
    return keras.Model(words, of.UnitNormalization()(dense(x)))


def _cells(keras: Any, of: Any) -> Any:
    words = keras.Input((STEPS,))
    x = of.Embedding(VOCABULARY, 4, mask_zero=True)(words)
    x = of.RNN(of.GRUCell(5, dropout=0.1), return_sequences=True, name="lower")(x)
    cells = [of.LSTMCell(3), of.SimpleRNNCell(4, use_bias=False), of.LSTMCell(2)]
    _, h, _ = of.LSTM(4, return_state=True)(of.RNN(cells, return_sequences=True)(x))
    return keras.Model(words, of.Dense(3)(h))


def _convolved(keras: Any, of: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            of.ZeroPadding1D((2, 0)),
            of.Conv1D(4, 3, activation="relu", kernel_constraint="max_norm"),
            of.BatchNormalization(scale=False, momentum=0.9),
            of.MaxPooling1D(2, padding="same"),
            of.SpatialDropout1D(0.2),
            of.LSTM(3, return_sequences=True),
            of.Flatten(),
            of.Dense(4, name="hidden"),
            of.LeakyReLU(0.1),
            of.BatchNormalization(center=False, epsilon=0.01),
            of.Dense(2),
        ]
    )


def _speech(keras: Any, of: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            of.LayerNormalization(center=False, epsilon=1e-4),
            of.Dense(6),
            of.ReLU(20.0),
            of.TimeDistributed(of.Dense(5, activation="tanh")),
            of.ReLU(negative_slope=0.2),
            of.Conv1D(4, 2, padding="causal", dilation_rate=2, use_bias=False),
            of.Bidirectional(of.GRU(3, return_sequences=True), merge_mode="sum"),
            of.AveragePooling1D(3, 1, padding="same"),
            of.BatchNormalization(),
            of.Activation("elu"),
            of.Dense(4),
            of.Softmax(),
        ]
    )


def _joined(keras: Any, of: Any) -> Any:
    words = keras.Input((STEPS,))
    vectors = of.Embedding(VOCABULARY, 4, mask_zero=True)(words)
    states = of.LSTM(3, return_sequences=True)(vectors)
    x = of.LSTM(2, return_sequences=True)(of.Concatenate()([vectors, states]))
    return keras.Model(words, of.GRU(3)(of.Concatenate()([states, x, vectors])))


def _poolings(keras: Any, of: Any) -> Any:
    start = keras.Input((STEPS, FEATURES))
    x = of.Bidirectional(of.GRU(3, return_sequences=True))(start)
    x = of.Concatenate()([of.GlobalMaxPooling1D()(x), of.GlobalAveragePooling1D()(x)])
    return keras.Model(start, of.Dense(2)(of.Dropout(0.5)(x)))


def _outputs(keras: Any, of: Any) -> Any:
    words = keras.Input((STEPS,))
    x = of.Embedding(VOCABULARY, 4, mask_zero=True)(words)
    x = of.LSTM(3, return_sequences=True)(x)
    # In the file, the layer of the second one is before that of the first.
    rating = of.Dense(2, name="rating")(of.Dense(2)(of.GlobalAveragePooling1D()(x)))
    return keras.Model(words, [of.Dense(2, name="tags")(x), rating])


def batch(name: str, rng: np.random.Generator) -> Any:
    """Return a batch, with padding left, right, inside and alone if the model has a mask."""
    real = np.ones((5, STEPS), dtype=bool)
    tokens = ("tokens", "residual", "repeat", "nested", "cells", "joined", "outputs")
    if name in ("masked", *tokens):
        real[1, 4:] = real[2, :3] = real[3, 2:5] = False
    if name in tokens:
        return np.where(real, rng.integers(1, VOCABULARY, real.shape), 0).astype(np.int32)
    numbers = rng.standard_normal((5, STEPS, FEATURES)).astype(np.float32)
    return np.where(real[..., None], numbers, np.float32(-1.5))


def write(keras: Any, folder: Path) -> None:
    """Write every model, its batch and what it predicts."""
    rng = np.random.default_rng(0)
    for name, model in models(keras):
        drawn = [rng.normal(0.0, 0.4, np.shape(weight)) for weight in model.get_weights()]
        for array, weight in zip(drawn, model.weights, strict=True):
            if "variance" in getattr(weight, "path", weight.name):
                np.abs(array, out=array)
        model.set_weights([each.astype(np.float32) for each in drawn])
        model.compile("adam", "mse")
        given = batch(name, rng)
        expected = side_by_side(model(given, training=False))
        np.savez(folder / f"{name}.npz", batch=given, expected=expected)
        for suffix in (".h5", ".keras"):
            model.save(folder / f"{name}{suffix}")
        model.save_weights(folder / f"{name}.weights.h5")
        (folder / f"{name}.json").write_text(json.dumps(json.loads(model.to_json())))


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    write(import_module(sys.argv[1]), Path(sys.argv[2]))
