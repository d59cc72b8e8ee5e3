"""Run the command in this process, and save one small model as every kind of file."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from cli.conftest import Ran, _own_folder, _signals, entries, run
from safetensors.numpy import save_file

from rnnspec import pipeline
from rnnspec.backends import BACKENDS
from rnnspec.ir.params import named_params
from rnnspec.models import saving

__all__ = ["Ran", "_own_folder", "_signals", "entries", "run"]

# A mask, both directions, a GRU with two biases, layer norm, and a stack with num_layers in
# PyTorch.
TEXT = """\
version: 1
name: moved
input: {length: 6}
embedding: {vocabulary: 9, dim: 4, mask_zero: true}
rnn:
  - {type: lstm, units: 4, layers: 2, dropout: 0.25}
  - {type: gru, units: 3, bidirectional: true, layer_norm: true}
head: {hidden: [{units: 4, activation: relu}], units: 2}
"""
FILES = {
    "keras": "in.keras",
    "torch": "in",
    "jax": "in_jax",
    "onnx": "in.onnx",
    "canonical": "in.safetensors",
}
OUTPUTS = {kind: path.replace("in", "out", 1) for kind, path in FILES.items()}


def arrays_of(text: str, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(param.shape).astype(np.float32) / 2.0
        for name, _, param in named_params(pipeline.reads(text).network)
    }


def write_input(kind: str, text: str = TEXT, name: str = "") -> Path:
    """Write a model with random arrays as one kind of file, as ``rnnspec build`` saves it."""
    path = Path(name or FILES[kind])
    for part, content in _built(kind, text).items():
        place = path / part if part else path
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
    return path


@cache
def _built(kind: str, text: str) -> dict[str, bytes]:
    """Return what is in the file or the folder of a model, which is built once."""
    with TemporaryDirectory() as folder:
        path, arrays = Path(folder, FILES[kind]), arrays_of(text)
        if kind == "canonical":
            save_file(arrays, path, metadata={"rnnspec": text})
        else:
            pytest.importorskip(kind)
            generated = pipeline.generate(pipeline.reads(text), BACKENDS[kind])
            model = pipeline.instantiate(generated, drawn=False)
            generated.store.write(model, arrays)
            saving.save(path, generated, text, model, force=False)
        return tree(path) if path.is_dir() else {"": path.read_bytes()}


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def spec() -> str:
    """The path of the spec in the current folder."""
    Path("moved.yaml").write_text(TEXT)
    return "moved.yaml"


@pytest.fixture
def refused(run: Callable[..., Ran]) -> Callable[..., str]:
    """Return the single error message of a command that changes nothing."""

    def refused(*arguments: object, code: int = 2) -> str:
        before = tree(Path())
        ran = run("convert", *arguments)
        assert (ran.code, ran.out) == (code, ""), ran.err
        assert ran.err.count("\n") == 1
        assert tree(Path()) == before
        return ran.err

    return refused
