"""What ``summary``, ``codegen`` and ``parity`` print, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rnnspec
from rnnspec.backends import BACKENDS
from rnnspec.ir.params import Counts

Run = Callable[..., Any]
PARAMETERS = {"total": 180, "trainable": 180, "non_trainable": 0}
LAYERS = {"embedding_1": 80, "lstm_1": 96, "dense_1": 4}


def test_summary_json(run: Run, spec: str) -> None:
    ran = run("summary", spec, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {
        "name": "small",
        "layers": [
            {"name": "embedding_1", "type": "Embedding", "output_shape": [None, 5, 4],
             "parameters": 80},
            {"name": "lstm_1", "type": "LSTM", "output_shape": [None, 3], "parameters": 96},
            {"name": "dense_1", "type": "Dense", "output_shape": [None, 1], "parameters": 4},
        ],
        "parameters": PARAMETERS,
    }  # fmt: skip


def test_summary(run: Run, spec: str) -> None:
    ran = run("summary", spec)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        'Model: "small"\n'
        "+-----------------------------------------------------+\n"
        "| Layer (type)            | Output shape | Parameters |\n"
        "|-------------------------+--------------+------------|\n"
        "| embedding_1 (Embedding) | (None, 5, 4) |         80 |\n"
        "| lstm_1 (LSTM)           |    (None, 3) |         96 |\n"
        "| dense_1 (Dense)         |    (None, 1) |          4 |\n"
        "+-----------------------------------------------------+\n"
        "Total parameters: 180\n"
        "Trainable parameters: 180\n"
        "Non-trainable parameters: 0\n"
    )


def test_frozen_parameters_are_not_trainable(run: Run, spec: str) -> None:
    path = Path(spec)
    path.write_text(path.read_text().replace("dim: 4", "dim: 4, trainable: false"))
    counted = json.loads(run("summary", spec, "--json").out)["parameters"]
    assert counted == {"total": 180, "trainable": 100, "non_trainable": 80}


def test_wide_tables_are_never_cut(run: Run) -> None:
    name = "a" + "_long" * 12
    Path("wide.yaml").write_text(
        f"version: 1\nname: wide\ninput: {{features: 1000000000, length: 2000000000}}\n"
        f"rnn: {{type: gru, name: {name}, units: 1000000000, bidirectional: true}}\n"
        f"head: {{pooling: none, name: {name[:-1]}, units: 1000000000}}\n"
    )
    out = run("summary", "wide.yaml").out
    for whole in (name, "(None, 2000000000, 2000000000)", "12,000,000,012,000,000,000"):
        assert whole in out


def test_codegen_prints_the_source_alone(run: Run, spec: str, backend: str) -> None:
    ran = run("codegen", spec, "--backend", backend)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == rnnspec.codegen(spec, backend)
    assert run("codegen", spec, "--backend", backend, "-o", "made.py").out == "wrote made.py\n"
    assert Path("made.py").read_bytes() == ran.out.encode()


@pytest.fixture
def _both() -> None:
    for each in BACKENDS:
        pytest.importorskip(each)


@pytest.mark.usefixtures("_both")
def test_parity_json(run: Run, spec: str) -> None:
    ran = run("parity", spec, "--json")
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert report["equal"] is True
    (found,) = report["specs"]
    assert (found["name"], found["equal"]) == ("small", True)
    assert list(found["backends"]) == ["keras", "torch"]
    for account in found["backends"].values():
        assert account["layers"] == LAYERS
        assert account["parameters"] == PARAMETERS
        assert 0 <= account["forward_max_difference"] < 1e-12


@pytest.mark.usefixtures("_both")
def test_parity(run: Run, spec: str) -> None:
    ran = run("parity", spec, "--backends", "torch, keras")
    assert (ran.code, ran.err) == (0, "")
    assert "| small              |      spec |   torch |   keras |" in ran.out
    assert "| total              |       180 |     180 |     180 |" in ran.out
    assert "Stock layers on torch would hold 192 in all" in ran.out
    assert ran.out.splitlines()[-1].startswith("equal: 1 spec, ")


def test_parity_of_one_backend_with_the_reference(run: Run, spec: str, backend: str) -> None:
    pytest.importorskip(backend)
    ran = run("parity", spec, "--backends", f"{backend},{backend}", "--json")
    assert ran.code == 0
    assert list(json.loads(ran.out)["specs"][0]["backends"]) == [backend]


@pytest.fixture
def faulty(_both: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Have PyTorch compute with other weights than it was given."""
    runtime: Any = BACKENDS["torch"].runtime
    put = runtime.put

    def plant(factor: float) -> None:
        monkeypatch.setattr(
            runtime, "put", lambda model, at, path, array: put(model, at, path, array * factor)
        )

    return plant


def test_parity_shows_an_output_that_differs(
    run: Run, spec: str, faulty: Callable[[float], None]
) -> None:
    faulty(1.001)
    ran = run("parity", spec)
    assert ran.code == 1
    assert "| dense_1            |         4 |       4 |       4 |" in ran.out
    assert ran.out.splitlines()[-1].startswith("NOT equal: 1 spec")
    lines = ran.err.splitlines()
    assert all(line.startswith("small: error: torch: ") for line in lines)
    assert any("within 1e-09 of the reference, received a difference of " in x for x in lines)
    assert any("within 1e-09 of keras, received a difference of " in x for x in lines)
    ran = run("parity", spec, "--json")
    assert (ran.code, ran.err.splitlines()) == (1, lines)
    report = json.loads(ran.out)
    assert (report["equal"], report["specs"][0]["equal"]) == (False, False)
    found = report["specs"][0]["backends"]
    assert found["keras"]["forward_max_difference"] < 1e-12
    assert found["torch"]["forward_max_difference"] > 1e-6


@pytest.mark.usefixtures("_both")
def test_parity_shows_a_count_that_differs(
    run: Run, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime: Any = BACKENDS["torch"].runtime
    monkeypatch.setattr(runtime, "counts", lambda _: Counts(trainable=181, non_trainable=0))
    ran = run("parity", spec)
    assert ran.code == 1
    assert "| total              |       180 |     180 |   181 |" in ran.out
    assert "small: error: torch: total parameters: expected 180, received 181\n" in ran.err
    assert "NOT equal" in ran.out


def test_a_number_that_json_cannot_say(
    run: Run, spec: str, faulty: Callable[[float], None]
) -> None:
    faulty(float("nan"))
    ran = run("parity", spec, "--json")
    assert ran.code == 1
    torch = json.loads(ran.out)["specs"][0]["backends"]["torch"]
    assert torch["forward_max_difference"] is None
