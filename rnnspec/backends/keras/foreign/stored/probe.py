"""A script that goes through an HDF5 file, run in a process of its own.

HDF5 may loop forever, take all memory or end its process over a file whose bytes are broken.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

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
            with contextlib.suppress(OSError, RuntimeError, KeyError, ValueError, TypeError):
                _ = group.attrs[name]
        for key in group:
            seen += 1
            with contextlib.suppress(OSError, RuntimeError, KeyError, ValueError, TypeError):
                if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                    continue
                found = group[key]
                if isinstance(found, h5py.Group) and depth < _DEEPEST:
                    waiting.append((found, depth + 1))
                elif isinstance(found, h5py.Dataset):
                    _touch(found)


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
        contextlib.suppress(OSError, RuntimeError, KeyError, ValueError, TypeError),
        h5py.File(path, "r") as file,
    ):
        visit(file)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
