"""The output of a Keras model for a batch of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.slots import Array


def output_of(model: Any, call: Callable[[Array], Any], inputs: Array) -> Array:
    """Return the result of ``call`` for a batch; the model may take batches of one size only."""
    size = model.inputs[0].shape[0] or len(inputs)
    # The rows begin again where a batch would be too short.
    rows = np.arange(-(-len(inputs) // size) * size).reshape(-1, size) % len(inputs)
    return np.concatenate([side_by_side(call(inputs[row])) for row in rows])[: len(inputs)]


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
