"""The comparisons of ONNX files: rnnspec's own are right, and what is not right is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from offered import import_later

from benchmarks.exporters import ours
from benchmarks.exporters.judge import ROWS, File, judge
from benchmarks.runtimes.__main__ import GALLERY, difference, runtimes, write_file
from rnnspec import pipeline
from rnnspec.comparison.case import Case

import_later("onnx")
import_later("onnxruntime")


def test_every_file_of_rnnspec_is_right_and_fused(tmp_path: Path) -> None:
    (judge_row,) = ours.tools().values()
    assert {row.title: judge_row(tmp_path, row) for row in ROWS} == {
        row.title: "right" for row in ROWS
    }


def test_an_exporter_is_told_what_is_wrong() -> None:
    def judged(run: Any) -> str:
        made = File(lambda feed: run(feed[0]), fused=False)
        return judge(lambda: made, lambda sizes: (np.zeros(sizes),), lambda feed: feed[0])

    def only_seven(batch: Any) -> Any:
        if batch.shape[1] != 7:
            raise ValueError("expected 7 steps. Received others")
        return batch

    assert judged(lambda batch: batch) == "right, not fused"
    assert judged(lambda batch: batch + 0.25) == "**wrong by 0.25**"
    assert judged(lambda batch: batch[:, :1]) == "**wrong shape**"
    assert judged(only_seven) == "other steps: fails: expected 7 steps"


def test_a_runtime_that_ignores_padding_differs(tmp_path: Path) -> None:
    (path,) = (path for path in GALLERY if path.stem == "dialogue_policy_lstm")
    case = Case.of(pipeline.read(path), 0, "float32")
    run = runtimes()[0].open(write_file(case, tmp_path))
    assert difference(case, run) < 1e-6
    assert difference(case, lambda batch: run(np.where(batch == -1, 0.5, batch))) > 1e-3
