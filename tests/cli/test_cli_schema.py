"""``rnnspec schema``: the whole schema, on standard output or in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from offered import shipped

from rnnspec.backends import reserved_names
from rnnspec.spec import json_schema

Run = Callable[..., Any]


def test_it_prints_the_schema_and_nothing_else(run: Run) -> None:
    ran = run("schema")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == json_schema.text(reserved_names())
    assert json.loads(ran.out)["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_a_process_with_other_hashes_prints_the_same(python: Run) -> None:
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    ran = python("from rnnspec.cli import main; main()", "schema", PYTHONHASHSEED=seed)
    # A process of its own knows no backends that are there only for tests.
    assert ran.out == json_schema.text(tuple(backend.reserved_names for backend in shipped()))


def test_it_writes_a_file_and_replaces_none_unasked(run: Run, entries: Run) -> None:
    ran = run("schema", "-o", "x.json")
    assert (ran.code, ran.out, ran.err) == (0, "wrote x.json\n", "")
    assert Path("x.json").read_text() == json_schema.text(reserved_names())
    Path("x.json").write_text("mine")
    ran = run("schema", "-o", "x.json")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "x.json: error: already exists; use --force or force=True to replace it\n"
    assert Path("x.json").read_text() == "mine"
    assert run("schema", "-o", "x.json", "--force").code == 0
    assert Path("x.json").read_text() == json_schema.text(reserved_names())
    assert entries() == {"x.json"}


def test_a_dash_is_no_file(run: Run, entries: Run, spec: str) -> None:
    printed = "-: error: expected the path of a file; without -o the {} is printed\n"
    messages = {
        ("schema", "-o", "-"): printed.format("schema"),
        ("codegen", spec, "-b", "torch", "-o", "-", "--force"): printed.format("source"),
        ("codegen", spec, "-b", "torch", "-o", "-", "--check"): printed.format("source"),
        ("init", "-o", "-"): "-: error: expected the path of a file, received '-'\n",
        ("build", spec, "-b", "torch", "-o", "-"): (
            "-: error: expected the path of a folder, received '-'\n"
        ),
    }
    for words, message in messages.items():
        ran = run(*words)
        assert (ran.code, ran.out, ran.err) == (2, "", message)
    assert entries() == {spec}
