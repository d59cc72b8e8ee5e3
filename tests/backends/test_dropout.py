"""Dropout as the language defines it, measured with networks that show their masks.

The layer has an identity kernel, no recurrence and no bias, so its output is mask * x inside the
activation, and the mask can be computed from it. All bounds are at least six standard errors, with
fixed seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from live import outputs, seed
from offered import require
from recurrent_masks import at_real_steps, scattered

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import having, needs

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array

pytestmark = pytest.mark.needs(needs.form("training"))

RATE = 0.25
ROWS, STEPS, UNITS = 1000, 5, 4
X = 0.5
SIX_ERRORS = 6.0 * ROWS**-0.5
"""Six standard errors of a correlation over the batch."""


@dataclass(frozen=True)
class Form:
    """A network that shows its mask: its input section, and the activation of its layer.

    Dropout is a key of that layer, or a layer before it that is variational or not.
    """

    entrance: str
    activation: str = "tanh"
    layer: bool | None = None

    @property
    def masked(self) -> bool:
        return "mask" in self.entrance

    def spec(self, words: str) -> str:
        activation = f"activation: {self.activation}"
        if self.layer is None:
            before, words = "", f"dropout: 0.25, {words}"
        else:
            before = f"{{type: dropout, rate: 0.25, variational: {str(self.layer).lower()}}}, "
        rnn = f"{before}{{type: simple, units: 4, bias: false, {activation}, {words}}}"
        return f"version: 1\nname: shows_its_mask\n{self.entrance}\nrnn: [{rnn}]\n"


NUMBERS = "input: {features: 4}"
PADDED_NUMBERS = "input: {features: 4, mask_value: -1.5}"
PADDED_TOKENS = "embedding: {vocabulary: 2, dim: 4, mask_zero: true}"
FORMS = {
    "plain": Form(NUMBERS),
    "padded": Form(PADDED_NUMBERS),
    "padded tokens": Form(PADDED_TOKENS),
    # PyTorch has no fused layer with a linear activation.
    "stepwise": Form(NUMBERS, "linear"),
    "padded stepwise": Form(PADDED_NUMBERS, "linear"),
}
PLAIN = FORMS["plain"]
BOTH = "bidirectional: true"
EACH_STEP = "variational: false"

# Where a layer takes another path if its activation is linear, or by what its padding is.
IN_FORMS = {
    "torch": list(FORMS),
    "keras": ["plain", "padded tokens"],
    "jax": ["plain", "padded"],
}
in_every_form = pytest.mark.parametrize(
    ("backend", "form"),
    [
        pytest.param(backend.name, FORMS[name], id=f"{backend.name}-{name}")
        for backend in having(needs.form("training"))
        for name in IN_FORMS.get(backend.name, FORMS)
    ],
)


def masks(form: Form, words: str, backend: str, *, calls: int = 1) -> list[Array]:
    """Return the factor on the input in each call of the network, (batch, steps, outputs).

    With padding, only the real steps are returned, because padding may be anywhere among them. In
    inference, nothing is dropped.
    """
    spec = rnnspec.loads(form.spec(words))
    require(backend, spec)
    model = rnnspec.build(spec, backend)
    arrays = {
        name: _shows(name, array.shape) for name, array in rnnspec.read_weights(model).items()
    }
    rnnspec.write_weights(model, arrays)
    seed(7)
    real = scattered(ROWS, STEPS) if form.masked else np.ones((ROWS, STEPS), dtype=bool)
    if form.entrance == PADDED_TOKENS:
        batch = real.astype(np.int32)
    else:
        batch = np.where(real[..., np.newaxis], np.full(UNITS, X), -1.5).astype(np.float32)
    inverse = np.arctanh if form.activation == "tanh" else np.asarray

    def factor(*, training: bool) -> Array:
        return inverse(at_real_steps(outputs(model, batch, training=training), real)) / X

    found = [factor(training=True) for _ in range(calls)]
    if "layers" not in words:
        np.testing.assert_allclose(factor(training=False), 1.0, atol=1e-5)
    return found


def _shows(name: str, shape: tuple[int, ...]) -> Array:
    if name.endswith("embeddings"):
        return np.full(shape, X)
    return np.zeros(shape) if "recurrent" in name else np.eye(shape[0], shape[1])


def kept(mask: Array) -> Array:
    """Return the mask as 0 and 1, after checking its values and their share."""
    there = mask > 0.5 / (1.0 - RATE)
    np.testing.assert_allclose(mask, np.where(there, 1.0 / (1.0 - RATE), 0.0), atol=1e-5)
    # In the worst case each sequence has one independent number per feature.
    error = (RATE * (1.0 - RATE) / (ROWS * UNITS)) ** 0.5
    assert abs(there.mean() - (1.0 - RATE)) < 6.0 * error
    return there.astype(np.float64)


def independent(one: Array, other: Array) -> bool:
    """True if two masks, with one number per sequence, are uncorrelated."""
    return bool(abs(np.corrcoef(one, other)[0, 1]) < SIX_ERRORS)


@pytest.mark.parametrize("words", ["variational: true", "layers: 1"])
def test_what_is_so_by_default_may_be_said(words: str) -> None:
    said, unsaid = (pipeline.reads(PLAIN.spec(each)).network for each in (words, ""))
    assert said == unsaid


@in_every_form
def test_one_mask_a_sequence(form: Form, backend: str) -> None:
    first, second = map(kept, masks(form, "", backend, calls=2))
    assert (first == first[:, :1]).all()
    assert (second == second[:, :1]).all()
    for unit in range(UNITS):
        assert independent(first[:, 0, unit], second[:, 0, unit])
        for other in range(unit):
            assert independent(first[:, 0, unit], first[:, 0, other])
    # A sequence does not copy the mask of the one before it.
    assert independent(first[:-1, 0].mean(axis=1), first[1:, 0].mean(axis=1))


@in_every_form
def test_a_variational_layer_has_one_mask_a_sequence(form: Form, backend: str) -> None:
    layer = replace(form, layer=True)
    test_one_mask_a_sequence(layer, backend)
    both = kept(masks(layer, BOTH, backend)[0])
    assert (both[..., :UNITS] == both[..., UNITS:]).all()


@in_every_form
def test_each_direction_has_a_mask_of_its_own(form: Form, backend: str) -> None:
    mask = kept(masks(form, BOTH, backend)[0])
    assert mask.shape == (ROWS, STEPS, 2 * UNITS)
    assert (mask == mask[:, :1]).all()
    for ahead in range(UNITS):
        for back in range(UNITS, 2 * UNITS):
            assert independent(mask[:, 0, ahead], mask[:, 0, back])


@in_every_form
def test_a_fresh_mask_each_step(form: Form, backend: str) -> None:
    # A dropout layer has a fresh mask each step unless it is variational.
    words = EACH_STEP if form.layer is None else ""
    mask = kept(masks(form, words, backend)[0])
    for unit in range(UNITS):
        for step in range(STEPS):
            for earlier in range(step):
                assert independent(mask[:, step, unit], mask[:, earlier, unit])


@in_every_form
def test_a_layer_has_a_fresh_mask_each_step_by_default(form: Form, backend: str) -> None:
    test_a_fresh_mask_each_step(replace(form, layer=False), backend)


@in_every_form
def test_a_fresh_mask_each_step_is_one_for_both_directions(form: Form, backend: str) -> None:
    mask = kept(masks(form, f"{EACH_STEP}, {BOTH}", backend)[0])
    assert (mask[..., :UNITS] == mask[..., UNITS:]).all()
    assert independent(mask[:, 0, 0], mask[:, 1, 0])


@in_every_form
def test_each_layer_of_a_stack_has_a_mask_of_its_own(form: Form, backend: str) -> None:
    mask = masks(form, "layers: 2", backend)[0]
    alive = (mask != 0.0).astype(np.float64)
    assert (alive == alive[:, :1]).all()
    share = (1.0 - RATE) ** 2
    assert abs(alive.mean() - share) < 6.0 * (share * (1.0 - share) / (ROWS * UNITS)) ** 0.5


@in_every_form
def test_between_the_levels_of_a_stack_the_mask_is_fresh_at_each_step(
    form: Form, backend: str
) -> None:
    mask = masks(form, f"{EACH_STEP}, layers: 2", backend)[0]
    alive = (mask != 0.0).astype(np.float64)
    lower = X / (1.0 - RATE)
    lower = np.tanh(lower) if form.activation == "tanh" else lower
    np.testing.assert_allclose(mask, alive * lower / (1.0 - RATE) / X, atol=1e-5)
    share = (1.0 - RATE) ** 2
    assert abs(alive.mean() - share) < 6.0 * (share * (1.0 - share) / (ROWS * UNITS)) ** 0.5
    assert independent(alive[:, 0, 0], alive[:, 1, 0])
    assert independent(alive[:, 0, 0], alive[:, 0, 1])


HEAD = """\
version: 1
name: head_shows_its_mask
input: {features: 4}
rnn: {type: simple, units: 4, bias: false}
head: {pooling: none, dropout: 0.25, units: 4}
"""
HIDDEN = """\
version: 1
name: hidden_shows_its_mask
input: {features: 4}
rnn: {type: simple, units: 4, bias: false}
head: {hidden: [{units: 4, activation: sigmoid, dropout: 0.25}]}
"""
KERNELS = {HEAD: np.eye(UNITS), HIDDEN: np.full((UNITS, UNITS), 1.0 / UNITS)}


def heads(spec: str, backend: str) -> Array:
    """Return the factor of the dropout in a head, provided that it is applied at the right place.

    A dense layer after the dropout adds 1. A dense layer before it takes the mean of its input, and
    has a sigmoid, so dropout in any other place gives other numbers. In inference, nothing is
    dropped.
    """
    loaded = rnnspec.loads(spec)
    require(backend, loaded)
    model = rnnspec.build(loaded, backend)
    arrays = {
        "simple_rnn_1.kernel": np.eye(UNITS),
        "simple_rnn_1.recurrent_kernel": np.zeros((UNITS, UNITS)),
        "dense_1.kernel": KERNELS[spec],
        "dense_1.bias": np.ones(UNITS),
    }
    rnnspec.write_weights(model, arrays)
    seed(8)
    batch = np.full((ROWS, STEPS, UNITS), X, np.float32)
    entered = np.tanh(X)

    def factor(*, training: bool) -> Array:
        found = outputs(model, batch, training=training)
        result: Array = (
            found * (1.0 + np.exp(-entered - 1.0)) if spec == HIDDEN else (found - 1.0) / entered
        )
        return result

    np.testing.assert_allclose(factor(training=False), 1.0, atol=1e-5)
    return factor(training=True)


def test_the_heads_dropout_is_fresh_at_each_number(backend: str) -> None:
    mask = kept(heads(HEAD, backend))
    assert mask.shape == (ROWS, STEPS, UNITS)
    assert independent(mask[:, 0, 0], mask[:, 1, 0])
    assert independent(mask[:, 0, 0], mask[:, 0, 1])


def test_a_hidden_layers_dropout_is_on_what_leaves_it(backend: str) -> None:
    mask = kept(heads(HIDDEN, backend))
    assert mask.shape == (ROWS, UNITS)
    assert independent(mask[:, 0], mask[:, 1])
