"""Saved Keras models need only Keras: they load in safe mode and compute the same."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from comparison.test_every_layer import ASKED, probe
from live import outputs
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.backends.slots import map_batch
from rnnspec.comparison.batch import draw_batch

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.backends.slots import Array

keras = import_later("keras")

ALL_KINDS = """\
version: 1
name: all_kinds
input: {length: 4, features: 3}
rnn:
  - {type: gru, units: 3, dropout: 0.5}
  - {type: lstm, units: 2, bidirectional: true, merge: ave}
  - {type: simple, units: 2, dropout: 0.1, variational: false, bias: false}
head: {pooling: max, dropout: 0.5, hidden: [{units: 2, activation: softplus}], units: 1}
initializers: {forget_bias: 0.5, recurrent: {normal: 0.1}, bias: {constant: 0.25}}
"""

PADDED = """\
version: 1
name: padded
input: {features: 3, mask_value: -1}
rnn: {type: gru, units: 4}
head: {units: 1}
"""
SEQUENTIAL = """\
    # Padding is compared in the input's dtype, also under mixed precision.
    return keras.Sequential(
        [
            keras.Input(shape=(None, 3), name="inputs"),
            keras.layers.Masking(
                mask_value=-1.0, dtype=keras.config.floatx(), name="masking"
            ),
            keras.layers.GRU(4, return_sequences=False, name="gru_1"),
            keras.layers.Dense(1, name="dense_1"),
        ],
        name="padded",
    )
"""


def batch_for(model: Any) -> Array:
    rng = np.random.default_rng(3)
    shape = tuple(3 if size is None else size for size in model.inputs[0].shape)
    if model.inputs[0].dtype == "int32":
        return rng.integers(0, 2, shape, dtype=np.int32)
    return rng.standard_normal(shape).astype(np.float32)


def reloaded(model: Any, path: Path) -> Any:
    model.save(path)
    return keras.saving.load_model(path, safe_mode=True)


@pytest.mark.parametrize("source", ASKED)
def test_every_layer_is_saved_and_loaded(source: str, tmp_path: Path) -> None:
    program = probe("keras", "training", source)
    model = pipeline.instantiate(pipeline.generate(program, get("keras")))
    other = reloaded(model, tmp_path / "model.keras")
    batch = map_batch(
        lambda array: array.astype(np.float32) if array.dtype.kind == "f" else array,
        draw_batch(program.network, np.random.default_rng(3)),
    )
    np.testing.assert_array_equal(
        outputs(other, batch, training=False), outputs(model, batch, training=False)
    )
    # As its user runs it: traced, and compiled where Keras compiles.
    traced, eager = other.predict_on_batch(batch), other(batch, training=False)
    for one, two in zip(*map(keras.tree.flatten, (traced, eager)), strict=True):
        np.testing.assert_allclose(one, keras.ops.convert_to_numpy(two), rtol=0, atol=1e-5)
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
    assert other.count_params() == model.count_params()


def test_the_file_names_no_class_but_keras_own(tmp_path: Path) -> None:
    model = rnnspec.build(rnnspec.loads(ALL_KINDS), "keras", seed=1)
    model.save(tmp_path / "all_kinds.keras")
    with zipfile.ZipFile(tmp_path / "all_kinds.keras") as saved:
        config = json.loads(saved.read("config.json"))
    modules = set(strings(config, "module"))
    assert "keras.layers" in modules
    assert all(module is None or module.split(".")[0] == "keras" for module in modules)
    assert set(strings(config, "registered_name")) <= {None, "Functional"}


def strings(value: object, key: str) -> list[Any]:
    if isinstance(value, dict):
        own = [value[key]] if key in value else []
        return own + [found for inner in value.values() for found in strings(inner, key)]
    if isinstance(value, list):
        return [found for inner in value for found in strings(inner, key)]
    return []


def test_the_model_is_a_plain_functional_model() -> None:
    model = rnnspec.build(rnnspec.loads(ALL_KINDS), "keras", seed=1)
    assert type(model) is keras.Model or type(model).__name__ == "Functional"
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)


def test_a_chain_over_padding_of_any_length_is_a_sequential() -> None:
    spec = rnnspec.loads(PADDED)
    assert rnnspec.codegen(spec, "keras").endswith(f'    """\n{SEQUENTIAL}')
    model = rnnspec.build(spec, "keras", seed=1)
    assert type(model) is keras.Sequential
    assert [layer.name for layer in model.layers] == ["masking", "gru_1", "dense_1"]


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        # Only a functional model refuses another number of steps.
        ("{features", "{length: 5, features"),
        ("{type: gru, units: 4}", "[{type: gru, units: 3, residual: true}, {type: gru, units: 4}]"),
        ("{units: 1}", "{pooling: mean, units: 1}"),
        ("units: 4", "units: 4, layers: 100"),
    ],
)
def test_what_a_sequential_cannot_do_is_a_functional_model(said: str, instead: str) -> None:
    source = rnnspec.codegen(rnnspec.loads(PADDED.replace(said, instead)), "keras")
    assert "keras.Model(inputs, x" in source
    assert "keras.Sequential" not in source


def test_a_loaded_model_learns(tmp_path: Path) -> None:
    model = rnnspec.build(rnnspec.loads(ALL_KINDS), "keras", seed=1)
    other = reloaded(model, tmp_path / "all_kinds.keras")
    other.compile(optimizer="sgd", loss="mse")
    before = [weight.copy() for weight in other.get_weights()]
    batch = batch_for(other)
    other.train_on_batch(np.tile(batch, (8, 1, 1)), np.ones((8 * len(batch), 1), np.float32))
    moved = [bool((a != b).any()) for a, b in zip(before, other.get_weights(), strict=True)]
    assert all(
        changed for changed, weight in zip(moved, other.weights, strict=True) if weight.trainable
    )


UNIT = """\
version: 1
name: unit
input: {features: 3}
rnn: {type: simple, units: 4, activation: linear, bias: false}
head: {normalize: l2}
"""


def test_a_zero_vector_trains_under_xla() -> None:
    model = rnnspec.build(rnnspec.loads(UNIT), "keras")
    model.compile("sgd", "mse", jit_compile=keras.backend.backend() != "torch")
    model.fit(np.zeros((2, 5, 3)), np.ones((2, 4)), verbose=0)
    assert all(np.isfinite(array).all() for array in model.get_weights())
