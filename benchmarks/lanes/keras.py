"""Cases on Keras with any engine, in its own compiled functions, with equal weights."""

from typing import Any

import keras
import numpy as np

import rnnspec
from benchmarks import batch
from benchmarks.handwritten.keras import MODELS
from benchmarks.lane import Prepared
from benchmarks.names import OURS, XLA
from benchmarks.networks import Case, text
from benchmarks.race import Run


def prepare(case: Case) -> Prepared:
    """Build the contestants of a case, and check that they are the same network."""
    # Otherwise the graphs of earlier cases stay in memory.
    keras.utils.clear_session()
    ours = built(case)
    tokens, _ = batch.draw(case.batch, padded=case.padded)
    output = ours.predict_on_batch(tokens)
    models = {OURS: ours}
    for name, make in MODELS[case.network].items():
        models[name] = _equal(_compiled(make(padded=case.padded)), ours, case, output)
    if case.compiled:
        models[XLA] = _equal(built(case, jit_compile=True), ours, case, output)
    runs = {name: run_of(case, model) for name, model in models.items()}
    return Prepared(runs, np.asarray(output).ravel().tolist())


def built(case: Case, *, jit_compile: bool | str = "auto") -> keras.Model:
    """Return the compiled model of rnnspec."""
    return _compiled(rnnspec.build(rnnspec.loads(text(case)), "keras", seed=0), jit_compile)


def _compiled(model: keras.Model, jit_compile: bool | str = "auto") -> keras.Model:
    # Without momentum, so that the optimizer costs as little as possible.
    optimizer = keras.optimizers.SGD(batch.RATE)
    model.compile(optimizer, "binary_crossentropy", jit_compile=jit_compile)
    return model


def _equal(model: keras.Model, ours: keras.Model, case: Case, expected: Any) -> keras.Model:
    """Return ``model`` with the weights of ``ours``, after checking that its output is the same."""
    model.set_weights(ours.get_weights())
    tokens, _ = batch.draw(case.batch, padded=case.padded)
    # The order of summation differs in XLA and in a single loop over stacked cells.
    np.testing.assert_allclose(model.predict_on_batch(tokens), expected, rtol=1e-3, atol=1e-5)
    return model


def run_of(case: Case, model: keras.Model) -> Run:
    """Return a training step, or an inference pass, on one batch."""
    tokens, labels = batch.draw(case.batch, padded=case.padded)
    # Compiled by the warm-up round of the race.
    if case.training:
        return lambda: model.train_on_batch(tokens, labels)
    return lambda: model.predict_on_batch(tokens)
