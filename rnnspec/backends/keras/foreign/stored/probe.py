"""A script that goes through an HDF5 file, run in a process of its own.

HDF5 may loop forever, take all memory or end its process over a file whose bytes are broken.
"""

from __future__ import annotations

import contextlib
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_NAMES = 100_000
_DEEPEST = 9
_RATIO = 1_100
_ROOM = 2**31


def visit(root: Any) -> None:
    """Read every attribute, and of every array what is needed to read it later."""
    import h5py

    waiting, seen = [(root, 0)], 0
    while waiting and seen < _MOST_NAMES:
        group, depth = waiting.pop()
        for name in group.attrs:
            with _passing():
                _ = group.attrs[name]
        for key in group:
            seen += 1
            with _passing():
                if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                    continue
                found = group[key]
                if isinstance(found, h5py.Group) and depth < _DEEPEST:
                    waiting.append((found, depth + 1))
                elif isinstance(found, h5py.Dataset):
                    _touch(found)


@contextmanager
def _passing() -> Iterator[None]:
    """Pass over what is broken in a way that the reader will notice.

    Not over memory that was lacking: the reader, which has no limit, would fill it.
    """
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if "alloc" in str(error).lower():
            raise


def _touch(array: Any) -> None:
    """Unpack the numbers of an array in chunks; others are bytes at one place."""
    size = array.size * array.dtype.itemsize
    if array.chunks is not None and size <= array.id.get_storage_size() * _RATIO:
        _ = array[()]


def main(path: str, size: int) -> None:
    """Go through a file of ``size`` bytes."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not on Windows

        room = _ROOM + 4 * size
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
    import h5py

    with (
        _passing(),
        h5py.File(path, "r") as file,
    ):
        visit(file)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
    # Taking the libraries down would take a seventh of the time.
    os._exit(0)
