"""Whatever the language can say means the same on every backend, and reads as a person's code."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from strategies import Words, sample, spec_text, specs

import rnnspec
from rnnspec.backends import BACKENDS

TYPED = 20
"""How many generated files of each kind mypy reads; ruff reads them all."""


# Keras is right about a softmax over one unit; the language allows it all the same.
@pytest.mark.filterwarnings("ignore:(?s).*softmax over axis -1:UserWarning")
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    # Without shrinking: it would build hundreds of models.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(specs())
def test_any_spec_means_the_same_on_every_backend(spec: Words) -> None:
    for each in BACKENDS:
        pytest.importorskip(each)
    report = rnnspec.parity(rnnspec.loads(spec_text(spec)))
    assert report.equal, report.differences
    assert set(report.specs[0].backends) == set(BACKENDS)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(specs())
def test_the_same_spec_gives_the_same_source_and_it_compiles(spec: Words) -> None:
    for each in BACKENDS:
        text = rnnspec.codegen(rnnspec.loads(spec_text(spec)), each)
        assert text == rnnspec.codegen(rnnspec.loads(spec_text(spec)), each)
        compile(text, each, "exec")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of generated files of every backend, from short names and long ones."""
    folder = tmp_path_factory.mktemp("sources")
    for kind, chosen in (
        ("short", sample(specs(), 150)),
        ("long", sample(specs(long_names=True), 150)),
    ):
        for number, spec in enumerate(chosen):
            for each in BACKENDS:
                text = rnnspec.codegen(rnnspec.loads(spec_text(spec)), each)
                (folder / f"{kind}_{number:03}_{each}.py").write_text(text, encoding="utf-8")
    return folder


def test_the_sample_holds_every_word_of_the_language() -> None:
    drawn = sample(specs(), 150)
    layers = [
        layer
        for spec in drawn
        for layer in (spec["rnn"] if isinstance(spec["rnn"], list) else [spec["rnn"]])
    ]
    heads = [spec["head"] for spec in drawn if "head" in spec]
    keys = Counter(key for part in (*drawn, *layers, *heads) for key in part)
    assert keys.keys() == {
        *("version", "name", "description", "input", "embedding", "rnn", "head", "initializers"),
        *("type", "units", "layers", "bidirectional", "merge", "dropout", "variational", "bias"),
        *("reset_after", "pooling", "hidden", "activation"),
    }
    assert {layer["type"] for layer in layers} == {"simple", "lstm", "gru"}
    assert {layer["merge"] for layer in layers if "merge" in layer} == {
        *("concat", "sum", "mul", "ave"),
    }
    assert {head["pooling"] for head in heads if "pooling" in head} == {
        *("last", "mean", "max", "none"),
    }


@pytest.mark.parametrize("command", [["format", "--check", "--diff"], ["check"]])
def test_ruff_has_nothing_to_say(command: list[str], sources: Path) -> None:
    _agrees(["ruff", *command, "--isolated", "--no-cache", "."], sources)


@pytest.mark.parametrize("options", [[], ["--strict"]])
def test_mypy_has_nothing_to_say(
    options: list[str], sources: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for each in BACKENDS:
        pytest.importorskip(each)
    chosen = [
        path.name
        for kind in ("short", "long")
        for path in sorted(sources.glob(f"{kind}_*.py"))[: TYPED * len(BACKENDS)]
    ]
    # The two runs share what mypy has read of the frameworks.
    cache = tmp_path_factory.getbasetemp() / "mypy_cache"
    config = ["--config-file", "", "--cache-dir", str(cache), "--no-warn-unused-configs"]
    _agrees(["mypy", *config, *options, *chosen], sources)


def _agrees(command: list[str], folder: Path) -> None:
    assert len(list(folder.glob("*.py"))) == 2 * 150 * len(BACKENDS)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
