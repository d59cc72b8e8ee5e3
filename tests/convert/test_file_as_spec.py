"""A canonical file is a model: every command takes it in place of a spec."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from offered import require
from safetensors.numpy import save_file

import rnnspec
from rnnspec import pipeline
from rnnspec.errors import SpecError, UsageError
from rnnspec.weights.file import write_arrays
from rnnspec.weights.initial import draw_fresh

Run = Callable[..., Any]
SPEC = """\
version: 1
name: net
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: {type: gru, units: 4, bidirectional: true}
head: {units: 2}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    arrays = draw_fresh(pipeline.reads(SPEC).network, 3)
    Path("net.yaml").write_text(SPEC)
    return write_arrays(Path(), "net.safetensors", arrays, SPEC)


def test_a_model_has_the_weights_of_the_file(file: Path, backend: str) -> None:
    require(backend, pipeline.read(file))
    spec = rnnspec.load(file)
    assert spec.weights is not None
    for source in (spec, file):
        found = rnnspec.read_weights(rnnspec.build(source, backend), spec)
        assert found.keys() == spec.weights.keys()
        for name, array in found.items():
            np.testing.assert_array_equal(array, spec.weights[name].astype(np.float32))
    with pytest.raises(UsageError, match="expected no seed: the file has weights"):
        rnnspec.build(file, backend, seed=1)


@pytest.mark.parametrize("command", ["summary", "validate", "lint", "codegen -b torch", "draw"])
def test_a_command_prints_what_it_prints_for_the_spec(file: Path, run: Run, command: str) -> None:
    name, *options = command.split()
    one, two = run(name, file, *options), run(name, "net.yaml", *options)
    assert one.code == 0
    assert one.out.replace("net.safetensors", "net.yaml") == two.out


def test_it_is_the_network_of_its_spec(file: Path, run: Run) -> None:
    assert "no change in the network" in run("diff", file, "net.yaml").out
    assert rnnspec.load("net.yaml").weights is None


def test_other_files(file: Path) -> None:
    save_file({"a": np.zeros(2)}, file)
    with pytest.raises(UsageError, match="contains no spec"):
        rnnspec.load(file)
    save_file({"a": np.zeros(2)}, file, metadata={"rnnspec": SPEC.replace(": 1", ": 2", 1)})
    with pytest.raises(SpecError, match="unsupported version 2; this rnnspec reads version 1"):
        rnnspec.load(file)
    save_file({"a": np.zeros(2)}, file, metadata={"rnnspec": SPEC})
    with pytest.raises(UsageError, match=r"missing: embedding_1\.embeddings"):
        rnnspec.build(file, "torch")
