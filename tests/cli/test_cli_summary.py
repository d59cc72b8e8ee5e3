"""``rnnspec summary --draw``: the picture above the table."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rnnspec import pipeline
from rnnspec.drawing.writers.text import text

Run = Callable[..., Any]


def test_the_picture_is_above_the_table(run: Run, spec: str) -> None:
    plain, drawn = run("summary", spec), run("summary", spec, "--draw")
    picture = text(pipeline.read(spec).network, unicode=False)
    assert (drawn.code, drawn.err) == (0, "")
    assert drawn.out == f"{picture}\n{plain.out}"


def test_json_has_no_picture(run: Run, spec: str) -> None:
    ran = run("summary", spec, "--json", "--draw")
    assert (ran.code, ran.out) == (2, "")
    assert "cannot honour --draw" in ran.err


def test_with_another_size(run: Run, spec: str) -> None:
    ran = run("summary", spec, "--set", "rnn.units=3", "--set", "rnn[0].layers=1", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["layers"][1]["output_shape"][-1] == 3
    wrong = run("summary", spec, "--set", "rnn.units=three")
    assert (wrong.code, wrong.out) == (1, "")
    assert "rnn.units: expected an integer, received the string 'three'" in wrong.err
    shapeless = run("summary", spec, "--set", "rnn.units")
    assert (shapeless.code, shapeless.out) == (2, "")
    assert "--set: expected KEY=VALUE, such as rnn.0.units=64" in shapeless.err
