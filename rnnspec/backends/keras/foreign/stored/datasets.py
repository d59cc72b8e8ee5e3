"""The numbers of an array in an HDF5 file, in one piece or in chunks."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from itertools import product
from struct import unpack_from
from typing import TYPE_CHECKING, Any

import numpy as np
from pyfive.btree import BTreeV1RawDataChunks

from rnnspec.backends.keras.foreign.stored.objects import NOWHERE, Dataset, shape_of
from rnnspec.backends.keras.foreign.stored.stream import BrokenError
from rnnspec.files.headers import HeaderError, bytes_of

if TYPE_CHECKING:
    from rnnspec.backends.keras.foreign.stored.stream import Stream
    from rnnspec.slots import Array

_FLOAT, _DEFLATE, _SHUFFLE = 1, 1, 2
_CLASSES = {0: "integers", 3: "text", 6: "records", 8: "an enumeration", 9: "text or lists"}
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
    """An array of floating-point numbers; ``at`` is its address, or that of the index of chunks.

    ``chunk`` is the shape of a chunk, None if the array is in one piece.
    """

    stream: Stream
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    at: int
    compact: bytes | None = None
    chunk: tuple[int, ...] | None = None
    filters: tuple[int, ...] = ()

    def read(self) -> Array:
        """Return the array.

        Raises:
            BrokenError: it is not there, or is larger than it can be in a file of this size.
        """
        if self.chunk is not None:
            array = self._read_chunks(self.chunk)
        else:
            self.stream.unpack(math.prod(self.shape) * self.dtype.itemsize)
            array = np.empty(self.shape, self.dtype)
            if self.compact is None:
                self.stream.read_into(array, self.at)
            else:
                array.reshape(-1).view("u1")[:] = np.frombuffer(self.compact, "u1", array.nbytes)
        return array.astype(self.dtype.newbyteorder("="), copy=False)

    def _read_chunks(self, chunk: tuple[int, ...]) -> Array:
        places = self._places(chunk)
        size = math.prod(chunk) * self.dtype.itemsize
        self.stream.unpack(size * len(places) + sum(packed for *_, packed in places.values()))
        array = np.empty(self.shape, self.dtype)
        for corner, (skipped, at, packed) in places.items():
            part = self._read_chunk(chunk, at, packed, skipped)
            inside = tuple(slice(start, start + n) for start, n in zip(corner, chunk, strict=True))
            room = array[inside]
            room[...] = part[tuple(map(slice, room.shape))]
        return array

    def _places(self, chunk: tuple[int, ...]) -> dict[tuple[int, ...], tuple[int, int, int]]:
        """Return the skipped filters, the place and the size of each chunk by its corner."""
        numbers = [-(-whole // part) for whole, part in zip(self.shape, chunk, strict=True)]
        found = {}
        if math.prod(numbers):
            tree = BTreeV1RawDataChunks(self.stream, self.at, len(chunk) + 1)
            for node in tree.all_nodes[0]:
                for key, at in zip(node["keys"], node["addresses"], strict=True):
                    corner = key["chunk_offset"][:-1]
                    found[corner] = key["filter_mask"], at, key["chunk_size"]
        # Compared in number first: the numbers that a header claims may be huge.
        if len(found) != math.prod(numbers) or found.keys() != {
            tuple(at * n for at, n in zip(ats, chunk, strict=True))
            for ats in product(*map(range, numbers))
        }:
            raise BrokenError(f"expected {math.prod(numbers):,} chunks, received {len(found):,}")
        return found

    def _read_chunk(self, chunk: tuple[int, ...], at: int, packed: int, skipped: int) -> Array:
        size = math.prod(chunk) * self.dtype.itemsize
        data = np.empty(packed, "u1")
        self.stream.read_into(data, at)
        for place, each in reversed(list(enumerate(self.filters))):
            if skipped >> place & 1:
                continue
            if each == _DEFLATE:
                unpacker = zlib.decompressobj()
                data = np.frombuffer(unpacker.decompress(data.data, size + 1), "u1")
                if not unpacker.eof:
                    raise BrokenError("a chunk is cut short, or too long")
            elif len(data) == size:
                # The first bytes of all numbers come first, then the second ones.
                data = np.ascontiguousarray(data.reshape(self.dtype.itemsize, -1).T).reshape(-1)
        if len(data) != size:
            raise BrokenError(f"expected a chunk of {size:,} bytes, received {len(data):,}")
        return data.view(self.dtype).reshape(chunk)


def numbers_of(stream: Stream, dataset: Dataset) -> Numbers:
    """Return the array of a dataset, which is read later.

    Raises:
        BrokenError: its header is broken.
        UnreadableError: it is none of floating-point numbers, is elsewhere, or is not complete.
    """
    shape, dtype = shape_of(dataset.space), _dtype(dataset.type)
    if shape is None:
        raise UnreadableError("expected an array, received an empty one")
    version, kind = unpack_from("<BB", dataset.layout)
    if version not in (3, 4):
        raise UnreadableError(f"expected a layout of version 3 or 4, received {version}")
    if dataset.external or kind == 3:
        raise UnreadableError("expected an array in this file, received one elsewhere")
    try:
        size = bytes_of(shape, dtype.itemsize)
    except HeaderError as error:
        raise UnreadableError(str(error)) from None
    match kind:
        case 0:
            (held,) = unpack_from("<H", dataset.layout, 2)
            compact = dataset.layout[4 : 4 + held]
            _check_held(shape, size, len(compact))
            return Numbers(stream, shape, dtype, 0, compact)
        case 1:
            at, held = unpack_from("<QQ", dataset.layout, 2)
            _check_held(shape, size, 0 if at == NOWHERE else min(held, max(0, stream.size - at)))
            return Numbers(stream, shape, dtype, at)
        case 2 if version == 3:
            axes, at = unpack_from("<BQ", dataset.layout, 2)
            *chunk, itemsize = unpack_from(f"<{axes}I", dataset.layout, 11)
            if len(chunk) != len(shape) or itemsize != dtype.itemsize or 0 in chunk:
                raise BrokenError("chunks are not those of their array")
            _check_filters(dataset.filters)
            _check_held(shape, size, 0 if at == NOWHERE else size)
            return Numbers(stream, shape, dtype, at, None, tuple(chunk), dataset.filters)
        case _:
            message = "expected chunks as h5py writes them without libver='latest', received others"
            raise UnreadableError(message)


def _dtype(message: bytes) -> np.dtype[Any]:
    if len(message) < 20 or message[0] & 15 != _FLOAT:
        kind = _CLASSES.get(message[0] & 15, "others") if message else "others"
        raise UnreadableError(f"expected floating-point numbers, received {kind}")
    _, order, sign, _, size = unpack_from("<BBBBI", message)
    # The first bit is the byte order; the next say what unused bits are, of which there are none.
    if order & 0b1111_0000 != 0b0010_0000 or _FLOATS.get(size) != (
        sign,
        unpack_from("<HHBBBBI", message, 8),
    ):
        raise UnreadableError("expected float16, float32 or float64, received other numbers")
    return np.dtype(f"{'>' if order & 1 else '<'}f{size}")


def _check_filters(filters: tuple[int, ...]) -> None:
    for each in filters:
        if each not in (_DEFLATE, _SHUFFLE):
            message = f"expected gzip as compression, received the filter {each} of HDF5"
            raise UnreadableError(message)


def _check_held(shape: tuple[int, ...], size: int, held: int) -> None:
    if size > held:
        raise UnreadableError(f"expected {size:,} bytes for {shape}, received {held:,}")
