"""``import rnnspec``: fast, documented, typed, and independent of earlier imports."""

from __future__ import annotations

import importlib
import importlib.resources
import inspect
import os
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cases import cases
from offered import require, require_source

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import BACKENDS
from rnnspec.backends.keras.quiet import without_logs
from rnnspec.backends.needs import level
from rnnspec.comparison.levels import DEFAULT_LEVEL
from rnnspec.source import execute

ROOT = Path(__file__).parent.parent
SPEC = ROOT / "specs" / "standard_rnn.yaml"
FUNCTIONS = sorted(set(rnnspec.__all__) - {"__version__"})
RAISES = {
    "load": {"SpecError", "UsageError"},
    "loads": {"SpecError", "UsageError"},
    "summary": {"SpecError", "UsageError"},
    "codegen": {"SpecError", "UnsupportedError", "UsageError"},
    "draw": {"SpecError", "UsageError"},
    "from_keras": {"ModelError", "UsageError"},
    "from_torch": {"ModelError", "UsageError"},
    "build": {"SpecError", "UnsupportedError", "UsageError", "BackendError", "OutOfMemoryError"},
    "parity": {"SpecError", "UnsupportedError", "UsageError", "BackendError", "OutOfMemoryError"},
    "read_weights": {"SpecError", "UnsupportedError", "UsageError"},
    "save": {
        *("ModelError", "UnsupportedError", "UsageError"),
        *("BackendError", "ParityError", "OutputError"),
    },
    "show_versions": {"UsageError"},
    "write_weights": {"SpecError", "UnsupportedError", "UsageError"},
}


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name.split(".")[0] for name in done.stdout.split()}


HEAVY = {"torch", "keras", "tensorflow", "jax", "safetensors", "typer", "rich"}


def test_import_is_light() -> None:
    loaded = modules_after("import rnnspec")
    assert not loaded & {*HEAVY, "numpy", "yaml", "pydantic", "jinja2"}


@cases(
    "call",
    [
        "load(p)",
        "loads(open(p).read())",
        "summary(p)",
        "draw(p)._repr_svg_()",
        "codegen(p, 'torch')",
    ],
)
def test_no_framework_before_build(call: str) -> None:
    loaded = modules_after(f"import rnnspec; p = {str(SPEC)!r}; rnnspec.{call}")
    assert not loaded & {*HEAVY, "numpy"}
    assert ("jinja2" in loaded) == ("codegen" in call)


def test_all_is_true() -> None:
    assert sorted(rnnspec.__all__) == rnnspec.__all__
    assert all(hasattr(rnnspec, name) for name in rnnspec.__all__)
    assert set(RAISES) == set(FUNCTIONS)
    namespace: dict[str, object] = {}
    exec("from rnnspec import *", namespace)
    assert set(rnnspec.__all__) <= set(namespace)
    with pytest.raises(AttributeError, match="nosuch"):
        _ = rnnspec.nosuch


STABLE = {
    "build": "spec backend seed form target max_steps",
    "codegen": "spec backend form target max_steps",
    "draw": "spec form steps labels theme background",
    "from_keras": "model name",
    "from_torch": "module example name",
    "load": "path overrides allow_outside",
    "loads": "text source allow_outside",
    "parity": "specs backends level form dtype seed batch optimizer progress",
    "read_weights": "model spec",
    "show_versions": "json",
    "summary": "spec",
    "write_weights": "model arrays spec",
}
"""The arguments of each public function, which docs/project/versioning.md promises to keep."""


@cases("name, arguments", STABLE.items())
def test_a_public_function_keeps_its_arguments(name: str, arguments: str) -> None:
    parameters = inspect.signature(getattr(rnnspec, name)).parameters
    names = arguments.split()
    assert [parameter for parameter in parameters if parameter in names] == names
    added = [parameters[parameter] for parameter in parameters if parameter not in names]
    assert all(each.kind is each.KEYWORD_ONLY for each in added)


