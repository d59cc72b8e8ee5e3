"""Moves of files and folders into place: all of them or none."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from rnnspec.errors import OutputError, UsageError
from rnnspec.files.targets import reported


@dataclass(frozen=True, slots=True)
class Move:
    """The move of one finished file or folder into place."""

    made: Path
    target: Path
    status: os.stat_result
    """The status of ``made``, by which it is recognized at ``target``."""
    before: Path | None
    """A second link to the file that ``target`` replaces, if any."""

    def run(self, *, force: bool) -> None:
        """Move ``made`` to ``target``.

        Raises:
            UsageError: ``target`` exists by now and ``force`` is false.
        """
        try:
            if force or self.made.is_dir():
                self.made.replace(self.target)
            else:
                _appear(self.made, self.target)
        except OSError as error:
            # On NFS, a call may report failure although it succeeded: see BUGS in link(2).
            if self.arrived():
                return
            if not force and (isinstance(error, FileExistsError) or os.path.lexists(self.target)):
                message = "already exists: it was created while this ran"
                raise UsageError(message, str(self.target)) from error
            raise

    def arrived(self) -> bool:
        """Return whether ``target`` is the file made here, not one from another process."""
        try:
            return os.path.samestat(self.target.lstat(), self.status)
        except OSError:
            return False

    def undo(self) -> None:
        """Restore the previous file, if ``target`` is still the file made here."""
        if not self.arrived():
            return
        if self.before is not None:
            self.before.replace(self.target)
        # Both names are links to one file, and rename(2) between these does nothing.
        elif self.made.exists():
            self.target.unlink()
        else:
            self.target.replace(self.made)


def _appear(made: Path, target: Path) -> None:
    """Move a file to ``target`` unless it exists; atomic if the file system has hard links."""
    try:
        target.hardlink_to(made)
    except FileExistsError:
        raise
    except OSError:
        # No hard links on this file system: an empty file claims the name, then it is replaced.
        target.touch(exist_ok=False)
        claim = Move(made, target, target.lstat(), None)
        try:
            made.replace(target)
        except BaseException:
            if claim.arrived():
                target.unlink()
            raise


def move_all(moves: list[tuple[Path, Path]], *, force: bool) -> None:
    """Move all files and folders into place, or none: a failure undoes the moves before it."""
    started: list[Move] = []
    try:
        for made, target in moves:
            with reported(target):
                before = _set_aside(made, target) if force else None
                # Added before it runs: an interrupt may arrive right after the move.
                started.append(Move(made, target, made.lstat(), before))
                started[-1].run(force=force)
    except BaseException as error:
        failed = _undo(started)
        if failed and isinstance(error, Exception):
            message = f"new version left in place, cannot be undone after this error: {error}"
            raise OutputError(message, str(failed[0])) from error
        raise


def _undo(moves: list[Move]) -> list[Path]:
    """Undo all moves, and return the targets that could not be restored."""
    failed = []
    for move in moves:
        try:
            move.undo()
        except OSError:
            failed.append(move.target)
    return failed


def _set_aside(made: Path, target: Path) -> Path | None:
    """Keep a second link to the file at ``target``, so that it can be restored."""
    if target.is_dir() or not os.path.lexists(target):
        return None
    aside = made.with_name(f"{made.name}.before")
    try:
        aside.hardlink_to(target)
    except OSError:
        # No hard links on this file system.
        shutil.copy2(target, aside)
    return aside
