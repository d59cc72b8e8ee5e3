"""Help, version, and invalid requests: exit codes and messages."""

from __future__ import annotations

import importlib.metadata
import os
import pkgutil
import re
import shlex
import sys
import tomllib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from cases import cases
from offered import require, require_all, shipped

from rnnspec import backends
from rnnspec.backends import BACKENDS, Backend, having, names, needs
from rnnspec.backends.base import LEVELS
from rnnspec.cli import app, commands
from rnnspec.errors import listed
from rnnspec.results import summaries
from rnnspec.version import __version__, install_command, place_commands, ways_to_install

Run = Callable[..., Any]
PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
REQUIREMENTS = {name: shlex.join(each) for name, each in PROJECT["optional-dependencies"].items()}
OF_FRAMEWORKS = [each.name for each in shipped() if each.distribution]
COMMANDS = [
    *("init", "validate", "lint", "explain", "summary", "build", "codegen", "diff", "parity"),
    *("schema", "convert", "draw", "doctor", "completion", "conformance", "import"),
]


@cases("option", ["--help", "-h", "help"])
def test_help_names_every_command_and_cuts_nothing(run: Run, option: str) -> None:
    ran = run(option)
    assert (ran.code, ran.err) == (0, "")
    assert "..." not in ran.out.split("Commands:")[1]
    assert all(f"\n  {command} " in ran.out for command in COMMANDS)


@cases("command", COMMANDS)
def test_help_of_a_command_has_an_example_that_works(run: Run, command: str) -> None:
    ran = run(command, "--help")
    assert (ran.code, ran.err) == (0, "")
    lines = [line.strip() for line in ran.out.splitlines() if "Example: " in line]
    assert len(lines) == 1, "an example that is broken over lines cannot be copied"
    if not Path("specs").exists():
        Path("specs").symlink_to(Path(__file__).parents[2] / "specs")
    words = lines[0].removeprefix("Example: ").split()
    assert words[:2] == ["rnnspec", command]
    if command in (
        "validate",
        "lint",
        "explain",
        "summary",
        "codegen",
        "diff",
        "draw",
        "doctor",
        "completion",
    ):
        assert run(*words[1:]).code == 0


