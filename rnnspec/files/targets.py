"""Checks of output paths, made before long work starts."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

NO_WORKING_FOLDER = "the working folder no longer exists; change to one that does"


_Key = tuple[int, int] | str
"""Identity of a file: device and inode, or its resolved path if it does not exist."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Input files, which no output may replace, with their titles in messages."""

    titles: Mapping[_Key, str] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[tuple[Path | int, str]]) -> Inputs:
        """Return the inputs for pairs of a path or an open descriptor, and a title."""
        titles: dict[_Key, str] = {}
        for place, title in files:
            if key := _key(place):
                titles.setdefault(key, title)
        return cls(titles)

    def and_of(self, files: Iterable[tuple[Path | int, str]]) -> Inputs:
        """Return these inputs and more; see ``of``."""
        return Inputs({**Inputs.of(files).titles, **self.titles})

    def check(self, target: Path) -> None:
        """Raise UsageError if ``target`` is an input, under any path or link."""
        if title := self.titles.get(_key(target)):
            message = f"this is {title}; expected another path"
            raise UsageError(message, str(target))


NO_INPUTS = Inputs()


def _key(place: Path | int) -> _Key:
    # ValueError: the path contains a null character or cannot be encoded.
    with contextlib.suppress(OSError, ValueError):
        status = os.stat(place)  # noqa: PTH116 - place may be a descriptor
        return status.st_dev, status.st_ino
    # OSError: the path is relative to a working folder that was removed.
    with contextlib.suppress(OSError, ValueError):
        return "" if isinstance(place, int) else os.path.realpath(place)
    return ""


def check_target(target: Path, *, force: bool, inputs: Inputs = NO_INPUTS) -> None:
    """Raise an error unless a file may be written at ``target``.

    Raises:
        UsageError: ``target`` is one of ``inputs`` (under any path or link), is not the path of a
            file, or exists and ``force`` is false.
        OutputError: no file can be created there.
    """
    if target == Path("-"):
        raise UsageError("expected the path of a file, received '-'", "-")
    with reported(target):
        _check_working_folder(target)
        real = followed(target)
        inputs.check(target)
        _check_replaceable(target, real, force=force)
        if target.is_symlink() and not real.parent.is_dir():
            raise OutputError(f"link to {real}, whose folder does not exist", str(target))
        check_folder(real.parent)


def check_target_folder(target: Path) -> bool:
    """Return whether ``target`` is a folder, or raise an error if it cannot become one.

    Raises:
        UsageError: ``target`` exists and is not a folder.
        OutputError: no folder can be created there.
    """
    if target == Path("-"):
        raise UsageError("expected the path of a folder, received '-'", "-")
    with reported(target):
        _check_working_folder(target)
        real = followed(target)
        mode = _mode(real)
        if mode is None:
            check_folder(real.parent)
        elif not stat.S_ISDIR(mode):
            raise UsageError("expected a folder, received a file", str(target))
    return mode is not None


def _check_replaceable(target: Path, real: Path, *, force: bool) -> None:
    mode = _mode(target)
    if mode is not None and stat.S_ISDIR(mode):
        raise UsageError("expected the path of a file, received a folder", str(target))
    # A system link such as /dev/stdout may point to a file that has no path.
    if mode is not None and not (stat.S_ISREG(mode) and real.is_file()):
        raise UsageError("not a regular file; not replaced", str(target))
    # lexists: a dangling link counts as existing.
    if os.path.lexists(target) and not force:
        raise UsageError("already exists; use --force to replace it", str(target))


def _mode(path: Path) -> int | None:
    """Return the mode of the file at ``path``, following links, or None if it does not exist."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def followed(target: Path) -> Path:
    """Return the path that is written for ``target``: the end of a link, or ``target`` itself."""
    if not target.is_symlink():
        return target
    try:
        real = target.resolve()
    # RuntimeError: a link that points to itself, before Python 3.13.
    except (OSError, RuntimeError):
        real = target
    if real.is_symlink():
        raise UsageError("symbolic link that points to itself", str(target))
    return real


def check_folder(folder: Path) -> None:
    """Raise an error unless files can be created in ``folder``."""
    with reported(folder):
        _check_working_folder(folder)
        mode = _mode(folder)
    if mode is None or not stat.S_ISDIR(mode):
        raise OutputError("no such folder", str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("no permission to write to this folder", str(folder))


def _check_working_folder(path: Path) -> None:
    if not path.is_absolute() and not has_working_folder():
        raise OutputError(NO_WORKING_FOLDER, str(path))


def has_working_folder() -> bool:
    """Return whether the working folder of this process still exists."""
    try:
        os.getcwd()  # noqa: PTH109 - called often
    except FileNotFoundError:
        return False
    except OSError:  # it exists, but its path may not be read
        return True
    return True


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn an OSError while writing ``path`` into an OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(_reason(error), str(path)) from error


def _reason(error: OSError) -> str:
    return f"cannot be written: {(error.strerror or str(error)).lower()}"
