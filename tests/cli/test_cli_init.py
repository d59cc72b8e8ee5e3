"""``rnnspec init``: a spec to start from, which every other command accepts."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cases import cases

import rnnspec
from rnnspec.backends import reserved_names
from rnnspec.backends.base import TEMPLATES
from rnnspec.cli.completers import cells, network_names
from rnnspec.errors import SpecError
from rnnspec.spec import json_schema
from rnnspec.spec.zoo import zoo_names

Run = Callable[..., Any]
MODELINE = "# yaml-language-server: $schema=./rnnspec.schema.json"


def test_without_a_word_it_writes_a_spec_and_its_schema(run: Run, entries: Run) -> None:
    ran = run("init")
    assert (ran.code, ran.err) == (0, "")
    assert entries() == {"classifier.yaml", "rnnspec.schema.json"}
    assert Path("classifier.yaml").read_text().splitlines()[0] == MODELINE
    assert Path("rnnspec.schema.json").read_text() == json_schema.text(reserved_names())
    assert ran.out.splitlines() == [
        "wrote classifier.yaml",
        "wrote rnnspec.schema.json, for completion and checks in editors",
        "next: rnnspec summary classifier.yaml",
    ]


@cases("network", network_names())
def test_every_network_is_a_good_spec(run: Run, network: str) -> None:
    assert run("init", "mine", "--network", network, "--force").code == 0
    text = Path("mine.yaml").read_text()
    spec = rnnspec.loads(text)
    assert spec.name == "mine"
    named = json.loads(Path("rnnspec.schema.json").read_text())
    jsonschema.Draft7Validator(named).validate(yaml.safe_load(text))
    assert text.count(" # ") > 3
    assert max(map(len, text.splitlines())) <= 100
    assert run("validate", "mine.yaml").code == 0
    assert run("lint", "mine.yaml").code == 0, "a warning"
    for backend in ("keras", "torch"):
        assert rnnspec.codegen(spec, backend)


def test_a_cell_of_the_zoo_is_a_good_spec(run: Run) -> None:
    assert run("init", "--cell", "peephole_lstm").out.splitlines()[0] == "wrote peephole_lstm.yaml"
    assert rnnspec.load("peephole_lstm.yaml").cells
    assert run("init", "mine", "--cell", "mgu").code == 0
    assert rnnspec.load("mine.yaml").name == "mine"
    assert "mgu" in cells("m")
    for name in ("light_gru", "lightgru", "Li-GRU", "LiGRU"):
        ran = run("init", "--cell", name, "--force")
        assert (ran.code, ran.out.splitlines()[0]) == (0, "wrote li_gru.yaml")
    ran = run("init", "--cell", "peephole_lsmt")
    assert ran.code == 2
    assert "unknown cell 'peephole_lsmt'; did you mean 'peephole_lstm'?" in ran.err
    assert "expected one of them" in run("init", "--cell", "mgu", "--network", "tagger").err


@cases("network", network_names())
def test_what_is_commented_out_can_be_written(run: Run, network: str) -> None:
    run("init", "--network", network)
    text = Path(f"{network}.yaml").read_text()
    lines = text.splitlines()
    written = {}
    for number, line in enumerate(lines):
        key, _, rest = line.strip().removeprefix("# ").partition(": ")
        if line.strip().startswith("# ") and key.isidentifier() and number and " " not in key:
            indent = line[: len(line) - len(line.lstrip())]
            written[key] = [*lines[:number], f"{indent}{key}: {rest}", *lines[number + 1 :]]
    for key in written.keys() - {"weights", "words"}:
        rnnspec.loads("\n".join(written[key]))


@cases("name", network_names())
def test_a_description_says_the_task_not_the_layers(name: str) -> None:
    # It would be stale as soon as somebody edits the layers, and source repeats it.
    description = rnnspec.load(TEMPLATES / "init" / f"{name}.yaml").description
    assert description
    structure = r"\b(layers?|LSTM|GRU|bidirectional|convolutions?|embedded|units?|vectors?|two)\b"
    assert not re.search(structure, description, re.IGNORECASE)


def test_the_list_has_every_network_and_cell(run: Run, entries: Run) -> None:
    ran = run("init", "--list")
    assert (ran.code, ran.err) == (0, "")
    networks, _, cells = ran.out.partition("Cells (--cell):\n")
    assert tuple(line.split()[0] for line in networks.splitlines()[1:]) == network_names()
    assert len(network_names()) >= 5
    assert tuple(line.split()[0] for line in cells.splitlines()) == zoo_names()
    assert "  li_gru                   Li-GRU, light GRU (Ravanelli, Brakel, Omologo" in cells
    assert entries() == set()


def test_the_schema_goes_beside_the_spec(run: Run, entries: Run) -> None:
    Path("specs").mkdir()
    assert run("init", "net", "-o", "specs/a b.yaml").out.endswith("summary 'specs/a b.yaml'\n")
    assert entries() == {"specs", "specs/a b.yaml", "specs/rnnspec.schema.json"}


def test_a_schema_that_is_there_stays(run: Run) -> None:
    Path("rnnspec.schema.json").write_text(json_schema.text(reserved_names()))
    assert "schema" not in run("init").out
    Path("rnnspec.schema.json").write_text("{}")
    out = run("init", "other").out
    assert "rnnspec schema -o rnnspec.schema.json --force updates it" in out
    assert Path("rnnspec.schema.json").read_text() == "{}"


def test_no_spec_is_replaced_unasked(run: Run, entries: Run) -> None:
    Path("net.yaml").write_text("mine")
    ran = run("init", "net")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "net.yaml: error: already exists; use --force or force=True to replace it\n"
    assert entries() == {"net.yaml"}
    assert Path("net.yaml").read_text() == "mine"
    assert run("init", "net", "--force").code == 0
    assert rnnspec.load("net.yaml").name == "net"


@cases("name", ["Net", "", "a/b", "../x", "class", "json", "net.yaml", "x\n", "é"])
def test_a_bad_name_is_refused_in_the_words_of_a_spec(run: Run, entries: Run, name: str) -> None:
    with pytest.raises(SpecError) as caught:
        rnnspec.loads(
            f"version: 1\nname: {json.dumps(name)}\ninput: {{features: 1}}\n"
            "rnn: {type: gru, units: 1}\n"
        )
    (problem,) = caught.value.problems
    ran = run("init", name)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"rnnspec: error: {problem.message[:30]}")
    assert entries() == set()


@cases(
    ("network", "hint"),
    [("tager", "did you mean 'tagger'?"), ("xyz", "expected classifier, ")],
)
def test_an_unknown_network(run: Run, entries: Run, network: str, hint: str) -> None:
    ran = run("init", "--network", network)
    assert (ran.code, ran.out) == (2, "")
    assert f"unknown network '{network}'; {hint}" in ran.err
    assert entries() == set()


def test_a_folder_that_is_not_there(run: Run, entries: Run) -> None:
    ran = run("init", "-o", "nowhere/net.yaml")
    assert (ran.code, ran.out, ran.err) == (3, "", "nowhere: error: no such folder\n")
    assert entries() == set()


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "is not a regular file, so the schema is neither written nor compared"),
    "named pipe": (os.mkfifo, "is not a regular file, so "),
    "dangling link": (lambda path: path.symlink_to("nowhere"), "is not a regular file, so "),
    "link to itself": (lambda path: path.symlink_to(path.name), "is not a regular file, so "),
    # A regular file whose first page cannot be read, not even by root.
    "unreadable": (
        lambda path: path.symlink_to("/proc/self/mem"),
        "cannot be read, so it was not compared with the schema: input/output error",
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@cases(("make", "message"), ODD)
def test_odd_things_in_the_place_of_the_schema_keep_no_spec_away(
    run: Run,
    entries: Run,
    *,
    make: Callable[[Path], object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("rnnspec.schema.json"))
    before = Path("rnnspec.schema.json").lstat()
    ran = run("init")
    assert ran.code == 0
    assert ran.out == "wrote classifier.yaml\nnext: rnnspec summary classifier.yaml\n"
    assert ran.err.startswith(f"rnnspec.schema.json: note: {message}")
    assert ran.err.count("\n") == 1
    assert rnnspec.load("classifier.yaml").name == "classifier"
    assert os.path.samestat(Path("rnnspec.schema.json").lstat(), before)
    assert entries() == {"classifier.yaml", "rnnspec.schema.json"}


def test_a_disk_with_room_for_the_spec_alone(run: Run, entries: Run) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        ran = run("init")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ran.code == 0
    assert ran.err == (
        "rnnspec.schema.json: note: cannot be written: file too large; "
        "the spec was written, the schema was not\n"
    )
    assert entries() == {"classifier.yaml"}


def test_a_schema_of_the_same_text_is_current(run: Run) -> None:
    Path("rnnspec.schema.json").write_bytes(
        json_schema.text(reserved_names()).replace("\n", "\r\n").encode()
    )
    assert "schema" not in run("init").out
    Path("rnnspec.schema.json").write_text(json_schema.text(reserved_names()) + " ")
    assert "is not the schema of this version" in run("init", "other").out


def test_a_schema_that_appears_meanwhile_is_compared(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def slow(descriptor: int) -> None:
        if Path("classifier.yaml").exists() and not Path("rnnspec.schema.json").exists():
            Path("rnnspec.schema.json").write_text("{}")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    ran = run("init")
    assert (ran.code, ran.err) == (0, "")
    assert "rnnspec.schema.json is not the schema of this version" in ran.out
    assert Path("rnnspec.schema.json").read_text() == "{}"


@cases(
    "target, there, force",
    [
        ("rnnspec.schema.json", False, []),
        ("rnnspec.schema.json", False, ["--force"]),
        ("x/../rnnspec.schema.json", False, ["--force"]),
        ("link", False, ["--force"]),
        ("rnnspec.schema.json", True, []),
        ("rnnspec.schema.json", True, ["--force"]),
        ("x/../rnnspec.schema.json", True, ["--force"]),
        ("link", True, ["--force"]),
    ],
)
def test_no_spec_goes_where_the_schema_belongs(
    run: Run, entries: Run, *, target: str, there: bool, force: list[str]
) -> None:
    if not Path("x").exists():
        Path("x").mkdir()
        Path("link").symlink_to("rnnspec.schema.json")
    if there:
        Path("rnnspec.schema.json").write_text("{}")
    before = entries()
    ran = run("init", "-o", target, *force)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"{target}: error: this is the file of the schema;")
    assert entries() == before
    assert not there or Path("rnnspec.schema.json").read_text() == "{}"


@cases("target", [".", "..", "/"])
def test_a_folder_is_no_spec(run: Run, entries: Run, target: str) -> None:
    ran = run("init", "-o", target)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"{target}: error: expected the path of a file, received a folder\n"
    assert entries() == set()
