"""``rnnspec codegen`` with a folder, and ``--check``, which lists stale files."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cases import cases
from offered import require_source

from rnnspec import pipeline
from rnnspec.backends import BACKENDS

Run = Callable[..., Any]


@pytest.fixture
def specs(spec: str) -> list[str]:
    """Two specs, and an empty folder for their sources."""
    text = Path(spec).read_text()
    Path("large.yaml").write_text(
        text.replace("small", "large").replace("units: 3", "units: 30, recurrent_dropout: 0.5")
    )
    Path("made").mkdir()
    return [spec, "large.yaml"]


def test_a_folder_holds_each_source_under_the_name_of_its_network(
    run: Run, entries: Run, specs: list[str], backend: str
) -> None:
    require_source(backend, *specs)
    ran = run("codegen", *specs, "-b", backend, "-o", "made")
    assert (ran.code, ran.err) == (0, "")
    ending = BACKENDS[backend].ending
    assert ran.out == f"wrote made/small{ending}\nwrote made/large{ending}\n"
    for path in specs:
        source = Path("made", path).with_suffix(ending)
        assert source.read_text() == pipeline.codegen(path, backend)
    assert entries() == {*specs, "made", f"made/small{ending}", f"made/large{ending}"}
    ran = run("codegen", *specs, "-b", backend, "-o", "made", "--check")
    assert (ran.code, ran.out, ran.err) == (0, "2 sources: up to date\n", "")
    ran = run("codegen", ".", "-b", backend, "-o", f"made/small{ending}", "--check")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"made/small{ending}: error: is a file, expected a folder\n"
    Path("link").symlink_to("nowhere")
    ran = run("codegen", *specs, "-b", backend, "-o", "link", "--force")
    assert (ran.code, ran.out, ran.err) == (2, "", "link: error: is a file, expected a folder\n")


def test_none_is_written_where_one_may_not_be(run: Run, entries: Run, specs: list[str]) -> None:
    Path("made/large.py").write_text("mine")
    ran = run("codegen", *specs, "-b", "torch", "-o", "made")
    assert (ran.code, ran.out) == (2, "")
    assert (
        ran.err == "made/large.py: error: already exists; use --force or force=True to replace it\n"
    )
    assert entries() == {*specs, "made", "made/large.py"}
    assert run("codegen", *specs, "-b", "torch", "-o", "made", "--force").code == 0


def test_windows_line_breaks_are_not_stale(run: Run, spec: str) -> None:
    text = pipeline.codegen(spec, "keras")
    Path("small.py").write_bytes(text.replace("\n", "\r\n").encode())
    assert run("codegen", spec, "-b", "keras", "-o", "small.py", "--check").code == 0
    Path("small.py").write_bytes(text.replace("\n", "\r").encode())
    assert run("codegen", spec, "-b", "keras", "-o", "small.py", "--check").code == 1


EDITS: dict[str, Callable[[str], str]] = {
    "changed": lambda text: text.replace("Embedding(20, 4", "Embedding(20, 5"),
    "no_line_break_at_the_end": lambda text: text.removesuffix("\n"),
    "more_at_the_end": lambda text: text + "-- x",
    "tab": lambda text: text.replace("    return", "\treturn"),
    "empty": lambda _: "",
}


@cases("edit", EDITS.values())
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_stale_source_is_told_by_a_patch_that_applies(
    run: Run, entries: Run, spec: str, edit: Callable[[str], str]
) -> None:
    text = pipeline.codegen(spec, "keras")
    Path("small.py").write_text(edit(text))
    before = entries()
    ran = run("codegen", spec, "-b", "keras", "-o", "small.py", "--check")
    assert ran.code == 1
    assert ran.out.startswith("--- small.py\n+++ small.py\n@@ ")
    assert ran.err.startswith("small.py: error: is not up to date with small.yaml\n")
    assert Path("small.py").read_text() == edit(text)
    assert entries() == before
    subprocess.run(["git", "apply", "-p0"], input=ran.out, text=True, check=True)
    assert Path("small.py").read_text() == text


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_missing_source_is_stale(run: Run, entries: Run, specs: list[str], backend: str) -> None:
    require_source(backend, *specs)
    before = entries()
    ran = run("codegen", *specs, "-b", backend, "-o", "made", "--check")
    assert ran.code == 1
    made = f"made/small{BACKENDS[backend].ending}"
    assert ran.err.startswith(f"{made}: error: is missing, the source of small.yaml\n")
    assert f"--- /dev/null\n+++ {made}\n" in ran.out
    assert entries() == before
    subprocess.run(["git", "apply", "-p0"], input=ran.out, text=True, check=True)
    assert run("codegen", *specs, "-b", backend, "-o", "made", "--check").code == 0


def test_the_command_in_the_message_brings_it_up_to_date(run: Run, specs: list[str]) -> None:
    Path("made/small.py").write_text("old")
    ran = run("codegen", *specs, "-b", "torch", "-o", "made", "--check")
    command = shlex.split(ran.err.splitlines()[-1].split("to update: ")[1])
    assert run(*command[1:]).code == 0
    assert run("codegen", *specs, "-b", "torch", "-o", "made", "--check").code == 0


def test_what_a_terminal_would_obey_is_escaped(run: Run, spec: str) -> None:
    Path("small.py").write_bytes(b"# \x1b[31m \xff \xe2\x80\xae\n")
    ran = run("codegen", spec, "-b", "keras", "-o", "small.py", "--check")
    assert ran.code == 1
    assert "-# \\x1b[31m \\xff \\u202e\n" in ran.out


def test_a_folder_that_is_not_there_is_made(run: Run, entries: Run, specs: list[str]) -> None:
    for paths in (specs, specs[:1]):
        ran = run("codegen", *paths, "-b", "torch", "-o", "src/models", "--check")
        assert (ran.code, ran.out, ran.err) == (2, "", "src/models: error: no such folder\n")
    assert not Path("src").exists()
    ran = run("codegen", specs[0], "-b", "torch", "-o", "src/models")
    assert (ran.code, ran.out, ran.err) == (0, "wrote src/models/small.py\n", "")
    ran = run("codegen", *specs, "-b", "torch", "-o", "v1.0")
    assert (ran.code, ran.out) == (0, "wrote v1.0/small.py\nwrote v1.0/large.py\n")
    ran = run("codegen", *specs, "-b", "torch", "-o", f"{specs[0]}/models")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == f"{specs[0]}/models: error: cannot be written: not a directory\n"


def test_no_folder_is_made_for_a_network_that_is_refused(run: Run, specs: list[str]) -> None:
    text = Path(specs[0]).read_text()
    Path("large.yaml").write_text(text.replace("units: 3", "units: 3, bidirectional: true"))
    ran = run("codegen", "large.yaml", "-b", "torch", "--form", "step", "-o", "models")
    assert ran.code == 1
    assert not Path("models").exists()


def test_several_specs_need_a_folder_and_names_of_their_own(run: Run, specs: list[str]) -> None:
    ran = run("codegen", *specs, "-b", "torch")
    assert (ran.code, ran.out) == (2, "")
    assert "expected -o FOLDER" in ran.err
    shutil.copy(specs[0], "other.yaml")
    ran = run("codegen", specs[0], "other.yaml", "-b", "torch", "-o", "made", "--check")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("other.yaml: error: has the name 'small', which small.yaml has too")


def test_wrong_specs_are_all_told(run: Run, entries: Run, specs: list[str]) -> None:
    Path("a.yaml").write_text("version: 1\n")
    Path("b.yaml").write_text("")
    before = entries()
    ran = run("codegen", "a.yaml", *specs, "b.yaml", "-b", "torch", "-o", "made")
    assert (ran.code, ran.out) == (1, "")
    assert all(f"{path}:1:1: error: " in ran.err for path in ("a.yaml", "b.yaml"))
    assert entries() == before
