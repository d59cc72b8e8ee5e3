"""Every file that rnnspec builds comes back exactly: the text of the spec, and every bit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import offered
import pytest
from safetensors.numpy import load_file, save_file

from rnnspec import backends, pipeline
from rnnspec.backends.model_files import weights_in
from rnnspec.backends.needs import FILES
from rnnspec.errors import UsageError
from rnnspec.files.arrays import read_metadata
from rnnspec.importing.assemble import ImportedModel
from rnnspec.importing.original import Compared, compare_file
from rnnspec.importing.run import take
from rnnspec.models import saving
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
MEAN = TOKENS + "rnn: {type: gru, units: 4}\nhead: {pooling: mean, units: 2}\n"
MAX = NUMBERS + "rnn: {type: lstm, units: 4}\nhead: {pooling: max, units: 2}\n"
ALL = (
    NUMBERS + "rnn:\n  - {type: gru, units: 3, layers: 2, residual: true, dropout: 0.1}\n"
    "  - {type: gru, units: 4, reset_after: false, recurrent_activation: legacy_hard_sigmoid}\n"
    "head: {pooling: mean, units: 2, normalize: l2}\n"
)
STACK = (
    NUMBERS.replace(", mask_value: -1.5", "")
    + "rnn:\n  - {type: conv, filters: 4, kernel_size: 3, activation: {leaky_relu: 0.25}}\n"
    "  - {type: batch_norm}\n  - {type: max_pool, size: 2}\n  - {type: lstm, units: 3}\n"
    "  - {type: dense, units: 2}\n"
    "head: {pooling: [mean, max], hidden: [{type: batch_norm}], units: 2}\n"
)
# The output of the first head is no layer of Keras, and has no number among the dense ones.
TIED = (
    TOKENS + "rnn: [{type: gru, units: 3}, {type: instance_norm}]\nheads:\n"
    "  one: {pooling: {attention: {units: 2}}, units: 9, bias: false, tied: true}\n"
    "  two: {pooling: none, hidden: [{units: 4}], units: 2}\n"
)
# In Keras, the output layers of both are behind the hidden one.
HEADS = (
    TOKENS.replace(", mask_zero: true", "")
    + "rnn: {type: gru, units: 4, recurrent_activation: legacy_hard_sigmoid}\n"
    "heads: {one: {units: 4}, two: {hidden: [{units: 4}], units: 4}}\n"
)
ATTENTION = """\
version: 1
name: net
inputs:
  source: {embedding: {vocabulary: 9, dim: 3, mask_zero: true}}
  target: {features: 2, mask_value: 0}
stream: target
cells:
  leaky: {states: [h], equations: {h: 0.5 * h + tanh(W @ x + U @ h + b)}}
rnn:
- {type: gru, units: 3, of: source, name: encoder}
- {type: leaky, of: target, units: 4, name: decoder,
  attention: {over: encoder, score: additive, units: 5}}
- {type: attention, of: decoder, over: encoder, score: additive, units: 2, name: after}
- {type: concat, of: [decoder, decoder.context, after]}
"""
WRITERS = [each.name for each in backends.BACKENDS.values() if each.files and each.reads_files]
SOURCES = [
    name
    for name, each in backends.BACKENDS.items()
    if any(file.endswith(".py") for file in each.files)
]


def build(path: Path, text: str, name: str, form: Any = None) -> tuple[Path, dict[str, Any]]:
    """Return the file to read of a model that was saved at a path, and its arrays."""
    backend, program = backends.get(name), pipeline.reads(text)
    generated = pipeline.generate(program, backend, form)
    drawn = draw_scaled(program.network, 1)
    arrays = {name: array.astype(np.float32) for name, array in drawn.items()}
    model = pipeline.instantiate(generated, drawn=False)
    generated.store.write(model, arrays)
    saving.save(path, generated, text, model, force=False)
    if name in SOURCES or path.is_file():
        return weights_in(path), arrays
    return path / backend.files[0].format(name=program.network.name), arrays


def check(taken: ImportedModel, text: str, arrays: dict[str, Any]) -> None:
    assert taken.text == text
    assert not taken.imported.guesses
    assert not taken.imported.inferred
    assert list(taken.arrays) == list(arrays)
    for name, array in arrays.items():
        assert taken.arrays[name].tobytes() == array.tobytes()


def largest(compared: Compared) -> float:
    match = re.match(r"largest difference (\S+) in forward", compared.outcome)
    assert match, compared
    return float(match[1])


@pytest.mark.filterwarnings(r"ignore:\s*.*You are using a softmax over axis")
@pytest.mark.parametrize("name", WRITERS)
def test_every_form(tmp_path: Path, name: str) -> None:
    """Each text is written in one of its forms, and each form of a backend is that of some text."""
    backend, written = offered.require(name, FILES), dict[Any, int]()
    # Only files of Keras and ONNX have a graph beside the spec and the arrays.
    texts = (HEADS, TEXT, ALL, *((STACK, TIED, ATTENTION) if name in ("keras", "onnx") else ()))
    for number, text in enumerate(texts):
        program = pipeline.reads(text)
        if backends.refusals(backend, program.network):
            continue
        forms = pipeline.forms_of(program, backend)
        if text == ATTENTION:
            # In step form, a file of Keras lacks the layers that run before the first chunk.
            forms = [each for each in forms if each != "step"]
        form = min(forms, key=lambda each: written.get(each, 0))
        written[form] = written.get(form, 0) + 1
        path, arrays = build(tmp_path / f"{number}{backend.suffix}", text, name, form)
        taken = take(path)
        check(taken, text, arrays)
        compared = compare_file(path, taken, lambda _: None)
        assert str(compared).startswith("compared with the original in "), text
        assert largest(compared) < 1e-6, text
    assert written.keys() == set(backend.forms)


def test_other_arrays_are_refused(tmp_path: Path) -> None:
    offered.require("torch")
    path, _ = build(tmp_path / "tagger", TEXT, "torch")
    metadata, arrays = read_metadata(path), load_file(path)
    name = min(arrays)
    save_file({**arrays, name: arrays[name] * np.nan}, path, metadata=metadata)
    with pytest.raises(UsageError, match="expected finite numbers, received others"):
        take(path)
    del arrays[name]
    save_file(arrays, path, metadata=metadata)
    with pytest.raises(UsageError, match="missing: bidirectional_1") as caught:
        take(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", SOURCES)
def test_source_that_is_not_that_of_the_spec_is_not_run(tmp_path: Path, name: str) -> None:
    offered.require(name)
    path, _ = build(tmp_path / "tagger", TEXT, name)
    source = path.with_suffix(".py")
    source.write_text(source.read_text() + "open('marker', 'w')\n")
    said = str(compare_file(path, take(path), lambda _: None))
    assert said == (
        "not compared with the original: tagger.py is not the source of the spec, and other code "
        "is not run"
    )
    source.unlink()
    said = str(compare_file(path, take(path), lambda _: None))
    assert said.endswith(": the source beside the arrays, tagger.py: no such file")
    assert not Path("marker").exists()
