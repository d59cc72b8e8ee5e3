"""The layers of a stack, poolings, tied weights and joins in JAX."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from mutation import source_edited
from offered import import_later

import rnnspec
from rnnspec import pipeline, saving
from rnnspec.backends import get

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


def agrees(text: str, **options: Any) -> bool:
    return rnnspec.parity(rnnspec.loads(text), ["jax"], **options).equal


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
WINDOWS = """\
  - {type: conv, filters: 4, kernel_size: 2, padding: same, activation: tanh}
  - {type: batch_norm}
  - {type: max_pool, size: 3, stride: 2, padding: same}
  - {type: dense, units: 4, activation: tanh}
  - {type: conv, filters: 4, kernel_size: 2, padding: causal}
  - {type: average_pool, size: 2, stride: 1}
  - {type: lstm, units: 4}
"""
# Not 0 at padding, as a state is.
POSITIVE = "  - {type: activation, activation: sigmoid}\n"


@pytest.mark.parametrize(
    "pooling", ["max", "{attention: {units: 3}}", "[sum, mean]", "[last, max]"]
)
def test_padding_reaches_no_real_step(pooling: str) -> None:
    rnn = WINDOWS if "last" in pooling else WINDOWS + POSITIVE
    model = built(rnn, f"{{pooling: {pooling}}}")

    def loss(model: Any, batch: Any) -> Any:
        return jnp.square(model(batch)).sum()

    value, gradient = nnx.value_and_grad(loss)(model, BATCH)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((value, gradient)))
    vectors = np.asarray(gradient["embedding_1"]["embedding"][...])
    assert not vectors[0].any()
    assert np.all(vectors[1:].any(axis=1))
    # In inference, because the moving arrays have changed since.
    model.eval()
    longer = np.pad(BATCH, ((0, 0), (0, 4)))
    np.testing.assert_allclose(model(longer), model(BATCH), atol=1e-6)
    np.testing.assert_array_equal(model(BATCH)[2], 0)


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


def test_a_batch_of_padding_leaves_a_batch_norm_finite() -> None:
    model = built("  - {type: batch_norm}\n  - {type: gru, units: 4}\n", "{units: 1}")
    model(np.zeros((2, 5), np.int32))
    assert all(
        np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(nnx.state(model, nnx.BatchStat))
    )
    assert np.all(np.isfinite(model(BATCH)))


def test_a_variational_dropout_drops_a_feature_in_all_steps() -> None:
    rnn = "  - {type: dropout, rate: 0.5, variational: true}\n  - {type: gru, units: 4}\n"
    model = built(rnn, "{units: 1}", "input: {features: 64}")
    dropped = np.asarray(model.dropout_1(jnp.ones((4, 5, 64)))) == 0
    assert 0 < dropped.mean() < 1
    np.testing.assert_array_equal(dropped, dropped[:, :1].repeat(5, axis=1))
    assert np.any(dropped[0] != dropped[1])


def test_each_chunk_may_be_shorter_than_the_reach_of_a_convolution() -> None:
    rnn = """\
  - {type: conv, filters: 4, kernel_size: 4, padding: causal}
  - {type: gru, units: 4}
"""
    text = text_of(rnn, "{pooling: none}")
    whole = rnnspec.build(rnnspec.loads(text), "jax", seed=1)
    model = rnnspec.build(rnnspec.loads(text), "jax", seed=1, form="step")
    states: Any = None
    outputs = []
    for chunk in np.split(BATCH, [1, 3, 4], axis=1):
        output, states = model(chunk, states)
        outputs.append(output)
    assert states["conv_1_inputs"].shape == (3, 3, 3)
    np.testing.assert_allclose(np.concatenate(outputs, axis=1), whole(BATCH), atol=1e-6)


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


def test_moving_arrays_load_without_rnnspec(tmp_path: Path) -> None:
    text = text_of(WINDOWS, "{pooling: [{attention: {units: 3}}, max], units: 9}")
    model = rnnspec.build(rnnspec.loads(text), "jax", seed=1)
    model(BATCH)
    generated = pipeline.generate(pipeline.reads(text), get("jax"))
    saving.save(tmp_path / "made", generated, text, model, force=False)
    code = "\n".join(
        [
            *saving.loading(tmp_path / "made", generated),
            "import numpy",
            "model.eval()",
            f"print(model(numpy.array({BATCH.tolist()})).ravel().tolist())",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    model.eval()
    np.testing.assert_allclose(json.loads(done.stdout), np.ravel(model(BATCH)), atol=1e-6)


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


CONV = "{type: conv, filters: 4, kernel_size: 2"
NORM = "{type: batch_norm, momentum: 0.75, epsilon: 0.125}"
POOL = "{type: average_pool, size: 3, stride: 1}"
MUTANTS = {
    "padded steps before a convolution": (f"{CONV}, padding: causal}}", ", x, 0)", ", x, x)"),
    "the end of the padding": (f"{CONV}, padding: same}}", '"SAME"', "((1, 0),)"),
    "the direction of a kernel": (f"{CONV}}}", "conv_1(x)", "conv_1(x[:, ::-1])[:, ::-1]"),
    "the dilation": (f"{CONV}, dilation: 2, padding: same}}", "kernel_dilation=2", "strides=1"),
    "the share that is kept": (NORM, "momentum=0.75", "momentum=0.25"),
    "the epsilon": (NORM, "epsilon=0.125", "epsilon=1e-5"),
    "the steps of a batch norm": (NORM, ", mask=norm_mask(mask)", ""),
    "the steps of an average": (POOL, "jnp.maximum(share, 1 / 3)", "1"),
    "the steps of an attention": (GRU, "jnp.where(real, scores, -3e38)", "scores"),
    "the array of a tied layer": (
        "{type: gru, units: 3}",
        "embed.attend(x)",
        "x @ jax.lax.stop_gradient(embed.embedding[...]).T",
    ),
}


@pytest.mark.parametrize("broken", MUTANTS)
def test_parity_finds(broken: str) -> None:
    layer, old, new = MUTANTS[broken]
    pooling = "{attention: {}}" if "attention" in broken else "max"
    head = (
        "{pooling: none, units: 9, tied: true}" if "tied" in broken else f"{{pooling: {pooling}}}"
    )
    last = "" if layer.startswith("{type: gru") else f"  - {GRU}\n"
    text = text_of(f"  - {layer}\n{last}", head)
    assert agrees(text)
    with source_edited("jax", [(old, new)]):
        assert not agrees(text)


def test_named_outputs() -> None:
    text = f"""\
version: 1
name: net
{TOKENS}
rnn: [{{type: conv, filters: 4, kernel_size: 2}}, {{type: gru, units: 3}}]
heads:
  next: {{pooling: none, units: 9, tied: true}}
  label: {{pooling: {{attention: {{units: 2}}}}, hidden: [{{type: batch_norm}}], units: 2}}
  other: {{pooling: [max, {{attention: {{units: 2, activation: relu}}}}]}}
"""
    assert agrees(text)
    outputs = rnnspec.build(rnnspec.loads(text), "jax")(BATCH)
    assert {name: output.shape for name, output in outputs.items()} == {
        "next": (3, 6, 9),
        "label": (3, 2),
        "other": (3, 6),
    }
