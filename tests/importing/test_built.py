"""Every file that rnnspec builds comes back exactly: the text of the spec, and every bit."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import offered
import pytest
from cases import cases
from safetensors.numpy import load_file, save_file

from rnnspec import backends, pipeline, saving
from rnnspec.backends.model_files import weights_in
from rnnspec.backends.needs import FILES
from rnnspec.errors import BackendError, ModelError, UsageError
from rnnspec.files.arrays import read_metadata
from rnnspec.importing.assemble import ImportedModel
from rnnspec.importing.original import Compared, compare_file
from rnnspec.importing.run import take
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
WRITERS = [each.name for each in backends.BACKENDS.values() if each.files]
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
    for number, text in enumerate((HEADS, TEXT, ALL, STACK, TIED, ATTENTION)):
        program = pipeline.reads(text)
        if backends.refusals(backend, program.network):
            continue
        forms = pipeline.forms_of(program, backend)
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
    del arrays[min(arrays)]
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


@cases(("units", "refused"), [(2, True), (3, False)])
def test_weights_alone_do_not_tell_equal_heads_apart(
    tmp_path: Path, units: int, refused: bool
) -> None:
    offered.require("keras")
    text = NUMBERS + "rnn: {type: gru, units: 4}\nheads: {"
    text += f"one: {{pooling: mean, units: 2}}, two: {{pooling: mean, units: {units}}}}}\n"
    _, arrays = build(tmp_path / "net.keras", text, "keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        (tmp_path / "net.weights.h5").write_bytes(archive.read("model.weights.h5"))
    if refused:
        with pytest.raises(
            ModelError, match=r"nothing in it tells dense_1 from dense_2, .* \[E704"
        ):
            take(tmp_path / "net.weights.h5", spec=pipeline.reads(text))
    else:
        received = take(tmp_path / "net.weights.h5", spec=pipeline.reads(text)).arrays
        assert all(np.array_equal(received[name], array) for name, array in arrays.items())


def change(path: Path, part: str, changed: Callable[[Any], Any]) -> None:
    """Change a JSON value in a ``.keras`` file."""
    with zipfile.ZipFile(path) as archive:
        parts = {each: archive.read(each) for each in archive.namelist()}
    parts[part] = json.dumps(changed(json.loads(parts[part]))).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in parts.items():
            archive.writestr(each, content)


def text_in(path: Path, text: str) -> None:
    change(path, "metadata.json", lambda each: {**each, "rnnspec": text})


def test_a_text_in_a_keras_file_is_not_trusted(tmp_path: Path) -> None:
    offered.require("keras")
    path, arrays = build(tmp_path / "net.keras", TEXT, "keras")
    for old, new, reason in (
        ("dropout: 0.5", "dropout: 0.25", "lstm_1.dropout: expected 0.25, received 0.5"),
        ("type: gru, units: 2", "type: gru, units: 3", "expected the shape (4, 9), received"),
        ("units: 2}\n", "units: 2, activation: relu}\n", "dense_1.activation: expected 'relu'"),
        ("version: 1", "version: 2", "unsupported version 2"),
        ("type: lstm", "type: !!python/name:os.system lstm", ""),
    ):
        other = TEXT.replace(old, new)
        assert other != TEXT
        text_in(path, other)
        taken = take(path, "tagger")
        # What the configuration says counts, and a line says so.
        (said,) = taken.imported.inferred
        assert said.startswith("the spec in the file is not used: ")
        assert reason in said
        assert pipeline.reads(taken.text).network == pipeline.reads(TEXT).network
        for name, array in arrays.items():
            assert taken.arrays[name].tobytes() == array.tobytes()
    assert largest(compare_file(path, taken, lambda _: None)) < 1e-6


def test_a_text_that_does_not_fit_operations_is_refused(tmp_path: Path) -> None:
    offered.require("keras")
    text = MEAN
    path, _ = build(tmp_path / "net.keras", text, "keras")
    other = text.replace("units: 4", "units: 4, activation: relu", 1)
    text_in(path, other)
    with pytest.raises(ModelError, match="the spec in the file is not used: this is not the model"):
        take(path)


@pytest.mark.parametrize("place", ["config", "compile_config"])
def test_code_that_a_configuration_of_ours_names_is_not_run(tmp_path: Path, place: str) -> None:
    offered.require("keras")
    path, _ = build(tmp_path / "net.keras", MEAN, "keras")
    named = {"module": "os", "class_name": "function", "config": "system"}

    def spoilt(config: Any) -> Any:
        # No key that the configuration of the spec has too.
        config["config"]["layers"][-1].setdefault(place, {})["more"] = named
        return config

    change(path, "config.json", spoilt)
    taken = take(path)
    assert taken.text == MEAN
    said = str(compare_file(path, taken, lambda _: None))
    assert "the file names 'os.function', which is not opened here" in said


def test_a_keras_file_without_keras(tmp_path: Path) -> None:
    offered.require("keras")

    def missing(_: Any) -> None:
        raise BackendError("Keras is not installed")

    path, _ = build(tmp_path / "plain.keras", TEXT, "keras")
    taken = take(path, importing=missing)
    assert taken.imported.inferred == ("the spec in the file is not used: Keras is not installed",)
    said = str(compare_file(path, taken, missing))
    assert said == "not compared with the original: Keras is not installed"
    path, _ = build(tmp_path / "pooled.keras", MAX, "keras")
    with pytest.raises(BackendError, match="Keras is not installed"):
        take(path, importing=missing)


def test_keras_opens_the_file_without_rnnspec(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    path, _ = build(tmp_path / "net.keras", ALL, "keras")
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert archive.testzip() is None
    assert keras.saving.load_model(path).count_params() > 0
    keras.saving.load_model(path).load_weights(path)
