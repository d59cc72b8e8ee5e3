"""The contestants in C: what they compute, what is left out, and which aim a row has."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from offered import import_later

from benchmarks import programs
from benchmarks.networks import LSTM_40, ONNX_RUNTIME, OURS, STEPS, STOCK, Case
from benchmarks.processes import Lane
from benchmarks.programs import AVX2, NATIVE, PORTABLE, Program
from benchmarks.race import Race, result
from benchmarks.suites import aimed_ratios

import_later("onnxruntime")
import_later("torch")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
RUNTIME = f"{ONNX_RUNTIME} 4"
STEP = Case(LSTM_40, 1, single=True, stepped=True, flags=PORTABLE)
WHOLE = Case(LSTM_40, 1, single=True, flags=NATIVE)


@needs_compiler
@pytest.mark.parametrize(
    ("case", "names"), [(STEP, [OURS, ONNX_RUNTIME]), (WHOLE, [OURS, ONNX_RUNTIME, STOCK])]
)
def test_contestants_are_equal(
    case: Case, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 'prepare' compares them with the reference. No other tool is there.
    monkeypatch.setenv("RNNSPEC_PEERS", str(tmp_path))
    with Lane("c") as lane:
        runs = lane.prepare(case).runs
        # Those of other projects have their version in the name.
        assert all(run.startswith(name) for run, name in zip(runs, names, strict=True))
        assert all(0 < result(run) < 1 for run in runs.values())


def test_tools_that_are_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNSPEC_PEERS", str(tmp_path))
    (tmp_path / "onnx2c" / "build").mkdir(parents=True)
    (tmp_path / "onnx2c" / "build" / "onnx2c").touch()
    missing = programs.missing_peers()
    assert [sentence.partition(" at ")[0] for sentence in missing] == [
        "no RTNeural",
        "no RTNeural's xsimd",
        "no emx-onnx-cgen",
    ]
    assert str(tmp_path) in missing[0]


@needs_compiler
@pytest.mark.parametrize("in_cpp", [False, True])
def test_a_program_is_compiled_and_timed(*, in_cpp: bool) -> None:
    if in_cpp and shutil.which("c++") is None:
        pytest.skip("no C++ compiler")
    # 'step' is a function of an old part of glibc too.
    text = """\
typedef float INPUT;
#include "driver.h"
static int calls;
int step(float x) { return (int)x; }
static void sequence(const INPUT *x, float *y) {
    y[0] = 2 * x[0] + step(x[1]);
    y[1] = ++calls;
}
"""
    program = Program(text, "float32", in_cpp=in_cpp)
    compiled = program.compile(PORTABLE, np.arange(STEPS) + 3.0)
    assert 0 <= compiled.time(4) < 1
    assert compiled.y[:2].tolist() == [10, 5]


@pytest.mark.parametrize(
    ("case", "aims"),
    [
        (STEP, {"RTNeural 1, xsimd": 1.05, "onnx2c 2": 0.3, "emx-onnx-cgen 3": 0.3, RUNTIME: 0.05}),
        (replace(STEP, flags=AVX2), {"onnx2c 2": 0.3, "emx-onnx-cgen 3": 0.3, RUNTIME: 0.05}),
        (WHOLE, {RUNTIME: 0.65, f"{STOCK}, PyTorch 5": 0.5}),
    ],
)
def test_the_faster_backend_of_a_tool_has_its_aim(case: Case, aims: dict[str, float]) -> None:
    theirs = {
        "RTNeural 1, Eigen": [3.0],
        "RTNeural 1, xsimd": [2.0],
        "onnx2c 2": [8.0],
        "emx-onnx-cgen 3": [9.0],
        RUNTIME: [50.0],
        f"{STOCK}, PyTorch 5": [70.0],
    }
    rows = list(aimed_ratios(case, Race("a race", {OURS: [1.0]}, theirs)))
    assert [row.theirs for row in rows] == list(
        dict(sorted(theirs.items(), key=lambda item: item[1]))
    )
    assert {row.theirs: row.aim for row in rows if row.aim is not None} == aims
