"""One training step and one inference pass on Keras, in Keras's own compiled functions."""

import keras
import numpy as np

import rnnspec
from benchmarks import batch
from benchmarks.cold import ROOT, SPEC
from benchmarks.handwritten_keras import MODELS
from benchmarks.race import Effort, Race, Run, race

Models = dict[str, keras.Model]


def races(effort: Effort) -> list[Race]:
    """Race rnnspec's model against those written by hand, all with the same weights."""
    ours = _compiled(rnnspec.build(ROOT / SPEC, "keras", seed=0))
    mine = {"rnnspec.build": ours}
    theirs = {name: _equal(_compiled(make()), ours) for name, make in MODELS.items()}
    return [
        race("Keras training step", _trained(mine), _trained(theirs), effort),
        race("Keras inference", _inferred(mine), _inferred(theirs), effort),
    ]


def _compiled(model: keras.Model) -> keras.Model:
    model.compile(keras.optimizers.SGD(batch.RATE), "binary_crossentropy")
    return model


def _equal(model: keras.Model, ours: keras.Model) -> keras.Model:
    """Return ``model`` with the weights of ``ours``, shown to be the same network."""
    model.set_weights(ours.get_weights())
    tokens, _ = batch.draw()
    found, wanted = (each.predict_on_batch(tokens) for each in (model, ours))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    return model


def _trained(models: Models) -> dict[str, Run]:
    tokens, labels = batch.draw()

    def step(model: keras.Model) -> Run:
        return lambda: model.train_on_batch(tokens, labels)

    return {name: step(model) for name, model in models.items()}


def _inferred(models: Models) -> dict[str, Run]:
    tokens, _ = batch.draw()

    def step(model: keras.Model) -> Run:
        return lambda: model.predict_on_batch(tokens)

    return {name: step(model) for name, model in models.items()}
