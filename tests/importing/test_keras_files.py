"""Keras files of ours that were changed: what they say of themselves is not trusted."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from importing.test_built import ALL, MAX, MEAN, NUMBERS, TEXT, build, largest
from offered import import_later

from rnnspec import pipeline
from rnnspec.errors import BackendError, ModelError
from rnnspec.importing.keras.files import differences
from rnnspec.importing.original import compare_file
from rnnspec.importing.run import take

keras = import_later("keras")


@cases(("units", "refused"), [(2, True), (3, False)])
def test_weights_alone_do_not_tell_equal_heads_apart(
    tmp_path: Path, units: int, refused: bool
) -> None:
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
    text = MEAN
    path, _ = build(tmp_path / "net.keras", text, "keras")
    other = text.replace("units: 4", "units: 4, activation: relu", 1)
    text_in(path, other)
    with pytest.raises(ModelError, match="the spec in the file is not used: this is not the model"):
        take(path)


@pytest.mark.parametrize("place", ["config", "compile_config"])
def test_code_that_a_configuration_of_ours_names_is_not_run(tmp_path: Path, place: str) -> None:
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
    path, _ = build(tmp_path / "net.keras", ALL, "keras")
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert archive.testzip() is None
    assert keras.saving.load_model(path).count_params() > 0
    keras.saving.load_model(path).load_weights(path)


def test_a_layer_more_or_less_is_named() -> None:
    def model(*names: str) -> dict[str, object]:
        layers = [
            {"module": "keras.layers", "class_name": "Dense", "config": {"name": name}}
            for name in names
        ]
        return {"class_name": "Sequential", "config": {"layers": layers}}

    assert list(differences(model("a", "b"), model("a", "x", "b"))) == [
        "unexpected layer x (Dense)"
    ]
    assert list(differences(model("a", "b"), model("a"))) == ["missing layer b (Dense)"]
    assert list(differences(model("a", "b"), model("b", "a"))) == [
        "layers: expected the order a (Dense), b (Dense), received b (Dense), a (Dense)"
    ]
