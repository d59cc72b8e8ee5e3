"""Outputs appear complete, replace nothing without permission, and leave nothing behind."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from rnnspec import files
from rnnspec.errors import OutputError, UsageError
from rnnspec.files.arrays import read_metadata, sort_metadata


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file that is in the place of the output."""
    path = tmp_path / "old"
    path.write_text("old")
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_writes_utf_8_with_line_feeds(tmp_path: Path) -> None:
    files.write_file(tmp_path / "new", "\u00e9\nx\n", force=False)
    assert (tmp_path / "new").read_bytes() == b"\xc3\xa9\nx\n"
    assert names(tmp_path) == {"new"}


def test_replaces_only_when_told_to(tmp_path: Path, old: Path) -> None:
    with pytest.raises(UsageError, match="already exists; use --force or force=True to replace it"):
        files.write_file(old, "new", force=False)
    assert old.read_text() == "old"
    files.write_file(old, "new", force=True)
    assert old.read_text() == "new"
    assert names(tmp_path) == {"old"}


def test_keeps_the_permissions_of_what_it_replaces(old: Path) -> None:
    old.chmod(0o640)
    files.write_file(old, "new", force=True)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640


def test_new_files_heed_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write_file(tmp_path / "new", "x", force=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_dangling_link_is_something_that_exists(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    with pytest.raises(UsageError, match="already exists"):
        files.write_file(link, "x", force=False)
    files.write_file(link, "x", force=True)
    assert link.is_symlink()
    assert (tmp_path / "nowhere").read_text() == "x"
    assert names(tmp_path) == {"link", "nowhere"}


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path, old: Path) -> None:
    (tmp_path / "folder").mkdir()
    link = tmp_path / "folder" / "link"
    link.symlink_to("../link")
    (tmp_path / "link").symlink_to("old")
    old.chmod(0o640)
    files.write_file(link, "new", force=True)
    assert (old.read_text(), link.is_symlink(), old.is_symlink()) == ("new", True, False)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert names(tmp_path) == {"old", "link", "folder"}


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_moved_to_a_link_goes_where_it_leads(tmp_path: Path, folder: bool) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far/there")
    with files.staged(tmp_path) as staging:
        made = staging / "made"
        if folder:
            made.mkdir()
        (made / "x" if folder else made).write_text("x")
        files.publish({made: tmp_path / "link"}, force=not folder)
    there = tmp_path / "far" / "there"
    assert (there / "x" if folder else there).read_text() == "x"
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path) - {"x"} == {"far", "there", "link"}


def test_links_that_lead_nowhere_at_all(tmp_path: Path) -> None:
    loop, lost = tmp_path / "loop", tmp_path / "lost"
    loop.symlink_to("loop")
    lost.symlink_to("none/file")
    with pytest.raises(UsageError, match=r"loop: error: symbolic link that points to itself"):
        files.write_file(loop, "x", force=True)
    with pytest.raises(OutputError, match=r"lost: error: link to .*file, whose folder does not"):
        files.write_file(lost, "x", force=True)
    assert names(tmp_path) == {"loop", "lost"}


def test_a_link_to_a_stream_is_left_alone(tmp_path: Path) -> None:
    read, write = os.pipe()
    link = tmp_path / "stdout"
    link.symlink_to(f"/proc/self/fd/{write}")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to_pipe").symlink_to("pipe")
    try:
        for target in (link, tmp_path / "to_pipe"):
            with pytest.raises(UsageError, match="not a regular file"):
                files.write_file(target, "x", force=True)
            assert target.is_symlink()
    finally:
        os.close(read)
        os.close(write)


def test_a_dash_is_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="expected the path of a file"):
        files.write_file(Path("-"), "x", force=True)
    assert names(tmp_path) == set()


def test_what_a_killed_run_left_behind_hinders_nobody(tmp_path: Path, old: Path) -> None:
    (tmp_path / ".rnnspec-killed").mkdir()
    (tmp_path / ".rnnspec-killed" / "new").write_text("half")
    files.write_file(old, "new", force=True)
    assert old.read_text() == "new"


@pytest.mark.parametrize("force", [True, False])
def test_only_regular_files_are_replaced(tmp_path: Path, force: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="not a regular file"):
        files.write_file(pipe, "x", force=force)
    with pytest.raises(UsageError, match="received a folder"):
        files.write_file(tmp_path, "x", force=force)
    assert names(tmp_path) == {"pipe"}


