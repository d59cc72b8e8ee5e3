"""Statements of the README about Keras's engines, measured on the current engine.

The tests of the default engine call these functions; the tests of other engines print all results.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

import rnnspec
from rnnspec.source.execute import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.slots import Array

POLICIES = ("mixed_bfloat16", "mixed_float16")
# Inexact in bfloat16, inexact in both types, and too large for float16.
MASK_VALUES = (257.0, 0.10000000149011612, 65_536.0)
LARGEST = 65_504.0
"""The largest float16."""
PADDED = [
    *product(MASK_VALUES, ("last",), POLICIES),
    *product(MASK_VALUES[:1], ("mean", "max"), POLICIES),
]
"""The mask value, the pooling of the head, and the dtype policy."""
ROUNDED = 0.01
"""Above the effect of mixed precision on such outputs, and below that of a single time step."""
OPTIMIZERS = ("SGD", "Adam")
TOKENS = """\
version: 1
name: net
embedding: {vocabulary: 50, dim: 4}
rnn: {type: lstm, units: 5}
head: {units: 1}
"""


def everything() -> dict[str, object]:
    """Return every result by name."""
    return {
        "negative token": negative_token(),
        **{f"{name}: {key}": d for name in OPTIMIZERS for key, d in step_of(name).items()},
        "known differences of Adam": known("Adam"),
        "masked": max(masked(*case) for case in PADDED if case[2] == POLICIES[0]),
    }


def negative_token() -> float:
    """Return the difference between the outputs for token -1 and for the last token."""
    model = rnnspec.build(rnnspec.loads(TOKENS), "keras", seed=1)
    first, last = (model.predict_on_batch(np.array([[1, 2, each]])) for each in (-1, 49))
    return float(np.abs(first - last).max())


@cache
def step_of(optimizer: str, *, densely: bool = False) -> dict[str, float]:
    """Return how far Keras's and PyTorch's embeddings differ after a step, by kind of batch."""
    once = np.random.default_rng(0).permutation(50)[:36].reshape(4, 9).astype(np.int32)
    batches = {"once": once, "repeated": once % 4}
    return {kind: _step(optimizer, batch, densely) for kind, batch in batches.items()}


def _step(optimizer: str, batch: Array, densely: bool) -> float:
    import keras
    import torch

    spec = rnnspec.loads(TOKENS)
    models = [rnnspec.build(spec, backend, seed=1) for backend in ("keras", "torch")]
    # With large targets, no gradient is close to the optimizers' epsilons, which differ.
    target = np.random.default_rng(1).normal(0.0, 1e3, (len(batch), 1)).astype(np.float32)
    if densely:
        embedding = models[0].get_layer("embedding_1")
        embedding.embeddings.regularizer = keras.regularizers.L2(0.0)
    models[0].compile(getattr(keras.optimizers, optimizer)(1e-3), "mse")
    models[0].train_on_batch(batch, target)
    stepped = getattr(torch.optim, optimizer)(models[1].parameters(), 1e-3)
    loss = torch.nn.functional.mse_loss(models[1](torch.from_numpy(batch)), torch.tensor(target))
    torch.autograd.backward(loss)
    stepped.step()
    found = [rnnspec.read_weights(model)["embedding_1.embeddings"] for model in models]
    return float(np.abs(found[0] - found[1]).max())


def known(optimizer: str) -> list[str]:
    """Return the known differences of one of Keras's optimizers that parity finds."""
    report = rnnspec.parity(rnnspec.loads(TOKENS), ["keras", "torch"], optimizer="own")
    assert report.equal, report.differences
    return list(report.specs[0].backends["keras"].own[optimizer].known)


def masked(value: float, pooling: str, policy: str) -> float:
    """Return the difference between a padded batch in mixed precision and in float32.

    Some steps are padding, and some are so close to it that rounding would make them equal.
    """
    spec = rnnspec.loads(
        f"version: 1\nname: net\ninput: {{features: 3, mask_value: {value}}}\n"
        f"rnn: {{type: gru, units: 4}}\nhead: {{pooling: {pooling}, units: 2}}"
    )
    batch = np.random.default_rng(2).standard_normal((6, 5, 3)).astype(np.float32)
    batch[0, 3:] = batch[1, :2] = batch[2, 1] = batch[3] = value
    if value < LARGEST:
        batch[4, 1] = batch[5, 4] = np.nextafter(np.float32(value), np.float32(0.0))
    whole = rnnspec.build(spec, "keras", seed=1)
    source = execute(rnnspec.codegen(spec, "keras"), "net")
    with _policy(policy):
        mixed: Any = source.build_model()
        mixed.set_weights(whole.get_weights())
        found = np.asarray(mixed.predict_on_batch(batch), dtype=np.float32)
    return float(np.abs(found - whole.predict_on_batch(batch)).max())


@contextmanager
def _policy(name: str) -> Iterator[None]:
    keras = sys.modules["keras"]
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
