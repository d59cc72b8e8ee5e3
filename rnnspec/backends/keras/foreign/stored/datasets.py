"""Arrays in an HDF5 file: their types and layouts, and their numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from struct import unpack_from
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.keras.foreign.stored import chunks
from rnnspec.backends.keras.foreign.stored.chunks import Chunks
from rnnspec.backends.keras.foreign.stored.objects import NOWHERE, Dataset, shape_of
from rnnspec.backends.keras.foreign.stored.stream import BrokenError
from rnnspec.files.arrays import HeaderError, bytes_of

if TYPE_CHECKING:
    from rnnspec.backends.keras.foreign.stored.stream import Stream
    from rnnspec.slots import Array

_FLOAT = 1
_KINDS = {0: "integers", 3: "text", 6: "records", 8: "an enumeration", 9: "text"}
# By their size: the place of the sign; the precision, the places and widths of exponent and
# mantissa, and the bias of the exponent. Of two bytes there are others, such as bfloat16.
_FLOATS = {
    2: (15, (0, 16, 10, 5, 0, 10, 15)),
    4: (31, (0, 32, 23, 8, 0, 23, 127)),
    8: (63, (0, 64, 52, 11, 0, 52, 1023)),
}


class UnreadableError(Exception):
    """An array that is not of a kind that is read; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """An array of floating-point numbers: bytes of the header, an address, or chunks."""

    stream: Stream
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    held: bytes | int | Chunks

    def read(self) -> Array:
        """Return the array.

        Raises:
            BrokenError: it is not there, or is larger than it can be in a file of this size.
        """
        if isinstance(self.held, Chunks):
            array = self.held.read(self.stream)
        else:
            size = math.prod(self.shape) * self.dtype.itemsize
            self.stream.unpack(size)
            if isinstance(self.held, int):
                array = self.stream.array(self.shape, self.dtype, self.held)
            else:
                array = np.frombuffer(bytearray(self.held[:size]), self.dtype).reshape(self.shape)
        return array.astype(self.dtype.newbyteorder("="), copy=False)


def numbers_of(stream: Stream, dataset: Dataset) -> Numbers:
    """Return the array of a dataset, which is read later.

    Raises:
        BrokenError: its header is broken.
        UnreadableError: it is none of floating-point numbers, is elsewhere, or is not complete.
    """
    shape, dtype, layout = shape_of(dataset.space), _dtype(dataset.type), dataset.layout
    if shape is None:
        raise UnreadableError("expected an array, received an empty one")
    try:
        size = bytes_of(shape, dtype.itemsize)
    except HeaderError as error:
        raise UnreadableError(str(error)) from None
    version, kind = unpack_from("<BB", layout)
    if dataset.external or kind > 2:
        raise UnreadableError("expected an array in this file, received one elsewhere")
    held: bytes | int | Chunks
    match version, kind:
        case 3 | 4, 0:
            (there,) = unpack_from("<H", layout, 2)
            held = layout[4 : 4 + there]
            there = len(held)
        case 3 | 4, 1:
            at, there = unpack_from("<QQ", layout, 2)
            held, there = at, 0 if at == NOWHERE else min(there, max(0, stream.size - at))
        case 3 | 4, _:
            held = (_chunks if version == 3 else _new_chunks)(dataset, shape, dtype)
            there = 0 if held.at == NOWHERE else size
        case _:
            raise UnreadableError(f"expected a layout of version 3 or 4, received {version}")
    if size > there:
        raise UnreadableError(f"expected {size:,} bytes for {shape}, received {there:,}")
    return Numbers(stream, shape, dtype, held)


def _dtype(message: bytes) -> np.dtype[Any]:
    if len(message) < 20 or message[0] & 15 != _FLOAT:
        kind = _KINDS.get(message[0] & 15, "others") if message else "others"
        raise UnreadableError(f"expected floating-point numbers, received {kind}")
    _, order, sign, _, size = unpack_from("<BBBBI", message)
    # The first bit is the byte order; the next say what unused bits are, of which there are none.
    if order & 0b1111_0000 != 0b0010_0000 or _FLOATS.get(size) != (
        sign,
        unpack_from("<HHBBBBI", message, 8),
    ):
        raise UnreadableError("expected float16, float32 or float64, received other numbers")
    return np.dtype(f"{'>' if order & 1 else '<'}f{size}")


def _chunks(dataset: Dataset, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Chunks:
    axes, at = unpack_from("<BQ", dataset.layout, 2)
    part = unpack_from(f"<{axes}I", dataset.layout, 11)
    _check_chunks(dataset, shape, dtype, part)
    return Chunks(shape, part[:-1], dtype, dataset.filters, chunks.TREE, at)


def _new_chunks(dataset: Dataset, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Chunks:
    layout = dataset.layout
    flags, axes, width = layout[2:5]
    end = 5 + axes * width
    part = tuple(
        int.from_bytes(layout[at : at + width], "little") for at in range(5, end, max(1, width))
    )
    _check_chunks(dataset, shape, dtype, part)
    index, single = layout[end], None
    end += 1
    if index == chunks.SINGLE and flags & 2:
        single = unpack_from("<QI", layout, end)
        end += 12
    elif index == chunks.FIXED:
        end += 1  # the number of elements in a page, which is in the index too
    # The first flag: chunks at the end of an axis are not packed.
    if index not in (chunks.SINGLE, chunks.IMPLICIT, chunks.FIXED) or flags & 1:
        raise UnreadableError("expected an array of fixed size, received one that can grow")
    (at,) = unpack_from("<Q", layout, end)
    return Chunks(shape, part[:-1], dtype, dataset.filters, index, at, single)


def _check_chunks(
    dataset: Dataset, shape: tuple[int, ...], dtype: np.dtype[Any], part: tuple[int, ...]
) -> None:
    if len(part) != len(shape) + 1 or part[-1] != dtype.itemsize or 0 in part:
        raise BrokenError("chunks are not those of their array")
    for each in dataset.filters:
        if each not in (chunks.DEFLATE, chunks.SHUFFLE):
            message = f"expected gzip as compression, received the filter {each} of HDF5"
            raise UnreadableError(message)
