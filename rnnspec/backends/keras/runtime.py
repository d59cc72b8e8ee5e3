"""Keras itself: live models, their counts, their arrays, their files."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from rnnspec.backends.base import Trace
from rnnspec.ir.params import Counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import ModuleType

    from rnnspec.layout import Array


def version() -> str:
    """Return Keras's version and the engine it runs on."""
    return f"Keras {keras.__version__} on {keras.backend.backend()}"


def instantiate(module: ModuleType, entry: str, dtype: str) -> keras.Model:
    """Return the model that the generated function ``entry`` makes, in ``dtype``."""
    with _dtype(dtype):
        return getattr(module, entry)()


@contextmanager
def _dtype(dtype: str) -> Iterator[None]:
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def layer_count(model: keras.Model, layer: str) -> int:
    """Return how many parameters Keras counts in one layer."""
    return int(model.get_layer(layer).count_params())


def layer_type(model: keras.Model, layer: str) -> str:
    """Return the name of the class of one layer."""
    return type(model.get_layer(layer)).__name__


def counts(model: keras.Model) -> Counts:
    """Return how many parameters Keras counts in the whole model."""
    return Counts(
        trainable=_size(model.trainable_weights), non_trainable=_size(model.non_trainable_weights)
    )


def _size(weights: Sequence[Any]) -> int:
    # A dropout layer's seed is a variable to Keras, but its summary does not count it.
    return sum(int(np.prod(weight.shape)) for weight in weights)


def get(model: keras.Model, layer: str, path: str) -> Array:
    """Return a copy of one array."""
    return np.array(keras.ops.convert_to_numpy(_variable(model, layer, path)))


def put(model: keras.Model, layer: str, path: str, array: Array) -> None:
    """Replace one array; Keras casts it to the variable's dtype."""
    _variable(model, layer, path).assign(array)


def _variable(model: keras.Model, layer: str, path: str) -> Any:
    return attrgetter(path)(model.get_layer(layer))


def trace(model: keras.Model, layers: Sequence[str], inputs: Array) -> Trace:
    """Run one forward pass in inference, and show what entered each layer."""
    entered = [model.get_layer(name).input for name in layers]
    probe = keras.Model(model.inputs, [*entered, *model.outputs])
    with _no_retracing_advice():
        *seen, output = probe.predict_on_batch(inputs)
    return Trace(dict(zip(layers, map(np.asarray, seen), strict=True)), np.asarray(output))


@contextmanager
def _no_retracing_advice() -> Iterator[None]:
    # TensorFlow warns when several models are run once each, which is what a comparison does.
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def save(model: keras.Model, folder: Path, name: str, source: str, spec: str) -> None:  # noqa: ARG001
    """Write ``NAME.keras``: architecture and weights, nothing of rnnspec's."""
    model.save(folder / f"{name}.keras")
