"""``rnnspec parity`` in several processes and in shards prints what one process prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mutation import source_edited
from offered import require

from rnnspec.cli.comparing import sharing

Run = Callable[..., Any]

SPECS = {
    "gru": "input: {features: 2}\nrnn: {type: gru, units: 3}\n",
    "lstm": "input: {features: 3}\nrnn: {type: lstm, units: 2, bidirectional: true}\n",
    "simple": "embedding: {vocabulary: 9, dim: 2}\nrnn: {type: simple, units: 2}\n",
    "stack": "input: {features: 1}\nrnn:\n  - {type: gru, units: 2}\n  - {type: gru, units: 2}\n",
    "wide": "input: {features: 4}\nrnn: {type: lstm, units: 5}\nhead: {units: 2}\n",
}
ONNX = ("--backend", "onnx", "--dtype", "float32", "--level", "forward")
# A shell ignores SIGINT in commands that it starts in the background.
HEEDING = """
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
from rnnspec.cli import main
main()
"""
BOTH = ("--random", 7, "--backend", "torch,onnx", "--level", "forward")


@pytest.fixture
def _specs(tmp_path: Path) -> None:
    require("onnx")
    require("torch")
    (tmp_path / "nets").mkdir()
    for name, text in SPECS.items():
        (tmp_path / f"nets/{name}.yaml").write_text(f"version: 1\nname: {name}\n{text}")


@pytest.mark.usefixtures("_specs")
def test_two_processes_report_what_one_reports(run: Run) -> None:
    for asked in (("nets", *ONNX), BOTH):
        one = run("parity", *asked, "--json")
        two = run("parity", *asked, "--json", "--jobs", 2)
        assert (one.code, one.err) == (0, "")
        assert two == one


@pytest.mark.usefixtures("_specs")
@pytest.mark.parametrize(
    ("of", "asked"), [*((of, ("nets", *ONNX)) for of in (1, 2, 3, 8)), (3, BOTH)]
)
def test_shards_join_to_the_whole(run: Run, of: int, asked: tuple[object, ...]) -> None:
    whole, table = run("parity", *asked, "--json"), run("parity", *asked)
    reports = [f"{number}.json" for number in range(of, 0, -1)]
    for number in range(1, of + 1):
        ran = run("parity", *asked, "--shard", f"{number}/{of}", "--json")
        assert (ran.code, ran.err) == (0, "")
        Path(f"{number}.json").write_text(ran.out)
    assert (whole.code, table.code) == (0, 0)
    assert run("parity", "--merge", *reports, "--json") == whole
    assert run("parity", "--merge", *reports) == table


@pytest.mark.usefixtures("_specs")
def test_shards_of_random_specs_that_differ(run: Run) -> None:
    asked = ("parity", "--random", 12, "--backend", "onnx", "--level", "forward")
    with source_edited("onnx", [("Tanh", "Relu")], everywhere=False):
        whole = run(*asked, "--json")
        for number in (1, 2):
            ran = run(*asked, "--shard", f"{number}/2", "--json")
            Path(f"{number}.json").write_text(ran.out)
        table = run("parity", "--merge", "1.json", "2.json")
        Path("again.yaml").write_text(table.out)
        words = table.out.split("rnnspec parity FILE ")[1].splitlines()[0]
        assert words == "--level forward --dtype float32"
        assert run("parity", "again.yaml", "--backend", "onnx", *words.split()).code == 1
    assert run("parity", "--merge", "1.json", "2.json", "--json") == whole
    assert (whole.code, table.code, table.err) == (1, 1, whole.err)
    assert ": error: onnx: " in whole.err


@pytest.mark.usefixtures("_specs")
def test_a_difference_that_json_cannot_say_is_joined(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rnnspec.backends import BACKENDS
    from rnnspec.ir.params import Counts

    runtime: Any = BACKENDS["torch"].runtime
    monkeypatch.setattr(runtime, "counts", lambda _: Counts(trainable=181, non_trainable=0))
    asked = ("parity", "nets", "--backend", "torch", "--level", "forward")
    whole, table = run(*asked, "--json"), run(*asked)
    for number in (1, 2):
        Path(f"{number}.json").write_text(run(*asked, "--shard", f"{number}/2", "--json").out)
    assert '"forward_max_difference": null' in whole.out
    assert run("parity", "--merge", "1.json", "2.json", "--json") == whole
    assert run("parity", "--merge", "1.json", "2.json") == table


@pytest.mark.usefixtures("_specs")
def test_a_shard_says_which_part_it_is(run: Run) -> None:
    ran = run("parity", "nets", *ONNX, "--shard", "2/3")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-2].startswith("equal: 2 specs, ")
    assert ran.out.splitlines()[-1] == "shard 2/3: 2 of 5 specs"
    ran = run("parity", *BOTH, "--shard", "7/7")
    assert ran.out.splitlines()[-1] == "shard 7/7: 1 of 7 specs"


@pytest.fixture
def shards(run: Run, _specs: None) -> list[str]:
    """The reports of both shards of a run."""
    for number in (1, 2):
        ran = run("parity", "nets", *ONNX, "--shard", f"{number}/2", "--json")
        Path(f"{number}.json").write_text(ran.out)
    return ["1.json", "2.json"]


def _changed(report: dict[str, Any], keys: tuple[str, ...], value: object) -> None:
    for key in keys[:-1]:
        report = report[key]
    report[keys[-1]] = value


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("level",), "counts", "level: expected 'forward' as in 1.json, received 'counts'"),
        (("dtype",), "half", "dtype: expected 'float32' as in 1.json, received 'half'"),
        (("shard", "asked", "seed"), 5, "seed: expected 0 as in 1.json, received 5"),
        (
            ("shard", "versions", "rnnspec"),
            "9",
            "version of rnnspec: expected '0.1.0' as in 1.json, received '9'",
        ),
        (("shard", "number"), 1, "shard 1/2 is also in 1.json"),
        (("shard", "cases"), 4, "number of specs: expected 5 as in 1.json, received 4"),
        (("shard", "of"), 3, "number of shards: expected 2 as in 1.json, received 3"),
        (("shard", "of"), 0, "expected a report that rnnspec parity --shard I/N --json prints, "),
        (("specs",), [], "expected 2 cases in shard 2/2, received another number"),
        (("specs",), {}, "expected a report that rnnspec parity --shard I/N --json prints, "),
    ],
)
def test_reports_that_do_not_belong_together(
    run: Run, shards: list[str], keys: tuple[str, ...], value: object, message: str
) -> None:
    report = json.loads(Path("2.json").read_text())
    _changed(report, keys, value)
    # The first shard has 3 specs, the second one 2.
    if keys[-1] == "number":
        report["specs"] = json.loads(Path("1.json").read_text())["specs"]
    Path("2.json").write_text(json.dumps(report))
    ran = run("parity", "--merge", *shards)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("2.json: error: ")
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_a_shard_that_is_missing(run: Run, shards: list[str]) -> None:
    told = "rnnspec: error: expected the reports of all 2 shards; missing: shard 2/2\n"
    assert run("parity", "--merge", shards[0]).err == told
    assert "cannot read this report: no such file" in run("parity", "--merge", "3.json").err
    Path("2.json").write_text("{}")
    assert "received something else" in run("parity", "--merge", "2.json").err
    ran = run("parity", "nets", *ONNX, "--json")
    Path("2.json").write_text(ran.out)
    assert "received something else" in run("parity", "--merge", *shards).err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--random", "3", "--shard", "0/2"], "shard: expected I/N, such as 2/5, with I from 1"),
        (["--random", "3", "--shard", "3/2"], "received '3/2'"),
        (["--random", "3", "--shard", "1"], "received '1'"),
        (["--random", "3", "--jobs", "0"], "--jobs"),
        (["--merge"], "expected the reports of all shards, received none"),
        (["--merge", "1.json", "--level", "counts"], "--merge takes all options from the reports"),
        (["--merge", "1.json", "--random", "2"], "--merge takes all options from the reports"),
        (["--merge", "1.json", "--shard", "1/2"], "--merge takes all options from the reports"),
        (["--random", "3", "--backend", "onnx"], "onnx cannot be compared up to gradients, only"),
        (["--random", "3", "--backend", "torch,onnx", "--level", "training"], "at least two"),
    ],
)
def test_a_wrong_request(run: Run, words: list[str], message: str) -> None:
    ran = run("parity", *words)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


@pytest.mark.usefixtures("_specs")
@pytest.mark.parametrize(
    "cases", [("nets", *ONNX), ("--backend", "onnx", "--level", "forward", "--random", 9)]
)
def test_more_cases_than_one_process_should_compare_go_to_another(
    run: Run, monkeypatch: pytest.MonkeyPatch, cases: tuple[object, ...]
) -> None:
    # An edit is seen in this process alone.
    edits = [("Tanh", "Relu"), ("reset = 1", "reset = 0")]
    with source_edited("onnx", edits, everywhere=False):
        assert run("parity", *cases).code == 1
        monkeypatch.setattr(sharing, "MOST", 4)
        assert run("parity", *cases).code == 0


@pytest.mark.usefixtures("_specs")
def test_backends_without_float64_take_part_in_float32(run: Run) -> None:
    ran = run("parity", "--random", 5, "--backend", "onnx,torch")
    assert (ran.code, ran.err) == (0, "")
    lines = [line.rsplit(": ", 1)[0] for line in ran.out.splitlines()]
    assert lines == [
        "Largest difference in forward",
        "Largest difference in gradients",
        "Largest difference in forward in float32 on onnx",
        "equal",
    ]
    found = json.loads(run("parity", "--random", 5, "--backend", "onnx,torch", "--json").out)
    assert found["largest"]["forward"] < 1e-12
    double, single = (found["backends"][name] for name in ("torch", "onnx"))
    assert double == {"dtype": "float64", "compared": 5, "largest": found["largest"]}
    assert (single["dtype"], single["compared"]) == ("float32", 5)
    assert 1e-10 < single["largest"]["forward"] < 1e-5


def _workers(parent: int) -> list[int]:
    """Return the worker processes of a process."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        commands = {int(each): Path(f"/proc/{each}/cmdline").read_text() for each in children}
    except FileNotFoundError:
        return []
    return [each for each, command in commands.items() if "spawn_main" in command]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.usefixtures("_specs")
@pytest.mark.parametrize("what", ["interrupted", "killed"])
def test_processes_end_with_the_run(what: str) -> None:
    # So many that the run cannot end before the signal.
    folders = ["nets"] * 10
    process = subprocess.Popen(
        [sys.executable, "-c", HEEDING, "parity", *folders, *ONNX, "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(workers := _workers(process.pid)) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    if what == "interrupted":
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(workers[1], signal.SIGKILL)
    # Ends only if no process is left that holds the pipes.
    out, err = process.communicate(timeout=60)
    assert out == ""
    if what == "interrupted":
        assert (process.returncode, err) == (130, "rnnspec: interrupted\n")
    else:
        assert process.returncode == 3
        told = "rnnspec: error: the process that compared nets/lstm.yaml was ended by SIGKILL; "
        assert err.startswith(told)
        assert err.count("\n") == 1
    for worker in workers:
        assert not Path(f"/proc/{worker}").exists()
