"""Output files: checked before long work starts, written completely or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping


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
        real = follow_link(target)
        inputs.check(target)
        _check_replaceable(target, real, force=force)
        if target.is_symlink() and not real.parent.is_dir():
            raise OutputError(f"link to {real}, whose folder does not exist", str(target))
        check_folder(real.parent)


def check_target_folder(target: Path) -> bool:
    """Return True if ``target`` is a folder, False if it can become one.

    Raises:
        UsageError: ``target`` exists and is not a folder.
        OutputError: no folder can be created there.
    """
    if target == Path("-"):
        raise UsageError("expected the path of a folder, received '-'", "-")
    with reported(target):
        _check_working_folder(target)
        real = follow_link(target)
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
        raise UsageError("already exists; use --force or force=True to replace it", str(target))


def _mode(path: Path) -> int | None:
    """Return the mode of the file at ``path``, following links, or None if it does not exist."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def follow_link(target: Path) -> Path:
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
    """True if the working folder of this process still exists."""
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
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"cannot be written: {reason}", str(path)) from error


@dataclass(frozen=True, slots=True)
class Move:
    """The move of one finished file or folder into place."""

    new: Path
    target: Path
    status: os.stat_result
    """The status of ``new``, by which it is recognized at ``target``."""
    before: Path | None
    """A second link to the file that ``target`` replaces, if any."""

    def run(self, *, force: bool) -> None:
        """Move ``new`` to ``target``.

        Raises:
            UsageError: ``target`` exists by now and ``force`` is false.
        """
        try:
            if force or self.new.is_dir():
                self.new.replace(self.target)
            else:
                _appear(self.new, self.target)
        except OSError as error:
            # On NFS, a call may report failure although it succeeded: see BUGS in link(2).
            if self.has_arrived():
                return
            if not force and (isinstance(error, FileExistsError) or os.path.lexists(self.target)):
                message = "already exists: it was created while this ran"
                raise UsageError(message, str(self.target)) from error
            raise

    def has_arrived(self) -> bool:
        """True if ``target`` is the file made here, not one from another process."""
        try:
            return os.path.samestat(self.target.lstat(), self.status)
        except OSError:
            return False

    def undo(self) -> None:
        """Restore the previous file, if ``target`` is still the file made here."""
        if not self.has_arrived():
            return
        if self.before is not None:
            self.before.replace(self.target)
        # Both names are links to one file, and rename(2) between these does nothing.
        elif self.new.exists():
            self.target.unlink()
        else:
            self.target.replace(self.new)


def _appear(new: Path, target: Path) -> None:
    """Move a file to ``target`` unless it exists; atomic if the file system has hard links."""
    try:
        target.hardlink_to(new)
    except FileExistsError:
        raise
    except OSError:
        # No hard links on this file system: an empty file claims the name, then it is replaced.
        target.touch(exist_ok=False)
        claim = Move(new, target, target.lstat(), None)
        try:
            new.replace(target)
        except BaseException:
            if claim.has_arrived():
                target.unlink()
            raise


def move_all(moves: list[tuple[Path, Path]], *, force: bool) -> None:
    """Move all files and folders into place, or none: a failure undoes the moves before it."""
    started: list[Move] = []
    try:
        for new, target in moves:
            with reported(target):
                before = _set_aside(new, target) if force else None
                # Added before it runs: an interrupt may arrive right after the move.
                started.append(Move(new, target, new.lstat(), before))
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


def _set_aside(new: Path, target: Path) -> Path | None:
    """Keep a second link to the file at ``target``, so that it can be restored."""
    if target.is_dir() or not os.path.lexists(target):
        return None
    aside = new.with_name(f"{new.name}.before")
    try:
        aside.hardlink_to(target)
    except OSError:
        # No hard links on this file system.
        shutil.copy2(target, aside)
    return aside


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
    real = follow_link(target) if force else target
    with staged(real.parent) as folder:
        new = folder / "new"
        with reported(target):
            new.write_bytes(content.encode() if isinstance(content, str) else content)
        publish({new: real}, force=force)


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
        for new, target in beside:
            for path in [*new.rglob("*"), new]:
                # Before the mode, which may forbid to write: Windows flushes only what is writable.
                _sync(path)
                _give_mode(path, target)
        move_all(beside, force=force)


def publish_folder(new: Path, folder: Path, *, force: bool, replaced: Collection[str] = ()) -> None:
    """Move a finished folder into place: as ``folder``, or its content into an existing one.

    An existing folder stays, with the links to it and the processes in it. What ``replaced`` names
    in it goes first, and comes back if anything fails.

    Raises:
        UsageError: a target exists by now and ``force`` is false.
        OutputError: a move failed. The moves before it are undone, as after any other exception.
    """
    if not folder.is_dir():
        try:
            publish({new: folder}, force=force)
        except (UsageError, OutputError):
            # If another process has just created the folder, the content is moved into it.
            if not folder.is_dir():
                raise
        else:
            return
    with staged(new.parent) as aside:
        try:
            with reported(folder):
                for name in replaced:
                    (folder / name).rename(aside / name)
            publish({path: folder / path.name for path in sorted(new.iterdir())}, force=force)
        except BaseException:
            for path in aside.iterdir():
                path.rename(folder / path.name)
            raise


def _beside(
    new: Path, target: Path, stack: contextlib.ExitStack, *, force: bool
) -> tuple[Path, Path]:
    """Return the source and the target of a move, both on one file system."""
    # Links are followed as in write_file; a folder may always be created at the end of a link.
    real = follow_link(target) if force or new.is_dir() else target
    if real == target:
        return new, target
    # A link may point to another file system, to which a rename is impossible.
    copied = stack.enter_context(staged(real.parent)) / new.name
    with reported(target):
        if new.is_dir():
            shutil.copytree(new, copied)
        else:
            shutil.copy2(new, copied)
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
