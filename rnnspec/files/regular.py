"""Regular files, opened for reading."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec.errors import UsageError
from rnnspec.errors.wording import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


@contextmanager
def opened(path: Path | str, inside: Path | None = None) -> Iterator[tuple[BinaryIO, int]]:
    """Yield an open regular file and its size.

    Args:
        path: the file; messages show it as given.
        inside: the folder that the file must be in, with all links followed.

    Raises:
        UsageError: the file is not regular, not in the folder, or cannot be read.
    """
    opener = _without_waiting if inside is None else partial(_inside, inside)
    try:
        # Checked before opening, because opening a device may have an effect.
        try:
            status = os.stat(path)  # noqa: PTH116 - Path("") would be the folder
        except ValueError as error:  # a null character, or one that the system cannot encode
            raise unreadable(path, error) from None
        _check_regular(path, status)
        with open(path, "rb", opener=opener) as stream:
            # And again afterwards, because the path may lead elsewhere by now.
            status = os.fstat(stream.fileno())
            _check_regular(path, status)
            yield stream, status.st_size
    except FileNotFoundError:
        # A file that a spec names gets no suggestion, which could name files outside its folder.
        raise UsageError("no such file", str(path)) if inside else missing(str(path)) from None
    except PermissionError:
        raise UsageError("no permission to read this file", str(path)) from None
    except OSError as error:
        raise unreadable(path, error) from None


def _without_waiting(path: str, flags: int) -> int:
    """Open a file without waiting for another process to write into it, if it is a FIFO."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _inside(folder: Path, path: str, flags: int) -> int:
    """Open a file in ``folder``, whatever becomes of its path in the meantime."""
    base, real = (Path(os.path.realpath(place)) for place in (folder, path))
    if not real.is_relative_to(base) or real == base:
        raise UsageError(f"expected a file inside {folder}, received one outside", path)
    if os.open in os.supports_dir_fd:
        return _along(base, real.relative_to(base).parts, flags)
    # On Windows; there, what has been opened keeps the folders above it from being moved.
    opened_file = _without_waiting(path, flags)
    again = Path(os.path.realpath(path))
    if again.is_relative_to(base) and os.path.samestat(os.fstat(opened_file), again.lstat()):
        return opened_file
    os.close(opened_file)
    raise UsageError("is a link to another file by now", path)


def _along(base: Path, parts: tuple[str, ...], flags: int) -> int:
    """Open the file that ``parts`` lead to, unless one of them has become a link."""
    # O_PATH, where there is one, needs no permission to list a folder.
    way = os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)
    at = os.open(base, way)
    try:
        for part in parts[:-1]:
            inner = os.open(part, way | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        return os.open(parts[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)


def _check_regular(path: Path | str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise UsageError("expected a file, received a folder", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise UsageError("expected a regular file", str(path))


def unreadable(path: Path | str, error: Exception | str) -> UsageError:
    """Return the error for a file that cannot be read."""
    return UsageError(f"cannot be read: {getattr(error, 'strerror', None) or error}", str(path))


_ENTRIES = 1000
"""Maximum number of files among which the one that was meant is searched."""
_SAME = (frozenset({".yaml", ".yml"}), frozenset({".keras", ".h5", ".hdf5"}))
"""Endings of files with the same content."""


def missing(path: str, what: str = "no such file") -> UsageError:
    """Return the error for a path that does not exist, with the file that was probably meant."""
    meant = _meant(path)
    return UsageError(f"{what}; did you mean {meant!r}?" if meant else what, path)


def _meant(path: str) -> str | None:
    folder, name = os.path.split(path)
    stem, ending = os.path.splitext(name)  # noqa: PTH122 - Path("") would be the folder
    # A name without an ending most likely stands for a spec.
    alike = next((endings for endings in _SAME if (ending or ".yaml") in endings), {ending})
    with suppress(OSError, ValueError), os.scandir(folder or ".") as entries:
        files = sorted(entry.name for entry in islice(entries, _ENTRIES) if entry.is_file())
        ends = {file: os.path.splitext(file) for file in files}  # noqa: PTH122
        for file, (start, end) in ends.items():
            if start.lower() == stem.lower() and end.lower() in alike:
                return os.path.join(folder, file)  # noqa: PTH118 - as typed
        near = nearest(stem, [start for start, end in ends.values() if end == ending])
        return near and os.path.join(folder, near + ending)  # noqa: PTH118
    return None
