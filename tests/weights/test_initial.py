"""Fresh weights: the distributions of the spec, from each framework and from a seed.

That every backend holds the bits of a seed is in test_store.
"""

from __future__ import annotations

from itertools import combinations
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from live import seed
from offered import require

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import BACKENDS, having
from rnnspec.backends.needs import form
from rnnspec.weights.initial import draw_fresh

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array

    Arrays = dict[str, Array]

FEATURES, UNITS, GATES = 48, 40, {"simple": 1, "lstm": 4, "gru": 3}
ROUNDING = 1e-6


NUMBERS = f"input: {{features: {FEATURES}}}"
TOKENS = f"embedding: {{vocabulary: 90, dim: {FEATURES}}}"
PADDED_TOKENS = f"embedding: {{vocabulary: 90, dim: {FEATURES}, mask_zero: true}}"


def spec_text(
    type_: str = "lstm", words: str = "", initializers: str = "", entrance: str = NUMBERS
) -> str:
    given = f"initializers: {{{initializers}}}" if initializers else ""
    return f"""\
version: 1
name: fresh
{entrance}
rnn: {{type: {type_}, units: {UNITS}{words}}}
head: {{units: 50}}
{given}
"""


def fresh(text: str, backend: str) -> Arrays:
    spec = rnnspec.loads(text)
    require(backend, spec)
    # The framework has been imported by now, because it must be seeded.
    seed(11)
    return rnnspec.read_weights(rnnspec.build(spec, backend))


def is_uniform(array: Array, limit: float) -> None:
    """Assert U(-limit, limit): the bounds, values close to them, the mean and the variance."""
    size = array.size
    assert size > 1000
    assert np.abs(array).max() <= limit * (1.0 + ROUNDING)
    # The probability that all n numbers are below 1 - 20 / n of the bound is e ** -20.
    assert array.max() > limit * (1.0 - 40.0 / size)
    assert array.min() < -limit * (1.0 - 40.0 / size)
    has_moments(array, limit / sqrt(3.0), kurtosis=9.0 / 5.0)


def is_normal(array: Array, stddev: float) -> None:
    """Assert N(0, stddev ** 2), not truncated: the mean, the variance and the tails."""
    has_moments(array, stddev, kurtosis=3.0)
    beyond = float((np.abs(array) > 2.0 * stddev).mean())
    assert abs(beyond - 0.0455) < 6.0 * sqrt(0.0455 * 0.9545 / array.size)


def has_moments(array: Array, stddev: float, *, kurtosis: float) -> None:
    size = array.size
    values = array.astype(np.float64)
    assert abs(values.mean()) < 6.0 * stddev / sqrt(size)
    error = stddev**2 * sqrt((kurtosis - 1.0) / size)
    assert abs((values**2).mean() - stddev**2) < 6.0 * error


def is_orthogonal(array: Array) -> None:
    """Assert that the rows or columns, whichever are fewer, are orthonormal, with both signs."""
    values = array.astype(np.float64)
    few = values if values.shape[0] <= values.shape[1] else values.T
    np.testing.assert_allclose(few @ few.T, np.eye(len(few)), rtol=0.0, atol=1e-5)
    assert abs(values.mean()) < 6.0 / sqrt(max(values.shape) * values.size)


def is_constant(array: Array, value: float) -> None:
    np.testing.assert_array_equal(array, np.float32(value))


def unlike(one: Array, other: Array) -> None:
    """Assert that two arrays were drawn independently."""
    assert one.shape == other.shape
    correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
    assert abs(correlation) < 6.0 / sqrt(one.size)


def test_another_seed_draws_other_arrays() -> None:
    network = pipeline.program(rnnspec.loads(spec_text())).network
    one, same, other = (draw_fresh(network, number) for number in (1, 1, 2))
    for name in ("lstm_1.kernel", "lstm_1.recurrent_kernel", "dense_1.kernel"):
        np.testing.assert_array_equal(one[name], same[name])
        unlike(one[name], other[name])


def drawn_or_fresh(text: str, source: str) -> Arrays:
    """Return fresh weights from a backend, or weights drawn for a seed."""
    if source == "seed":
        return draw_fresh(pipeline.program(rnnspec.loads(text)).network, 11)
    return fresh(text, source)


# Other backends are written with what a seed draws.
OWN = ["seed", *(each.name for each in having(form("training")))]
SOURCES = pytest.mark.parametrize("source", OWN)


# Every form of a layer on any backend, with the keys that lead to it.
FORMS = {
    NUMBERS: (
        "",
        "bias: false",
        "layers: 3",
        "layers: 2, dropout: 0.5, variational: false",
        "dropout: 0.5",
        "recurrent_dropout: 0.5",
        "recurrent_dropout: 0.5, bidirectional: true",
        "activation: softsign",
        "activation: softsign, layers: 2, bidirectional: true",
        "bidirectional: true",
        "bidirectional: true, layers: 2",
        "bidirectional: true, dropout: 0.5, merge: sum, layers: 2",
        "layers: 2, layer_norm: true",
    ),
    PADDED_TOKENS: (
        "",
        "layers: 2",
        "bidirectional: true, layers: 2",
        "recurrent_dropout: 0.5, dropout: 0.5",
        "activation: softsign, bidirectional: true",
    ),
}
VARIANTS = {
    "simple": "type: simple",
    "lstm": "type: lstm",
    "hard lstm": "type: lstm, recurrent_activation: hard_sigmoid",
    "gru": "type: gru",
    "hard gru": "type: gru, recurrent_activation: hard_sigmoid",
    "reset-first gru": "type: gru, reset_after: false",
}

