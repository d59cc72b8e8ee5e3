"""Batches at the edge of what a model takes: empty ones, and every dtype of features and tokens."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from live import outputs
from offered import require, shipped

import rnnspec
from rnnspec.backends import needs
from rnnspec.errors import UsageError
from rnnspec.ir.forms import Form

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:(?s).*softmax over axis -1:UserWarning"),
]

ENTRANCES = {
    "tokens": "embedding: {vocabulary: 7, dim: 3}",
    "padded_tokens": "embedding: {vocabulary: 7, dim: 3, mask_zero: true}",
    "features": "input: {features: 3}",
    "padded_features": "input: {features: 3, mask_value: 0}",
}
NETWORKS = {
    "lstm": "rnn: {type: lstm, units: 4}\nhead: {units: 2}",
    "stepwise": "rnn: {type: gru, units: 4, reset_after: false}\nhead: {pooling: none, units: 2}",
    "dropped": "rnn: {type: simple, units: 4, dropout: 0.5}\nhead: {pooling: mean, units: 2}",
    "both": "rnn: {type: gru, units: 4, bidirectional: true}\nhead: {pooling: max, units: 2}",
    "loop": "rnn: {type: lstm, units: 3, activation: silu}\nhead: {pooling: none}",
}
# Each backend with every network; the inputs and the forms take turns.
EACH = [
    (each.name, forms[turn % len(forms)], entrance, network)
    for at, each in enumerate(shipped())
    for place, network in enumerate(NETWORKS)
    for turn in [at + place]
    # Both directions have no step form.
    for forms in [[form for form in each.forms if (form, network) != ("step", "both")]]
    for entrance in [list(ENTRANCES)[turn % len(ENTRANCES)]]
]
of_each_backend = pytest.mark.parametrize(("backend", "form", "entrance", "network"), EACH)


@cache
def model(backend: str, form: Form, entrance: str, network: str) -> Any:
    text = f"version: 1\nname: net\n{ENTRANCES[entrance]}\n{NETWORKS[network]}\n"
    spec = rnnspec.loads(text)
    require(backend, needs.form(form), spec)
    return rnnspec.build(spec, backend, seed=1, form=form)


def output(backend: str, form: str, live: Any, batch: Array) -> Array:
    if form == "step":
        found: Array = require(backend).runtime.step(live, batch, None)[0]
        return found
    result: Array = outputs(live, batch, training=False)
    return result


def zeros(entrance: str, rows: int, steps: int) -> Array:
    if "tokens" in entrance:
        return np.zeros((rows, steps), np.int32)
    return np.zeros((rows, steps, 3), np.float32)


def refusal(backend: str, form: str) -> tuple[type[Exception], ...]:
    """Return what a framework raises, in its own words, or the check in the source."""
    if backend == "keras":
        from tensorflow.errors import InvalidArgumentError

        return (ValueError, InvalidArgumentError)
    # Source of PyTorch to deploy has no check.
    unchecked = backend == "torch" and form != "training"
    return (RuntimeError,) if unchecked else (ValueError, UsageError)


@of_each_backend
def test_batches_of_nothing_and_of_any_dtype(
    backend: str, form: Form, entrance: str, network: str
) -> None:
    live = model(backend, form, entrance, network)
    whole = output(backend, form, live, zeros(entrance, 2, 3))
    # An LSTM and a maximum of TensorFlow take no empty tensor, and PyTorch packs none.
    refused = {"keras": True, "torch": form == "step" and "padded" in entrance}.get(backend)
    allowed = refusal(backend, form) if refused else ()
    with suppress(*allowed):
        found = output(backend, form, live, zeros(entrance, 0, 3))
        assert found.shape == (0, *whole.shape[1:])
    # TensorFlow removes the check of a sequence from a graph without sequences.
    for rows in (0, 2) if (backend, form) != ("keras", "step") else ():
        with pytest.raises(refusal(backend, form)):
            output(backend, form, live, zeros(entrance, rows, 0))
    if "features" in entrance:
        takes_features_of_any_dtype(backend, form, entrance, live)


def takes_features_of_any_dtype(backend: str, form: Form, entrance: str, live: Any) -> None:
    numbers = np.array([[[1, 0, 1], [0, 0, 0], [0, 1, 1]], [[0, 0, 0], [1, 1, 0], [0, 0, 0]]])
    wanted = output(backend, form, live, numbers.astype(np.float32))
    assert np.abs(wanted).max() > 1e-3
    # The output at padding is unspecified.
    real = np.s_[:] if wanted.ndim < 3 or entrance == "features" else numbers.any(-1)
    for dtype in ("bool", "uint8", "int32", "int64"):
        found = output(backend, form, live, numbers.astype(dtype))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[real], wanted[real], atol=1e-6)
