"""``rnnspec summary --draw``: the picture above the table."""

from __future__ import annotations

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
