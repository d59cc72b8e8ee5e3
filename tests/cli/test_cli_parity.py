"""``rnnspec parity``: output and exit codes, for given and for random specs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from mutation import source_edited
from offered import require, require_all

import rnnspec
from rnnspec.backends import BACKENDS, having, needs
from rnnspec.backends.base import LEVELS
from rnnspec.comparison import random
from rnnspec.comparison.levels import TOLERANCES, levels_up_to
from rnnspec.ir.params import Counts

Run = Callable[..., Any]
TWO = ("--backend", "keras,torch")
PARAMETERS = {"total": 180, "trainable": 180, "non_trainable": 0}
PADDED = """\
version: 1
name: padded
input: {features: 2, mask_value: 0.0}
rnn: {type: gru, units: 3, bidirectional: true}
head: {units: 2}
"""
LAYERS = {"embedding_1": 80, "lstm_1": 96, "dense_1": 4}
# Keras's warning about a softmax over one unit is right, but the language allows it.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*softmax over axis -1:UserWarning")


@pytest.fixture
def _both() -> None:
    require_all()


@pytest.mark.usefixtures("_both")
def test_as_json(run: Run, spec: str) -> None:
    ran = run("parity", spec, "--json")
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert list(report) == ["equal", "level", "form", "dtype", "tolerances", "specs"]
    assert report["equal"] is True
    assert (report["level"], report["dtype"]) == ("gradients", "float64")
    assert report["tolerances"] == {
        level: TOLERANCES["float64"][level] for level in ("forward", "gradients")
    }
    (found,) = report["specs"]
    assert (found["name"], found["equal"], found["differences"]) == ("small", True, [])
    assert (found["layers"], found["parameters"]) == (LAYERS, PARAMETERS)
    assert list(found["backends"]) == [each.name for each in having(needs.level("gradients"))]
    for account in found["backends"].values():
        assert account["layers"] == LAYERS
        assert account["parameters"] == PARAMETERS
        assert 0 < account["forward_max_difference"] < 1e-12
        assert account["forward_max_difference_at"] in LAYERS
        assert 0 < account["gradients_max_difference"] < 1e-12
        assert account["gradients_max_difference_at"].split(".")[0] in LAYERS


@pytest.mark.usefixtures("_both")
def test_as_a_table(run: Run, spec: str) -> None:
    ran = run("parity", spec, "--backend", "torch, keras")
    assert (ran.code, ran.err) == (0, "")
    assert rows(ran.out)[:6] == [
        ["small", "spec", "torch", "keras"],
        ["embedding_1", "80", "80", "80"],
        ["lstm_1", "96", "96", "96"],
        ["dense_1", "4", "4", "4"],
        ["total", "180", "180", "180"],
        ["trainable", "180", "180", "180"],
    ]
    assert [row[:2] for row in rows(ran.out)[-2:]] == [
        ["forward", "within 1e-09"],
        ["gradients", f"within {TOLERANCES['float64']['gradients']:g}"],
    ]
    assert "\nLargest difference in gradients: " in ran.out
    assert "Built-in layers of PyTorch would have 192 parameters in total" in ran.out
    assert ran.out.splitlines()[-1].startswith(
        "equal: 1 spec, compared up to gradients in float64 ("
    )


def rows(out: str) -> list[list[str]]:
    """Return the cells of a table, without its lines."""
    lines = [line for line in out.splitlines() if line[:2] == "| "]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.usefixtures("_both")
@pytest.mark.parametrize("level", LEVELS)
def test_up_to_a_level(run: Run, spec: str, level: str) -> None:
    ran = run("parity", spec, *TWO, "--level", level)
    assert (ran.code, ran.err) == (0, "")
    compared = levels_up_to(level)[1:]
    assert [row[0] for row in rows(ran.out)[7:]] == list(compared)
    assert [
        line.split()[3].rstrip(":")
        for line in ran.out.splitlines()
        if line.startswith("Largest difference in ")
    ] == list(compared)
    assert f"compared up to {level} in float64 (" in ran.out


def test_in_single_precision(run: Run, spec: str) -> None:
    require("torch")
    ran = run("parity", spec, "--backend", "torch,torch", "--dtype", "float32", "--json")
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert report["dtype"] == "float32"
    assert report["tolerances"] == {
        level: TOLERANCES["float32"][level] for level in ("forward", "gradients")
    }
    # Named twice, it takes part once.
    ((name, account),) = report["specs"][0]["backends"].items()
    assert name == "torch"
    assert 1e-10 < account["forward_max_difference"] < 1e-5


def test_what_is_not_installed_is_left_out(
    run: Run, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    able = having(needs.level("gradients"), needs.dtype("float64"))
    absent = [each for each in able if each.name != "torch"]
    for backend in absent:
        monkeypatch.setitem(sys.modules, backend.distribution, None)
    lines = [f"Left out {each.name}: {each.absence}" for each in absent]
    for words in ([spec], ["--random", 1]):
        ran = run("parity", *words)
        assert (ran.code, ran.err) == (0, "")
        assert "\n".join(lines) in ran.out
    report = json.loads(run("parity", spec, "--level", "counts", "--json").out)
    assert {"keras", "jax"} <= set(report["absent"])
    assert "torch" in report["specs"][0]["backends"]
    # Named, it has to take part.
    ran = run("parity", spec, "-b", "torch,keras")
    assert (ran.code, ran.err) == (3, f"rnnspec: error: {BACKENDS['keras'].absence}\n")
    ran = run("parity", spec, "--level", "training")
    assert (ran.code, ran.out) == (3, "")
    assert "only one backend is installed, and training is compared between two: pip" in ran.err
    monkeypatch.setitem(sys.modules, "torch", None)
    ran = run("parity", spec)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("rnnspec: error: no backend is installed: pip install ")


def test_a_seed_gives_the_same_numbers(run: Run, spec: str) -> None:
    pytest.importorskip("torch")
    asked = ["parity", spec, "--backend", "torch", "--dtype", "float32", "--json", "--seed"]
    assert run(*asked, 3).out == run(*asked, 3).out != run(*asked, 4).out


@pytest.fixture
def faulty(_both: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Make PyTorch compute with other weights than those it received."""
    runtime: Any = BACKENDS["torch"].runtime
    put = runtime.put

    def plant(factor: float) -> None:
        monkeypatch.setattr(
            runtime, "put", lambda model, at, path, array: put(model, at, path, array * factor)
        )

    return plant