in_every_form = pytest.mark.parametrize("entrance", FORMS, ids=["numbers", "padded tokens"])


def all_forms(variant: str, entrance: str, initializers: str = "") -> str:
    """Return the text of a network with a layer in every form, one after the other."""
    layers = (
        f"  - {{{', '.join(filter(None, (variant, f'units: {UNITS}', words)))}}}\n"
        for words in FORMS[entrance]
    )
    said = f"initializers: {{{initializers}}}\n" if initializers else ""
    return (
        f"version: 1\nname: fresh\n{entrance}\nrnn:\n{''.join(layers)}head: {{units: 50}}\n{said}"
    )


# Only PyTorch has classes of its own for some of these.
@pytest.mark.parametrize(
    ("source", "variant", "entrance"),
    [
        pytest.param(source, variant, entrance, id=f"{source}-{variant}-{place}")
        for source in OWN
        for number, variant in enumerate(VARIANTS)
        for place, entrance in enumerate(FORMS)
        if source == "torch" or place == number % 2
    ],
)
def test_what_a_layer_starts_from_by_default(variant: str, entrance: str, source: str) -> None:
    arrays = drawn_or_fresh(all_forms(VARIANTS[variant], entrance), source)
    type_ = VARIANTS[variant].removeprefix("type: ").partition(", ")[0]
    has_recurrent_layers(arrays, type_, GATES[type_])
    for name in (name for name in arrays if name.startswith("layer_normalization")):
        is_constant(arrays[name], 1.0 if name.endswith("gamma") else 0.0)
    if "embedding" in entrance:
        is_uniform(arrays["embedding_1.embeddings"], 0.05)
    is_glorot_uniform(arrays["dense_1.kernel"])
    is_constant(arrays["dense_1.bias"], 0.0)
    all_are_unlike(arrays)


def has_recurrent_layers(arrays: Arrays, type_: str, gates: int) -> None:
    """Assert the initial values of every recurrent layer and each of its directions."""
    directions = [n.removesuffix(".recurrent_kernel") for n in arrays if n.endswith("nt_kernel")]
    assert directions
    for name in directions:
        is_glorot_uniform(arrays[f"{name}.kernel"])
        recurrent = arrays[f"{name}.recurrent_kernel"]
        assert recurrent.shape == (UNITS, gates * UNITS)
        is_orthogonal(recurrent)
        has_gates_alike(recurrent, gates)
        bias = arrays.get(f"{name}.bias", np.zeros(0, np.float32))
        if type_ == "lstm" and len(bias):
            has_forget_bias(bias, 1.0)
        else:
            is_constant(bias, 0.0)
        is_constant(arrays.get(f"{name}.recurrent_bias", np.zeros(0)), 0.0)


def is_glorot_uniform(kernel: Array) -> None:
    is_uniform(kernel, sqrt(6.0 / sum(kernel.shape)))


def has_gates_alike(recurrent: Array, gates: int) -> None:
    """Assert that each gate is a share of one orthogonal array, rather than an array of its own.

    A gate alone is orthogonal only if the cell has no other gate.
    """
    units, width = recurrent.shape
    for gate in np.split(recurrent.astype(np.float64), gates, axis=1):
        share = float((gate**2).sum()) / units
        # The elements are approximately N(0, 1 / width).
        assert abs(share - 1.0 / gates) < 6.0 * sqrt(2.0) / width
        off = np.abs(gate @ gate.T - np.eye(units) / gates).max()
        assert (off > 0.05) == (gates > 1)


def all_are_unlike(arrays: Arrays) -> None:
    """Assert that no two matrices of the same shape are equal, or parts of each other."""
    matrices = [array for name, array in arrays.items() if name.endswith("kernel")]
    for one, other in combinations(matrices, 2):
        if one.shape == other.shape:
            unlike(one, other)


def has_forget_bias(bias: Array, value: float, others: float = 0.0) -> None:
    i, f, c, o = np.split(bias, 4)
    is_constant(f, value)
    is_constant(np.concatenate([i, c, o]), others)


@SOURCES
@in_every_form
@pytest.mark.parametrize("value", [0.5, 0.0])
def test_the_forget_gate_among_biases_of_another_value(
    value: float, entrance: str, source: str
) -> None:
    words = f"forget_bias: {value}, bias: {{constant: 0.25}}"
    arrays = drawn_or_fresh(all_forms("type: lstm", entrance, words), source)
    biases = [name for name in arrays if "lstm" in name or "bidirectional" in name]
    biases = [name for name in biases if name.endswith(".bias")]
    assert biases
    for name in biases:
        has_forget_bias(arrays[name], value, others=0.25)
    is_constant(arrays["dense_1.bias"], 0.25)


