"""Keras's own export, on the engine that Keras is set to, and tf2onnx."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from benchmarks.exporters.judge import File, verdict
from benchmarks.exporters.rows import FEATURES, ROWS, UNITS, Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.exporters.judge import Feed
    from rnnspec.slots import Array

_CELLS = {"simple": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def model(row: Row) -> Any:
    """Return the model of a row, as one writes it in Keras."""
    keras.utils.set_random_seed(0)
    x = keras.Input((None, FEATURES), name="x")
    if row.states:
        return _with_states(x)
    padded = row.padding != "none"
    y = keras.layers.Masking()(x) if padded else x
    gates = {"recurrent_activation": "hard_sigmoid"} if row.hard else {}
    for _ in range(row.layers):
        layer = _CELLS[row.cell](UNITS, return_sequences=not padded, **gates)
        y = (keras.layers.Bidirectional(layer) if row.bidirectional else layer)(y)
    return keras.Model(x, y)


def _with_states(x: Any) -> Any:
    states = [keras.Input((UNITS,), name=name) for name in ("h", "c")]
    layer = keras.layers.LSTM(UNITS, return_sequences=True, return_state=True)
    return keras.Model([x, *states], layer(x, initial_state=states))


def feed(row: Row, sizes: tuple[int, int]) -> Feed:
    """Return the inputs of a row: the batch, and its states."""
    batch = row.batch(sizes)
    if not row.states:
        return (batch,)
    rng = np.random.default_rng(1)
    return batch, *rng.standard_normal((2, sizes[0], UNITS)).astype(np.float32)


def truth(made: Any, inputs: Feed) -> Array:
    output = made.predict_on_batch(list(inputs) if len(inputs) > 1 else inputs[0])
    return np.asarray(output[0] if isinstance(output, list | tuple) else output)


def own(folder: Path, made: Any) -> File:
    """Export with ``Model.export``."""
    path = folder / "keras.onnx"
    made.export(path, format="onnx", verbose=False)
    return File.of(path)


def converted(folder: Path, made: Any) -> File:
    """Convert with tf2onnx."""
    import tensorflow as tf
    import tf2onnx

    path = folder / "tf2onnx.onnx"
    signature = [tf.TensorSpec(each.shape, tf.float32, name=each.name) for each in made.inputs]
    tf2onnx.convert.from_keras(made, input_signature=signature, opset=18, output_path=path)
    return File.of(path)


def run(folder: Path) -> dict[str, dict[str, str]]:
    """Return the cells of the tools that the engine has."""
    warnings.simplefilter("ignore")
    engine = {"tensorflow": "TensorFlow", "torch": "PyTorch"}[keras.backend.backend()]
    tools: dict[str, Callable[[Path, Any], File]] = {
        f"Keras {keras.__version__} on {engine}, `model.export`": own
    }
    if engine == "TensorFlow":
        import tf2onnx

        tools[f"tf2onnx {tf2onnx.__version__}"] = converted
    return {
        name: {row.title: _judge(folder, tool, row) for row in ROWS} for name, tool in tools.items()
    }


def _judge(folder: Path, tool: Callable[[Path, Any], File], row: Row) -> str:
    made = model(row)
    # Keras exports no model that was never called.
    truth(made, feed(row, (2, 7)))
    return verdict(partial(tool, folder, made), partial(feed, row), partial(truth, made))
