"""Messages about a backend that lacks a feature or refuses a spec."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import cases
from offered import able, registered, require_all, shipped, taking
from toy.backend import TOY

from rnnspec.backends import needs
from rnnspec.errors import listed
from rnnspec_random.draw import Texts

Run = Callable[..., Any]
DERIVED = listed(able(needs.level("gradients")))
SIMPLE = """\
version: 1
name: simple
input: {features: 3}
rnn: {type: simple, units: 4}
"""


@pytest.fixture(autouse=True)
def _toy() -> Iterator[None]:
    """Register the toy beside the backends of rnnspec."""
    with registered(*shipped(), TOY):
        yield


@pytest.fixture
def simple() -> str:
    Path("simple.yaml").write_text(SIMPLE)
    return "simple.yaml"


@cases(
    ("words", "sentence"),
    [
        (
            ["build", "-b", "toy", "-o", "out"],
            f"toy cannot save a model; {listed(able(needs.FILES))} can",
        ),
        (
            ["parity", "--backend", "toy"],
            f"toy cannot be compared up to gradients, only up to forward; {DERIVED} can",
        ),
    ],
)
def test_what_is_not_offered(
    run: Run, entries: Run, simple: str, words: list[str], sentence: str
) -> None:
    ran = run(*words, simple)
    assert (ran.code, ran.out, ran.err) == (2, "", f"rnnspec: error: {sentence}\n")
    assert entries() == {simple}


def test_what_is_offered(run: Run, simple: str) -> None:
    assert "Built with Toy on NumPy" in run("build", simple, "-b", "toy").out
    assert "class Simple:" in run("codegen", simple, "-b", "toy").out
    ran = run("parity", simple, "--backend", "toy", "--level", "forward", "--dtype", "float32")
    assert (ran.code, ran.err) == (0, "")


def test_a_refused_spec(run: Run, spec: str) -> None:
    for words in (
        ["build", "-b"],
        ["codegen", "-b"],
        ["parity", "--level", "counts", "--backend"],
    ):
        ran = run(*words, "toy", spec)
        assert (ran.code, ran.out) == (1, "")
        first, second = ran.err.splitlines()
        refused = "not supported by toy: it has no"
        others = f"supported by {listed(taking(spec, needs.SOURCE))}"
        assert first == f"{spec}: error: embedding_1.type: {refused} Embedding; {others}"
        assert second == f"{spec}: error: lstm_1.type: {refused} LSTM; {others}"


def test_a_backend_that_is_left_out(run: Run, spec: str) -> None:
    require_all()
    ran = run("parity", spec, "--level", "forward")
    assert (ran.code, ran.err) == (0, "")
    assert "Left out toy: embedding_1.type: it has no Embedding (and 1 more)\n" in ran.out
    (found,) = json.loads(run("parity", spec, "--level", "counts", "--json").out)["specs"]
    compared = taking(spec, needs.level("counts"), needs.dtype("float64"))
    assert list(found["backends"]) == compared
    assert [each["layer"] for each in found["refused"]["toy"]] == ["embedding_1", "lstm_1"]


def test_random_specs_that_are_refused(
    run: Run, spec: str, simple: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused_text, equal_text = (Path(path).read_text("utf-8") for path in (spec, simple))
    texts = [refused_text, equal_text, refused_text]
    monkeypatch.setattr(Texts, "all", lambda _: texts)
    ran = run("parity", "--random", 3, "--level", "counts", "--backend", "toy")
    assert ran.err == ""
    assert ran.code == 0
    refused, equal = ran.out.splitlines()
    assert refused.startswith("refused: 2")
    assert equal.startswith("equal: 1")