@pytest.mark.parametrize("parent", ["none", "old"])
def test_a_parent_that_is_no_folder(tmp_path: Path, old: Path, parent: str) -> None:
    with pytest.raises(OutputError, match="no such folder"):
        files.write_file(tmp_path / parent / "x", "x", force=False)
    assert names(tmp_path) == {"old"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_staging_folder_is_removed_whatever_happens(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def half(folder: Path) -> NoReturn:
        assert folder.parent == tmp_path
        (folder / "half").mkdir()
        (folder / "half" / "x").write_text("x")
        raise error

    with pytest.raises(error), files.staged(tmp_path) as folder:
        half(folder)
    assert names(tmp_path) == set()


def test_a_folder_is_moved_whole(tmp_path: Path) -> None:
    with files.staged(tmp_path) as folder:
        (folder / "made").mkdir()
        (folder / "made" / "x").write_text("x")
        files.publish({folder / "made": tmp_path / "there"}, force=False)
    assert names(tmp_path) == {"there", "x"}


@pytest.mark.parametrize("way", ["path", "link", "hard link", "descriptor"])
@pytest.mark.parametrize("force", [True, False])
def test_an_input_is_not_replaced(tmp_path: Path, old: Path, way: str, force: bool) -> None:
    target = old if way == "path" else tmp_path / "other"
    if "link" in way:
        make = target.symlink_to if way == "link" else target.hardlink_to
        make(old)
    with old.open() as stream:
        place = stream.fileno() if way == "descriptor" else old
        kept = files.Inputs.of([(place, "the input"), (tmp_path / "none", "another")])
        with pytest.raises(UsageError, match="this is the input; expected another path"):
            files.write_file(old if way == "descriptor" else target, "x", force=force, inputs=kept)
    assert old.read_text() == "old"


def test_a_place_that_is_kept_free(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("free")
    for name in ("free", "link", "../" + tmp_path.name + "/free"):
        kept = files.Inputs.of(
            [(tmp_path / "free", "kept free"), (Path("\0"), "odd"), (99, "shut")]
        )
        with pytest.raises(UsageError, match="is kept free"):
            files.write_file(tmp_path / name, "x", force=True, inputs=kept)
    assert names(tmp_path) == {"link"}


@pytest.mark.parametrize("check", [files.check_target, files.check_target_folder])
def test_a_name_that_is_too_long(tmp_path: Path, check: Callable[..., object]) -> None:
    more = {"force": True} if check is files.check_target else {}
    for path in (tmp_path / ("x" * 300), tmp_path / ("x" * 300) / "y"):
        with pytest.raises(OutputError, match=r"error: cannot be written: file name too long\Z"):
            check(path, **more)


def test_folders_to_be(tmp_path: Path, old: Path) -> None:
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "lost").symlink_to("none/there")
    (tmp_path / "loop").symlink_to("loop")
    assert files.check_target_folder(tmp_path)
    assert not files.check_target_folder(tmp_path / "link")
    for target in (old, tmp_path / "loop", Path("-")):
        with pytest.raises(UsageError, match=r"expected|points to itself"):
            files.check_target_folder(target)
    for target in (tmp_path / "none" / "x", tmp_path / "lost"):
        with pytest.raises(OutputError, match="none: error: no such folder"):
            files.check_target_folder(target)


class Windows:
    """The calls of Windows that differ: it opens no folders, and flushes what may be written."""

    name = "nt"
    flushed: set[int]

    def __init__(self) -> None:
        self.writable: set[int] = set()
        self.flushed = set()

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def open(self, path: Path, flags: int) -> int:
        if path.is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        descriptor = os.open(path, flags)
        if flags == os.O_RDWR:
            self.writable.add(descriptor)
        return descriptor

    def fsync(self, descriptor: int) -> None:
        if descriptor not in self.writable:
            raise OSError(9, "Bad file descriptor")
        self.flushed.add(os.fstat(descriptor).st_ino)


def test_flushes_as_windows_wants_it(
    tmp_path: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = Windows()
    monkeypatch.setattr("rnnspec.files.output.os", windows)
    old.chmod(0o444)
    with files.staged(tmp_path) as folder:
        (folder / "made").mkdir()
        (folder / "made" / "inner").write_text("new")
        (folder / "new").write_text("new")
        files.publish({folder / "made": tmp_path / "made", folder / "new": old}, force=True)
    assert names(tmp_path) == {"old", "made", "inner"}
    kept = (tmp_path / "made" / "inner", old)
    assert windows.flushed == {path.stat().st_ino for path in kept}


def test_metadata_are_sorted(tmp_path: Path) -> None:
    path, keys = tmp_path / "net.safetensors", [f"key {number}" for number in range(20)]
    metadata = {key: f'"\u00e9\u2028\n\x01\x7f{key}' for key in reversed(keys)}
    arrays = {name: np.arange(5.0) for name in ("b", "a")}
    save_file(arrays, path, metadata=metadata)
    size = path.stat().st_size
    sort_metadata(path)
    assert list(read_metadata(path)) == sorted(keys)
    with safe_open(path, "numpy") as file:
        assert file.metadata() == metadata
        np.testing.assert_array_equal(file.get_tensor("b"), arrays["b"])
    assert path.stat().st_size == size
