"""Many random specs mean the same on every backend, and their source passes linters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from extended.comparison.test_random_specs import compare_many
from offered import require_all

from rnnspec import pipeline
from rnnspec.backends import BACKENDS, honouring
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


# Keras's warning about a softmax over one unit is right, but the language allows it.
@pytest.mark.filterwarnings("ignore:(?s).*softmax over axis -1:UserWarning")
@pytest.mark.parametrize(("level", "number"), [("gradients", 16), ("training", 3)])
def test_many_specs_mean_the_same_on_every_backend(level: str, number: int) -> None:
    # Others than those of tests/comparison.
    compare_many(level, number, seed=21)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files of every backend, with short and with long names, in its forms."""
    folder = tmp_path_factory.mktemp("sources")
    for kind, chosen in (
        ("short", [PLAIN, *sample(specs(), 150)]),
        ("long", sample(specs(long_names=True), 150)),
    ):
        for number, spec in enumerate(chosen):
            program = pipeline.reads(spec_text(spec))
            for each in honouring(program.network):
                forms = pipeline.forms_of(program, each)
                form = forms[number % len(forms)]
                text = pipeline.generate(program, each, form).text
                path = folder / f"{kind}_{number:03}_{each.name}{each.ending}"
                path.write_text(text, encoding="utf-8")
    return folder


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
