"""Differences between Keras and PyTorch that the README mentions."""

from __future__ import annotations

import keras_facts
import pytest
from keras_facts import OPTIMIZERS, PADDED, ROUNDED, step_of
from offered import import_later

keras = import_later("keras")
import_later("torch")


@pytest.fixture
def on_tensorflow() -> None:
    """Skip a test if Keras runs on another engine."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tests/extended/engines has the other engines")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_step_is_pytorch_s_where_no_token_is_repeated(optimizer: str) -> None:
    assert step_of(optimizer)["once"] < 1e-6


@pytest.mark.usefixtures("on_tensorflow")
def test_of_repeated_tokens_sgd_sums_the_gradients_and_adam_does_not() -> None:
    # If this fails because Keras has changed, remove the README's sentence, and expect 1e-6 of Adam
    # too.
    assert step_of("SGD")["repeated"] < 1e-6
    assert step_of("Adam")["repeated"] == pytest.approx(1.6e-3, rel=0.1)


@pytest.mark.usefixtures("on_tensorflow")
def test_the_line_in_the_readme_has_adam_sum_them() -> None:
    assert step_of("Adam", densely=True)["repeated"] < 1e-6


# The initial maximum is the lowest float32, which TensorFlow casts to -inf.
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize(("value", "pooling", "policy"), PADDED)
def test_padding_is_told_before_mixed_precision_rounds(
    value: float, pooling: str, policy: str
) -> None:
    assert keras_facts.masked(value, pooling, policy) < ROUNDED
