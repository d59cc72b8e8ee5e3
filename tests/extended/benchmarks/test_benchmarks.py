"""The parts of the benchmarks, without a framework and without measuring time."""

import itertools
import json
import math
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import rnnspec
from benchmarks.gpu import Check
from benchmarks.networks import LAYERS, Case
from benchmarks.processes import BenchmarkError, imports_of, output
from benchmarks.race import (
    Budget,
    Curve,
    Effort,
    Findings,
    Race,
    exponent,
    race,
    ratios,
    ratios_by_speed,
    result,
)
from benchmarks.report import markdown, write
from benchmarks.suites import SUITES
from benchmarks.tasks import measure_growth

ONCE = Effort(seconds=0, least=1, most=1)
CURVE = Curve("size", "work & sizes", [1, 10, 100], [1e-3, 1e-2, 1e-1], [1e6, 2e6, 3e6])
NETWORKS = ("stacked_lstm", "packed_sentiment_lstm", "three_lstm", "reset_before", "hard_gates")


def raced() -> Race:
    ours, theirs = {"ours": lambda: 2.0}, {"slow": lambda: 8.0, "fast": lambda: 4.0}
    return race("a race", ours, theirs, ONCE, warmups=0, measure=result, unit="MB")


def test_a_race_of_one_round_holds_a_sample_of_each() -> None:
    found = raced()
    assert (found.ours, found.theirs) == ({"ours": [2.0]}, {"slow": [8.0], "fast": [4.0]})


def test_each_goes_first_as_often_as_last() -> None:
    order: list[str] = []
    runs = {name: partial(order.append, name) for name in "abc"}
    race("order", {"a": runs["a"]}, {n: runs[n] for n in "bc"}, Effort(0, 6, 6), warmups=0)
    rounds = [order[start : start + 3] for start in range(0, len(order), 3)]
    assert sorted(each[0] for each in rounds) == sorted(each[-1] for each in rounds)
    assert {each[0] for each in rounds} == set("abc")


def test_the_aim_stands_in_the_row_of_the_fastest() -> None:
    first, second = ratios_by_speed(raced(), 1.05)
    assert (first.theirs, first.median, first.aim) == ("fast", 0.5, 1.05)
    assert (second.theirs, second.median, second.aim) == ("slow", 0.25, None)


def test_what_does_other_work_has_no_aim() -> None:
    first, second = ratios_by_speed(raced(), beside=("fast",))
    assert (first.theirs, first.aim, second.theirs, second.aim) == ("slow", 1.0, "fast", None)


@pytest.mark.parametrize("power", [1, 2])
def test_the_exponent_is_that_of_the_larger_sizes(power: int) -> None:
    sizes = [1, 10, 100, 1000]
    values = [size**power for size in sizes]
    assert exponent(sizes, [100.0, *values[1:]]) == pytest.approx(power)


def test_a_spent_budget_leaves_races_out() -> None:
    late = Budget(1, quick=True, began=time.perf_counter() - 10)
    assert list(late.shared("abc")) == []
    assert late.left_out == 3
    early = Budget(1000, quick=True)
    assert [item for item, _ in early.shared("abc")] == ["a", "b", "c"]
    assert early.left_out == 0


def test_the_table_has_a_cell_a_title_and_says_what_is_met() -> None:
    rows = list(ratios(raced(), {"slow": 0.5, "fast": 0.4}))
    findings = Findings(ratios=rows, curves=[CURVE], notes=["a note"])
    printed = markdown({"machine": "this"}, findings)
    tables = [
        list(lines)
        for is_row, lines in itertools.groupby(printed.splitlines(), lambda s: s.startswith("|"))
        if is_row
    ]
    assert [len(table) for table in tables] == [4, 3]
    for table in tables:
        assert len({row.count(" | ") for row in table}) == 1
    assert "| **0.25** | 0.25 to 0.25 | 0.50 | yes | 2.0 MB | 8.0 MB | 1 |" in printed
    assert "| **0.50** | 0.50 to 0.50 | 0.40 | no |" in printed
    assert printed.startswith("- machine: this\n")
    assert printed.endswith("\n- a note\n")


def test_results_are_written_whole(tmp_path: Path) -> None:
    found = raced()
    findings = Findings([found], list(ratios(found)), [CURVE])
    write(tmp_path / "results", "try", {}, findings)
    names = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert names == ["try.json", "try.md"]
    data = json.loads((tmp_path / "results" / "try.json").read_text("utf-8"))
    sample = {"race": "a race", "contestant": "ours", "unit": "MB", "n": 1}
    assert data["samples"][0] == {**sample, "low": 2.0, "median": 2.0, "high": 2.0}
    assert data["curves"][0]["exponent_seconds"] == pytest.approx(1)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("network", [*NETWORKS, *LAYERS])
def test_each_network_is_a_right_spec(network: str, padded: bool) -> None:
    spec = rnnspec.loads(Case(network, padded=padded).text)
    assert spec.embedding is not None
    assert spec.embedding.mask_zero == (padded or network == "packed_sentiment_lstm")


def test_a_point_of_growth_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(Case("stacked_lstm").text, "utf-8")
    taken, peak = measure_growth("growth-layers", path, path)
    assert taken > 0
    assert peak > 0


def test_the_floor_of_a_command_is_its_imports_without_rnnspec() -> None:
    code = imports_of(("--help",))
    assert "'typer'" in code
    assert "rnnspec" not in code
    assert "torch" not in code
    assert output(sys.executable, "-c", code) == b""


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(BenchmarkError, match=r"(?s)exited with 1.*ValueError: no"):
        output(sys.executable, "-c", "raise ValueError('no')")


def test_an_unknown_suite_is_named() -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "keras,speed"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "unknown suite speed; expected some of runtime, " in ended.stderr
    assert len({suite.name for suite in SUITES}) == len(SUITES)


def test_a_lost_fused_path_or_a_difference_fails_the_check_of_a_gpu() -> None:
    fine = Check("lstm", "aten::_cudnn_rnn", fused=True, differences=[1e-6, 1e-3])
    assert fine.wrong == replace(fine, fused=None).wrong == ""
    lost = replace(fine, path="a loop", fused=False)
    assert lost.wrong == "lstm: the fused path was not taken: a loop"
    far = replace(fine, differences=[1e-3, math.nan])
    assert far.wrong == "lstm: too far from the reference: 1.0e-03 of 0.0001, nan of 0.01"