def test_a_second_checkout_uses_its_own_templates(tmp_path: Path) -> None:
    for folder in ("rnnspec", "templates"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    template = next((tmp_path / "templates" / "python").glob("model.py.j2"))
    template.write_text(f"# Of the second checkout.\n{template.read_text('utf-8')}", "utf-8")
    command = [sys.executable, "-m", "rnnspec", "codegen", str(SPEC), "--backend", "torch"]
    found = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path.parent,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert "# Of the second checkout." in found.stdout


def test_functions_stay_functions_whatever_is_imported() -> None:
    for module in pkgutil.walk_packages(rnnspec.__path__, "rnnspec."):
        framework = module.name.split(".")[2] if module.name.endswith(".runtime") else None
        if module.name == "rnnspec.__main__" or (framework and not BACKENDS[framework].installed):
            continue
        importlib.import_module(module.name)
    for name in FUNCTIONS:
        assert inspect.isfunction(getattr(rnnspec, name)), name


@cases("name", FUNCTIONS)
def test_every_function_names_its_errors(name: str) -> None:
    function = getattr(rnnspec, name)
    documentation = inspect.getdoc(function)
    assert documentation is not None
    section = documentation.split("Raises:\n")[1]
    named = {line.strip().split(":")[0] for line in section.splitlines() if line[4:5].strip()}
    assert named == RAISES[name]
    hints = inspect.get_annotations(function)
    assert set(hints) == {*inspect.signature(function).parameters, "return"}


def test_a_spec_is_a_path_or_what_load_returned(backend: str) -> None:
    loaded = rnnspec.load(SPEC)
    require_source(backend, loaded)
    for spec in (str(SPEC), SPEC, loaded):
        assert rnnspec.summary(spec) == rnnspec.summary(loaded)
        assert rnnspec.codegen(spec, backend) == rnnspec.codegen(loaded, backend)
        assert pipeline.program(spec).network == pipeline.program(loaded).network


def test_build_and_parity_take_the_same() -> None:
    loaded = rnnspec.load(SPEC)
    require("torch", level(DEFAULT_LEVEL), loaded)
    made = {type(rnnspec.build(spec, "torch")).__name__ for spec in (str(SPEC), SPEC, loaded)}
    assert len(made) == 1
    for specs in (str(SPEC), SPEC, loaded, [loaded], iter([SPEC])):
        report = rnnspec.parity(specs, ["torch"])
        assert report.equal
        assert [spec.name for spec in report.specs] == ["standard_rnn"]


def test_parity_of_nothing_is_a_wrong_request() -> None:
    from rnnspec.errors import UsageError

    for specs, backends in (([], ["torch"]), ([SPEC], [])):
        with pytest.raises(UsageError, match="at least one"):
            rnnspec.parity(specs, backends)


def test_is_typed() -> None:
    assert importlib.resources.files("rnnspec").joinpath("py.typed").is_file()


def test_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rnnspec", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"rnnspec {rnnspec.__version__}\n"


LOGS = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795935107.506036    5014 port.cc:153] oneDNN custom operations are on.
2024-11-29 06:27:00.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.
To enable the following instructions: AVX2 FMA, rebuild TensorFlow.
"""


@cases("level", [None, "0"])
def test_the_log_lines_of_tensorflow_are_held_back(
    level: str | None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    if level is not None:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    before = dict(os.environ)
    with without_logs("tensorflow"):
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == (level or "3")
        os.write(2, f"{LOGS}of others\n".encode())
    assert capfd.readouterr().err == ("of others\n" if level is None else f"{LOGS}of others\n")
    assert os.environ == before


def test_they_are_written_if_the_import_fails(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    with suppress(ImportError), without_logs("tensorflow"):
        os.write(2, LOGS.encode())
        raise ImportError
    assert capfd.readouterr().err == LOGS


def test_the_runtime_is_imported_before_source_is_executed(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = require(backend, SPEC)
    order = []

    @contextmanager
    def importing() -> Iterator[None]:
        order.append("runtime")
        yield

    monkeypatch.setitem(BACKENDS, backend, replace(record, importing=importing))
    monkeypatch.setattr(execute, "execute", lambda *_: order.append("source"))
    with pytest.raises(Exception):  # noqa: B017, PT011 - there is no module
        rnnspec.build(SPEC, backend, seed=1)
    assert order[:2] == ["runtime", "source"]
