"""The output of a live Keras model for a batch of any size, and how exact it is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.contract import least_exact
from rnnspec.backends.slots import by_name, map_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.backends.slots import Array, Batch


def output_of(model: Any, call: Callable[[Any], Any], inputs: Batch) -> Array:
    """Return the result of ``call`` for a batch; the model may take batches of one size only."""
    length = len(next(iter(by_name(inputs).values())))
    size = model.inputs[0].shape[0] or length
    # The rows begin again where a batch would be too short.
    rows = np.arange(-(-length // size) * size).reshape(-1, size) % length
    batches = (map_batch(partial(np.take, indices=row, axis=0), inputs) for row in rows)
    outputs = [side_by_side(call(_as_taken(model, batch))) for batch in batches]
    return np.concatenate(outputs)[:length]


def _as_taken(model: Any, inputs: Batch) -> Any:
    """Return a batch as a model takes it, which may be a list in the order of its inputs.

    Keras would look in a mapping for the names of tensors, which are not those of the layers of
    inputs where a person has given no name.
    """
    if not isinstance(inputs, Mapping) or isinstance(model.input, Mapping):
        return inputs
    histories = [tensor._keras_history for tensor in model.inputs]  # noqa: SLF001 - what a tensor is of
    # Keras 2 has layers there.
    owners = [getattr(history, "operation", None) or history.layer for history in histories]
    return [inputs[owner.name] for owner in owners]


def side_by_side(outputs: Any) -> Array:
    """Return the output of a model, or several as (batch, all of their numbers)."""
    match outputs:
        case dict():
            several = list(outputs.values())
        case list() | tuple():
            several = list(outputs)
        case _:
            return np.asarray(outputs)
    arrays = [np.asarray(output) for output in several]
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)


def precision(model: Any) -> str:
    """Return the least exact dtype in which a layer of a live model computes."""
    keras = sys.modules.get("keras")
    # On other engines than TensorFlow, float64 is float32 unless they are told otherwise.
    exact = keras is None or not isinstance(model, keras.Model) or engine(keras) == "tensorflow"
    # Also those of layers inside wrappers, which have a dtype of their own.
    layers = [model, *model._flatten_layers()]  # noqa: SLF001 - in Keras 3 and in tf_keras
    dtypes = {str(getattr(layer, "compute_dtype", "")) for layer in layers}
    return least_exact(dtypes if exact else {*dtypes, "float32"})


def engine(keras: Any) -> str:
    """Return the name of the engine that Keras runs on."""
    return str(keras.backend.backend())
