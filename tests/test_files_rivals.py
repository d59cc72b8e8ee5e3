"""Outputs if a call fails half-way, or if other processes write to the same path."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnspec import files
from rnnspec.errors import OutputError, UsageError

FULL = OSError(28, "No space left on device")
STOP = KeyboardInterrupt()
Call = Callable[..., object]


def content(folder: Path) -> dict[str, str]:
    """Return the contents of a folder by path; folders have no text."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else ""
        for path in folder.rglob("*")
    }


def refuse(*_: object) -> None:
    """Fail like a file system without hard links."""
    raise PermissionError(1, "Operation not permitted")


def raising(call: Call, at: int, error: BaseException, *, late: bool = False) -> Call:
    """Return ``call``, which raises once: before it does anything or, if ``late``, afterwards."""
    calls = iter(range(100))

    def fail(*arguments: object, **options: object) -> object:
        failing = next(calls) == at
        if failing and not late:
            raise error
        done = call(*arguments, **options)
        if failing:
            raise error
        return done

    return fail


FAULTS = {
    "no replacing": ("replace", FULL, False),
    "stopped before replacing": ("replace", STOP, False),
    "stopped after replacing": ("replace", STOP, True),
    "stopped before linking": ("hardlink_to", STOP, False),
    "stopped after linking": ("hardlink_to", STOP, True),
    "no claim": ("touch", FULL, False),
    "no replacing of a claim": ("replace", FULL, False),
    "stopped before replacing a claim": ("replace", STOP, False),
    "stopped after replacing a claim": ("replace", STOP, True),
}


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("fault", FAULTS)
def test_several_files_are_moved_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, at: int
) -> None:
    name, error, late = FAULTS[fault]
    force = fault.endswith("replacing")
    before = {"second": "old"} if force else {}
    if force:
        (tmp_path / "second").write_text("old")
    with files.staged(tmp_path) as folder:
        moves = {folder / each: tmp_path / each for each in ("first", "second", "third")}
        for made in moves:
            made.write_text("new")
        with monkeypatch.context() as patch:
            if fault.endswith("claim"):
                patch.setattr(Path, "hardlink_to", refuse)
            if name == "touch":
                at += len(moves)  # the first calls determine the mode of new files
            patch.setattr(Path, name, raising(getattr(Path, name), at, error, late=late))
            with pytest.raises(OutputError if error is FULL else KeyboardInterrupt):
                files.publish(moves, force=force)
    assert content(tmp_path) == before


def test_a_folder_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with files.staged(tmp_path) as folder:
        (folder / "made").mkdir()
        (folder / "made" / "x").write_text("x")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", raising(Path.replace, 0, STOP, late=True))
            with pytest.raises(KeyboardInterrupt):
                files.publish({folder / "made": tmp_path / "there"}, force=False)
    assert content(tmp_path) == {}


def test_a_disk_on_which_nothing_can_be_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first").write_text("old")
    allowed = iter([Path.replace])

    def broken(self: Path, other: Path) -> object:
        for call in allowed:
            return call(self, other)
        raise OSError(30, "Read-only file system")

    with files.staged(tmp_path) as folder:
        moves = {folder / name: tmp_path / name for name in ("first", "second")}
        for made in moves:
            made.write_text("new")
        monkeypatch.setattr(Path, "replace", broken)
        with pytest.raises(OutputError) as caught:
            files.publish(moves, force=True)
    assert str(caught.value) == (
        f"{tmp_path}/first: error: new version left in place, cannot be undone after this error: "
        f"{tmp_path}/second: error: cannot be written: read-only file system"
    )


def test_a_call_that_fails_when_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As over NFS, where the answer may be lost, so that the call is sent again.
    for name, force, error in (
        ("hardlink_to", False, FileExistsError(17, "File exists")),
        ("replace", True, FileNotFoundError(2, "No such file or directory")),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, raising(getattr(Path, name), 0, error, late=True))
            files.write_file(tmp_path / name, name, force=force)
    assert content(tmp_path) == {"hardlink_to": "hardlink_to", "replace": "replace"}


