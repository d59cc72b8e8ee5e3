"""``rnnspec doctor`` and ``rnnspec.show_versions``: versions, settings, and a test of rnnspec."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cases import cases
from offered import require

import rnnspec
from rnnspec.backends import BACKENDS
from rnnspec.backends.keras.backend import engine
from rnnspec.errors import UsageError
from rnnspec.machine import environment
from rnnspec.spec.yaml import tree

Run = Callable[..., Any]


def test_it_prints_versions_and_a_test(run: Run) -> None:
    ran = run("doctor")
    assert (ran.code, ran.err) == (0, "")
    rows = dict(line.split("  ", 1) for line in ran.out.splitlines())
    found = {name: value.strip() for name, value in rows.items()}
    assert found["rnnspec"] == rnnspec.__version__
    needed = ("numpy", "pydantic", "pyyaml", "rich", "typer", "jinja2", "safetensors")
    for name in (*needed, "rnnspec-conformance"):
        assert found[name] == importlib.metadata.version(name)
    assert set(BACKENDS) <= set(found)
    assert found["self-test"] == "4 layers, 689,793 parameters"


def test_a_backend_of_several_packages_shows_the_version_of_each(run: Run) -> None:
    pytest.importorskip("flax")
    flax, jax = map(importlib.metadata.version, ("flax", "jax"))
    assert json.loads(run("doctor", "--json").out)["backends"]["jax"] == f"flax {flax}, jax {jax}"


def test_json_has_the_same(run: Run) -> None:
    ran = run("doctor", "--json")
    data = json.loads(ran.out)
    assert (ran.code, data["problems"]) == (0, [])
    assert data["packages"]["numpy"] == importlib.metadata.version("numpy")
    assert set(data["backends"]) == set(BACKENDS)


def test_deep_compares_the_installed_backends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    require("torch")
    for name in ("keras", "jax"):
        absent = replace(BACKENDS[name], distribution="nosuch_framework")
        monkeypatch.setitem(BACKENDS, name, absent)
    ran = run("doctor", "--deep")
    assert (ran.code, ran.err) == (0, "")
    last = ran.out.splitlines()[-1]
    assert last.startswith("parity ")
    assert "equal up to gradients" in last
    assert BACKENDS["torch"].title in last
    assert BACKENDS["keras"].title not in last


def test_a_backend_that_is_not_there_is_no_problem(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, backend in BACKENDS.items():
        absent = replace(backend, distribution="nosuch_framework")
        monkeypatch.setitem(BACKENDS, name, absent)
    ran = run("doctor")
    assert (ran.code, ran.err) == (0, "")
    for name in BACKENDS:
        (row,) = [line for line in ran.out.splitlines() if line.startswith(f"{name} ")]
        assert row.endswith("  not installed")


def test_a_backend_that_is_too_old_is_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setitem(BACKENDS, "torch", replace(BACKENDS["torch"], minimum=(99, 0)))
    ran = run("doctor")
    assert ran.code == 3
    assert "rnnspec: error: PyTorch" in ran.err
    assert "too old, expected 99.0 or newer: pip install --upgrade" in ran.err
    assert "torch" in ran.out


def test_an_engine_that_is_not_there_is_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("keras")
    monkeypatch.setenv("KERAS_BACKEND", "no\nsuch")
    ran = run("doctor", "--json")
    assert ran.code == 3
    (problem,) = json.loads(ran.out)["problems"]
    assert problem.startswith(r"Keras is set to run on 'no\nsuch', which is not installed: pip ")
    assert ran.err == f"rnnspec: error: {problem}\n"


def test_a_failed_test_of_itself_is_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise UsageError("it is broken")

    monkeypatch.setattr("rnnspec.results.summaries.summarize", broken)
    ran = run("doctor")
    assert ran.code == 3
    assert ran.err == "rnnspec: error: self-test failed: rnnspec: error: it is broken\n"


@cases(
    ("variable", "settings", "found"),
    [
        ("jax", '{"backend": "torch"}', "jax"),
        ("", '{"backend": "torch"}', "torch"),
        ("", '{"backend": 3}', "tensorflow"),
        ("", "[" * 100_000, "tensorflow"),
        ("", "\x00", "tensorflow"),
        ("", None, "tensorflow"),
    ],
)
def test_the_engine_of_keras_is_read_as_data(
    variable: str,
    settings: str | None,
    found: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", variable)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if settings is not None:
        (tmp_path / "keras.json").write_text(settings, encoding="utf-8")
    assert engine() == found


def test_the_parser_of_yaml_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    monkeypatch.setattr(tree, "LOADER", yaml.SafeLoader)
    assert environment.environment().yaml == "pure Python"


def test_versions_are_shown_without_a_framework(capsys: pytest.CaptureFixture[str]) -> None:
    rnnspec.show_versions(json=True)
    assert json.loads(capsys.readouterr().out) == environment.environment().as_dict()
    code = (
        "import rnnspec, sys; rnnspec.show_versions(); "
        "assert not {'torch', 'keras', 'tensorflow', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:2] == ["rnnspec", rnnspec.__version__]
    with pytest.raises(UsageError, match="expected True or False"):
        rnnspec.show_versions(json="yes")  # type: ignore[arg-type]
