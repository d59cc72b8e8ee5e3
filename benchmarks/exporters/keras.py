"""Keras's own export, on the engine that Keras is set to, and tf2onnx."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from benchmarks.exporters.judge import FEATURES, TRACED, UNITS, File, Row, judge

if TYPE_CHECKING:
    from benchmarks.exporters.judge import Feed
    from rnnspec.slots import Array

_CELLS = {"simple": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def tools() -> dict[str, Callable[[Path, Row], str]]:
    """Return the judges of the tools that the engine has."""
    engine = {"tensorflow": "TensorFlow", "torch": "PyTorch"}[keras.backend.backend()]
    judges: dict[str, Callable[[Path, Row], str]] = {
        f"Keras {keras.__version__} on {engine}, `model.export`": partial(_judge_row, _export)
    }
    if engine == "TensorFlow":
        import tf2onnx

        judges[f"tf2onnx {tf2onnx.__version__}"] = partial(_judge_row, _convert)
    return judges


def _judge_row(export: Callable[[Path, Any], File], folder: Path, row: Row) -> str:
    model = _model(row)

    def truth(feed: Feed) -> Array:
        output = model.predict_on_batch(list(feed) if len(feed) > 1 else feed[0])
        return np.asarray(output[0] if isinstance(output, list | tuple) else output)

    # Keras exports no model that was never called.
    truth(_feed(row, TRACED))
    return judge(partial(export, folder, model), partial(_feed, row), truth)


def _model(row: Row) -> Any:
    """Return the model of a row, as one writes it in Keras."""
    keras.utils.set_random_seed(0)
    x = keras.Input((None, FEATURES), name="x")
    if row.states:
        states = [keras.Input((UNITS,), name=name) for name in ("h", "c")]
        layer = keras.layers.LSTM(UNITS, return_sequences=True, return_state=True)
        return keras.Model([x, *states], layer(x, initial_state=states))
    padded = row.padding != "none"
    y = keras.layers.Masking()(x) if padded else x
    gates = {"recurrent_activation": "hard_sigmoid"} if row.hard else {}
    for _ in range(row.layers):
        layer = _CELLS[row.cell](UNITS, return_sequences=not padded, **gates)
        y = (keras.layers.Bidirectional(layer) if row.bidirectional else layer)(y)
    return keras.Model(x, y)


def _feed(row: Row, sizes: tuple[int, int]) -> Feed:
    """Return the inputs of a row: the batch, and its states."""
    states = np.random.default_rng(1).standard_normal((2, sizes[0], UNITS)).astype(np.float32)
    return (row.batch(sizes), *(states if row.states else ()))


def _export(folder: Path, model: Any) -> File:
    """Export with ``Model.export``."""
    path = folder / "keras.onnx"
    model.export(path, format="onnx", verbose=False)
    return File.open(path)


def _convert(folder: Path, model: Any) -> File:
    """Convert with tf2onnx."""
    import tensorflow as tf
    import tf2onnx

    path = folder / "tf2onnx.onnx"
    signature = [tf.TensorSpec(node.shape, tf.float32, name=node.name) for node in model.inputs]
    tf2onnx.convert.from_keras(model, input_signature=signature, opset=18, output_path=path)
    return File.open(path)
