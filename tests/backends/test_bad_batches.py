"""Batches that the spec does not allow: an error on every backend, never a result."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from cases import cases
from live import outputs
from offered import require

import rnnspec
from rnnspec.backends import get
from rnnspec.errors import UsageError

TOKENS = "input: {length: 3}\nembedding: {vocabulary: 7, dim: 2, mask_zero: true}"
NUMBERS = "input: {length: 3, features: 2}"
PADDED = "input: {features: 2, mask_value: 0}"


REST = "\nrnn: {type: gru, units: 2}\nhead: {units: 1}\n"
pytestmark = pytest.mark.needs(f"version: 1\nname: net\n{TOKENS}{REST}")


@cache
def model(entrance: str, backend: str) -> Any:
    spec = rnnspec.loads(f"version: 1\nname: net\n{entrance}{REST}")
    require(backend, spec)
    return rnnspec.build(spec, backend)


def refusal(backend: str) -> tuple[type[Exception], ...]:
    if backend == "torch":
        return (ValueError, IndexError)
    if backend == "jax":
        return (ValueError,)
    if backend != "keras":
        return (UsageError,)
    from tensorflow.errors import InvalidArgumentError

    return (ValueError, InvalidArgumentError)


@cases("training, token", [*product([True, False], [7, 2**31 - 1, -8, -(2**31)])])
def test_a_token_outside_the_vocabulary(backend: str, token: int, training: bool) -> None:
    if training and "training" not in get(backend).forms:
        return
    live = model(TOKENS, backend)
    good = np.array([[6, 0, 1]], np.int32)
    assert outputs(live, good, training=training).shape == (1, 1)
    if backend == "jax":
        # Compiled code of JAX cannot raise.
        wrong = outputs(live, np.array([[1, 2, token]], np.int32), training=training)
        assert np.isnan(wrong).all()
        return
    with pytest.raises(
        refusal(backend), match=r"out of range|is not in|expected tokens from 0 to 6"
    ):
        outputs(live, np.array([[1, 2, token]], np.int32), training=training)


@cases("token", [-1, -7])
def test_a_negative_token_is_one_from_the_last_in_keras(token: int) -> None:
    live = model(TOKENS.replace(", mask_zero: true", ""), "keras")
    negative, counted = (np.array([[1, 2, each]], np.int32) for each in (token, 7 + token))
    for training in (True, False):
        np.testing.assert_array_equal(
            outputs(live, negative, training=training), outputs(live, counted, training=training)
        )


@cases("token", [-1, -7])
def test_a_negative_token_is_an_error_in_pytorch_and_onnx(token: int) -> None:
    for name, message in (("torch", "out of range"), ("onnx", "expected tokens from 0 to 6")):
        live = model(TOKENS, name)
        for training in (True, False):
            with pytest.raises(refusal(name), match=message):
                outputs(live, np.array([[1, 2, token]], np.int32), training=training)


def test_a_token_of_more_than_32_bits_wraps_around_only_in_keras_and_jax(backend: str) -> None:
    live = model(TOKENS, backend)
    large = np.array([[1, 2**32 + 1, 2]])
    if backend in ("keras", "jax"):
        one = outputs(live, np.array([[1, 1, 2]]), training=False)
        np.testing.assert_array_equal(outputs(live, large, training=False), one)
        return
    with pytest.raises(refusal(backend), match=r"out of range|expected tokens from 0 to 6"):
        outputs(live, large, training=False)


@cases(
    "entrance, batch, message",
    [
        (TOKENS, np.array([[0.0, 1.0, 2.0]]), "expected integers as tokens, received float64"),
        (TOKENS, np.array([[False, True, True]]), "expected integers as tokens, received bool"),
        (NUMBERS, np.zeros((1, 3, 2), np.complex64), "expected numbers as features, received comp"),
        (NUMBERS, np.full((1, 3, 2), "1"), "expected numbers as features, received <U1"),
        (NUMBERS, [[1.0], [2.0, 3.0]], "expected an array, received an object of type list: "),
        (PADDED, np.zeros((2, 0, 2)), r"expected \(batch, steps > 0, 2\), received \(2, 0, 2\)"),
    ],
)
def test_onnx_runtime_is_not_asked(entrance: str, batch: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        model(entrance, "onnx")(batch)


@cases(
    "entrance, batch, message",
    [
        (TOKENS, np.array([[0.0, 1.0, 2.0]]), "expected integers as tokens, received float64"),
        (NUMBERS, np.zeros((1, 3, 2), np.complex64), "expected numbers as features, received comp"),
        (NUMBERS, np.full((1, 3, 2), "1"), "expected numbers as features, received <U1"),
    ],
)
def test_c_is_not_given_another_type(entrance: str, batch: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        model(entrance, "c")(batch)


@cases("token", [7, -8])
def test_a_token_outside_the_vocabulary_where_keras_trains_and_predicts(token: int) -> None:
    live = model(TOKENS, "keras")
    live.compile("sgd", "mse")
    batch = np.array([[1, 2, token]])
    with pytest.raises(refusal("keras"), match="is not in"):
        live.fit(batch, np.zeros((1, 1)), verbose=0)
    with pytest.raises(refusal("keras"), match="is not in"):
        live.predict(batch, verbose=0)


@cases(
    "entrance, shape",
    [
        (TOKENS, (2, 4)),
        (TOKENS, (2, 2)),
        (TOKENS, (2, 3, 2)),
        (NUMBERS, (2, 4, 2)),
        (NUMBERS, (2, 3, 1)),
        (NUMBERS, (2, 3, 3)),
        (NUMBERS, (3, 2)),
        (PADDED, (2, 3, 1)),
        (PADDED, (2, 3, 3)),
        (PADDED, (3, 2)),
    ],
)
def test_another_shape(backend: str, entrance: str, shape: tuple[int, ...]) -> None:
    if backend == "c" and shape == (2, 2):
        # C takes sequences up to a length.
        return
    batch = np.ones(shape, np.int32 if entrance == TOKENS else np.float32)
    with pytest.raises(
        refusal(backend), match=r"expected|incompatible|shape|invalid dimensions|Invalid rank"
    ):
        outputs(model(entrance, backend), batch, training=False)


def test_pytorch_refuses_a_token_that_is_no_whole_number() -> None:
    live = model(TOKENS, "torch")
    with pytest.raises(RuntimeError, match="Expected tensor for argument #1 'indices'"):
        outputs(live, np.array([[0.0, 1.5, 2.0]], np.float32), training=False)
