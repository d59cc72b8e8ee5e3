"""Regular files, opened for reading."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rnnspec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Yield an open regular file and its size.

    Raises:
        UsageError: the file is not regular, or cannot be read.
    """
    try:
        # Checked before opening, because opening a device may have an effect.
        _check_regular(path, _status(path))
        with open(path, "rb", opener=_without_waiting) as stream:
            # And again afterwards, because the path may lead elsewhere by now.
            status = os.fstat(stream.fileno())
            _check_regular(path, status)
            yield stream, status.st_size
    except FileNotFoundError:
        raise UsageError("no such file", str(path)) from None
    except PermissionError:
        raise UsageError("no permission to read this file", str(path)) from None
    except OSError as error:
        raise unreadable(path, error) from None


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except ValueError as error:  # a null character, or one that the system cannot encode
        raise unreadable(path, error) from None


def _without_waiting(path: str, flags: int) -> int:
    """Open a file without waiting for another process to write into it, if it is a FIFO."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_regular(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise UsageError("expected a file, received a folder", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise UsageError("expected a regular file", str(path))


def unreadable(path: Path, error: Exception | str) -> UsageError:
    """Return the error for a file that cannot be read."""
    return UsageError(f"cannot be read: {getattr(error, 'strerror', None) or error}", str(path))
