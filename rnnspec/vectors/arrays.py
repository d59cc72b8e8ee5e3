"""Word vectors from .npy and .safetensors files, with the same rows as the embedding."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.errors import Problem, SpecError, brief
from rnnspec.files.headers import FLOATS, HeaderError, safetensors_arrays
from rnnspec.files.npy import npy_array
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.files.headers import Stored
    from rnnspec.slots import Array
    from rnnspec.vectors.lines import Progress
    from rnnspec.vectors.table import Vectors

# Bytes that are copied between two calls of the progress function.
_BLOCK = 2**22


def read_npy(vectors: Vectors, progress: Progress) -> None:
    """Fill ``vectors`` from a .npy file; nothing in it is unpickled.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is truncated, or is not an array of floating-point numbers of the right shape.
    """
    with opened(vectors.path, vectors.inside) as (stream, size):
        with _reported(vectors):
            stored = npy_array(stream, size)
        if stored.dtype.kind != "f":
            message = f"expected floating-point numbers, received {stored.dtype}"
            raise _wrong(vectors, "E626", message)
        _fill(vectors, stored.map(stream), progress)


def read_safetensors(vectors: Vectors, progress: Progress) -> None:
    """Fill ``vectors`` from the array ``embeddings`` of a safetensors file, or its only matrix.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is truncated, or has no matrix of floating-point numbers of the right shape.
    """
    with opened(vectors.path, vectors.inside) as (stream, size):
        with _reported(vectors):
            arrays = safetensors_arrays(stream, size)
        stored = arrays[_choose_array(vectors, arrays)]
        if stored.type not in FLOATS:
            message = f"expected {', '.join(FLOATS)} numbers, received {brief(stored.type)}"
            raise _wrong(vectors, "E626", message)
        _fill(vectors, stored.map(stream), progress)


def _choose_array(vectors: Vectors, arrays: dict[str, Stored]) -> str:
    if "embeddings" in arrays:
        return "embeddings"
    # Types that cannot be read count too, so that the error is about the type.
    matrices = [
        name for name, array in arrays.items() if len(array.shape) == 2 and "F" in array.type
    ]
    if len(matrices) != 1:
        names = brief(", ".join(repr(name) for name in sorted(matrices)[:5]) or "none")
        message = f"expected one float matrix, or one called 'embeddings', received {names}"
        raise _wrong(vectors, "E625", message)
    return matrices[0]


def _fill(vectors: Vectors, source: Array, progress: Progress) -> None:
    shape = source.shape
    _check_shape(vectors, shape)
    for row in vectors.words.rows.values():
        vectors.found[row] = row < shape[0]
    size = 4 * vectors.dim
    step = max(1, _BLOCK // size)
    for start in range(0, shape[0], step):
        stop = min(start + step, shape[0])
        vectors.rows[start:stop] = source[start:stop]
        # After the conversion to float32, in which a float64 may overflow.
        _check_finite(vectors, start, stop)
        progress(stop * size, shape[0] * size)


def _check_shape(vectors: Vectors, shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or shape[1] != vectors.dim:
        wanted = f"({vectors.words.lines}, {vectors.dim})"
        raise _wrong(vectors, "E625", f"expected the shape {wanted}, received {shape}")
    # Fewer rows are accepted: the last words then have no vector.
    if shape[0] > vectors.words.lines:
        message = (
            f"expected at most {vectors.words.lines:,} rows, one for each line of "
            f"{vectors.words.path}, received {shape[0]:,}"
        )
        raise _wrong(vectors, "E625", message)


def _check_finite(vectors: Vectors, start: int, stop: int) -> None:
    wrong = vectors.found[start:stop] & ~np.isfinite(vectors.rows[start:stop]).all(axis=1)
    if wrong.any():
        row = start + int(wrong.argmax())
        message = "expected finite numbers that float32 can hold, received others"
        raise _wrong(vectors, "E626", message, f"row {row}")


@contextmanager
def _reported(vectors: Vectors) -> Iterator[None]:
    try:
        yield
    except HeaderError as error:
        raise _wrong(vectors, "E624", str(error)) from None


def _wrong(vectors: Vectors, code: str, message: str, where: str = "") -> SpecError:
    return SpecError((Problem(str(vectors.path), message, where, code=code),))
