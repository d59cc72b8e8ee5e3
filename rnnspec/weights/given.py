"""Arrays as callers give them: lists, NumPy's arrays, and those of any framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.arguments import received
from rnnspec.errors import brief

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.slots import Array

KEPT = {
    "float16": np.float16,
    "bfloat16": np.float32,
    "float32": np.float32,
    "float64": np.float64,
}
"""By the type of a model's numbers, NumPy's type that holds them: it has no bfloat16 of its own."""

_BFLOAT16_INFINITE = 2.0**128 - 2.0**119
"""The smallest float32 that rounds to infinity in bfloat16, whose fraction has 7 bits."""


class ArrayError(Exception):
    """An array that is not what was expected; the text says what was received."""


def as_array(value: Any) -> Array:
    """Return what was given as NumPy's array.

    A tensor is taken from its device and its graph of gradients. The floats of 16 bits and less
    that NumPy lacks become float32, which holds them exactly.

    Raises:
        ArrayError: no array can be made of it.
    """
    if np.ma.is_masked(value):
        raise ArrayError("expected numbers, received an array with masked entries")
    try:
        array = np.asarray(_detached(value))
    except Exception as error:  # whatever a framework's own conversion raises
        what = received(value)
        raise ArrayError(f"expected numbers, received {what}: {brief(error)}") from error
    # The types of the package ml_dtypes, as JAX and TensorFlow give them, are of no kind to NumPy.
    if array.dtype.kind == "V" and array.dtype.type is not np.void:
        return array.astype(np.float32)
    return array


def _detached(value: Any) -> Any:
    """Return a tensor of PyTorch's as an array, anything else as it is."""
    if not hasattr(value, "detach"):
        return value
    small = value.is_floating_point() and value.element_size() < 4
    return (value.float() if small else value).numpy(force=True)


def real_array(given: Callable[[], Any], shape: tuple[int, ...]) -> Array:
    """Return an array of real numbers of this shape; ``given`` may fail, as a broken file does.

    Raises:
        ArrayError: it is another.
    """
    try:
        value = given()
    except Exception as error:
        raise ArrayError(f"expected an array, received an error: {brief(error)}") from error
    array = as_array(value)
    if array.dtype.kind not in "fiu":
        found = brief(array.dtype) if array.ndim else received(value)
        raise ArrayError(f"expected numbers, received {found}")
    if array.shape != shape:
        raise ArrayError(f"expected the shape {shape}, received {array.shape}")
    return array


def as_kept(array: Array, dtype: str) -> Array:
    """Return a copy with the numbers of a model whose type is ``dtype``.

    An infinity or NaN that was given stays one.

    Raises:
        ArrayError: a finite number would become infinite.
    """
    with np.errstate(over="ignore"):
        kept = array.astype(KEPT[dtype])
    infinite = np.abs(kept) >= (_BFLOAT16_INFINITE if dtype == "bfloat16" else np.inf)
    refuse(array, infinite & np.isfinite(array), f"numbers that {dtype} can hold")
    return kept


def refuse(array: Array, wrong: Array, wanted: str) -> None:
    """Raise ArrayError for the first number that is wrong, with its place."""
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = ", ".join(map(str, at))
        raise ArrayError(f"[{where}]: expected {wanted}, received {array[at]}")
