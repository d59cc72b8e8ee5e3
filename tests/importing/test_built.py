"""Every file that rnnspec builds comes back exactly: the text of the spec, and every bit."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import offered
import pytest
from safetensors.numpy import load_file, save_file

from rnnspec import backends, pipeline, saving
from rnnspec.backends.kept import weights_in
from rnnspec.backends.needs import FILES
from rnnspec.errors import RnnspecError, UsageError
from rnnspec.files.headers import read_metadata
from rnnspec.importing.original import compare_file
from rnnspec.importing.run import Taken, take
from rnnspec.weights.initial import draw_scaled

# Dropout and reset_after say what the arrays alone do not.
TEXT = """\
version: 1
name: tagger  # a comment stays too
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn:
  - {type: lstm, units: 4, dropout: 0.5, layer_norm: true}
  - {type: gru, units: 2, bidirectional: true}
head: {pooling: none, units: 2}
"""
START = "version: 1\nname: net\n"
TOKENS = START + "embedding: {vocabulary: 9, dim: 3, mask_zero: true}\n"
NUMBERS = START + "input: {length: 6, features: 3, mask_value: -1.5}\n"
TEXTS = {
    "tagger": TEXT,
    "masked mean": TOKENS + "rnn: {type: gru, units: 4}\nhead: {pooling: mean, units: 2}\n",
    "masked max": NUMBERS + "rnn: {type: lstm, units: 4}\nhead: {pooling: max, units: 2}\n",
    "last step": TOKENS.replace(", mask_zero: true", "")
    + "rnn: {type: lstm, units: 4, bidirectional: true}\nhead: {pooling: last_step, units: 2}\n",
    "normalized": NUMBERS + "rnn: {type: simple, units: 4}\nhead: {units: 2, normalize: l2}\n",
    "legacy": TOKENS
    + "rnn: {type: lstm, units: 4, recurrent_activation: legacy_hard_sigmoid, residual: false}\n"
    "head: {hidden: [{units: 3, activation: legacy_hard_sigmoid}], units: 2}\n",
    "all of them": NUMBERS
    + "rnn:\n  - {type: gru, units: 3, layers: 2, residual: true, dropout: 0.1}\n"
    "  - {type: gru, units: 4, reset_after: false, recurrent_activation: legacy_hard_sigmoid}\n"
    "head: {pooling: mean, units: 2, normalize: l2}\n",
}
GALLERY = sorted((Path(__file__).parents[2] / "specs").glob("*.yaml"))
WRITERS = [each.name for each in backends.BACKENDS.values() if each.files]
FOLDERS = [each.name for each in backends.BACKENDS.values() if len(each.files) > 1]


def build(path: Path, text: str, name: str, form: Any = None) -> tuple[Path, dict[str, Any]]:
    """Return the file with the arrays of a model that was saved at a path, and its arrays."""
    backend, program = backends.get(name), pipeline.reads(text)
    generated = pipeline.generate(program, backend, form)
    drawn = draw_scaled(program.network, 1)
    arrays = {name: array.astype(np.float32) for name, array in drawn.items()}
    model = pipeline.instantiate(generated, drawn=False)
    generated.store.write(model, arrays)
    saving.save(path, generated, text, model, force=False)
    return weights_in(path), arrays


def check(taken: Taken, text: str, arrays: dict[str, Any]) -> None:
    assert taken.text == text
    assert not taken.imported.guesses
    assert not taken.imported.inferred
    assert list(taken.arrays) == list(arrays)
    for name, array in arrays.items():
        assert taken.arrays[name].tobytes() == array.tobytes()


def forms(name: str, text: str) -> list[Any]:
    """Return the forms in which a backend can write a spec."""
    backend, program = backends.get(name), pipeline.reads(text)
    return pipeline.forms_of(program, backend)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("which", TEXTS)
def test_every_form(tmp_path: Path, which: str, name: str) -> None:
    text = TEXTS[which]
    backend = offered.require(name, FILES, pipeline.reads(text))
    for form in forms(name, text):
        path, arrays = build(tmp_path / f"{form}{backend.suffix}", text, name, form)
        taken = take(path)
        check(taken, text, arrays)
        compared = compare_file(path, taken, lambda _: None)
        assert str(compared).startswith("compared with the original in ")
        assert compared.largest < 1e-6


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("spec", GALLERY, ids=lambda path: path.stem)
def test_the_gallery(tmp_path: Path, spec: Path, name: str) -> None:
    text = spec.read_text()
    backend = offered.require(name, FILES, pipeline.reads(text))
    path, arrays = build(tmp_path / f"net{backend.suffix}", text, name)
    check(take(path), text, arrays)