RIVALS: dict[str, Callable[[Path], object]] = {
    "file": lambda path: path.write_text("theirs"),
    "empty file": Path.touch,
    "folder": Path.mkdir,
    "full folder": lambda path: (path / "deep").mkdir(parents=True),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to a file": lambda path: path.symlink_to("other"),
    "named pipe": os.mkfifo,
}


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """A function that schedules an action after the checks, while the new file is written."""

    def meanwhile(act: Callable[[], object]) -> None:
        acts = iter([act])
        sync = os.fsync

        def slow(descriptor: int) -> None:
            for action in acts:
                action()
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", slow)

    return meanwhile


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("rival", RIVALS)
def test_what_appears_meanwhile_is_not_replaced_unasked(
    tmp_path: Path,
    meanwhile: Callable[[Callable[[], object]], None],
    monkeypatch: pytest.MonkeyPatch,
    *,
    rival: str,
    links: bool,
) -> None:
    (tmp_path / "other").write_text("other")
    target = tmp_path / "new"
    meanwhile(lambda: RIVALS[rival](target))
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(UsageError, match=r"new: error: already exists: it was created while"):
        files.write_file(target, "ours", force=False)
    found = content(tmp_path)
    (tmp_path / "expected").mkdir()
    (tmp_path / "expected" / "other").write_text("other")
    RIVALS[rival](tmp_path / "expected" / "new")
    assert found == content(tmp_path / "expected")
    assert target.lstat().st_mode == (tmp_path / "expected" / "new").lstat().st_mode


@pytest.mark.parametrize("rival", ["file", "full folder", "dangling link"])
def test_no_folder_takes_the_place_of_what_appears(
    tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None], rival: str
) -> None:
    with files.staged(tmp_path) as folder:
        (folder / "made").mkdir()
        (folder / "made" / "x").write_text("ours")
        meanwhile(lambda: RIVALS[rival](tmp_path / "new"))
        with pytest.raises(UsageError, match=r"new: error: already exists: it was created while"):
            files.publish({folder / "made": tmp_path / "new"}, force=False)
    assert "ours" not in content(tmp_path).values()
    assert os.path.lexists(tmp_path / "new")


@pytest.mark.parametrize("rival", ["file", "folder"])
def test_what_others_put_there_is_not_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rival: str
) -> None:
    def fail(_: Path, target: Path) -> None:
        RIVALS[rival](target)
        raise FULL

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OutputError, match="no space left"):
        files.write_file(tmp_path / "new", "ours", force=True)
    assert content(tmp_path) == {"new": "theirs" if rival == "file" else ""}


@pytest.mark.parametrize("first", ["old", None])
def test_what_others_put_over_ours_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str | None
) -> None:
    if first:
        (tmp_path / "first").write_text(first)
    (tmp_path / "theirs").write_text("theirs")
    replace = Path.replace

    def fail(made: Path, target: Path) -> Path:
        if target.name == "second":
            replace(tmp_path / "theirs", tmp_path / "first")
            raise FULL
        return replace(made, target)

    with files.staged(tmp_path) as folder:
        moves = {folder / name: tmp_path / name for name in ("first", "second")}
        for made in moves:
            made.write_text("ours")
        monkeypatch.setattr(Path, "replace", fail)
        with pytest.raises(OutputError, match=r"second: error: cannot be written: no space left"):
            files.publish(moves, force=True)
    assert content(tmp_path) == {"first": "theirs"}


@pytest.mark.parametrize("rival", ["folder", "full folder"])
def test_a_folder_is_not_replaced_by_force(
    tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None], rival: str
) -> None:
    meanwhile(lambda: RIVALS[rival](tmp_path / "new"))
    with pytest.raises(OutputError, match=r"new: error: cannot be written: is a directory\Z"):
        files.write_file(tmp_path / "new", "ours", force=True)
    assert (tmp_path / "new").is_dir()
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())
