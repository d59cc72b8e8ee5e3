"""Outputs are written whole or not at all, and nothing is replaced unasked."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def staged(parent: Path) -> Iterator[Path]:
    """Yield an empty folder on the same file system as ``parent``; it is gone afterwards.

    Raises:
        OutputError: ``parent`` is no folder that can be written to.
    """
    with reported(parent):
        folder = Path(tempfile.mkdtemp(prefix=".rnnspec-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_file(target: Path, content: str, *, force: bool) -> None:
    """Write one text file, UTF-8 with line feeds; through a link, what it leads to.

    Raises:
        UsageError: ``target`` exists and ``force`` is not given, or it is no path of a file.
        OutputError: it cannot be written; what was there still is.
    """
    check_target(target, force=force)
    with staged(_real(target).parent) as folder:
        made = folder / "new"
        with reported(target):
            made.write_text(content, encoding="utf-8", newline="\n")
        publish({made: _real(target)})


def check_target(target: Path, *, force: bool) -> None:
    """Raise unless a file may be written at ``target``; call it before long work begins."""
    if target == Path("-"):
        message = "expected the path of a file; without -o, source and schema are printed"
        raise UsageError(message, "-")
    if target.is_dir():
        raise UsageError("is a folder, expected the path of a file", str(target))
    real = _real(target)
    # A link of the system's own, as /dev/stdout is, may lead to what no path names.
    if target.exists() and not (target.is_file() and real.is_file()):
        raise UsageError("is no regular file, so it is not replaced", str(target))
    if os.path.lexists(target) and not force:
        raise UsageError("exists already; --force replaces it", str(target))
    if not real.parent.is_dir() and target.is_symlink():
        raise OutputError(f"leads to {real}, and there is no such folder", str(target))
    check_folder(real.parent)


def _real(target: Path) -> Path:
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
    if not folder.is_dir():
        raise OutputError("no such folder", str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("no permission to write here", str(folder))


def publish(moves: dict[Path, Path]) -> None:
    """Move finished files or folders into place, each by one rename after a flush to the disk.

    A link stays: what it leads to is replaced, in its own folder, so that this is one rename too.

    Raises:
        OutputError: a file cannot be moved. Whatever stops this, those moved before are put back.
    """
    with contextlib.ExitStack() as stack:
        _publish(dict(_beside(*move, stack) for move in moves.items()))


def _beside(made: Path, target: Path, stack: contextlib.ExitStack) -> tuple[Path, Path]:
    """Return what is to be moved, and to where: a link may lead to another file system."""
    real = _real(target)
    if real == target:
        return made, target
    copied = stack.enter_context(staged(real.parent)) / made.name
    with reported(target):
        if made.is_dir():
            shutil.copytree(made, copied)
        else:
            shutil.copy2(made, copied)
    return copied, real


def _publish(moves: dict[Path, Path]) -> None:
    for made, target in moves.items():
        for path in [*made.rglob("*"), made]:
            _give_mode(path, target)
            _sync(path)
    done: list[tuple[Path, Path | None]] = []
    try:
        for made, target in moves.items():
            done.append((target, _set_aside(made, target)))
            made.replace(target)
    except BaseException as error:
        _restore(done)
        if isinstance(error, OSError):
            raise OutputError(_reason(error), str(target)) from error
        raise


def _set_aside(made: Path, target: Path) -> Path | None:
    """Keep a second link to what stands at ``target``, so that it can be put back."""
    if not target.exists():
        return None
    aside = made.with_name(f"{made.name}.before")
    try:
        aside.hardlink_to(target)
    except OSError:
        shutil.copy2(target, aside)
    return aside


def _restore(done: list[tuple[Path, Path | None]]) -> None:
    for target, before in done:
        if before is None:
            target.unlink(missing_ok=True)
        else:
            before.replace(target)


def _give_mode(path: Path, target: Path) -> None:
    """Give a file the permissions of the one it replaces, or those that any new file gets."""
    if path.is_dir():
        return
    with reported(target):
        if target.is_file():
            path.chmod(stat.S_IMODE(target.stat().st_mode))
            return
        probe = path.with_name(f"{path.name}.mode")
        probe.touch()
        path.chmod(stat.S_IMODE(probe.stat().st_mode))
        probe.unlink()


def _sync(path: Path) -> None:
    with reported(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn an operating system's error while writing ``path`` into an OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(_reason(error), str(path)) from error


def _reason(error: OSError) -> str:
    return f"cannot be written: {(error.strerror or str(error)).lower()}"
