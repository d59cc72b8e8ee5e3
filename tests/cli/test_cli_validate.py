"""``rnnspec validate``: the files that a path stands for, the counts, and the exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cases import cases

Run = Callable[..., Any]

GOOD = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n"
WRONG = GOOD.replace("units: 4", "units: 0")
COMPOSE = "services:\n  web: {image: nginx}\n"


def write(path: str, text: str = GOOD) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def places(text: str) -> list[str]:
    """Return the path of each problem."""
    return [line.split(":")[0] for line in text.splitlines() if ": error: " in line]


def test_a_folder_stands_for_every_yaml_file_below_it(run: Run) -> None:
    for path in ("d/b.yaml", "d/a.yml", "d/a-b/c.yaml", "d/a/c.yaml", "d/a/D.YAML", "d/e.txt"):
        write(path, WRONG)
    for path in ("d/.git/x.yaml", "d/.x.yaml"):
        write(path, WRONG)
    ran = run("validate", "d", "--format", "concise")
    assert ran.code == 1
    found = ["d/a/D.YAML", "d/a/c.yaml", "d/a-b/c.yaml", "d/a.yml", "d/b.yaml"]
    assert places(ran.out) == found
    assert run("validate", "./", "--format", "concise").out == ran.out.replace("d/", "./d/")


def test_a_folder_that_links_lead_back_to_is_read_once(run: Run) -> None:
    write("d/z/x.yaml", WRONG)
    write("other/y.yaml", WRONG)
    Path("d/a_link").symlink_to("z")
    Path("d/z/up").symlink_to("..")
    Path("d/elsewhere").symlink_to("../other")
    Path("d/z/loop").symlink_to("loop")
    ran = run("validate", "d", "--format", "concise")
    assert places(ran.out) == ["d/elsewhere/y.yaml", "d/z/x.yaml"]


def test_a_pattern_is_expanded_where_the_shell_did_not(run: Run) -> None:
    for path in ("a.yaml", "d/b.yaml", "d/e/c.yaml"):
        write(path, WRONG)
    ran = run("validate", "d/*.yaml", "--format", "concise")
    assert places(ran.out) == ["d/b.yaml"]
    ran = run("validate", "**/*.yaml", "--format", "concise")
    assert places(ran.out) == ["a.yaml", "d/b.yaml", "d/e/c.yaml"]
    assert places(run("validate", "d*", "--format", "concise").out) == ["d/b.yaml", "d/e/c.yaml"]
    Path("d/back").symlink_to(".")
    Path("d/e/again").symlink_to("..")
    for hidden in ("d/.git/x.yaml", "d/.x.yaml"):
        write(hidden, WRONG)
    for pattern in ("d/**/*.yaml", "d/../d/**/*.yaml", str(Path("d/**/*.yaml").absolute())):
        ran = run("validate", pattern, "--format", "concise")
        assert [Path(path).name for path in places(ran.out)] == ["b.yaml", "c.yaml"]
    assert places(run("validate", "d/.git/*", "--format", "concise").out) == ["d/.git/x.yaml"]
    write("[x].yaml", WRONG)
    assert places(run("validate", "[x].yaml", "--format", "concise").out) == ["[x].yaml"]


@cases(
    ("path", "message"),
    [
        ("none.yaml", "no such file"),
        ("no*.yaml", "no such file"),
        ("empty", "this is a folder without any *.yaml or *.yml file"),
        ("", "no such file"),
    ],
)
def test_a_path_that_stands_for_nothing(run: Run, path: str, message: str) -> None:
    Path("empty").mkdir(exist_ok=True)
    write("a.yaml")
    ran = run("validate", "a.yaml", path)
    assert (ran.code, ran.err) == (2, f"{path or repr(path)}: error: {message}\n")
    assert ran.out == "2 specs: 1 valid, 1 cannot be read\n"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_folder_that_cannot_be_read(run: Run) -> None:
    write("d/a.yaml")
    write("d/shut/b.yaml")
    Path("d/shut").chmod(0)
    ran = run("validate", "d")
    Path("d/shut").chmod(0o700)
    assert ran.code == 2
    assert ran.err == "d/shut: error: cannot read this folder: Permission denied\n"


def test_a_file_is_checked_once(run: Run) -> None:
    write("d/a.yaml", WRONG)
    ran = run("validate", "d/a.yaml", "./d/a.yaml", "d", "d/*.yaml", "d/../d/a.yaml")
    assert places(ran.err) == ["d/a.yaml"]
    # A file that is both named and found in a folder must be a spec.
    write("d/b.yaml", COMPOSE)
    assert set(places(run("validate", "d", "d/b.yaml").err)) == {"d/a.yaml", "d/b.yaml"}


@cases(
    ("text", "line"),
    [(GOOD, "<stdin>: valid"), (WRONG, "<stdin>:4:26: error: rnn.units: ")],
)
def test_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch, text: str, line: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    ran = run("validate", "-")
    assert (ran.err + ran.out).startswith(line)


def test_standard_input_is_read_once_and_may_be_closed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a.yaml")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    assert run("validate", "-", "a.yaml", "-").out == "2 specs: valid\n"
    monkeypatch.setattr(sys, "stdin", None)
    ran = run("validate", "-")
    assert (ran.code, ran.err) == (2, "<stdin>: error: standard input is closed\n")


FOREIGN = {
    "compose": COMPOSE,
    "list": "- 1\n",
    "empty": "",
    "anchors": "x: &a {b: 1}\ny: *a\n",
    "merged": "base: &b {k: v}\nall:\n  <<: *b\n",
    "documents": "a: 1\n---\nb: 2\n",
    "broken": "services: [\n  rnn: 1\n",
    "template": "{{ if .Values.rnn }}\nkind: Pod\n",
    "chart": "apiVersion: v2\nname: x\nversion: 1\ndescription: y\n",
    "one section": "embedding: {model: text}\nstore: {type: faiss}\n",
    "a word inside": "model: {rnn: x}\nhead: main\n",
}
MEANT = {
    "broken": GOOD + "head: [\n",
    "no rnn": GOOD.replace("rnn:", "rnns:"),
    "only rnn": "rnn: {}\n",
    "later version": GOOD.replace("1", "2"),
    "quoted key": "x: [\n'rnn': {}\n",
    "other letters": "version: 1\nname: x\nInput: {features: 3}\nRNN: {}\n",
    "foreign words": "version: 1\nname: x\ninputs: {}\nlayers: []\n",
    "misspelt words": "version: 1\nname: x\nembeding: {}\nrn: {}\n",
    "two sections": "input: {features: 3}\nhead: {units: 1}\n",
    "tabs": GOOD + "\thead: {}\n",
    "second document": GOOD + "---\n" + GOOD,
}


@cases("text", FOREIGN)
def test_a_file_that_is_no_spec_is_told_from_a_wrong_one(run: Run, text: str) -> None:
    write("d/net.yaml")
    write("d/other.yaml", text)
    ran = run("validate", "d")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "1 spec: valid; 1 file is not a spec\n"
    # A file that is named must be a spec.
    ran = run("validate", "d/net.yaml", "d/other.yaml")
    assert ran.code == 1
    assert set(places(ran.err)) == {"d/other.yaml"}


@cases("text", MEANT)
def test_a_wrong_spec_is_told_from_a_file_that_is_none(run: Run, text: str) -> None:
    write("d/net.yaml")
    write("d/other.yaml", text)
    ran = run("validate", "d")
    assert ran.code == 1
    assert set(places(ran.err)) == {"d/other.yaml"}


def test_a_spec_in_utf_16_is_a_wrong_spec(run: Run) -> None:
    write("d/net.yaml")
    Path("d/wide.yaml").write_bytes(GOOD.encode("utf-16"))
    assert places(run("validate", "d").err) == ["d/wide.yaml"]


def test_a_folder_without_any_spec(run: Run) -> None:
    write("d/a.yaml", COMPOSE)
    write("d/b.yaml", COMPOSE)
    ran = run("validate", "d")
    assert (ran.code, ran.out) == (2, "no spec; 2 files are not specs\n")
    assert ran.err == "rnnspec: error: expected a spec, found none in any of the 2 files\n"


def test_the_summary_counts(run: Run) -> None:
    write("d/a.yaml")
    write("d/b.yaml", WRONG + "x: 1\n")
    write("d/c.yaml", COMPOSE)
    write("d/e.yaml")
    ran = run("validate", "d")
    assert ran.out == "3 specs: 2 valid, 1 wrong (2 problems); 1 file is not a spec\n"
    assert run("validate", "d/a.yaml", "d/e.yaml").out == "2 specs: valid\n"
    assert run("validate", "d/a.yaml").out == "d/a.yaml: valid\n"
    ran = run("validate", "d", "none.yaml")
    assert ran.code == 2
    assert ran.out.startswith("4 specs: 2 valid, 1 wrong (2 problems), 1 cannot be read; ")


def test_at_most_fifty_problems_of_a_file_are_printed(run: Run) -> None:
    keys = "".join(f"x{number:02}: 1\n" for number in range(60))
    write("a.yaml", GOOD + keys)
    write("b.yaml", GOOD + keys[: 51 * 7])
    ran = run("validate", "a.yaml", "b.yaml")
    assert places(ran.err) == ["a.yaml"] * 50 + ["b.yaml"] * 50
    assert "a.yaml: 10 more problems\n" in ran.err
    assert ran.err.endswith("b.yaml: 1 more problem\n")
    assert ran.out == "2 specs: 2 wrong (111 problems)\n"


@cases("jobs", ["1", "2", "3", "0"])
def test_the_order_of_files_is_kept_whatever_the_jobs(run: Run, jobs: str) -> None:
    for number in range(40):
        write(f"d/{number:02}.yaml", WRONG if number % 3 else GOOD)
    write("d/99.yaml", COMPOSE)
    ran = run("validate", "d", "--jobs", jobs)
    assert places(ran.err) == [f"d/{number:02}.yaml" for number in range(40) if number % 3]
    assert ran.out == "40 specs: 14 valid, 26 wrong (26 problems); 1 file is not a spec\n"


def test_many_files_are_shared_out_unasked(run: Run) -> None:
    for number in range(600):
        write(f"d/{number:03}.yaml", GOOD if number != 345 else WRONG)
    ran = run("validate", "d")
    assert ran.out == "600 specs: 599 valid, 1 wrong (1 problem)\n"
    assert places(ran.err) == ["d/345.yaml"]


@cases(
    ("words", "message"),
    [
        (["--format", "xml"], "unknown format 'xml'; expected full, concise, json, github"),
        (["--jobs", "-1"], "--jobs"),
    ],
)
def test_a_wrong_option(run: Run, spec: str, words: list[str], message: str) -> None:
    ran = run("validate", spec, *words)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