def test_an_output_that_differs(run: Run, spec: str, faulty: Callable[[float], None]) -> None:
    faulty(1.001)
    ran = run("parity", spec, *TWO, "--level", "forward")
    assert ran.code == 1
    assert ["dense_1", "4", "4", "4"] in rows(ran.out)
    assert ran.out.splitlines()[-1].startswith("NOT equal: 1 spec")
    lines = ran.err.splitlines()
    assert len(lines) == 2
    place = "small: error: torch: embedding_1: output: expected within 1e-09 of "
    assert lines[0].startswith(f"{place}the reference, received a difference of ")
    assert lines[1].startswith(f"{place}keras, received a difference of ")
    ran = run("parity", spec, *TWO, "--level", "forward", "--json")
    assert (ran.code, ran.err.splitlines()) == (1, lines)
    report = json.loads(ran.out)
    assert (report["equal"], report["specs"][0]["equal"]) == (False, False)
    assert len(report["specs"][0]["differences"]) == 2
    found = report["specs"][0]["backends"]
    assert found["keras"]["forward_max_difference"] < 1e-12
    assert found["torch"]["forward_max_difference"] > 1e-6


@pytest.mark.usefixtures("_both")
def test_a_gradient_that_differs(run: Run, spec: str) -> None:
    with source_edited("torch", [("self.embedding_1(x)", "self.embedding_1(x).detach()")]):
        ran = run("parity", spec, *TWO)
        assert run("parity", spec, *TWO, "--level", "forward").code == 0
    assert ran.code == 1
    allowed = f"within {TOLERANCES['float64']['gradients']:g}"
    place = f"small: error: torch: embedding_1.embeddings: gradient: expected {allowed} of "
    assert [line.split("received")[0] for line in ran.err.splitlines()] == [
        f"{place}the reference, ",
        f"{place}keras, ",
    ]


