"""``rnnspec diff``: its output for people and for programs, and its exit codes."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

OLD = """\
version: 1
name: small
input: {length: 5}
embedding: {vocabulary: 20, dim: 4}
rnn:
  - {type: lstm, units: 3}
head: {units: 1, activation: sigmoid}
expect: {parameters: 180}
"""
NEW = """\
version: 1
name: small
input: {length: 5}
embedding: {vocabulary: 20, dim: 4}
rnn:
  - {type: lstm, units: 2}
  - {type: lstm, units: 3, dropout: 0.5}
head: {units: 1, activation: tanh}
initializers: {bias: ones}
"""


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)


def test_as_a_table(run: Run) -> None:
    ran = run("diff", "old.yaml", "new.yaml")
    assert (ran.code, ran.err) == (0, "")
    said = [re.sub(" +([|]|$)", r"\1", re.sub("[|] +", "|", x)) for x in ran.out.splitlines()]
    assert [line for line in said if "---" not in line] == [
        "old.yaml -> new.yaml",
        "initializers.bias: zeros -> ones",
        "expect.parameters: 180 -> unset",
        "|Layer (type)|Output shape|Parameters|Changes|",
        "|embedding_1 (Embedding)|(None, 5, 4)|80||",
        "|~ lstm_1 (LSTM)|(None, 3) -> (None, 5, 2)|96 -> 56|units: 3 -> 2|",
        "|+ lstm_2 (LSTM)|(None, 3)|72||",
        "|~ dense_1 (Dense)|(None, 1)|4|activation: sigmoid -> tanh|",
        "Output shape: (None, 1)",
        "Total parameters: 180 -> 212 (+32)",
        "Trainable parameters: 180 -> 212 (+32)",
        "Non-trainable parameters: 0",
    ]
    assert len({len(line) for line in ran.out.splitlines() if line.startswith(("|", "+"))}) == 1


def test_json(run: Run) -> None:
    Path("new.yaml").write_text(
        OLD.replace("rnn:\n", "rnn:\n  - {type: gru, units: 4}\n").replace("expect", "# expect")
    )
    ran = run("diff", "old.yaml", "new.yaml", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert found.pop("layers")[1] == {
        "state": "added",
        "name": {"before": None, "after": "gru_1"},
        "type": {"before": None, "after": "GRU"},
        "changes": {},
        "output_shape": {"before": None, "after": [None, 5, 4]},
        "parameters": {"before": None, "after": 120},
    }
    counts = {"total": 180, "trainable": 180, "non_trainable": 0}
    assert found == {
        "same": False,
        "name": {"before": "small", "after": "small"},
        "network": {},
        "output_shape": {"before": [None, 1], "after": [None, 1]},
        "parameters": {"before": counts, "after": {**counts, "total": 300, "trainable": 300}},
        "expect": {"parameters": {"before": 180, "after": None}},
    }


def test_only_the_text_differs(run: Run) -> None:
    written_out = OLD.replace("units: 3", "units: 3, dropout: 0.0, bidirectional: false")
    Path("new.yaml").write_text("# Another.\ndescription: Other words.\n" + written_out)
    ran = run("diff", "old.yaml", "new.yaml", "--exit-code")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "old.yaml -> new.yaml\nno change in the network\n"


def test_a_promise_is_no_part_of_the_network(run: Run) -> None:
    Path("new.yaml").write_text(OLD.replace("parameters: 180", "max_parameters: 1000"))
    ran = run("diff", "old.yaml", "new.yaml", "--exit-code")
    assert ran.code == 0
    assert ran.out.splitlines()[1:] == [
        "expect.parameters: 180 -> unset",
        "expect.max_parameters: unset -> 1,000",
        "no change in the network",
    ]


def test_exit_code(run: Run) -> None:
    assert run("diff", "old.yaml", "new.yaml").code == 0
    ran = run("diff", "old.yaml", "new.yaml", "--exit-code")
    assert (ran.code, ran.err) == (1, "")
    assert "lstm_2" in ran.out
    assert run("diff", "old.yaml", "old.yaml", "--exit-code").code == 0


def test_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(OLD.encode())))
    ran = run("diff", "-", "new.yaml")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("<stdin> -> new.yaml\n")
    assert "+ lstm_2 (LSTM)" in ran.out
    ran = run("diff", "-", "-")
    assert (ran.code, ran.out) == (2, "")
    assert "'-' once at most" in ran.err


def test_every_problem_of_both(run: Run) -> None:
    Path("a.yaml").write_text(OLD.replace("units: 3", "units: 0"))
    Path("b.yaml").write_text(OLD.replace("lstm", "lsmt"))
    ran = run("diff", "a.yaml", "b.yaml", "--json")
    assert (ran.code, ran.out) == (1, "")
    starts = [line.split(" ")[0] for line in ran.err.splitlines() if ": error: " in line]
    assert starts == ["a.yaml:6:25:", "b.yaml:6:12:"]
    assert run("diff", "a.yaml", "none.yaml").code == 2


def test_with_a_revision_of_git(run: Run, tmp_path: Path) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=one", "-c", "user.email=one@example.org")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    (tmp_path / "net.yaml").write_text(OLD)
    git("add", "net.yaml")
    git("commit", "-q", "-m", "First")
    (tmp_path / "net.yaml").write_text(NEW)
    plain = run("diff", "old.yaml", "new.yaml").out.splitlines()[1:]
    ran = run("diff", "main:net.yaml", "net.yaml")
    assert (ran.code, ran.out.splitlines()) == (0, ["main:net.yaml -> net.yaml", *plain])
    missing = run("diff", "main:nix.yaml", "net.yaml")
    assert (missing.code, missing.out) == (2, "")
    assert missing.err.startswith(
        "main:nix.yaml: error: no such file, and git says: path 'nix.yaml' does not exist"
    )
    (tmp_path / "odd:name.yaml").write_text(OLD)
    assert run("diff", "odd:name.yaml", "old.yaml", "--exit-code").code == 0
