"""Arrays in an HDF5 file: their types and layouts, their chunks, and their numbers."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from itertools import product
from struct import unpack_from
from typing import TYPE_CHECKING, Any

import numpy as np
from pyfive.btree import BTreeV1RawDataChunks

from rnnspec.files.arrays import HeaderError, bytes_of
from rnnspec.importing.keras.hdf5.objects import NOWHERE, Dataset, shape_of
from rnnspec.importing.keras.hdf5.stream import BrokenError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.slots import Array
    from rnnspec.importing.keras.hdf5.stream import Stream


DEFLATE, SHUFFLE = 1, 2
TREE, SINGLE, IMPLICIT, FIXED = 0, 1, 2, 3
"""The indexes: those but the first are what HDF5 has since version 1.10 (``libver="latest"``)."""

_NO_PLACE = 2**64 - 1


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a chunk is, its size there, and the filters that were skipped, as bits."""

    at: int
    size: int
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Chunks:
    """The chunks of an array of ``whole`` elements, each of the shape ``part``.

    ``at`` is the address of the index, or of the only chunk; ``single`` has the size of that, and
    the filters that were skipped, if it is packed.
    """

    whole: tuple[int, ...]
    part: tuple[int, ...]
    dtype: np.dtype[Any]
    filters: tuple[int, ...]
    index: int
    at: int
    single: tuple[int, int] | None = None

    def read(self, stream: Stream) -> Array:
        """Return the array.

        Raises:
            BrokenError: chunks are missing, or not of their size.
        """
        places = self._places(stream)
        stream.unpack(self._size * len(places) + sum(place.size for place in places.values()))
        array = np.empty(self.whole, self.dtype)
        for corner, place in places.items():
            ends = (start + size for start, size in zip(corner, self.part, strict=True))
            room = array[tuple(map(slice, corner, ends))]
            # At the end of an axis, a chunk may be larger than what is left of the array.
            room[...] = self._unpack(stream, place)[tuple(map(slice, room.shape))]
        return array

    @property
    def _size(self) -> int:
        return math.prod(self.part) * self.dtype.itemsize

    def _places(self, stream: Stream) -> dict[tuple[int, ...], _Place]:
        """Return the place of each chunk by its first element."""
        pairs = zip(self.whole, self.part, strict=True)
        axes = [range(0, whole, part) for whole, part in pairs]
        number = math.prod(map(len, axes))
        if not number:
            return {}
        if self.index == TREE:
            chunks = dict(self._in_tree(stream))
        else:
            places = self._in_order(stream, number)
            # Only now, since product makes a list of each axis, however long.
            chunks = dict(zip(product(*axes), places, strict=True))
        missing = any(place.at == _NO_PLACE for place in chunks.values())
        if (
            missing
            or len(chunks) != number
            or not all(corner in chunks for corner in product(*axes))
        ):
            raise BrokenError(f"expected {number:,} chunks, received others or fewer")
        return chunks

    def _in_tree(self, stream: Stream) -> Iterator[tuple[tuple[int, ...], _Place]]:
        tree = BTreeV1RawDataChunks(stream, self.at, len(self.part) + 1)
        for node in tree.all_nodes[0]:
            for key, at in zip(node["keys"], node["addresses"], strict=True):
                place = _Place(at, key["chunk_size"], key["filter_mask"])
                yield key["chunk_offset"][:-1], place

    def _in_order(self, stream: Stream, number: int) -> list[_Place]:
        if self.index == FIXED:
            return list(self._fixed(stream, number))
        if number > (1 if self.index == SINGLE else stream.size // self._size):
            raise BrokenError(f"it has no room for {number:,} chunks")
        if self.single is not None:
            return [_Place(self.at, *self.single)]
        return [_Place(self.at + nth * self._size, self._size) for nth in range(number)]

    def _fixed(self, stream: Stream, number: int) -> Iterator[_Place]:
        """Yield the places in an index of fixed size."""
        stream.seek(self.at)
        head = stream.read(28)
        mark, _, packed, width, bits, entries, block = unpack_from("<4sBBBBQQ", head)
        sizes = width - 12 if packed else 0
        if mark != b"FAHD" or entries != number or not (1 <= sizes <= 8 if packed else width == 8):
            raise BrokenError("the index of chunks is not that of their array")
        stream.seek(block)
        stream.read(14)
        # A large index is in pages, each with a checksum; before them are bits: which are written.
        page = 2**bits
        paged = number > page
        pages = -(-number // page)
        if paged:
            written = stream.read(-(-pages // 8) + 4)
            if any(not written[at // 8] & 128 >> at % 8 for at in range(pages)):
                raise BrokenError("chunks are missing")
        for at in range(pages):
            data = stream.read(min(page, number - at * page) * width + 4)
            for start in range(0, len(data) - 4, width):
                (address,) = unpack_from("<Q", data, start)
                size = int.from_bytes(data[start + 8 : start + 8 + sizes], "little")
                skipped = int.from_bytes(data[start + 8 + sizes : start + width], "little")
                yield _Place(address, size if packed else self._size, skipped)

    def _unpack(self, stream: Stream, place: _Place) -> Array:
        data = stream.array((place.size,), np.dtype("u1"), place.at)
        for at, filter_id in reversed(list(enumerate(self.filters))):
            if place.skipped >> at & 1:
                continue
            if filter_id == DEFLATE:
                unpacker = zlib.decompressobj()
                data = np.frombuffer(unpacker.decompress(data.data, self._size + 1), "u1")
                if not unpacker.eof:
                    raise BrokenError("a chunk is cut short, or too long")
            elif len(data) == self._size:
                # The first bytes of all numbers come first, then the second ones.
                data = np.ascontiguousarray(data.reshape(self.dtype.itemsize, -1).T).reshape(-1)
        if len(data) != self._size:
            raise BrokenError(f"expected a chunk of {self._size:,} bytes, received {len(data):,}")
        return data.view(self.dtype).reshape(self.part)


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
    return Chunks(shape, part[:-1], dtype, dataset.filters, TREE, at)


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
    if index == SINGLE and flags & 2:
        single = unpack_from("<QI", layout, end)
        end += 12
    elif index == FIXED:
        end += 1  # the number of elements in a page, which is in the index too
    # The first flag: chunks at the end of an axis are not packed.
    if index not in (SINGLE, IMPLICIT, FIXED) or flags & 1:
        raise UnreadableError("expected an array of fixed size, received one that can grow")
    (at,) = unpack_from("<Q", layout, end)
    return Chunks(shape, part[:-1], dtype, dataset.filters, index, at, single)


def _check_chunks(
    dataset: Dataset, shape: tuple[int, ...], dtype: np.dtype[Any], part: tuple[int, ...]
) -> None:
    if len(part) != len(shape) + 1 or part[-1] != dtype.itemsize or 0 in part:
        raise BrokenError("chunks are not those of their array")
    for filter_id in dataset.filters:
        if filter_id not in (DEFLATE, SHUFFLE):
            message = f"expected gzip as compression, received the filter {filter_id} of HDF5"
            raise UnreadableError(message)
