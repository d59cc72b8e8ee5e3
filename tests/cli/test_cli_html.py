"""``rnnspec parity --html``: the page is written whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mutation import source_edited
from offered import require_all

from rnnspec.backends.needs import level

Run = Callable[..., Any]


def test_the_page_is_beside_what_is_printed(run: Run, spec: str, entries: Run) -> None:
    require_all(level("forward"))
    plain = run("parity", spec, "--level", "forward")
    ran = run("parity", spec, "--level", "forward", "--html", "page.html", "--seed", "0")
    assert (ran.code, ran.out, ran.err) == (0, plain.out, plain.err)
    assert entries() == {spec, "page.html"}
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<h1>Parity: equal</h1>" in page
    assert f"rnnspec parity {spec} --level forward --html page.html --seed 0" in page


def test_a_difference_is_written_too(run: Run, spec: str) -> None:
    require_all(level("forward"))
    with source_edited("torch", [("x = state[-1]", "x = -state[-1]")], everywhere=False):
        ran = run("parity", spec, "--level", "forward", "--html", "page.html")
    assert ran.code == 1
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<h1>Parity: NOT equal</h1>" in page
    assert 'class="wrong"' in page


def test_nothing_is_replaced_and_no_input_ever(run: Run, spec: str) -> None:
    require_all(level("counts"))
    np.save("batch.npy", np.zeros((2, 5), dtype=np.int64))
    before = {name: Path(name).read_bytes() for name in (spec, "batch.npy")}
    Path("page.html").write_text("mine")
    asked = ("parity", spec, "--level", "counts")
    for words, message in (
        (("page.html",), "already exists; use --force or force=True to replace it"),
        ((spec, "--force"), f"this is the input {spec}; expected another path"),
        (("batch.npy", "--batch", "batch.npy", "--force"), "this is the batch; expected another"),
        (("nosuch/page.html",), "no such folder"),
    ):
        ran = run(*asked, "--html", *words)
        assert (ran.code, ran.out) == (3 if "nosuch" in words[0] else 2, "")
        assert message in ran.err
    assert Path("page.html").read_text() == "mine"
    assert {name: Path(name).read_bytes() for name in before} == before
    assert run(*asked, "--html", "page.html", "--force").code == 0
    assert "<h1>" in Path("page.html").read_text()


def test_random_specs_have_no_page(run: Run, entries: Run) -> None:
    ran = run("parity", "--random", "2", "--html", "page.html")
    assert (ran.code, ran.out, entries()) == (2, "", set())
    assert "cannot honour --html" in ran.err
