"""Output files: written completely or not at all, and never replaced without ``force``."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec.files.moves import move_all
from rnnspec.files.targets import NO_INPUTS, Inputs, check_target, followed, reported

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def staged(parent: Path) -> Iterator[Path]:
    """Yield an empty folder on the file system of ``parent``, and remove it afterwards.

    Raises:
        OutputError: ``parent`` is not a writable folder.
    """
    with reported(parent):
        folder = Path(tempfile.mkdtemp(prefix=".rnnspec-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_file(
    target: Path, content: str | bytes, *, force: bool, inputs: Inputs = NO_INPUTS
) -> None:
    """Write a file, text as UTF-8 with line feeds; if ``target`` is a link, write its target.

    Raises:
        UsageError: ``target`` is one of ``inputs``, is not the path of a file, or exists and
            ``force`` is false.
        OutputError: the file cannot be written; the previous one is unchanged.
    """
    check_target(target, force=force, inputs=inputs)
    # Without force, a link was refused above, and one created since then must not be followed.
    real = followed(target) if force else target
    with staged(real.parent) as folder:
        made = folder / "new"
        with reported(target):
            made.write_bytes(content.encode() if isinstance(content, str) else content)
        publish({made: real}, force=force)


def publish(moves: dict[Path, Path], *, force: bool) -> None:
    """Move finished files or folders into place, all or none, each atomically and after fsync.

    With ``force``, a file replaces an existing one; a link is kept, and its target is replaced. A
    folder replaces only an empty folder.

    Raises:
        UsageError: a target exists by now and ``force`` is false.
        OutputError: a move failed. The moves before it are undone, as after any other exception.
    """
    with contextlib.ExitStack() as stack:
        beside = [_beside(*move, stack, force=force) for move in moves.items()]
        for made, target in beside:
            for path in [*made.rglob("*"), made]:
                # Before the mode, which may forbid to write: Windows flushes only what is writable.
                _sync(path)
                _give_mode(path, target)
        move_all(beside, force=force)


def _beside(
    made: Path, target: Path, stack: contextlib.ExitStack, *, force: bool
) -> tuple[Path, Path]:
    """Return the source and the target of a move, both on one file system."""
    # Links are followed as in write_file; a folder may always be created at the end of a link.
    real = followed(target) if force or made.is_dir() else target
    if real == target:
        return made, target
    # A link may point to another file system, to which a rename is impossible.
    copied = stack.enter_context(staged(real.parent)) / made.name
    with reported(target):
        if made.is_dir():
            shutil.copytree(made, copied)
        else:
            shutil.copy2(made, copied)
    return copied, real


def _give_mode(path: Path, target: Path) -> None:
    """Give a file the permissions of the file it replaces, or those of a new file."""
    if path.is_dir():
        return
    with reported(target):
        if target.is_file():
            path.chmod(stat.S_IMODE(target.stat().st_mode))
            return
        # The default permissions depend on the umask, which cannot be read without setting it.
        probe = path.with_name(f"{path.name}.mode")
        probe.touch()
        path.chmod(stat.S_IMODE(probe.stat().st_mode))
        probe.unlink()


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    with reported(path):
        descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
