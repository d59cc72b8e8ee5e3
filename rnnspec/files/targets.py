"""Whether a file may be written at a path: asked before long work begins."""

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
"""What a file is known by: device and inode, or where it would be if it is not there."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files that no output may replace, and what messages call each."""

    titles: Mapping[_Key, str] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[tuple[Path | int, str]]) -> Inputs:
        """Return the inputs at these paths or open descriptors, each with its title."""
        titles: dict[_Key, str] = {}
        for place, title in files:
            if key := _key(place):
                titles.setdefault(key, title)
        return cls(titles)

    def check(self, target: Path) -> None:
        """Raise UsageError if ``target`` is one of them, by whatever path or link."""
        if title := self.titles.get(_key(target)):
            message = f"is {title}, so nothing is written there; expected another path"
            raise UsageError(message, str(target))


NO_INPUTS = Inputs()


def _key(place: Path | int) -> _Key:
    # ValueError: a path that holds a null character or cannot be encoded.
    with contextlib.suppress(OSError, ValueError):
        status = os.stat(place)  # noqa: PTH116 - a descriptor too
        return status.st_dev, status.st_ino
    # OSError: the path is relative to a folder that was removed.
    with contextlib.suppress(OSError, ValueError):
        return "" if isinstance(place, int) else os.path.realpath(place)
    return ""


def check_target(target: Path, *, force: bool, inputs: Inputs = NO_INPUTS) -> None:
    """Raise unless a file may be written at ``target``; call it before long work begins.

    Raises:
        UsageError: ``target`` is one of ``inputs``, by whatever path or link, or it is no path of
            a file, or it exists and ``force`` is not given.
        OutputError: no file can be made there.
    """
    if target == Path("-"):
        raise UsageError("expected the path of a file, received '-'", "-")
    with reported(target):
        _check_working_folder(target)
        real = followed(target)
        inputs.check(target)
        _check_replaceable(target, real, force=force)
        if target.is_symlink() and not real.parent.is_dir():
            raise OutputError(f"leads to {real}, and there is no such folder", str(target))
        check_folder(real.parent)


def check_target_folder(target: Path) -> bool:
    """Tell whether ``target`` is a folder; raise unless it is one or can become one.

    Raises:
        UsageError: something else stands there.
        OutputError: no folder can be made there.
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
            raise UsageError("is a file, expected a folder", str(target))
    return mode is not None


def _check_replaceable(target: Path, real: Path, *, force: bool) -> None:
    mode = _mode(target)
    if mode is not None and stat.S_ISDIR(mode):
        raise UsageError("is a folder, expected the path of a file", str(target))
    # A link of the system's own, as /dev/stdout is, may lead to what no path names.
    if mode is not None and not (stat.S_ISREG(mode) and real.is_file()):
        raise UsageError("is no regular file, so it is not replaced", str(target))
    if os.path.lexists(target) and not force:
        raise UsageError("exists already; --force replaces it", str(target))


def _mode(path: Path) -> int | None:
    """Return the mode of what ``path`` leads to, or None if that is nothing."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def followed(target: Path) -> Path:
    """Return what is written where ``target`` is asked for: what a link leads to, or itself."""
    if not target.is_symlink():
        return target
    try:
        real = target.resolve()
    # RuntimeError: before Python 3.13, a link that leads to itself.
    except (OSError, RuntimeError):
        real = target
    if real.is_symlink():
        raise UsageError("is a link that leads to itself", str(target))
    return real


def check_folder(folder: Path) -> None:
    """Raise unless files can be made in ``folder``."""
    with reported(folder):
        _check_working_folder(folder)
        mode = _mode(folder)
    if mode is None or not stat.S_ISDIR(mode):
        raise OutputError("no such folder", str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("no permission to write here", str(folder))


def _check_working_folder(path: Path) -> None:
    if not path.is_absolute() and not has_working_folder():
        raise OutputError(NO_WORKING_FOLDER, str(path))


def has_working_folder() -> bool:
    """Tell whether this process still has the folder that relative paths start from."""
    try:
        os.getcwd()  # noqa: PTH109 - asked often
    except FileNotFoundError:
        return False
    except OSError:  # it may not be named, but it is there
        return True
    return True


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn an operating system's error while writing ``path`` into an OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(_reason(error), str(path)) from error


def _reason(error: OSError) -> str:
    return f"cannot be written: {(error.strerror or str(error)).lower()}"
