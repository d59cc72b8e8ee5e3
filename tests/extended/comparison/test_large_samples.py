"""The source of many random specs passes linters, and is the same each time."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from offered import require_all

from rnnspec import pipeline
from rnnspec.backends import BACKENDS, Backend, honouring
from rnnspec.backends.needs import SOURCE
from rnnspec_random.strategies import sample, spec_text, specs

PLAIN = {
    "version": 1,
    "name": "plain",
    "input": {"features": 2},
    "rnn": {"type": "simple", "units": 2},
}
"""A spec that every backend accepts."""
TYPED = 20
"""The number of generated files of each kind and backend that mypy checks; ruff checks all."""


@cache
def drawn() -> dict[str, str]:
    """Return specs with short and with long names, by the names of their files."""
    short, long = [PLAIN, *sample(specs(), 110)], sample(specs(long_names=True), 110)
    kinds = {"short": short, "long": long}
    return {
        f"{kind}_{number:03}": spec_text(spec)
        for kind, chosen in kinds.items()
        for number, spec in enumerate(chosen)
    }


def generate(name: str, program: pipeline.Program, backend: Backend) -> str:
    """Return source of one of a backend's forms, which the number of the spec decides."""
    forms = pipeline.forms_of(program, backend)
    return pipeline.generate(program, backend, forms[int(name[-3:]) % len(forms)]).text


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files of every backend, in its forms."""
    folder = tmp_path_factory.mktemp("sources")
    for name, spec in drawn().items():
        program = pipeline.reads(spec)
        for each in honouring(program.network):
            path = folder / f"{name}_{each.name}{each.ending}"
            path.write_text(generate(name, program, each), encoding="utf-8")
    return folder


def test_the_same_spec_gives_the_same_source_and_it_compiles(sources: Path) -> None:
    for number, (name, spec) in enumerate(drawn().items()):
        program = pipeline.reads(spec)
        able = honouring(program.network)
        again = able[number % len(able)]
        path = sources / f"{name}_{again.name}{again.ending}"
        assert generate(name, program, again) == path.read_text(encoding="utf-8")
    for path in sources.glob("*.py"):
        compile(path.read_text(encoding="utf-8"), path.name, "exec")


def test_every_backend_has_sources_in_the_sample(sources: Path) -> None:
    for backend in BACKENDS.values():
        assert list(sources.glob(f"*_{backend.name}{backend.ending}"))


@pytest.mark.parametrize("command", [["format", "--check", "--diff"], ["check"]])
def test_ruff_has_nothing_to_say(command: list[str], sources: Path) -> None:
    _agrees(["ruff", *command, "--isolated", "--no-cache", "."], sources)


def test_mypy_has_nothing_to_say(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    chosen = [
        path.name
        for kind in ("short", "long")
        for name in require_all(SOURCE)
        for path in sorted(sources.glob(f"{kind}_*_{name}.py"))[:TYPED]
    ]
    cache = tmp_path_factory.getbasetemp() / "mypy_cache"
    config = ["--config-file", "", "--cache-dir", str(cache), "--no-warn-unused-configs"]
    # Keras has no type hints.
    config += ["--disable-error-code", "import-untyped"]
    config += ["--allow-subclassing-any", "--no-warn-return-any"]
    # Of Flax, nnx.max_pool and nnx.avg_pool have none.
    config += ["--untyped-calls-exclude", "flax"]
    # Strict mode includes all that mypy reports by default, so one run is enough.
    _agrees(["mypy", *config, "--strict", *chosen], sources)


def _agrees(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
