"""The last step of both directions on every backend, and in a saved Keras model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnnspec

TEXT = """\
version: 1
name: last_step
input: {features: 3}
rnn: {type: lstm, units: 2, bidirectional: true, layer_norm: true}
head: {pooling: last_step, units: 2}
"""


def test_every_backend_reads_the_same_step() -> None:
    pytest.importorskip("keras")
    pytest.importorskip("torch")
    assert rnnspec.parity(rnnspec.loads(TEXT)).equal


def test_a_saved_keras_model_needs_nothing_to_be_loaded(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    model = rnnspec.build(rnnspec.loads(TEXT), "keras", seed=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    batch = np.random.default_rng(1).normal(size=(2, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(loaded.predict_on_batch(batch), model.predict_on_batch(batch))
