"""The JAX model under JAX's own transformations, trained by optax, and loaded without rnnspec."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import SETTINGS
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.source.execute import execute

jax = import_later("jax")
nnx = import_later("flax.nnx")
optax = import_later("optax")

TEXT = """\
version: 1
name: net
embedding: {vocabulary: 9, dim: 3, mask_zero: true, trainable: false}
rnn:
  - {type: lstm, units: 4, dropout: 0.25, bidirectional: true}
  - {type: gru, units: 3, recurrent_dropout: 0.5}
head: {dropout: 0.5, units: 1, activation: sigmoid}
"""
TOKENS = np.array([[0, 3, 0, 8, 1], [0, 0, 0, 0, 0], [1, 2, 3, 4, 5]], np.int32)


@pytest.fixture(scope="module")
def model() -> Any:
    return rnnspec.build(rnnspec.loads(TEXT), "jax", seed=1)


def in_inference(model: Any) -> Any:
    return nnx.view(model, deterministic=True)


def test_jit_and_vmap_give_what_the_model_gives(model: Any) -> None:
    live = in_inference(model)
    expected = live(TOKENS)
    np.testing.assert_allclose(nnx.jit(lambda m, x: m(x))(live, TOKENS), expected, atol=1e-6)
    each = nnx.vmap(lambda m, x: m(x[None])[0], in_axes=(None, 0))(live, TOKENS)
    np.testing.assert_allclose(each, expected, atol=1e-6)
    np.testing.assert_allclose(
        jax.nn.sigmoid(live(TOKENS, logits=True)), np.asarray(expected), atol=1e-6
    )


def test_padding_to_a_longer_batch_changes_nothing(model: Any) -> None:
    live = in_inference(model)
    longer = np.pad(TOKENS, ((0, 0), (0, 3)))
    np.testing.assert_allclose(live(longer), np.asarray(live(TOKENS)), atol=1e-6)


@pytest.mark.parametrize("form", ["training", "inference"])
def test_features_of_another_dtype_are_taken(form: Any) -> None:
    text = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n"
    live = rnnspec.build(rnnspec.loads(text), "jax", form=form)
    batch = np.arange(30).reshape(2, 5, 3)
    expected = live(batch.astype(np.float32))
    for dtype in (np.int32, np.float16):
        np.testing.assert_array_equal(live(batch.astype(dtype)), np.asarray(expected))
        assert live(batch.astype(dtype)).dtype == np.float32


def test_an_optimizer_leaves_frozen_vectors_alone() -> None:
    model = rnnspec.build(rnnspec.loads(TEXT), "jax", seed=1)
    before = rnnspec.read_weights(model)
    # With few units, a mask sometimes drops everything.
    model.eval()
    optimizer = nnx.Optimizer(model, optax.adamw(0.1), wrt=nnx.Param)

    def loss(model: Any) -> Any:
        return optax.sigmoid_binary_cross_entropy(model(TOKENS, logits=True), 1.0).mean()

    optimizer.update(model, nnx.grad(loss)(model))
    after = rnnspec.read_weights(model)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == before.keys() - {"embedding_1.embeddings"}


def test_source_for_inference_is_the_same_network_without_dropout(model: Any) -> None:
    generated = pipeline.generate(pipeline.reads(TEXT), get("jax"), "inference")
    assert "ropout" not in generated.text
    short = getattr(execute(generated.text, "net"), generated.entry)()
    generated.store.write(short, rnnspec.read_weights(model))
    np.testing.assert_allclose(short(TOKENS), np.asarray(in_inference(model)(TOKENS)), atol=1e-6)
    assert get("jax").runtime.counts(short) == get("jax").runtime.counts(model)


def test_a_residual_from_a_dropout_is_kept_in_source_for_inference() -> None:
    text = """\
version: 1
name: net
embedding: {vocabulary: 9, dim: 3}
rnn: {type: gru, units: 3, dropout: 0.5, variational: false, residual: true}
"""
    program = pipeline.reads(text)
    model = pipeline.instantiate(pipeline.generate(program, get("jax"), "inference"))
    assert model(TOKENS).shape == (3, 5, 3)


def test_comparing_in_float64_leaves_the_setting_of_the_user(model: Any) -> None:
    assert rnnspec.parity(rnnspec.loads(TEXT), ["jax"]).equal
    assert not jax.config.jax_enable_x64
    assert in_inference(model)(TOKENS).dtype == np.float32


def test_the_gradient_of_a_maximum_reaches_what_it_is_computed_from() -> None:
    text = """\
version: 1
name: net
input: {features: 1}
rnn: {type: simple, units: 3, layer_norm: true}
head: {pooling: max}
"""
    assert rnnspec.parity(rnnspec.loads(text), ["jax"], level="gradients").equal


def test_a_model_whose_arrays_are_replaced_draws_masks_of_its_own() -> None:
    generated = pipeline.generate(pipeline.reads(TEXT), get("jax"))
    one, other = (pipeline.instantiate(generated, drawn=False) for _ in range(2))
    assert not any(np.any(np.asarray(leaf)) for leaf in jax.tree.leaves(nnx.state(one, nnx.Param)))
    keys = [
        tuple(jax.random.key_data(key).tolist())
        for each in (one, other)
        for key in jax.tree.leaves(nnx.state(each, nnx.RngKey))
    ]
    assert len(set(keys)) == len(keys) > 2
    generated.store.write(one, rnnspec.read_weights(rnnspec.build(rnnspec.loads(TEXT), "jax")))
    assert not np.array_equal(one(TOKENS), one(TOKENS))


def test_a_state_of_parameters_alone_is_one_of_each_sequence() -> None:
    spec = rnnspec.loads(
        """
        version: 1
        name: net
        input: {features: 3}
        cells:
          own: {states: [h, k], equations: {k: 2 * b, h: tanh(W @ x + U @ h + k)}}
        rnn: {type: own, units: 2}
        """
    )
    assert rnnspec.parity(spec, ["jax"], level="forward").equal


def test_parts_of_a_product_that_are_used_apart_are_split_once() -> None:
    # The bias of the first part is an expression, and the second part has none and another size.
    spec = rnnspec.loads("""\
version: 1
name: net
input: {features: 3}
cells:
  own:
    states: [h, m]
    equations:
      a: sigmoid(W_a @ x + U_a @ h + 2 * b)
      m: tanh(W_m @ x + U_m @ (a * h))
      h: a * h + V @ m
    sizes: {m: 2}
rnn: {type: own, units: 4}
""")
    text = rnnspec.codegen(spec, "jax")
    assert "x_product_part_1, x_product_part_2 = jnp.split(" in text
    assert rnnspec.parity(spec, ["jax"], level="forward").equal


def test_one_cell_may_have_two_values_of_a_setting() -> None:
    network = pipeline.reads(SETTINGS).network
    assert not refusals(get("jax"), network, "training")
    assert not refusals(get("jax"), network, "inference")
