"""Dropout as the language means it, read off masks that a network made for the purpose shows.

The layer has an identity kernel, no recurrence and no bias, so what leaves it is tanh(mask * x):
the mask can be read off its output. All bounds are six standard errors or more, on fixed seeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from live import outputs, seed

import rnnspec

if TYPE_CHECKING:
    from rnnspec.layout import Array

RATE = 0.25
ROWS, STEPS, UNITS = 1000, 5, 4
X = 0.5
SIX_ERRORS = 6.0 * ROWS**-0.5
"""Six standard errors of a correlation over the rows."""

SPEC = """\
version: 1
name: shows_its_mask
input: {{features: 4}}
rnn: {{type: simple, units: 4, bias: false, dropout: 0.25, {words}}}
"""
BOTH = "bidirectional: true"
EACH_STEP = "variational: false"


def masks(spec: str, backend: str, *, training: bool = True, calls: int = 1) -> list[Array]:
    """Return what each call of the network multiplies its input by, (rows, steps, outputs)."""
    pytest.importorskip(backend)
    model = rnnspec.build(rnnspec.loads(spec), backend)
    arrays = {
        name: np.zeros_like(array) if "recurrent" in name else np.eye(*array.shape)
        for name, array in rnnspec.read_weights(model).items()
    }
    rnnspec.write_weights(model, arrays)
    seed(7)
    batch = np.full((ROWS, STEPS, UNITS), X, np.float32)
    return [np.arctanh(outputs(model, batch, training=training)) / X for _ in range(calls)]


def kept(mask: Array) -> Array:
    """Return where a mask is not zero, after a look at its values and their share."""
    there = mask > 0.5 / (1.0 - RATE)
    np.testing.assert_allclose(mask, np.where(there, 1.0 / (1.0 - RATE), 0.0), atol=1e-5)
    # At worst each row has one independent number a feature.
    error = (RATE * (1.0 - RATE) / (ROWS * UNITS)) ** 0.5
    assert abs(there.mean() - (1.0 - RATE)) < 6.0 * error
    return there.astype(np.float64)


def independent(one: Array, other: Array) -> bool:
    """Tell whether two masks of one number a row are uncorrelated."""
    return bool(abs(np.corrcoef(one, other)[0, 1]) < SIX_ERRORS)


@pytest.mark.parametrize("words", ["", "variational: true"])
def test_one_mask_a_sequence(words: str, backend: str) -> None:
    first, second = map(kept, masks(SPEC.format(words=words), backend, calls=2))
    assert (first == first[:, :1]).all()
    assert (second == second[:, :1]).all()
    for unit in range(UNITS):
        assert independent(first[:, 0, unit], second[:, 0, unit])
        for other in range(unit):
            assert independent(first[:, 0, unit], first[:, 0, other])
    # A row is no copy of the next one.
    assert independent(first[:-1, 0].mean(axis=1), first[1:, 0].mean(axis=1))


def test_each_direction_has_a_mask_of_its_own(backend: str) -> None:
    mask = kept(masks(SPEC.format(words=BOTH), backend)[0])
    assert mask.shape == (ROWS, STEPS, 2 * UNITS)
    assert (mask == mask[:, :1]).all()
    for ahead in range(UNITS):
        for back in range(UNITS, 2 * UNITS):
            assert independent(mask[:, 0, ahead], mask[:, 0, back])


def test_a_fresh_mask_each_step(backend: str) -> None:
    mask = kept(masks(SPEC.format(words=EACH_STEP), backend)[0])
    for unit in range(UNITS):
        for step in range(STEPS):
            for earlier in range(step):
                assert independent(mask[:, step, unit], mask[:, earlier, unit])


def test_a_fresh_mask_each_step_is_one_for_both_directions(backend: str) -> None:
    mask = kept(masks(SPEC.format(words=f"{EACH_STEP}, {BOTH}"), backend)[0])
    assert (mask[..., :UNITS] == mask[..., UNITS:]).all()
    assert independent(mask[:, 0, 0], mask[:, 1, 0])


def test_each_layer_of_a_stack_has_a_mask_of_its_own(backend: str) -> None:
    mask = masks(SPEC.format(words="layers: 2"), backend)[0]
    alive = (mask != 0.0).astype(np.float64)
    assert (alive == alive[:, :1]).all()
    share = (1.0 - RATE) ** 2
    assert abs(alive.mean() - share) < 6.0 * (share * (1.0 - share) / (ROWS * UNITS)) ** 0.5


def test_between_the_levels_of_a_stack_the_mask_is_fresh_at_each_step(backend: str) -> None:
    mask = masks(SPEC.format(words=f"{EACH_STEP}, layers: 2"), backend)[0]
    alive = (mask != 0.0).astype(np.float64)
    lower = np.tanh(X / (1.0 - RATE))
    np.testing.assert_allclose(mask, alive * lower / (1.0 - RATE) / X, atol=1e-5)
    share = (1.0 - RATE) ** 2
    assert abs(alive.mean() - share) < 6.0 * (share * (1.0 - share) / (ROWS * UNITS)) ** 0.5
    assert independent(alive[:, 0, 0], alive[:, 1, 0])
    assert independent(alive[:, 0, 0], alive[:, 0, 1])


@pytest.mark.parametrize("words", ["", BOTH, EACH_STEP, f"{EACH_STEP}, {BOTH}", "layers: 1"])
def test_none_in_inference(words: str, backend: str) -> None:
    for mask in masks(SPEC.format(words=words), backend, training=False, calls=2):
        np.testing.assert_allclose(mask, 1.0, atol=1e-5)


HEAD = """\
version: 1
name: head_shows_its_mask
input: {features: 4}
rnn: {type: simple, units: 4, bias: false}
head: {pooling: none, dropout: 0.25, units: 4, bias: false}
"""
HIDDEN = """\
version: 1
name: hidden_shows_its_mask
input: {features: 4}
rnn: {type: simple, units: 4, bias: false}
head: {hidden: [{units: 4, dropout: 0.25}]}
"""


def heads(spec: str, backend: str, *, training: bool) -> Array:
    pytest.importorskip(backend)
    model = rnnspec.build(rnnspec.loads(spec), backend)
    arrays = {
        name: np.eye(*array.shape) if name.endswith(".kernel") else np.zeros_like(array)
        for name, array in rnnspec.read_weights(model).items()
    }
    rnnspec.write_weights(model, arrays)
    seed(8)
    batch = np.full((ROWS, STEPS, UNITS), X, np.float32)
    result: Array = outputs(model, batch, training=training) / np.tanh(X)
    return result


def test_the_heads_dropout_is_fresh_at_each_number(backend: str) -> None:
    mask = kept(heads(HEAD, backend, training=True))
    assert mask.shape == (ROWS, STEPS, UNITS)
    assert independent(mask[:, 0, 0], mask[:, 1, 0])
    assert independent(mask[:, 0, 0], mask[:, 0, 1])


def test_a_hidden_layers_dropout_is_on_what_leaves_it(backend: str) -> None:
    mask = kept(heads(HIDDEN, backend, training=True))
    assert mask.shape == (ROWS, UNITS)
    assert independent(mask[:, 0], mask[:, 1])


@pytest.mark.parametrize("spec", [HEAD, HIDDEN])
def test_the_head_drops_nothing_in_inference(spec: str, backend: str) -> None:
    np.testing.assert_allclose(heads(spec, backend, training=False), 1.0, atol=1e-5)
