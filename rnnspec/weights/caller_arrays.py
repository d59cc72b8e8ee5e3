"""Conversion of arrays from callers: lists, NumPy arrays, and tensors of any framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import brief
from rnnspec.errors.arguments import received

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.backends.slots import Array

MODEL_DTYPES = {
    "float16": np.float16,
    "bfloat16": np.float32,
    "float32": np.float32,
    "float64": np.float64,
}
"""The NumPy dtype for each dtype of a model. NumPy has no bfloat16, and float32 is exact."""

_BFLOAT16_INFINITE = 2.0**128 - 2.0**119
"""The smallest float32 that rounds to infinity in bfloat16, which has 7 fraction bits."""


class ArrayError(Exception):
    """An array is not as expected; the text says what was received."""


def as_array(value: Any) -> Array:
    """Return a value as a NumPy array.

    A tensor is detached and copied to the CPU. Types of 16 bits or less that NumPy does not have
    become float32, which is exact.

    Raises:
        ArrayError: the value cannot be converted.
    """
    # np.asarray drops the mask, so that masked entries would pass as numbers.
    if np.ma.is_masked(value):
        raise ArrayError("expected numbers, received an array with masked entries")
    try:
        if hasattr(value, "detach"):  # a tensor of PyTorch
            small = value.is_floating_point() and value.element_size() < 4
            value = (value.float() if small else value).numpy(force=True)
        array = np.asarray(value)
    except Exception as error:  # a framework may raise anything
        what = received(value)
        raise ArrayError(f"expected numbers, received {what}: {brief(error)}") from error
    # The dtypes of ml_dtypes, which JAX and TensorFlow use, have the kind V, as void does.
    # Source: https://github.com/jax-ml/ml_dtypes/issues/312.
    if array.dtype.kind == "V" and array.dtype.type is not np.void:
        return array.astype(np.float32)
    return array


def real_array(read: Callable[[], Any], shape: tuple[int, ...]) -> Array:
    """Return the array from ``read``, which may raise, for example for a broken file.

    Raises:
        ArrayError: there is no array, it is not real, or it has another shape.
    """
    try:
        value = read()
    except Exception as error:
        raise ArrayError(f"expected an array, received an error: {brief(error)}") from error
    array = as_array(value)
    if array.dtype.kind not in "fiu":
        kind = brief(array.dtype) if array.ndim else received(value)
        raise ArrayError(f"expected numbers, received {kind}")
    if array.shape != shape:
        raise ArrayError(f"expected the shape {shape}, received {array.shape}")
    return array


def round_to_model(array: Array, dtype: str) -> Array:
    """Return a copy rounded to the dtype of a model.

    Infinities and NaN are kept.

    Raises:
        ArrayError: a finite number would become infinite.
    """
    with np.errstate(over="ignore"):
        rounded = array.astype(MODEL_DTYPES[dtype])
    # A bfloat16 model gets float32, so an overflow of bfloat16 would show only in the framework.
    infinite = np.abs(rounded) >= (_BFLOAT16_INFINITE if dtype == "bfloat16" else np.inf)
    refuse(array, infinite & np.isfinite(array), f"numbers that {dtype} can hold")
    return rounded


def refuse(array: Array, wrong: Array, expected: str) -> None:
    """Raise ArrayError with the index of the first number that is wrong."""
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = ", ".join(map(str, at))
        raise ArrayError(f"[{where}]: expected {expected}, received {array[at]}")
