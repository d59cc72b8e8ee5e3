"""The batch that a network is run on: random, with every pattern of padding, or a given one.

It is one array, or a mapping of them if the network has named inputs.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np

from rnnspec.backends.slots import as_batch
from rnnspec.comparison.reference import padding_mask, steps_of
from rnnspec.errors import UsageError, brief, listed
from rnnspec.errors.arguments import received
from rnnspec.files.arrays import HeaderError, npy_array
from rnnspec.files.regular import opened
from rnnspec.ir.nodes import (
    Input,
    LabelInput,
    Network,
    NumericInput,
    SequenceInput,
    TokenInput,
    VectorInput,
    equal_steps,
    least_steps,
    least_steps_by_input,
)
from rnnspec.machine.memory import check_memory
from rnnspec.weights.caller_arrays import ArrayError, as_array, refuse

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import ArrayLike

    from rnnspec.backends.slots import Array, Batch

    CallerBatch = ArrayLike | Mapping[str, ArrayLike]

ROWS = 6
STEPS_OF_ANY_LENGTH = 12


def steps_to_draw(network: Network) -> int:
    """Return a number of steps that shows faults, if the network takes any number."""
    return max(STEPS_OF_ANY_LENGTH, 3 * least_steps(network))


def draw_batch(
    network: Network,
    rng: np.random.Generator,
    length: int = STEPS_OF_ANY_LENGTH,
    most: int | None = None,
) -> Batch:
    """Return random values of each input, as in ``draw_input``.

    ``length`` is the number of steps of the first input that takes any; another one whose steps are
    not joined with those has one step more, if that is not more than ``most``. Inputs that are
    joined differ in their padding.

    Raises:
        OutOfMemoryError: the batch does not fit into memory.
    """
    first = equal_steps(network)
    fixed = {
        first[network_input.name]: network_input.steps
        for network_input in network.inputs
        if isinstance(network_input, SequenceInput) and network_input.steps is not None
    }
    free = [name for name in dict.fromkeys(first.values()) if name not in fixed]
    longer = {name: length + number for number, name in enumerate(free)}
    lengths = fixed | {name: min(steps, most or steps) for name, steps in longer.items()}
    return as_batch(
        {
            network_input.name: draw_input(
                network_input, rng, lengths.get(first.get(network_input.name, ""), 0), number % 2
            )
            for number, network_input in enumerate(network.inputs)
        }
    )


def draw_input(
    network_input: Input,
    rng: np.random.Generator,
    length: int = STEPS_OF_ANY_LENGTH,
    shift: int = 0,
) -> Array:
    """Return tokens (batch, steps) as int32, or numbers (batch, steps, features) as float64.

    Of an input without time steps, these are labels (batch,) or numbers (batch, features).
    If the input has a mask, the padding of the sequences is: none, right, left, inside, all but
    one step, and all steps. Real steps sometimes contain the mask value, but not in every feature.
    ``length`` is the number of steps if the network takes any. All patterns of padding but the
    first move on by ``shift`` sequences.

    Raises:
        OutOfMemoryError: the batch does not fit into memory.
    """
    match network_input:
        case VectorInput(features=features):
            check_memory(8 * ROWS * features, f"{ROWS} vectors of {features:,} features")
            return rng.standard_normal((ROWS, features))
        case LabelInput(vocabulary=size):
            return rng.integers(0, size, ROWS).astype(np.int32)
        case _:
            pass
    steps = length if network_input.steps is None else network_input.steps
    # Both are drawn with 8 bytes a number.
    width = network_input.features if isinstance(network_input, NumericInput) else 1
    check_memory(8 * ROWS * steps * width, f"{ROWS} sequences of {steps:,} steps")
    real = _padding(rng, steps) if network_input.masked else np.ones((ROWS, steps), dtype=bool)
    real[1:] = np.roll(real[1:], shift, axis=0)
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


def longest_of(network: Network, batch: Batch) -> int:
    """Return the largest number of steps of an input, or 1 if none has steps."""
    return max(steps_of(network, batch).values(), default=1)


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


def read_batch(path: str | os.PathLike[str]) -> Batch:
    """Return the array in a .npy file; its numbers are read when they are used.

    Of a .npz file, it returns all arrays by name. Nothing is unpickled.

    Raises:
        UsageError: the file cannot be read, or does not contain an array of numbers.
        OutOfMemoryError: the arrays do not fit into memory.
    """
    with opened(Path(path)) as (stream, size):
        try:
            if is_zipfile(stream):
                return _read_npz(stream, os.fspath(path))
            stream.seek(0)
            return npy_array(stream, size).map(stream)
        except HeaderError as error:
            raise UsageError(str(error), os.fspath(path)) from None


def _read_npz(stream: BinaryIO, path: str) -> dict[str, Array]:
    try:
        with ZipFile(stream) as archive:
            members = archive.infolist()
            if not members:
                raise HeaderError(
                    "expected a .npz file with an array for each input, received none"
                )
            check_memory(sum(member.file_size for member in members), f"the arrays in {path}")
            return {
                member.filename.removesuffix(".npy"): _read_member(archive.read(member))
                for member in members
            }
    # An unknown compression, or a password.
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"expected a .npz file, received {brief(error)}", path) from None


def _read_member(content: bytes) -> Array:
    place = npy_array(BytesIO(content), len(content))
    order: Any = "F" if place.fortran else "C"
    return np.ndarray(place.shape, place.dtype, content, place.start, order=order)


def checked_batch(network: Network, values: CallerBatch, source: str) -> Batch:
    """Return a given batch in the dtype of ``draw_batch``; messages call it ``source``.

    Numbers are rounded to float32, because models in use receive float32.

    Raises:
        UsageError: its shape or dtype does not fit the network, or it contains a token outside the
            vocabulary, a number that is not finite, or nothing but padding; or its arrays are not
            those of the inputs.
    """
    try:
        one = network.takes_one_array
        batch = _check_input(network.input, values) if one else _check_inputs(network, values)
    except ArrayError as error:
        raise UsageError(str(error), source) from None
    least = least_steps_by_input(network)
    for name, steps in steps_of(network, batch).items():
        if steps < least[name]:
            of = network.prefix(name, ": ")
            message = f"{of}expected at least {least[name]} steps, received {steps}"
            raise UsageError(message, source)
    return batch


def _check_inputs(network: Network, values: CallerBatch) -> dict[str, Array]:
    names = [network_input.name for network_input in network.inputs]
    if not isinstance(values, Mapping):
        what = f"a mapping, or a .npz file, with an array for {listed(names)}"
        raise ArrayError(f"expected {what}, received {received(values)}")
    if set(values) != set(names):
        there = listed(sorted(map(str, values))) if values else "none"
        raise ArrayError(f"expected arrays for {listed(names)}, received {there}")
    batch: dict[str, Array] = {}
    for network_input in network.inputs:
        try:
            batch[network_input.name] = _check_input(network_input, values[network_input.name])
        except ArrayError as error:
            raise ArrayError(f"{network_input.name}: {error}") from None
    rows = {name: len(array) for name, array in batch.items()}
    steps, first = steps_of(network, batch), equal_steps(network)
    for what, numbers, same in (
        ("sequences", rows, dict.fromkeys(names, names[0])),
        ("steps", steps, first),
    ):
        for name, other in same.items():
            if numbers[name] != numbers[other]:
                expected = f"expected as many {what} as in {other}, {numbers[other]}"
                raise ArrayError(f"{name}: {expected}, received {numbers[name]}")
    return batch


def _check_input(network_input: Input, values: Any) -> Array:
    if isinstance(values, Mapping):
        raise ArrayError(
            f"expected one array, received arrays for {listed(list(map(str, values)))}"
        )
    batch = as_array(values)
    axes, kind = ("rows", *network_input.shape), batch.dtype.kind
    shape = f"({', '.join('steps' if size is None else str(size) for size in axes)})"
    integers = isinstance(network_input, TokenInput | LabelInput)
    what = "tokens" if isinstance(network_input, TokenInput) else "labels"
    what, kinds = (what, "iu") if integers else ("numbers", "iuf")
    sizes = zip(network_input.shape, batch.shape[1:], strict=False)
    fits = batch.ndim == len(axes) and all(size in (None, length) for size, length in sizes)
    if not fits or 0 in batch.shape or kind not in kinds:
        what_came = f"{brief(batch.dtype)} of {batch.shape}"
        raise ArrayError(f"expected {what} of shape {shape}, received {what_came}")
    batch = _convert(network_input, batch)
    if network_input.masked and not padding_mask(network_input, batch).any():
        raise ArrayError("expected a step that is no padding, received padding alone")
    return batch


def _convert(network_input: Input, batch: Array) -> Array:
    match network_input:
        case TokenInput(vocabulary=size) | LabelInput(vocabulary=size):
            what = "tokens" if isinstance(network_input, TokenInput) else "labels"
            refuse(batch, (batch < 0) | (batch >= size), f"{what} in [0, {size})")
            return batch.astype(np.int32)
        case NumericInput() | VectorInput():
            with np.errstate(over="ignore"):
                rounded = batch.astype(np.float32)
            refuse(batch, ~np.isfinite(rounded), "numbers that float32 can hold")
            # In float32 and in float64, the models then receive exactly the same numbers.
            return rounded.astype(np.float64)
        case _:
            assert_never(network_input)
