"""The layers of a stack, poolings, tied weights and joins in JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.models import saving

if TYPE_CHECKING:
    from pathlib import Path

jax = import_later("jax")
jnp = import_later("jax.numpy")
nnx = import_later("flax.nnx")
optax = import_later("optax")

TOKENS = "embedding: {vocabulary: 9, dim: 3, mask_zero: true}"
NUMBERS = "input: {features: 3}"
GRU = "{type: gru, units: 4}"


def text_of(rnn: str, head: str, entrance: str = TOKENS) -> str:
    """Return a spec; ``rnn`` is one layer, or a list with a line for each."""
    layers = f"\n{rnn}" if "\n" in rnn else f" {rnn}\n"
    return f"version: 1\nname: net\n{entrance}\nrnn:{layers}head: {head}\n"


def built(*parts: str, **options: Any) -> Any:
    return rnnspec.build(rnnspec.loads(text_of(*parts)), "jax", seed=1, **options)


def test_the_odd_step_of_same_is_at_the_end() -> None:
    rnn = "  - {type: conv, filters: 1, kernel_size: 2, stride: 2, padding: same}\n"
    model = built(f"{rnn}  - {GRU}\n", "{pooling: none}", "input: {features: 1}")
    model.conv_1.kernel[...] = jnp.array([[[1.0]], [[10.0]]])
    outputs = model.conv_1(jnp.array([[[1.0], [2.0], [3.0]]]))
    assert np.ravel(outputs).tolist() == [21.0, 3.0]


def test_each_head_has_logits_if_a_loss_takes_them() -> None:
    heads = "{mean: {pooling: mean, units: 3}, kind: {units: 2, activation: softmax}}"
    text = text_of(GRU, heads, NUMBERS).replace("head:", "heads:")
    model = rnnspec.build(rnnspec.loads(text), "jax", seed=1)
    x = jnp.ones((2, 5, 3))
    outputs, logits = model(x), model(x, logits=True)
    assert not np.allclose(logits["kind"], outputs["kind"])
    np.testing.assert_array_equal(jax.nn.softmax(logits["kind"]), outputs["kind"])
    np.testing.assert_array_equal(logits["mean"], outputs["mean"])


def test_a_tied_kernel_is_the_embedding_itself(tmp_path: Path) -> None:
    text = text_of("{type: lstm, units: 3}", "{units: 9, tied: true, activation: softmax}")
    model = rnnspec.build(rnnspec.loads(text), "jax", seed=1)
    optimizer = nnx.Optimizer(model, optax.sgd(0.5), wrt=nnx.Param)
    tokens = jnp.array([[1, 2, 3, 0]])

    def loss(model: Any) -> Any:
        logits = model(tokens, logits=True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.array([4])).mean()

    gradient = nnx.grad(loss)(model)
    # Only the output layer uses the vectors of tokens that are not in the batch.
    assert np.all(np.any(gradient["embedding_1"]["embedding"][...] != 0, axis=1))
    optimizer.update(model, gradient)
    logits = model(tokens, logits=True)
    state = model.lstm_1(model.embedding_1(tokens), tokens != 0)
    expected = state @ model.embedding_1.embedding[...].T + model.dense_1.bias[...]
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    generated = pipeline.generate(pipeline.reads(text), get("jax"))
    saving.save(tmp_path / "made", generated, text, model, force=False)
    again = get("jax").runtime.reload(tmp_path / "made", "net", generated.source)
    np.testing.assert_array_equal(again(tokens), model(tokens))


BATCH = np.array([[1, 2, 3, 4, 5, 6, 7], [8, 7, 6, 5, 4, 0, 0], [0, 0, 0, 0, 0, 0, 0]])


def test_a_batch_norm_moves_in_training_by_the_real_steps() -> None:
    rnn = "  - {type: batch_norm, momentum: 0.75, epsilon: 0.125}\n  - {type: gru, units: 4}\n"
    model = built(rnn, "{units: 1}")
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    steps = np.asarray(model.embedding_1.embedding[...])[BATCH[BATCH != 0]]
    norm = model.batch_norm_1

    def train(model: Any, optimizer: Any) -> None:
        optimizer.update(model, nnx.grad(lambda model: jnp.square(model(BATCH)).sum())(model))

    nnx.jit(train)(model, optimizer)
    np.testing.assert_allclose(norm.mean[...], 0.25 * steps.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(norm.var[...], 0.75 + 0.25 * steps.var(axis=0), atol=1e-6)
    moved = np.asarray(norm.mean[...])
    model.eval()
    model(BATCH)
    np.testing.assert_array_equal(norm.mean[...], moved)
    counts = get("jax").runtime.counts(model)
    assert counts.non_trainable == norm.mean[...].size + norm.var[...].size


def test_a_variational_dropout_drops_a_feature_in_all_steps() -> None:
    rnn = "  - {type: dropout, rate: 0.5, variational: true}\n  - {type: gru, units: 4}\n"
    model = built(rnn, "{units: 1}", "input: {features: 64}")
    dropped = np.asarray(model.dropout_1(jnp.ones((4, 5, 64)))) == 0
    assert 0 < dropped.mean() < 1
    np.testing.assert_array_equal(dropped, dropped[:, :1].repeat(5, axis=1))
    assert np.any(dropped[0] != dropped[1])


@pytest.mark.parametrize(
    "layer", ["max_pool, size: 2", "average_pool, size: 2", "activation, activation: elu"]
)
def test_integers_are_taken_by_a_layer_without_arrays(layer: str) -> None:
    model = built(f"  - {{type: {layer}}}\n  - {GRU}\n", "{pooling: none}", NUMBERS)
    batch = np.arange(-15, 15).reshape(2, 5, 3)
    expected = np.asarray(model(batch.astype(np.float32)))
    for dtype in (np.int32, np.float16):
        np.testing.assert_array_equal(model(batch.astype(dtype)), expected)


def test_a_sequence_that_leaves_no_window_is_refused() -> None:
    model = built(f"  - {{type: conv, filters: 4, kernel_size: 5}}\n  - {GRU}\n", "{units: 1}")
    with pytest.raises(ValueError, match=r"expected \(batch, steps >= 5\), received \(3, 4\)"):
        model(BATCH[:, :4])


@pytest.mark.parametrize("kernel", ["glorot_uniform", "he_uniform", "lecun_uniform", "orthogonal"])
def test_a_convolution_is_drawn_with_the_fans_of_all_its_steps(kernel: str) -> None:
    rnn = "  - {type: conv, filters: 8, kernel_size: 5, padding: same}\n  - {type: gru, units: 2}\n"
    text = text_of(rnn, "{units: 1}", "input: {features: 4}")
    text += f"initializers: {{kernel: {kernel}, bias: {{constant: 0.25}}}}\n"
    model = rnnspec.build(rnnspec.loads(text), "jax")
    drawn = np.asarray(model.conv_1.kernel[...])
    assert np.unique(model.conv_1.bias[...]).tolist() == [0.25]
    if kernel == "orthogonal":
        columns = drawn.reshape(20, 8)
        np.testing.assert_allclose(columns.T @ columns, np.eye(8), atol=1e-5)
        return
    limit = {
        "glorot_uniform": np.sqrt(6 / (5 * 4 + 5 * 8)),
        "he_uniform": np.sqrt(6 / (5 * 4)),
        "lecun_uniform": np.sqrt(3 / (5 * 4)),
    }[kernel]
    assert 0.9 * limit < np.abs(drawn).max() <= limit
