"""A Keras file is compared with what Keras itself makes of it, if Keras may and can open it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from importing.old import DENSE, LSTM, changed, layer, written
from offered import import_later
from safetensors.numpy import load_file

from rnnspec.backends import get
from rnnspec.importing.run import take

import_later("h5py")
keras: Any = import_later("keras")


Run = Callable[..., Any]
INPUT = layer("InputLayer")
HARD = changed(LSTM, recurrent_activation="hard_sigmoid")


def line(ran: Any) -> str:
    """Return what a conversion says of the original."""
    assert (ran.code, ran.err) == (0, "")
    (found,) = (each for each in ran.out.splitlines() if "with the original" in each)
    return str(found)


def pooled(batch: int | None = None) -> Any:
    """Return a model with padding whose mean is taken, of batches of one size if that is given."""
    of = keras.layers
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(batch, 5, 3)),
            of.Masking(0.5),
            of.LSTM(4, return_sequences=True, kernel_regularizer="l2"),
            of.GlobalAveragePooling1D(),
            of.Dense(2),
        ]
    )
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("batch", [None, 4])
@pytest.mark.parametrize("path", ["in.keras", "in.h5"])
def test_what_keras_opens(run: Run, path: str, batch: int | None) -> None:
    pooled(batch).save(path)
    said = line(run("convert", path, "out.safetensors"))
    assert said.startswith("compared with the original in Keras 3.")
    assert float(said.rpartition("difference ")[2].split()[0]) < 1e-6


def test_what_keras_does_not_open(run: Run) -> None:
    path = written(changed(LSTM, time_major=False), DENSE)
    said = line(run("convert", path, "out.safetensors"))
    assert said.startswith("not compared with the original: Keras 3.")
    assert " does not open it (" in said
    assert "'time_major'" in said


def test_what_keras_reads_as_another_model(run: Run) -> None:
    path = written(INPUT, HARD, DENSE)
    said = line(run("convert", path, "out.safetensors"))
    assert said.endswith(": Keras 3 reads hard_sigmoid in this file as another function")
    # Keras does open the file, and says nothing.
    batch = np.random.default_rng(0).standard_normal((4, 5, 3)).astype("f4")
    runtime = get("keras").runtime
    found = runtime.output(runtime.open_original(path), batch)
    right = runtime.output(converted(run, path), batch)
    assert np.abs(found - right).max() > 1e-3


def converted(run: Run, path: Path) -> Any:
    assert run("convert", path, "out.keras").code == 0
    return keras.saving.load_model("out.keras")


@pytest.mark.parametrize(
    "named",
    [
        {"class_name": "function", "config": "system", "module": "os"},
        {"class_name": "L2", "config": {}, "module": "os"},
        {"class_name": "L2", "config": {}, "registered_name": "mine>L2"},
        {"class_name": "__lambda__", "config": {"value": "4wEAAA=="}},
    ],
)
def test_what_keras_shall_not_open(
    run: Run, named: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(changed(LSTM, kernel_regularizer=named), DENSE)
    monkeypatch.setattr(get("keras").runtime, "open_original", None)
    said = line(run("convert", path, "out.safetensors"))
    assert said.startswith("not compared with the original: the file names ")


@pytest.mark.parametrize("command", [("import",), ("convert", "out.safetensors")])
def test_an_original_that_differs(
    run: Run, entries: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    path = written(INPUT, LSTM, DENSE)
    runtime = get("keras").runtime
    opened = runtime.open_original

    def spoilt(path: Path, *classes: Any) -> Any:
        model = opened(path, *classes)
        model.set_weights([weight + np.float32(1e-3) for weight in model.get_weights()])
        return model

    monkeypatch.setattr(runtime, "open_original", spoilt)
    name, *output = command
    ran = run(name, path, *output)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(
        "model.h5: error: on random batches, expected the output of the original in Keras 3."
    )
    assert ran.err.endswith(" [E709]\n")
    assert entries() == {"model.h5"}


def test_a_sequence_that_is_too_long_to_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(INPUT, LSTM, DENSE, shape=(2**31 - 1, 3))
    monkeypatch.setattr(get("keras").runtime, "open_original", None)
    said = line(run("import", path))
    assert said.startswith("not compared with the original: a sequence of it has ")


def test_an_architecture_beside_the_arrays(run: Run) -> None:
    model = pooled()
    model.save_weights("in.weights.h5")
    Path("in.json").write_text(model.to_json())
    said = line(run("convert", "in.weights.h5", "out.safetensors", "--config", "in.json"))
    assert said == "not compared with the original: the architecture is in another file"
    wanted = take(Path("in.weights.h5"), config=Path("in.json")).arrays
    for name, array in load_file("out.safetensors").items():
        np.testing.assert_array_equal(array, wanted[name])
    ran = run("convert", "in.weights.h5", "in.json", "--config", "in.json")
    assert "error: expected NAME.keras, NAME.onnx, NAME.safetensors" in ran.err
    ran = run("convert", "out.safetensors", "out.keras", "--config", "in.json")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "out.safetensors: error: takes no --config: expected a Keras file\n"


def test_a_file_of_build_with_padding_that_keras_has_no_layer_for(run: Run) -> None:
    text = """\
version: 1
name: net
input: {length: 5, features: 3, mask_value: 0.5}
rnn: {type: lstm, units: 2}
head: {pooling: max, units: 1}
"""
    Path("net.yaml").write_text(text)
    assert run("build", "net.yaml", "-b", "keras", "-o", "in.keras").code == 0
    assert run("convert", "in.keras", "out.safetensors").code == 0
    # Keras does not write the spec again.
    keras.saving.load_model("in.keras").save("again.keras")
    for command in (("import",), ("convert", "again.safetensors")):
        name, *output = command
        ran = run(name, "again.keras", *output)
        assert (ran.code, ran.out) == (1, "")
        ran = run(name, "again.keras", *output, "--spec", "net.yaml", "--force")
        assert "compared with the original in Keras 3." in line(ran)
    wanted = load_file("out.safetensors")
    for name, array in load_file("again.safetensors").items():
        np.testing.assert_array_equal(array, wanted[name])


def test_a_sequential_model_and_its_spec(run: Run) -> None:
    of = keras.layers
    keras.Sequential([keras.Input((5, 3)), of.LSTM(2), of.Dense(1)]).save("in.keras")
    assert run("import", "in.keras", "-o", "net.yaml").code == 0
    said = line(run("convert", "in.keras", "out.safetensors", "--spec", "net.yaml"))
    assert said.startswith("compared with the original in Keras 3.")