MATRICES: dict[str, Any] = {
    "glorot_uniform": lambda w: is_uniform(w, sqrt(6.0 / sum(w.shape))),
    "he_uniform": lambda w: is_uniform(w, sqrt(6.0 / w.shape[0])),
    "lecun_uniform": lambda w: is_uniform(w, sqrt(3.0 / w.shape[0])),
    "orthogonal": is_orthogonal,
    "zeros": lambda w: is_constant(w, 0.0),
    "ones": lambda w: is_constant(w, 1.0),
    "{uniform: 0.3}": lambda w: is_uniform(w, 0.3),
    "{normal: 0.2}": lambda w: is_normal(w, 0.2),
    "{constant: -0.75}": lambda w: is_constant(w, -0.75),
}
VECTORS = {word: MATRICES[word] for word in MATRICES if word[0] == "{" or word[-1] == "s"}


TAPS = 5
KERNELS: dict[str, Any] = {
    "glorot_uniform": lambda w: is_uniform(w, sqrt(6.0 / (TAPS * (FEATURES + UNITS)))),
    "he_uniform": lambda w: is_uniform(w, sqrt(6.0 / (TAPS * FEATURES))),
    "lecun_uniform": lambda w: is_uniform(w, sqrt(3.0 / (TAPS * FEATURES))),
    "orthogonal": lambda w: is_orthogonal(w.reshape(-1, UNITS)),
}
"""The fans of a convolution are those of all its steps."""


@SOURCES
@pytest.mark.parametrize("word", MATRICES)
def test_every_initializer(word: str, source: str) -> None:
    vectors = f", embedding: {word}, bias: {word}" if word in VECTORS else ""
    text = f"""\
version: 1
name: fresh
{TOKENS}
rnn: [{{type: conv, filters: {UNITS}, kernel_size: {TAPS}}}, {{type: gru, units: 350}}]
head: {{units: 50}}
initializers: {{kernel: {word}, recurrent: {word}{vectors}}}
"""
    arrays = drawn_or_fresh(text, source)
    KERNELS.get(word, MATRICES[word])(arrays["conv_1.kernel"])
    for name in ("gru_1.kernel", "gru_1.recurrent_kernel", "dense_1.kernel"):
        MATRICES[word](arrays[name])
    for name in ("gru_1.bias", "gru_1.recurrent_bias"):
        VECTORS.get(word, MATRICES["zeros"])(arrays[name])
    if word in VECTORS:
        VECTORS[word](arrays["embedding_1.embeddings"])


@SOURCES
@pytest.mark.parametrize("word", ["he_uniform", "lecun_uniform"])
def test_the_fans_of_a_cell_by_equation_are_by_name(word: str, source: str) -> None:
    text = f"""\
version: 1
name: fresh
{NUMBERS}
cells:
  own:
    states: [h]
    equations: {{h: tanh(W @ x + scale * (U @ h))}}
    parameters: {{scale: scalar}}
    initialize: {{scale: 0.5}}
rnn: {{type: own, units: {UNITS}}}
initializers: {{kernel: {word}}}
"""
    arrays = drawn_or_fresh(text, source)
    # Its inputs are the columns.
    MATRICES[word](arrays["own_1.W"].T)
    is_orthogonal(arrays["own_1.U"])
    is_constant(arrays["own_1.scale"], 0.5)


@pytest.mark.parametrize("source", ["seed", *BACKENDS])
def test_what_a_stack_starts_from_by_default(source: str) -> None:
    text = f"""\
version: 1
name: fresh
{PADDED_TOKENS}
rnn:
- {{type: dense, units: {FEATURES}}}
- {{type: batch_norm}}
- {{type: conv, filters: {UNITS}, kernel_size: {TAPS}}}
- {{type: layer_norm}}
- {{type: gru, units: {UNITS}}}
head:
  pooling: {{attention: {{units: 50}}}}
  hidden: [{{units: {FEATURES}}}]
  units: 90
  tied: true
"""
    arrays = drawn_or_fresh(text, source)
    is_uniform(arrays["embedding_1.embeddings"], 0.05)
    KERNELS["glorot_uniform"](arrays["conv_1.kernel"])
    for name in ("dense_1", "attention_pooling_1", "dense_2"):
        is_glorot_uniform(arrays[f"{name}.kernel"])
    query = arrays["attention_pooling_1.query"]
    limit = sqrt(6.0 / (50 + 1))
    assert 0.7 * limit < np.abs(query).max() <= limit * (1.0 + ROUNDING)
    ones = ("gamma", "moving_variance")
    for name, array in arrays.items():
        if array.ndim == 1:
            is_constant(array, 1.0 if name.endswith(ones) else 0.0)
    all_are_unlike(arrays)


@SOURCES
def test_what_a_frozen_embedding_starts_from_by_default(source: str) -> None:
    text = """\
version: 1
name: fresh
embedding: {vocabulary: 200, dim: 50, trainable: false}
rnn: {type: simple, units: 1}
"""
    is_uniform(drawn_or_fresh(text, source)["embedding_1.embeddings"], 0.05)
