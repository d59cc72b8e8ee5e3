"""Keras files of ours that are broken or changed: one clear error, and nothing is written."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from convert.conftest import TEXT, tree, write_input
from offered import import_later

import_later("keras")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Run = Callable[..., Any]
Refused = Callable[..., str]


def test_broken_bytes_in_a_keras_file(refused: Refused, run: Run, spec: str) -> None:
    write_input("keras")
    whole = Path("in.keras").read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 15):
        broken = bytearray(whole)
        broken[at] ^= 0xFF
        Path("in.keras").write_bytes(broken)
        ran = run("convert", "in.keras", "out.safetensors", "--spec", spec, "--force")
        assert ran.code in {0, 1, 2}, ran.err
        assert (ran.err == "") == (ran.code == 0)


def rewritten(change: Callable[[dict[str, bytes]], object]) -> None:
    """Write the ``.keras`` file again with other parts."""
    with zipfile.ZipFile("in.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile("in.keras", "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def layer(config: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        each for each in config["config"]["layers"] if each["name"] == name
    )
    return found


def cell(config: dict[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = layer(config, "bidirectional_1")["config"]["layer"]["config"]
    return inner


CHANGES: list[tuple[str, Callable[[dict[str, Any]], None]]] = [
    (
        "lstm_1.cell.activation: expected 'tanh', received 'relu'",
        lambda c: layer(c, "lstm_1")["config"].update(activation="relu"),
    ),
    (
        "lstm_1.dropout: expected 0.25, received 0.5",
        lambda c: layer(c, "lstm_1")["config"].update(dropout=0.5),
    ),
    (
        "layer_normalization_1: layers/layer_normalization/vars/0: expected the shape (3,)",
        lambda c: layer(c, "bidirectional_1")["config"].update(merge_mode="sum"),
    ),
    (
        "bidirectional_1.backward_layer: expected the settings of the forward layer",
        lambda c: cell(c).update(recurrent_activation="hard_sigmoid"),
    ),
    (
        "lstm_1: expected the padding none, received a mask of 0",
        lambda c: layer(c, "embedding_1")["config"].update(mask_zero=False),
    ),
    (
        "dense_2: not on the way from the input to the output",
        lambda c: c["config"].update(output_layers=[["dense_1", 0, 0]]),
    ),
    (
        "cannot carry over the operation keras.ops.not_equal",
        lambda c: c.update(class_name="Sequential"),
    ),
    ("expected the configuration of a layer", lambda c: c["config"].update(layers=[3])),
]


@cases(("message", "change"), CHANGES)
def test_a_changed_configuration(
    run: Run, spec: str, message: str, change: Callable[[dict[str, Any]], None]
) -> None:
    def change_part(parts: dict[str, bytes]) -> None:
        config = json.loads(parts["config.json"])
        change(config)
        parts["config.json"] = json.dumps(config).encode()

    write_input("keras")
    rewritten(change_part)
    before = tree(Path())
    ran = run("convert", "in.keras", "out.safetensors", "--spec", spec)
    assert (ran.code, ran.out) in {(1, ""), (2, "")}
    assert message in ran.err
    assert tree(Path()) == before


def test_a_keras_file_without_its_weights(refused: Refused, spec: str) -> None:
    write_input("keras")
    rewritten(lambda parts: parts.pop("model.weights.h5"))
    assert "an archive without its parts" in refused("in.keras", "out.safetensors", "--spec", spec)


def test_the_weights_of_another_keras_model(run: Run, spec: str) -> None:
    write_input("keras")
    write_input("keras", TEXT.replace("units: 3, bid", "units: 5, bid"), "other.keras")
    with zipfile.ZipFile("other.keras") as archive:
        weights = archive.read("model.weights.h5")
    rewritten(lambda parts: parts.update({"model.weights.h5": weights}))
    ran = run("convert", "in.keras", "out", "--spec", spec)
    assert (ran.code, ran.out) == (1, "")
    assert (
        "forward_layer/cell/vars/0: expected the shape (4, 9), received (4, 15) [E707]" in ran.err
    )
