"""The last step on every backend: of both directions, behind other layers, in a Keras file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from offered import require

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import refusals
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch, steps_to_draw
from rnnspec.weights.initial import draw_scaled

TEXT = """\
version: 1
name: last_step
input: {features: 3}
rnn: {type: lstm, units: 2, bidirectional: true, layer_norm: true}
head: {pooling: last_step, units: 2}
"""
BEHIND = """\
version: 1
name: behind
input: {features: 3, mask_value: 0.0}
rnn:
- {type: lstm, units: 3}
- {type: dense, name: dense, units: 2, activation: sigmoid}
- {type: lstm, name: norm, units: 3, of: input, layer_norm: true}
- {type: gru, units: 2, of: input, initial_state: learned}
- {type: dropout, name: learned, rate: 0.5}
- {type: gru, units: 2, of: input}
- {type: activation, name: zeros, activation: relu}
- {type: gru, units: 2, of: input}
- {type: batch_norm, name: batch}
heads:
"""
ENDS = ("dense", "norm", "learned", "zeros", "batch")
STATES = BEHIND + "".join(f"  last_{end}: {{of: {end}}}\n" for end in ENDS)
SEQUENCES = STATES + "".join(f"  all_{end}: {{of: {end}, pooling: none}}\n" for end in ENDS)


def test_what_is_behind_a_state_has_one_value_whoever_reads_it() -> None:
    results = []
    for text in (STATES, SEQUENCES):
        network = pipeline.reads(text).network
        batch = draw_batch(network, np.random.default_rng(1), steps_to_draw(network))
        trace = reference.run(network, draw_scaled(network, 0), batch, training=True)
        results.append([trace.outputs[network.results[f"last_{end}"].name] for end in ENDS])
    empty = ~(batch != 0.0).any(axis=(1, 2))  # type: ignore[union-attr]
    assert empty.any()
    for state, step in zip(*results, strict=True):
        np.testing.assert_allclose(state, step, atol=1e-12)
        assert not state[empty].any()


def test_every_backend_reads_what_is_behind_a_state(backend: str) -> None:
    program = pipeline.reads(STATES)
    chosen = require(backend, program)
    for form in chosen.forms:
        assert not refusals(chosen, program.network, form)
        level = "gradients" if form == "training" else "forward"
        report = rnnspec.parity(
            program.spec, [backend], form=form, level=level, dtype=chosen.dtypes[0]
        )
        assert report.equal, report.differences


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