@cases("request_", ["x", "bash_source", "source_bash"])
def test_only_questions_of_shells_are_answered(
    run: Run, spec: str, request_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_RNNSPEC_COMPLETE", request_)
    ran = run("validate", spec)
    assert (ran.code, ran.out, ran.err) == (0, f"{spec}: valid\n", "")


def test_version(run: Run) -> None:
    ran = run("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"rnnspec {__version__}\n", "")


@cases(
    ("words", "message"),
    [
        ([], "Usage: rnnspec"),
        (["frobnicate"], "unknown command 'frobnicate'; expected init, validate, lint"),
        (["valdate", "x"], "unknown command 'valdate'; did you mean 'validate'?"),
        (["hlep"], "unknown command 'hlep'; did you mean 'help'?"),
        (["help", "biuld"], "unknown command 'biuld'; did you mean 'build'?"),
        (["summarize", "{spec}"], "did you mean 'summary'?"),
        (["init", "-n", "tager"], "unknown network 'tager'; did you mean 'tagger'?"),
        (["codegen", "{spec}", "-b", "Kreas"], "unknown backend 'Kreas'; did you mean 'keras'?"),
        (["export", "{spec}"], "'export'; use 'convert' for a trained model, or 'build -o OUT'"),
        (["Compile"], "unknown command 'Compile'; use 'codegen', which writes source"),
        (["list"], "unknown command 'list'; use 'help'"),
        (["build", "{spec}", "-b", "pytorch"], "unknown backend 'pytorch'; use 'torch'"),
        (["build", "{spec}", "-b", "tf"], "'tf'; use 'keras', which runs on TensorFlow"),
        (["codegen", "{spec}", "-b", "flax"], "'flax'; use 'jax'"),
        (["parity", "{spec}", "-b", "keras,tflite"], "TensorFlow's converter, or 'c' for micro"),
        (["convert", "{spec}", "x.onnx"], "received a spec; 'rnnspec build SPEC -o OUT' makes"),
        (["import", "{spec}"], "or an ONNX file (.onnx), received a spec; 'rnnspec build"),
        (
            ["build", "{spec}", "-b", "c", "--weights", "x.pt"],
            (
                "weights: expected text or blob, received 'x.pt'; it says where C has its arrays; "
                "'rnnspec convert' takes trained ones, rnnspec.write_weights gives"
            ),
        ),
        (["codegen", "{spec}", "-b", "jax", "--form", "infer"], "did you mean 'inference'?"),
        (["parity", "{spec}", "--level", "graidents"], "did you mean 'gradients'?"),
        (["parity", "{spec}", "--dtype", "float16"], "'float16'; expected float64 or float32"),
        (["parity", "{spec}", "--backends", "troch"], "did you mean 'torch'?"),
        (["parity", "{spec}", "-b", "keras", "-b", "troch"], "did you mean 'torch'?"),
        (["draw", "{spec}", "--theme", "color"], "unknown theme 'color'; did you mean 'colour'?"),
        (["completion", "bsh"], "unknown shell 'bsh'; did you mean 'bash'?"),
        (["lint", "{spec}", "--format", "jsn"], "unknown format 'jsn'; did you mean 'json'?"),
        (["lint", "{spec}", "--json", "--format", "sarif"], "combined with --format sarif"),
        (["summary", "small.yml"], "small.yml: error: no such file; did you mean 'small.yaml'?"),
        (["summary", "./small"], "no such file; did you mean './small.yaml'?"),
        (["diff", "smal.yaml", "{spec}"], "no such file; did you mean 'small.yaml'?"),
        (["validate"], "Missing argument 'PATHS'"),
        (["summary", "{spec}", "--frob"], "--frob"),
        (["summary", "{spec}", "{spec}"], "unexpected extra argument"),
        (["build", "{spec}", "-b", "torch", "--seed", "-1"], "--seed"),
        (["build", "{spec}", "-b", "torch", "--seed", "x"], "--seed"),
        (["build", "{spec}", "-b", "mlx"], f"unknown backend 'mlx'; expected {names('or')}"),
        (["codegen", "{spec}", "-b", "mlx"], f"unknown backend 'mlx'; expected {names('or')}"),
        (["parity", "{spec}", "--backend", "mlx"], "unknown backend 'mlx'"),
        (["parity", "{spec}", "--backend", "keras,"], "unknown backend ''"),
        (["build", "{spec}", "-b", "keras", "-o", "x.h5"], "ends in .keras"),
        (["build", "{spec}", "-b", "keras", "-o", "x.onnx"], "; backend onnx writes .onnx"),
        (["build", "{spec}", "-b", "torch", "-o", "x.pt"], "ends in .pt; write 'x'"),
        (["build", "{spec}", "-b", "jax", "-o", "x.keras"], "; backend keras writes .keras"),
        (["build", "{spec}", "-b", "torch", "-o", "x.safetensors"], "'rnnspec convert' writes"),
        (["codegen", "{spec}", "-b", "keras", "-o", "x.keras"], "'rnnspec build' writes .keras"),
        (["init", "-o", "x.json"], "ends in .yaml"),
        (["parity", "{spec}", "--level", "counts", "--html", "x.pdf"], "ends in .html"),
        (["build", "{spec}", "-b", "torch", "-o", "{spec}"], "expected a folder, received a file"),
        (["codegen", "{spec}", "-b", "torch", "--check"], "--check needs -o"),
        (["diff", "-", "-"], "'-' once at most"),
        (["codegen", "{spec}", "-b", "torch", "-o", "/dev/null"], "not a regular file"),
        (["codegen", "{spec}", "-b", "torch", "-o", "/dev/null", "--force"], "not a regular file"),
    ],
)
def test_a_wrong_request(run: Run, entries: Run, spec: str, words: list[str], message: str) -> None:
    ran = run(*[word.format(spec=spec) for word in words])
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert entries() == {spec}


def test_the_names_that_advice_tells_to_use_are_known() -> None:
    commands_told = re.findall(r"'([a-z]+)", " ".join(app.ADVICE))
    backends_told = re.findall(r"'([a-z]+)'", " ".join(backends.ADVICE))
    assert {*commands_told} <= {*COMMANDS, "help"}
    assert {*backends_told} <= BACKENDS.keys()
    # Advice is for what is unknown.
    assert {*commands_told}.isdisjoint(" ".join(app.ADVICE.values()).split())
    assert BACKENDS.keys().isdisjoint(" ".join(backends.ADVICE.values()).split())


@cases("command", ["build", "codegen"])
def test_without_a_name_several_backends_are_a_choice_to_make(
    run: Run, spec: str, command: str
) -> None:
    require_all()
    ran = run(command, spec)
    assert (ran.code, ran.out) == (2, "")
    assert f"choose one with --backend {names('or')}\n" in ran.err


def with_frameworks(monkeypatch: pytest.MonkeyPatch, *installed: str) -> None:
    """Keep only backends that need a framework, with only some of the frameworks installed."""
    # Their help names backends, and stays as it is when they are imported.
    for command in pkgutil.iter_modules(commands.__path__, f"{commands.__name__}."):
        importlib.import_module(command.name)
    left = {name: backend for name, backend in BACKENDS.items() if backend.distribution}
    monkeypatch.setattr("rnnspec.backends.BACKENDS", left)
    for each in left.values():
        if each.distribution not in installed:
            monkeypatch.setitem(sys.modules, each.distribution, None)


@pytest.mark.parametrize("name", OF_FRAMEWORKS)
def test_without_a_name_the_only_one_installed_is_it(
    run: Run, spec: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = require(name, spec)
    with_frameworks(monkeypatch, only.distribution)
    assert only.title in run("build", spec).out
    source = run("codegen", spec).out
    assert source.startswith(("#", "/*") if only.ending != ".py" else '"""')
    assert only.ending != ".py" or re.search(f"(import|from) {only.distribution}", source)


def test_without_any_installed(run: Run, spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_frameworks(monkeypatch)
    ran = run("build", spec)
    assert (ran.code, ran.out) == (3, "")
    commands = [install_command(backend.extra) for backend in BACKENDS.values() if backend.extra]
    every = place_commands(listed(commands, "or"))
    assert f"no backend is installed: {every}\n" in ran.err


def test_source_needs_none_installed(run: Run, spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_frameworks(monkeypatch)
    ran = run("codegen", spec)
    assert (ran.code, ran.out) == (2, "")
    able = listed([backend.name for backend in having(needs.SOURCE) if backend.distribution], "or")
    assert ran.err.endswith(f"none is needed: choose one with --backend {able}\n")
    assert "pip install" not in ran.err


def offered(record: Backend, command: str) -> list[str]:
    """Return the options with which a backend can be compared."""
    if command == "build" or record.level is None:
        return []
    level = record.level if LEVELS.index(record.level) < 2 else "gradients"
    return ["--level", level, "--dtype", record.dtypes[0]]


@cases(("command", "backend"), product(["build", "parity"], OF_FRAMEWORKS))
def test_a_backend_that_is_not_installed(
    run: Run,
    entries: Run,
    spec: str,
    *,
    command: str,
    backend: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = BACKENDS[backend]
    monkeypatch.setitem(sys.modules, record.distribution, None)
    ran = run(command, spec, "-b", backend, *offered(record, command))
    assert (ran.code, ran.out) == (3, "")
    install = ways_to_install(record.extra, REQUIREMENTS[record.extra])
    assert ran.err == f"rnnspec: error: {record.title} is not installed: {install}\n"
    assert entries() == {spec}
    # Source is plain text, so no framework is needed.
    assert run("codegen", spec, "-b", backend).code == 0


@cases(("command", "backend"), product(["build", "parity"], OF_FRAMEWORKS))
def test_a_backend_that_is_too_old(
    run: Run, spec: str, command: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = BACKENDS[backend]
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.5.1+cpu")
    ran = run(command, spec, "-b", backend, *offered(record, command))
    assert (ran.code, ran.out) == (3, "")
    assert "0.5.1+cpu is too old" in ran.err
    assert f"pip install --upgrade {REQUIREMENTS[record.extra]}" in ran.err


def test_an_import_that_fails(run: Run, python: Run, spec: str) -> None:
    pytest.importorskip("keras")
    ran = python(MAIN, "build", spec, "-b", "keras", KERAS_BACKEND="nosuch")
    assert (ran.code, ran.out) == (3, "")
    assert "rnnspec: error: Keras cannot be imported" in ran.err
    assert "report" not in ran.err


def test_a_crash(run: Run, spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise KeyError("new\nline\x1b")

    monkeypatch.setattr(summaries, "summarize", crash)
    ran = run("summary", spec)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("rnnspec: error: KeyError: ")
    assert "please report it" in ran.err
    monkeypatch.setenv("RNNSPEC_TRACEBACK", "1")
    with pytest.raises(KeyError):
        run("summary", spec)


def test_a_model_too_large_for_the_memory(run: Run) -> None:
    pytest.importorskip("torch")
    text = "version: 1\nname: big\ninput: {features: 1}\nrnn: {type: gru, units: 100000000}\n"
    Path("big.yaml").write_text(text)
    assert run("summary", "big.yaml").code == 0
    ran = run("build", "big.yaml", "-b", "torch")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("rnnspec: error: out of memory: ")


MAIN = "from rnnspec.cli import main; main()"
IN_SHELL = "import os, sys; os.execvp('sh', ['sh', '-c', sys.argv[1]])"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
@cases("redirect", ["> /dev/full", ">&-"])
def test_a_standard_output_that_cannot_be_written(python: Run, spec: str, redirect: str) -> None:
    ran = python(IN_SHELL, f"'{sys.executable}' -m rnnspec validate {spec} {redirect}")
    assert "Traceback" not in ran.err
    assert "Exception" not in ran.err
    if "full" in redirect:
        assert ran.code == 3
        assert ran.err.endswith(": error: no space left on device\n")
        assert ran.err.count("\n") == 1
    else:
        assert (ran.code, ran.err) == (0, "")


@cases("command", ["validate", "lint"])
def test_json_is_a_short_name_of_the_format(run: Run, spec: str, command: str) -> None:
    assert run(command, spec, "--json").out == run(command, spec, "--format", "json").out


def test_former_names_of_options_are_hidden(run: Run) -> None:
    assert "--backends" not in run("parity", "--help").out


def test_an_ending_is_no_part_of_a_version(run: Run, spec: str) -> None:
    require("torch", spec)
    Path("made.pt").mkdir()
    for folder in ("model-1.0", "made.pt"):
        assert run("build", spec, "-b", "torch", "-o", folder).code == 0
        assert Path(folder, "small.py").is_file()


def test_the_help_of_a_form_says_which_is_the_default(run: Run) -> None:
    said = " ".join(run("build", "--help").out.split())
    others: dict[str, list[str]] = {}
    for backend in having(needs.SOURCE):
        others.setdefault(backend.forms[0], []).append(backend.name)
    del others["training"]
    shown = (f"for {listed(backends)} {form}" for form, backends in others.items())
    assert f"by default training, {', '.join(shown)}" in said


def test_the_help_of_convert_names_every_kind_of_file(run: Run) -> None:
    said = " ".join(run("convert", "--help").out.split())
    for backend in having(needs.FILES):
        assert said.count(backend.suffix or backend.title) >= 2, backend.name


def test_a_layer_has_the_type_of_the_framework_or_of_the_spec(run: Run) -> None:
    """No class of the generated source, such as Masked, which says nothing to a reader."""
    pytest.importorskip("torch")
    pytest.importorskip("flax")
    Path("padded.yaml").write_text(PADDED)
    for backend in ("torch", "jax"):
        shown = run("build", "padded.yaml", "-b", backend).out
        assert "lstm_1 (LSTM)" in shown
        assert "gru_1 (GRU)" in shown


PADDED = """\
version: 1
name: padded
embedding: {vocabulary: 9, dim: 2, mask_zero: true}
rnn: [{type: lstm, units: 2}, {type: gru, units: 2, recurrent_dropout: 0.1}]
"""
