"""The bytes of an HDF5 file for pyfive, which takes every size and place in a file on trust."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from rnnspec.backends.slots import Array

ROOM = 2**25
RATIO = 32
"""Of a file, at most this many times its size and ``ROOM`` is unpacked. Deflate can pack 1,030
bytes into one, and trained numbers hardly at all."""

_METADATA = 2**21
_READ = 8  # what a read costs besides its bytes
# Of one header, whose messages have at most 64 KiB each.
_LONGEST_HEADER = 2**19
_MOST_READS = 500
# Fields of which pyfive makes powers: the place, and the most that HDF5 itself can write.
_FIELDS = {b"BTHD": (slice(12, 14), 16), b"FRHP": (slice(-2, None), 64)}


class BrokenError(Exception):
    """A file that is not HDF5, is cut short, or claims more than it can hold."""


class Stream:
    """The open file, from which no more is read than a file of its size can need.

    Args:
        stream: the bytes.
        size: their number.
        whole: the size of the file that they are from, which may be an archive.
    """

    def __init__(self, stream: BinaryIO | bytearray, size: int, whole: int) -> None:
        self.size = size
        self._stream = stream
        self._at = 0
        self._left = whole * 3 // 2 + _METADATA
        self._floor = 0
        self._reads = math.inf
        self._most = self._unpacked = RATIO * whole + ROOM

    def seek(self, at: int) -> None:
        """Continue at a place."""
        self._at = at

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes, not fewer.

        Raises:
            BrokenError: they are not there, or too much has been read.
        """
        self._check(self._at, size)
        self.charge(size + _READ)
        self._reads -= 1
        if isinstance(self._stream, bytearray):
            data = bytes(self._stream[self._at : self._at + size])
        else:
            self._stream.seek(self._at)
            data = self._stream.read(size)
        if len(data) != size:
            raise BrokenError("it has become shorter")
        self._at += size
        if data[:4] in _FIELDS:
            field, most = _FIELDS[data[:4]]
            if int.from_bytes(data[field], "little") > most:
                raise BrokenError("an index claims too many levels")
        return data

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any], at: int) -> Array:
        """Return the array at a place; if the bytes are in memory, it is a view of them.

        Raises:
            BrokenError: it is not there.
        """
        size = math.prod(shape) * dtype.itemsize
        self._check(at, size)
        if size and isinstance(self._stream, bytearray):
            view = np.frombuffer(self._stream, "u1", size, at).view(dtype).reshape(shape)
            return view if view.flags.aligned else view.copy()
        array = np.empty(shape, dtype)
        if size and not isinstance(self._stream, bytearray):
            self._stream.seek(at)
            flat = array.reshape(-1).view("u1")
            if self._stream.readinto(flat.data) != size:  # type: ignore[attr-defined]
                raise BrokenError("it has become shorter")
        return array

    def _check(self, at: int, size: int) -> None:
        if not 0 <= at <= at + size <= self.size:
            raise BrokenError(f"it refers to {size:,} bytes at {at:,}, and has {self.size:,}")

    def charge(self, size: int) -> None:
        """Count bytes of metadata, or text that is made of them.

        Raises:
            BrokenError: it is more than all metadata of the file can be.
        """
        self._left -= size
        if self._left < self._floor or self._reads < 0:
            raise BrokenError("it refers to the same bytes again and again")

    def unpack(self, size: int) -> None:
        """Count bytes of arrays.

        Raises:
            BrokenError: they are more than the file can hold.
        """
        self._unpacked -= size
        if self._unpacked < 0:
            raise BrokenError(f"it claims more than {self._most:,} bytes of arrays")

    @contextmanager
    def header(self) -> Iterator[None]:
        """Hold what is read inside to the size of one header, in few parts, which are joined."""
        self._floor, self._reads = max(0, self._left - _LONGEST_HEADER), _MOST_READS
        try:
            yield
        finally:
            self._floor, self._reads = 0, math.inf
