"""``--form step`` of the commands that write or build source."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from offered import require, require_source
from steps.models import HEADS, INPUTS, STEP, stepped

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import having, needs

Run = Callable[..., Any]
pytestmark = [
    pytest.mark.needs(STEP),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
# What a command does with a file does not depend on the layers, and each file is built many times.
FEW = "rnn: [{type: lstm, units: 4}, {type: gru, units: 3, layer_norm: true}]\n"
TEXT = f"version: 1\nname: net\n{INPUTS['tokens']}\n{FEW}{HEADS['max']}\n"


@pytest.fixture
def chunked() -> str:
    Path("net.yaml").write_text(TEXT)
    return "net.yaml"


@pytest.mark.needs(needs.FILES)
def test_build_proves_what_it_writes(run: Run, chunked: str, backend: str) -> None:
    chosen = require(backend, STEP, needs.FILES, chunked)
    output = f"net{chosen.suffix}"
    ran = run("build", chunked, "-b", backend, "--form", "step", "--seed", 3, "-o", output)
    assert (ran.code, ran.err) == (0, "")
    assert "\nequal to the NumPy reference with the same arrays: largest difference " in ran.out
    folder = Path() if chosen.suffix else Path(output)
    source = pipeline.generate(pipeline.read(chunked), chosen, "step").source
    model = chosen.runtime.reload(folder, "net", source)
    made = stepped(backend, TEXT)
    arrays = rnnspec.read_weights(model, chunked)
    rnnspec.write_weights(made.model, arrays)
    wanted, states = made.step(made.batch[:, :5])
    found, again = chosen.runtime.step(model, made.batch[:, :5], None)
    np.testing.assert_allclose(found, wanted, rtol=0.0, atol=1e-5)
    assert {name: state.shape for name, state in again.items()} == {
        name: state.shape for name, state in states.items()
    }


def test_a_model_that_differs_in_chunks_is_not_written(
    run: Run, chunked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = require("torch", STEP, needs.FILES, chunked)
    runtime, output = chosen.runtime, f"made{chosen.suffix}"
    right = runtime.step

    def forgetful(model: Any, chunk: Any, states: Any) -> Any:
        output, after = right(model, chunk, states)
        return output, {name: state * 0.5 for name, state in after.items()}

    monkeypatch.setattr(runtime, "step", forgetful)
    ran = run("build", chunked, "-b", "torch", "--form", "step", "-o", output)
    assert (ran.code, ran.out) == (1, "")
    assert re.search(r"expected within \S+e-\d+ of the reference in float32", ran.err)
    assert not Path(output).exists()


# Of JAX, build loads what it wrote in the test above.
@pytest.mark.parametrize(
    "backend", [each.name for each in having(STEP) if each.reads_files and each.name != "jax"]
)
def test_convert_writes_and_reads_it(run: Run, chunked: str, backend: str) -> None:
    chosen = require(backend, STEP, needs.FILES, chunked)
    first, second = (f"{name}{chosen.suffix}" for name in ("first", "second"))
    assert run("build", chunked, "-b", backend, "-o", first).code == 0
    ran = run("convert", first, second, "--spec", chunked, "--form", "step")
    assert (ran.code, ran.err) == (0, "")
    for path in (first, second):
        assert run("convert", path, f"{path}.safetensors", "--spec", chunked).code == 0
    arrays = [Path(f"{path}.safetensors").read_bytes() for path in (first, second)]
    assert arrays[0] == arrays[1]


def test_a_backward_direction_is_refused_by_all(run: Run, backend: str) -> None:
    require_source(backend, STEP)
    text = "version: 1\nname: net\ninput: {features: 3}\nrnn: [{type: gru, units: 4, %s}]\n"
    Path("both.yaml").write_text(text % "bidirectional: true")
    ran = run("codegen", "both.yaml", "-b", backend, "--form", "step")
    assert (ran.code, ran.out) == (1, "")
    reason = "in step form, a backward direction would begin at steps still to come"
    assert ran.err == (
        f"both.yaml: error: bidirectional_1.bidirectional: not supported by {backend}: {reason}\n"
    )


def test_parity_tells_the_form(run: Run, chunked: str) -> None:
    require("torch", STEP, needs.level("forward"), chunked)
    options = ("--backend", "torch", "--form", "step", "--dtype", "float64")
    ran = run("parity", chunked, *options)
    assert (ran.code, ran.err) == (0, "")
    assert "compared up to forward in float64, source in step form (" in ran.out
    ran = run("parity", chunked, *options, "--level", "gradients")
    message = "source in step form does not train; it is compared up to forward"
    assert ran.err == f"rnnspec: error: {message}, received the level gradients\n"
