"""The chunks of an array in an HDF5 file: where they are, and how they are unpacked."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from itertools import product
from struct import unpack_from
from typing import TYPE_CHECKING, Any

import numpy as np
from pyfive.btree import BTreeV1RawDataChunks

from rnnspec.backends.keras.foreign.stored.stream import BrokenError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.keras.foreign.stored.stream import Stream
    from rnnspec.slots import Array

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
            found = dict(self._in_tree(stream))
        else:
            places = self._in_order(stream, number)
            # Only now, since product makes a list of each axis, however long.
            found = dict(zip(product(*axes), places, strict=True))
        missing = any(place.at == _NO_PLACE for place in found.values())
        if missing or len(found) != number or not all(each in found for each in product(*axes)):
            raise BrokenError(f"expected {number:,} chunks, received others or fewer")
        return found

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
        for at, each in reversed(list(enumerate(self.filters))):
            if place.skipped >> at & 1:
                continue
            if each == DEFLATE:
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
