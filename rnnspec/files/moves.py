"""Files and folders that appear in their places together, or not at all."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from rnnspec.errors import OutputError, UsageError
from rnnspec.files.targets import reported


@dataclass(frozen=True, slots=True)
class Move:
    """What is made, where it goes, and a second link to what stood there; ``made`` has status."""

    made: Path
    target: Path
    status: os.stat_result
    before: Path | None

    def run(self, *, force: bool) -> None:
        """Move it.

        Raises:
            UsageError: without ``force``, something stands there by now.
        """
        try:
            if force or self.made.is_dir():
                self.made.replace(self.target)
            else:
                _appear(self.made, self.target)
        except OSError as error:
            # Over NFS a call may fail after it was carried out: see BUGS in link(2).
            if self.arrived():
                return
            if not force and (isinstance(error, FileExistsError) or os.path.lexists(self.target)):
                message = "exists already: it appeared while this ran"
                raise UsageError(message, str(self.target)) from error
            raise

    def arrived(self) -> bool:
        """Tell whether what stands at ``target`` is what was made, not what another put there."""
        try:
            return os.path.samestat(self.target.lstat(), self.status)
        except OSError:
            return False

    def undo(self) -> None:
        """Put back what stood there before, if this was moved and is there still."""
        if not self.arrived():
            return
        if self.before is not None:
            self.before.replace(self.target)
        elif self.made.exists():  # a second link, and to rename one to the other does nothing
            self.target.unlink()
        else:
            self.target.replace(self.made)


def _appear(made: Path, target: Path) -> None:
    """Give a file the name ``target`` if nothing has it, in one step where links can be made."""
    try:
        target.hardlink_to(made)
    except FileExistsError:
        raise
    except OSError:
        # No links on this file system: an empty file claims the name, then it is replaced.
        target.touch(exist_ok=False)
        claim = Move(made, target, target.lstat(), None)
        try:
            made.replace(target)
        except BaseException:
            if claim.arrived():
                target.unlink()
            raise


def move_all(moves: list[tuple[Path, Path]], *, force: bool) -> None:
    """Move each file or folder to its place, or none: if one fails, put back those before it."""
    begun: list[Move] = []
    try:
        for made, target in moves:
            with reported(target):
                before = _set_aside(made, target) if force else None
                begun.append(Move(made, target, made.lstat(), before))
                begun[-1].run(force=force)
    except BaseException as error:
        stuck = _undo(begun)
        if stuck and isinstance(error, Exception):
            message = f"is new and cannot be put back; before that, {error}"
            raise OutputError(message, str(stuck[0])) from error
        raise


def _undo(moves: list[Move]) -> list[Path]:
    """Undo each of ``moves``, and return where that fails, as it may on a broken disk."""
    stuck = []
    for move in moves:
        try:
            move.undo()
        except OSError:
            stuck.append(move.target)
    return stuck


def _set_aside(made: Path, target: Path) -> Path | None:
    """Keep a second link to what stands at ``target``, so that it can be put back."""
    if target.is_dir() or not os.path.lexists(target):
        return None
    aside = made.with_name(f"{made.name}.before")
    try:
        aside.hardlink_to(target)
    except OSError:
        shutil.copy2(target, aside)
    return aside