@pytest.mark.usefixtures("_both")
def test_a_count_that_differs(run: Run, spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime: Any = BACKENDS["torch"].runtime
    monkeypatch.setattr(runtime, "counts", lambda _: Counts(trainable=181, non_trainable=0))
    ran = run("parity", spec, *TWO)
    assert ran.code == 1
    assert ["total", "180", "180", "181"] in rows(ran.out)
    assert [row[3] for row in rows(ran.out)[-2:]] == ["inf", "inf"]
    assert "small: error: torch: total parameters: expected 180, received 181\n" in ran.err
    assert "NOT equal" in ran.out


def test_a_number_that_json_cannot_say(
    run: Run, spec: str, faulty: Callable[[float], None]
) -> None:
    faulty(float("nan"))
    ran = run("parity", spec, "--backend", "torch", "--json")
    assert ran.code == 1
    torch = json.loads(ran.out)["specs"][0]["backends"]["torch"]
    assert torch["forward_max_difference"] is None
    assert torch["gradients_max_difference"] is None


def test_random_specs(run: Run) -> None:
    require("torch")
    asked = ["parity", "--random", 2, "--backend", "torch", "--seed"]
    ran = run(*asked, 1)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert [line.rsplit(": ", 1)[0] for line in lines] == [
        "Largest difference in forward",
        "Largest difference in gradients",
        "equal",
    ]
    assert lines[-1] == "equal: 2 random specs"
    ran = run(*asked, 1, "--json")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert found == {
        "equal": True,
        "compared": 2,
        "largest": found["largest"],
        "backends": {
            "torch": {"dtype": "float64", "compared": 2, "largest": found["largest"]},
        },
        "spec": "",
        "error": "",
    }
    assert list(found["largest"]) == ["forward", "gradients"]
    assert 0 < found["largest"]["forward"] < 1e-12
    assert run(*asked, 1, "--json").out == ran.out != run(*asked, 2, "--json").out


def test_a_random_spec_that_differs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    asked = ["parity", "--random", 40, "--backend", "torch", "--level", "counts"]
    compare, found = random.compare_random, list[random.SearchResult]()

    def compare_once(*arguments: Any, **options: Any) -> random.SearchResult:
        found.extend([] if found else [compare(*arguments, **options)])
        return found[0]

    monkeypatch.setattr(random, "compare_random", compare_once)
    with source_edited("torch", [("= SingleBiasRNN(", "= nn.RNN(")], everywhere=False):
        ran = run(*asked)
        told = json.loads(run(*asked, "--json").out)
    assert ran.code == 1
    # The whole output is a valid spec, so that it can be saved as it is.
    comments = ran.out.removesuffix(told["spec"]).splitlines()
    assert comments[-1].endswith("to see it again: rnnspec parity FILE --level counts")
    assert all(line.startswith("# ") for line in comments)
    assert rnnspec.loads(ran.out).name == "small_net"
    assert (told["equal"], told["error"]) == (False, ran.err.rstrip("\n"))
    assert ran.err.startswith("small_net: error: torch: ")
    assert "parameters: expected " in ran.err.splitlines()[0]


@cases(
    ("words", "message"),
    [
        ([], "expected either specs or --random N"),
        (["{spec}", "--random", "3"], "expected either specs or --random N"),
        (["--random", "0"], "--random"),
        (["--random", "x"], "--random"),
        (["--random", "3", "--seed", "-1"], "--seed"),
        (["--random", "3", "--dtype", "float32"], "it cannot honour --dtype float32"),
        (["--random", "3", "--optimizer", "own"], "it cannot honour --optimizer own"),
        (["--random", "3", "--level", "all"], "unknown level 'all'; expected counts, "),
        (["--random", "3", "--backend", "mlx"], "unknown backend 'mlx'"),
        (["--random", "3", "--backend", "torch", "--level", "training"], "at least two"),
        (["{spec}", "--level", "all"], "unknown level 'all'; expected counts, "),
        (["{spec}", "--dtype", "half"], "unknown dtype 'half'; expected float64 or float32"),
        (["{spec}", "--backend", "torch", "--level", "training"], "at least two"),
    ],
)
def test_a_wrong_request(run: Run, spec: str, words: list[str], message: str) -> None:
    if "torch" in words:
        pytest.importorskip("torch")
    ran = run("parity", *[word.format(spec=spec) for word in words])
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert "report" not in ran.err


@pytest.mark.usefixtures("_both")
def test_a_batch_of_the_user_s_own(run: Run, tmp_path: Path) -> None:
    (tmp_path / "padded.yaml").write_text(PADDED)
    batch = np.random.default_rng(0).standard_normal((2, 4, 2))
    batch[0, 2:] = 0.0
    np.save(tmp_path / "batch.npy", batch)
    ran = run("parity", "padded.yaml", "--batch", "batch.npy", "--backend", "torch")
    assert (ran.code, ran.err) == (0, "")
    assert "equal: 1 spec, compared up to gradients" in ran.out
    np.save(tmp_path / "batch.npy", batch[..., :1])
    ran = run("parity", "padded.yaml", "--batch", "batch.npy")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "the batch for padded: error: expected numbers of shape (rows, steps, 2), "
        "received float64 of (2, 4, 1)\n"
    )
    ran = run("parity", "--random", "1", "--batch", "batch.npy")
    assert (ran.code, ran.out) == (2, "")
    assert "--random draws a batch for each spec; it cannot honour --batch" in ran.err
