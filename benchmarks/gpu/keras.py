"""Keras on TensorFlow: cuDNN shows as an operation of the graph."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from benchmarks.gpu.work import CELLS, LARGE, SMALL, Found, Sizes, batch, built
from benchmarks.race import Run


def gpu() -> str:
    """Return the name of the GPU, empty if there is none."""
    devices = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(devices[0])["device_name"] if devices else ""


def found() -> list[Found]:
    """Check and measure every cell."""
    return [_cell(cell, LARGE if gpu() else SMALL) for cell in CELLS]


def _cell(cell: str, sizes: Sizes) -> Found:
    case, live = built("keras", cell, sizes)
    ours, stock, found = _compiled(live.model), _compiled(_stock(cell, sizes)), Found(cell)
    stock.set_weights(ours.get_weights())
    x = tf.constant(batch(sizes))
    operations = _operations(ours, x)
    fused = sorted(name for name in operations if name.startswith("Cudnn"))
    found.path = ", ".join(fused) or "a loop of TensorFlow"
    found.fused = bool(fused) if gpu() else None
    found.compare(case, _use_tf32, lambda: ours.predict_on_batch(x))
    found.measure("inference", _inferred(ours, x), _inferred(stock, x), sizes)
    found.measure("training", _trained(ours, x), _trained(stock, x), sizes)
    return found


def _stock(cell: str, sizes: Sizes) -> keras.Model:
    made = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell]
    layers = [made(sizes.units, return_sequences=True), made(sizes.units), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input((None, sizes.features)), *layers])


def _compiled(model: keras.Model) -> keras.Model:
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    return model


def _operations(model: keras.Model, x: Any) -> set[str]:
    """Return the operations of the graph and of the functions that it calls."""
    graph = tf.function(model).get_concrete_function(x).graph.as_graph_def()
    inner = (node for function in graph.library.function for node in function.node_def)
    return {node.op for node in (*graph.node, *inner)}


def _use_tf32(allowed: bool) -> None:
    tf.config.experimental.enable_tensor_float_32_execution(allowed)


def _inferred(model: keras.Model, x: Any) -> Run:
    return lambda: model.predict_on_batch(x)


def _trained(model: keras.Model, x: Any) -> Run:
    target = tf.zeros((len(x), 1))
    return lambda: model.train_on_batch(x, target)
