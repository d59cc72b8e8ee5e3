"""In a CI workflow, text of a user is never executed as a command."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from cases import cases
from offered import require_source

from rnnspec import pipeline
from rnnspec.cli import guard

Run = Callable[..., Any]

GOOD = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n"
TOKENS = GOOD.replace("input: {features: 3}", "embedding: {vocabulary: 9, dim: 3, OPTIONS}")
NAMES = ["::error::x", "  ::add-mask::x", "a ##[error]b", "##vso[task.x]y", "x\n::error::y"]
VARIABLES = [("GITHUB_ACTIONS", "true"), ("TF_BUILD", "True"), ("TEAMCITY_VERSION", "2026.1")]


def obeyed(text: str) -> list[str]:
    """Return the lines that GitHub's runner treats as commands, found as in ``ActionCommand``."""
    return [
        line
        for line in re.split("\r\n|\r|\n", text)
        if line.lstrip().startswith("::") or re.search(r"##\w*\[", line)
    ]


@pytest.fixture(autouse=True)
def _in_a_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")


@pytest.fixture
def obeys(run: Run) -> Callable[..., Any]:
    """Run a command, and assert that no CI service would execute part of its output."""

    def obeys(*arguments: object) -> Any:
        ran = run(*arguments)
        assert not obeyed(ran.out)
        assert not obeyed(ran.err)
        return ran

    return obeys


@cases("name, format_", product(NAMES, ["full", "concise", "json", "sarif", "junit"]))
def test_the_name_of_a_file(obeys: Run, name: str, format_: str) -> None:
    path = f"{name}.yaml"
    Path(path).write_text(GOOD.replace("units", "'##[x]'"))
    assert obeys("validate", path, f"none{path}", "--format", format_).code == 2
    Path(path).write_text(GOOD)
    assert obeys("lint", path, "--format", format_).code == 0
    assert obeys("validate", path, "--format", format_).code == 0


def test_a_text_in_a_spec(obeys: Run) -> None:
    options = "weights: '##[error]v.txt', words: '::error::w'"
    Path("a.yaml").write_text(TOKENS.replace("OPTIONS", options) + "description: '##[error]x'\n")
    Path("b.yaml").write_text(TOKENS.replace(", OPTIONS", ""))
    assert obeys("summary", "a.yaml").code == 0
    said = obeys("diff", "a.yaml", "b.yaml").out
    assert r"#\#[error]v.txt" in said
    assert json.loads(obeys("diff", "a.yaml", "b.yaml", "--json").out)["layers"][0]["changes"] == {
        "weights": {"before": "##[error]v.txt", "after": None},
        "words": {"before": "::error::w", "after": None},
    }
    pytest.importorskip("torch")
    assert obeys("build", "a.yaml", "-b", "torch").err.startswith(r"\::error::w: error: no such")
    Path("::error::w").write_text("\n".join("abcdefghi"))
    assert r"#\#[error]v.txt" in obeys("build", "a.yaml", "-b", "torch").err


@cases("name", NAMES)
def test_the_title_of_a_diff(obeys: Run, name: str) -> None:
    Path(name).write_text(GOOD)
    Path("b.yaml").write_text(GOOD.replace("4", "5"))
    assert obeys("diff", name, "b.yaml").code == 0
    assert obeys("diff", "b.yaml", name).code == 0


@cases("arguments", [
    ("explain", "::error::x"), ("explain", "##[error]"), ("nosuch\n::error::x",), ("##[error]",),
    ("summary", "a", "b\r::error::x"), ("validate", "--format", "\n::error::"), ("init", "##[x]"),
    ("validate", "--no\n::error::x"), ("lint", "x", "--select", "##[error]x"), ("build", "##[x]"),
    ("codegen", "x", "-b", "##[x]"), ("parity", "##[x]"), ("diff", "::x", "::y"),
])  # fmt: skip
def test_an_argument(obeys: Run, arguments: tuple[str, ...]) -> None:
    assert obeys(*arguments).code == 2


def test_source_and_patches(obeys: Run, run: Run, backend: str) -> None:
    text = GOOD + 'description: "##[error]a\\n::error::b ##vso[x] ##teamcity[x]"\n'
    Path("a.yaml").write_text(text)
    require_source(backend, "a.yaml")
    ran = obeys("codegen", "a.yaml", "-b", backend)
    assert ran.out == pipeline.codegen("a.yaml", backend)
    start = " *" if ran.out.startswith("/*") else "#"
    quoted = ('"##"[error]a', '::error::b "##"vso[x] "##"teamcity[x]')
    assert "".join(f"{start} {line}\n" for line in quoted) in ran.out
    end = len(ran.out.splitlines()[-1]) + 1
    Path("a.py").write_text(f"{ran.out[:-end]}x = 1  # ##[error]y\n  ::error::z\n{ran.out[-end:]}")
    stale = obeys("codegen", "a.yaml", "-b", backend, "-o", "a.py", "--check")
    assert stale.code == 1
    assert r"-x = 1  # #\#[error]y" in stale.out
    Path("::error::.py").write_text("")
    assert obeys("codegen", "a.yaml", "-b", backend, "-o", "::error::.py", "--check").code == 1
    assert obeys("codegen", "a.yaml", "-b", backend, "-o", "  ::error::.py").code == 0


def test_data_is_what_it_was(obeys: Run) -> None:
    Path("##[x].yaml").write_text(GOOD.replace("units", "'##[x]'"))
    (file,) = json.loads(obeys("validate", "##[x].yaml", "--format", "json").out)["files"]
    assert file["path"] == "##[x].yaml"
    assert "unknown key '##[x]'" in file["problems"][1]["message"]
    Path("::x.yaml").write_text(GOOD.replace("units", "x: 1, unit"))
    root = ET.fromstring(obeys("validate", "##[x].yaml", "::x.yaml", "--format", "junit").out)
    cases = list(root.iter("testcase"))
    assert [case.get("file") for case in cases] == ["##[x].yaml", "::x.yaml"]
    lines = cases[1].findtext("failure", "").splitlines()
    assert [line[:8] for line in lines if ": error: " in line] == ["::x.yaml"] * 2


def test_annotations_are_commands_of_ours(run: Run) -> None:
    Path("::x.yaml").write_text(GOOD.replace("units", "'##[x]'"))
    first, second, *others = run("validate", "::x.yaml").out.splitlines()
    for each in (first, second):
        assert each.startswith("::error file=%3A%3Ax.yaml,line=4,")
        assert "::::x.yaml:4:" in each
    assert [other.partition(": ")[0] for other in others] == ["1 spec"]


@cases(("name", "value"), VARIABLES)
def test_each_service_is_known(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")
    path = "::a ##[b].yaml"
    Path(path).write_text(GOOD)
    assert run("validate", path).out == f"{path}: valid\n"
    monkeypatch.setenv(name, value)
    assert run("validate", path, "--format", "full").out == "\\::a #\\#[b].yaml: valid\n"


def test_a_line_that_is_written_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    guard.guard_streams()
    for part in ("a ##", "[b]\n :", ":c", "\n", "d ::e\r::f\n\n\t::g\n##", "h[i", "]\n::"):
        sys.stdout.write(part)
    sys.stdout.flush()
    assert written.getvalue() == ("a #\\#[b]\n \\::c\nd ::e\r\\::f\n\n\t\\::g\n#\\#h[i]\n\\::")
    guard.print_command("::error::ours")
    assert written.getvalue().endswith("::error::ours\n")
