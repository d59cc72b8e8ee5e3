"""Word vectors as an array whose rows are those of the embedding: .npy and .safetensors."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy
from safetensors import SafetensorError, safe_open

from rnnspec.errors import Problem, SpecError
from rnnspec.vectors.lines import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.vectors.lines import Progress
    from rnnspec.vectors.read import Vectors

_BLOCK = 2**22
_LONGEST_HEADER = 10_000
_FLOATS = ("F16", "F32", "F64")
_BROKEN = (SafetensorError, ValueError, TypeError, OverflowError, SyntaxError, TokenError)


def read_npy(vectors: Vectors, progress: Progress) -> None:
    """Fill ``vectors`` from a .npy file; nothing in it is unpickled.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is cut short, or no array of floating-point numbers of the right shape.
    """
    with (
        opened(vectors.path) as (stream, _),
        _reported(vectors, "a .npy array"),
        warnings.catch_warnings(),
    ):
        _check_header(vectors, stream.read(12))
        # NumPy's advice on headers that Python 2 wrote helps nobody who only reads them.
        warnings.simplefilter("ignore", UserWarning)
        array = npy.open_memmap(vectors.path, mode="r")
    if array.dtype.kind != "f":
        message = f"expected floating-point numbers, received {array.dtype}"
        raise _wrong(vectors, "E626", message)
    _fill(vectors, array, array.shape, progress)


def _check_header(vectors: Vectors, head: bytes) -> None:
    """Refuse what NumPy would refuse with the advice to trust the file and unpickle it."""
    size = int.from_bytes(head[8:10] if head[6:7] == b"\1" else head[8:12], "little")
    if head.startswith(npy.MAGIC_PREFIX) and size > _LONGEST_HEADER:
        message = f"expected a header of at most {_LONGEST_HEADER:,} bytes, received {size:,}"
        raise _wrong(vectors, "E624", message)


def read_safetensors(vectors: Vectors, progress: Progress) -> None:
    """Fill ``vectors`` from a safetensors file: from ``embeddings``, or the only matrix there is.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is cut short, or no array of floating-point numbers of the right shape.
    """
    with (
        opened(vectors.path),
        _reported(vectors, "a safetensors file"),
        safe_open(vectors.path, framework="numpy") as file,
    ):
        tensors = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        tensor = tensors[_chosen(vectors, tensors)]
        if tensor.get_dtype() not in _FLOATS:
            message = f"expected {', '.join(_FLOATS)} numbers, received {tensor.get_dtype()}"
            raise _wrong(vectors, "E626", message)
        _fill(vectors, tensor, tuple(tensor.get_shape()), progress)


def _chosen(vectors: Vectors, tensors: dict[str, Any]) -> str:
    if "embeddings" in tensors:
        return "embeddings"
    matrices = [
        name
        for name, tensor in tensors.items()
        if len(tensor.get_shape()) == 2 and "F" in tensor.get_dtype()
    ]
    if len(matrices) != 1:
        names = ", ".join(repr(name) for name in sorted(matrices)[:5]) or "none"
        message = f"expected one float matrix, or one called 'embeddings', received {names}"
        raise _wrong(vectors, "E625", message)
    return matrices[0]


def _fill(vectors: Vectors, source: Any, shape: tuple[int, ...], progress: Progress) -> None:
    _check_shape(vectors, shape)
    for row in vectors.words.rows.values():
        vectors.found[row] = row < shape[0]
    size = 4 * vectors.dim
    step = max(1, _BLOCK // size)
    for start in range(0, shape[0], step):
        stop = min(start + step, shape[0])
        vectors.rows[start:stop] = source[start:stop]
        _check_finite(vectors, start, stop)
        progress(stop * size, shape[0] * size)


def _check_shape(vectors: Vectors, shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or shape[1] != vectors.dim:
        wanted = f"({vectors.words.lines}, {vectors.dim})"
        raise _wrong(vectors, "E625", f"expected the shape {wanted}, received {shape}")
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
def _reported(vectors: Vectors, what: str) -> Iterator[None]:
    """Turn what the libraries say of a file that is none of theirs, or cut short, into our error.

    NumPy reads a header as Python literals, and lets out whatever comes of that.
    """
    try:
        yield
    except SpecError:
        raise
    except _BROKEN as error:
        # The first line says what is wrong; in those after it NumPy gives advice to programmers.
        reason = str(error).partition("\n")[0]
        raise _wrong(vectors, "E624", f"expected {what} that is whole: {reason}") from None


def _wrong(vectors: Vectors, code: str, message: str, where: str = "") -> SpecError:
    return SpecError((Problem(str(vectors.path), message, where, code=code),))
