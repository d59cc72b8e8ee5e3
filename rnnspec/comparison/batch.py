"""The batch that a network is run on: random, with every pattern of padding, or a given one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import numpy as np

from rnnspec.comparison.reference import padding_mask
from rnnspec.errors import UsageError, brief
from rnnspec.files.arrays import HeaderError, npy_array
from rnnspec.files.regular import opened
from rnnspec.ir.nodes import Input, Network, NumericInput, TokenInput, least_steps
from rnnspec.memory import check_memory
from rnnspec.weights.caller_arrays import ArrayError, as_array, refuse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from rnnspec.slots import Array

ROWS = 6
STEPS_OF_ANY_LENGTH = 12


def steps_to_draw(network: Network) -> int:
    """Return a number of steps that shows faults, if the network takes any number."""
    return max(STEPS_OF_ANY_LENGTH, 3 * least_steps(network))


def draw_batch(
    network_input: Input, rng: np.random.Generator, length: int = STEPS_OF_ANY_LENGTH
) -> Array:
    """Return tokens (batch, steps) as int32, or numbers (batch, steps, features) as float64.

    If the input has a mask, the padding of the sequences is: none, right, left, inside, all but
    one step, and all steps. Real steps sometimes contain the mask value, but not in every feature.
    ``length`` is the number of steps if the network takes any.

    Raises:
        OutOfMemoryError: the batch does not fit into memory.
    """
    steps = length if network_input.steps is None else network_input.steps
    # Both are drawn with 8 bytes a number.
    width = network_input.features if isinstance(network_input, NumericInput) else 1
    check_memory(8 * ROWS * steps * width, f"{ROWS} sequences of {steps:,} steps")
    real = _padding(rng, steps) if network_input.masked else np.ones((ROWS, steps), dtype=bool)
    match network_input:
        case TokenInput(vocabulary=size):
            # With a mask, token 0 at a real step would be one more step of padding.
            first = 1 if network_input.masked and size > 1 else 0
            return np.where(real, rng.integers(first, size, real.shape), 0).astype(np.int32)
        case NumericInput(features=features, mask_value=value):
            numbers = rng.standard_normal((*real.shape, features))
            if value is None:
                return numbers
            if features > 1:
                # Finds a backend that takes a step for padding if any feature, not every one, has
                # the value.
                numbers[..., 0] = np.where(rng.random(real.shape) < 0.5, value, numbers[..., 0])
            return np.where(real[..., np.newaxis], numbers, value)
        case _:
            assert_never(network_input)


def _padding(rng: np.random.Generator, steps: int) -> Array:
    """Return the mask, (batch, steps), true at real steps."""
    at = np.arange(steps)
    # Less than all steps, if there are more than one.
    cut = rng.integers(1, max(steps, 2))
    # Padding between real steps, if there are enough of them.
    holes = rng.random(steps) < 0.5
    if steps > 2:
        holes[[0, -1]] = True
        holes[rng.integers(1, steps - 1)] = False
    rows = [
        np.ones(steps, dtype=bool),
        at < cut,
        at >= steps - cut,
        holes,
        at == rng.integers(0, steps),
        np.zeros(steps, dtype=bool),
    ]
    return np.stack(rows)


def read_batch(path: str | os.PathLike[str]) -> Array:
    """Return the array in a .npy file; its numbers are read when they are used.

    Nothing in it is unpickled.

    Raises:
        UsageError: the file cannot be read, or does not contain an array of numbers.
    """
    with opened(Path(path)) as (stream, size):
        try:
            return npy_array(stream, size).map(stream)
        except HeaderError as error:
            raise UsageError(str(error), os.fspath(path)) from None


def checked_batch(network: Network, values: ArrayLike, source: str) -> Array:
    """Return a given batch in the dtype of ``draw_batch``; messages call it ``source``.

    Numbers are rounded to float32, because models in use receive float32.

    Raises:
        UsageError: its shape or dtype does not fit the network, or it contains a token outside the
            vocabulary, a number that is not finite, or nothing but padding.
    """
    try:
        batch = _check(network.input, as_array(values))
    except ArrayError as error:
        raise UsageError(str(error), source) from None
    least = least_steps(network)
    if batch.shape[1] < least:
        message = f"expected at least {least} steps, received {batch.shape[1]}"
        raise UsageError(message, source)
    return batch


def _check(network_input: Input, batch: Array) -> Array:
    axes, kind = ("rows", *network_input.shape), batch.dtype.kind
    shape = f"({', '.join('steps' if size is None else str(size) for size in axes)})"
    what, kinds = ("tokens", "iu") if isinstance(network_input, TokenInput) else ("numbers", "iuf")
    sizes = zip(network_input.shape, batch.shape[1:], strict=False)
    fits = batch.ndim == len(axes) and all(size in (None, length) for size, length in sizes)
    if not fits or 0 in batch.shape or kind not in kinds:
        received = f"{brief(batch.dtype)} of {batch.shape}"
        raise ArrayError(f"expected {what} of shape {shape}, received {received}")
    batch = _convert(network_input, batch)
    if not padding_mask(network_input, batch).any():
        raise ArrayError("expected a step that is no padding, received padding alone")
    return batch


def _convert(network_input: Input, batch: Array) -> Array:
    match network_input:
        case TokenInput(vocabulary=size):
            refuse(batch, (batch < 0) | (batch >= size), f"tokens in [0, {size})")
            return batch.astype(np.int32)
        case NumericInput():
            with np.errstate(over="ignore"):
                rounded = batch.astype(np.float32)
            refuse(batch, ~np.isfinite(rounded), "numbers that float32 can hold")
            # In float32 and in float64, the models then receive exactly the same numbers.
            return rounded.astype(np.float64)
        case _:
            assert_never(network_input)
