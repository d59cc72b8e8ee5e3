"""Outputs are written whole or not at all, and nothing is replaced unasked."""

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


def write_file(target: Path, content: str, *, force: bool, inputs: Inputs = NO_INPUTS) -> None:
    """Write one text file, UTF-8 with line feeds; through a link, what it leads to.

    Raises:
        UsageError: ``target`` is one of ``inputs`` or no path of a file, or it exists and
            ``force`` is not given.
        OutputError: it cannot be written; what was there still is.
    """
    check_target(target, force=force, inputs=inputs)
    # Without force a link was refused, and one that appears from now on is not followed.
    real = followed(target) if force else target
    with staged(real.parent) as folder:
        made = folder / "new"
        with reported(target):
            made.write_text(content, encoding="utf-8", newline="\n")
        publish({made: real}, force=force)


def publish(moves: dict[Path, Path], *, force: bool) -> None:
    """Move finished files or folders into place, all or none, each at once and after a flush.

    With ``force`` a file replaces what stands there; a link stays, and what it leads to is
    replaced. A folder replaces nothing but an empty folder.

    Raises:
        UsageError: without ``force``, something stands where a file is to go by now.
        OutputError: one cannot be moved. Whatever stops this, those moved before are put back.
    """
    with contextlib.ExitStack() as stack:
        beside = [_beside(*move, stack, force=force) for move in moves.items()]
        for made, target in beside:
            for path in [*made.rglob("*"), made]:
                _give_mode(path, target)
                _sync(path)
        move_all(beside, force=force)


def _beside(
    made: Path, target: Path, stack: contextlib.ExitStack, *, force: bool
) -> tuple[Path, Path]:
    """Return what is to be moved, and to where: a link may lead to another file system."""
    # As in write_file; a folder may be made where a link leads.
    real = followed(target) if force or made.is_dir() else target
    if real == target:
        return made, target
    copied = stack.enter_context(staged(real.parent)) / made.name
    with reported(target):
        if made.is_dir():
            shutil.copytree(made, copied)
        else:
            shutil.copy2(made, copied)
    return copied, real


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
