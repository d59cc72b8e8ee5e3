"""The layers of a stack, poolings, joins and tied weights in Keras, in layers of Keras alone."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from offered import import_later

import rnnspec
from rnnspec.backends import get
from rnnspec.backends.keras.emit import SHALLOW, recursion
from rnnspec.backends.keras.layers import parts_of
from rnnspec.backends.keras.parts import RecipeVerbs
from rnnspec.ir import core, forms
from rnnspec.ir.expand import X
from rnnspec.pipeline import program
from rnnspec.source.code import Code

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.ir.forms import Form

keras = import_later("keras")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

INPUTS = {
    "tokens": "embedding: {vocabulary: 9, dim: 3}",
    "padded_tokens": "embedding: {vocabulary: 9, dim: 3, mask_zero: true}",
    "features": "input: {features: 3}",
    "padded_features": "input: {features: 3, mask_value: -1.5}",
}
STACK = """
  - {type: conv, filters: 3, kernel_size: 3, padding: causal, name: ahead}
  - {type: max_pool, size: 3, stride: 2, padding: same}
  - {type: average_pool, size: 2, stride: 1, padding: same}
  - {type: batch_norm}
  - {type: activation, activation: legacy_hard_sigmoid}
  - {type: lstm, units: 3, name: state}
"""
STREAM = """
  - {type: conv, filters: 3, kernel_size: 3, dilation: 2, padding: causal, activation: tanh}
  - {type: batch_norm}
  - {type: lstm, units: 2, name: state}
  - {type: concat, of: [input, state]}
  - {type: gru, units: 2}
"""
VECTOR = "hidden: [{units: 3, activation: {leaky_relu: 0.2}}, {type: batch_norm}], units: 2"
POOLED = f"head: {{pooling: [mean, max, last, {{attention: {{}}}}], {VECTOR}}}"
BOTH = "[{type: conv, filters: 4, kernel_size: 2, stride: 2}, {type: gru, units: 3}]"
TIED = "rnn: {type: lstm, units: 3}\nhead: {tied: true, units: 9, "


def text(entrance: str, rest: str) -> str:
    return f"version: 1\nname: net\n{INPUTS[entrance]}\n{rest}\n"


PADDED = """\
version: 1
name: padded
input: {features: 3, mask_value: 0}
rnn:
  - {type: conv, filters: 4, kernel_size: 3, stride: 2, activation: relu, bias: false}
  - {type: batch_norm}
  - {type: max_pool, size: 2, padding: same}
  - {type: lstm, units: 5}
head: {units: 1}
"""
SOURCE = """\
    inputs = keras.Input(shape=(None, 3), name="inputs")
    mask = keras.ops.any(keras.ops.not_equal(inputs, 0.0), axis=-1)
    x = fill_padding(inputs, mask, 0)
    x = keras.layers.Conv1D(
        4, 3, strides=2, activation="relu", use_bias=False, name="conv_1"
    )(x)
    mask = mask[:, 2::2]
    x = keras.layers.BatchNormalization(
        momentum=0.99, epsilon=0.001, name="batch_norm_1"
    )(x, mask=mask)
    x = fill_padding(x, mask, -3e38)
    x = keras.layers.MaxPooling1D(2, padding="same", name="max_pool_1")(x)
    # A window of padding alone gives zeros.
    x = keras.ops.where(x > -3e38, x, 0)
    mask = mask[:, ::2]
    x = keras.layers.LSTM(5, return_sequences=False, name="lstm_1")(x, mask=mask)
    x = keras.layers.Dense(1, name="dense_1")(x)
    return keras.Model(inputs, x, name="padded")
"""


def test_the_mask_goes_through_windows() -> None:
    assert rnnspec.codegen(rnnspec.loads(PADDED), "keras").endswith(f'    """\n{SOURCE}')


def test_a_chain_without_a_mask_is_a_sequential() -> None:
    spec = rnnspec.loads(PADDED.replace(", mask_value: 0", ""))
    model = rnnspec.build(spec, "keras", seed=1)
    assert type(model) is keras.Sequential
    names = ["conv_1", "batch_norm_1", "max_pool_1", "lstm_1", "dense_1"]
    assert [layer.name for layer in model.layers] == names


LOAD = """\
import sys, keras, numpy as np
model = keras.saving.load_model("net.keras", safe_mode=True)
batch = np.load("batch.npy")
np.save("output.npy", model.predict_on_batch(batch))
model.compile("sgd", "mse")
model.train_on_batch(batch, np.load("output.npy") + 1)
assert not any(name.startswith("rnnspec") for name in sys.modules)
"""


def test_files_need_only_keras(tmp_path: Path) -> None:
    head = "head: {tied: true, units: 9, pooling: none, activation: softmax}"
    model = rnnspec.build(rnnspec.loads(text("padded_tokens", f"rnn:{STACK}{head}")), "keras")
    model.save(tmp_path / "net.keras")
    batch = np.random.default_rng(3).integers(0, 9, (4, 12), dtype=np.int32)
    np.save(tmp_path / "batch.npy", batch)
    expected = model.predict_on_batch(batch)
    with zipfile.ZipFile(tmp_path / "net.keras") as saved:
        config = saved.read("config.json").decode()
    assert json.loads(config)["module"].startswith("keras")
    assert '"registered_name": "net' not in config
    command = [sys.executable, "-c", LOAD]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "output.npy"), expected, atol=1e-6)


def test_a_tied_kernel_is_one_array_in_a_loaded_model_too(tmp_path: Path) -> None:
    spec = rnnspec.loads(text("tokens", f"{TIED} pooling: none}}"))
    rnnspec.build(spec, "keras", seed=1).save(tmp_path / "net.keras")
    model = keras.saving.load_model(tmp_path / "net.keras")
    before = rnnspec.read_weights(model, spec)
    assert [name for name in before if "embeddings" in name or "dense" in name] == [
        "embedding_1.embeddings",
        "dense_1.bias",
    ]
    model.compile(keras.optimizers.SGD(1.0), "mse")
    # No batch has token 8, so only the projection moves its vector.
    model.train_on_batch(np.arange(8)[None], np.full((1, 8, 9), 100.0))
    after = rnnspec.read_weights(model, spec)["embedding_1.embeddings"]
    assert np.abs(after - before["embedding_1.embeddings"])[8].max() > 1e-3


def test_each_pass_of_training_moves_the_moving_arrays_once() -> None:
    spec = rnnspec.loads("""\
version: 1
name: net
input: {features: 2}
rnn: [{type: batch_norm, momentum: 0.5}, {type: gru, units: 2}]
""")
    model = rnnspec.build(spec, "keras", seed=1)
    runtime = get("keras").runtime
    keys = [("batch_norm_1", "gamma")]
    batch = np.random.default_rng(0).standard_normal((3, 5, 2)).astype(np.float32)
    target, weight = np.zeros((3, 5, 2)), np.ones((3, 5, 2))
    mean = batch.mean(axis=(0, 1))
    still = runtime.learner(model, keys, training=False)
    still(batch, target, weight)
    assert not rnnspec.read_weights(model)["batch_norm_1.moving_mean"].any()
    learn = runtime.learner(model, keys, training=True)
    for share in (0.5, 0.75, 0.875):
        learn(batch, target, weight)
        moved = rnnspec.read_weights(model)["batch_norm_1.moving_mean"]
        np.testing.assert_allclose(moved, share * mean, rtol=1e-5)


def test_variational_dropout_drops_a_feature_at_all_steps_or_at_none() -> None:
    rnn = "[{type: dropout, rate: 0.5, variational: true, name: dropped}, {type: gru, units: 2}]"
    model = rnnspec.build(rnnspec.loads(text("features", f"rnn: {rnn}")), "keras")
    dropped = model.get_layer("dropped")(np.ones((8, 20, 3), np.float32), training=True)
    kept = keras.ops.convert_to_numpy(dropped) > 0
    assert (kept.all(axis=1) | ~kept.any(axis=1)).all()
    assert 0 < kept.mean() < 1


@pytest.mark.parametrize(
    ("engine", "rnn", "layer", "key"),
    [
        (
            "",
            "{type: conv, filters: 2, kernel_size: 2, stride: 2, dilation: 2}",
            "conv_1",
            "dilation",
        ),
        ("", "{type: dense, units: 2, activation: {leaky_relu: -0.1}}", "dense_1", "activation"),
        ("torch", "{type: average_pool, size: 2, padding: same}", "average_pool_1", "padding"),
        ("jax", "[{type: dense, units: 1}, {type: batch_norm}]", "batch_norm_1", "type"),
    ],
)
def test_what_keras_cannot_do_is_refused(
    engine: str, rnn: str, layer: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", engine or "tensorflow")
    rnn = f"[{rnn.strip('[]')}, {{type: lstm, units: 2}}]"
    network = program(rnnspec.loads(text("padded_features", f"rnn: {rnn}"))).network
    refusals = get("keras").emitter.refusals
    found = refusals(network, "training")
    assert [(refusal.layer, refusal.key) for refusal in found] == [(layer, key)]
    if engine:
        monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
        assert not refusals(network, "training")


def test_a_name_of_a_further_layer_is_refused() -> None:
    head = "head: {pooling: {attention: {}}, units: 2, name: attention_pooling_1_weights}"
    network = program(rnnspec.loads(text("features", f"rnn: {BOTH}\n{head}"))).network
    (found,) = get("keras").emitter.refusals(network, "training")
    assert (found.layer, found.key) == ("attention_pooling_1_weights", "name")


def test_a_sequence_too_short_for_a_layer_is_refused() -> None:
    from tensorflow.errors import InvalidArgumentError

    head = f"head: {{pooling: {{last_steps: 2}}, {VECTOR}}}"
    model = rnnspec.build(rnnspec.loads(text("features", f"rnn: {BOTH}\n{head}")), "keras")
    model.predict_on_batch(np.ones((2, 12, 3)))
    # If TensorFlow keeps its trace for any number of steps, the error is one of its own.
    with pytest.raises((ValueError, InvalidArgumentError)):
        model.predict_on_batch(np.ones((2, 1, 3)))


@pytest.mark.parametrize("form", ["training", "step"])
def test_no_layer_can_be_called_what_keras_calls_an_operation(form: Form) -> None:
    rest = (
        f"rnn:{STREAM}head: {{pooling: [sum, max]}}" if form == "step" else f"rnn:{STACK}{POOLED}"
    )
    spec = rnnspec.loads(text("padded_features", rest))
    network = program(spec).network
    known = {layer.name for layer in network.layers} | {
        state.name for state in forms.states(network)
    }
    operations = {
        operation.name for operation in rnnspec.build(spec, "keras", form=form).operations
    }
    # Layers that a layer consists of; a test above refuses the name of one.
    further = {name for layer in network.layers for name in parts_of(layer).values()}
    assert operations - known - further
    for name in operations - known - further:
        assert get("keras").reserved_names.attribute(name) != name


def test_operations_beside_layers_count_in_the_recursion_of_keras() -> None:
    conv = "{type: conv, filters: 2, kernel_size: 2, padding: causal}"
    rnn = ", ".join([conv] * (SHALLOW // 2))
    network = program(
        rnnspec.loads(text("padded_features", f"rnn: [{rnn}, {{type: lstm, units: 2}}]"))
    ).network
    assert recursion(network) > 2 * len(network.layers)


LAYERS = """\
x = keras.layers.Rescaling(np.array([0.1]), name="a")(keras.layers.Multiply(name="c")\
([keras.layers.Activation("tanh", name="b")(x), other])) - -1
x = keras.layers.Add(name="f")([keras.layers.Permute((2, 1), name="d")(x), \
keras.layers.Dropout(0.5, name="e")(x)])
x = keras.layers.RepeatVector(3, name="g")(x)
x = keras.ops.square(x)"""


def test_verbs_of_a_recipe_are_layers_with_names_of_their_own() -> None:
    """Keras names its operations Add and Multiply as it names its layers, which would collide."""
    verbs = RecipeVerbs(
        names=iter("abcdefg"),
        layers={},
        earlier=Code,
        tokens=frozenset(),
        memory_mask=Code(),
        shapes={},
    )
    values: list[core.Expression] = [
        core.Apply("tanh", X) * core.EarlierOutput("other") * core.Setting("by", 0.1) + 1.0,
        core.Transpose(X) + core.Drop(X, 0.5, shared=False),
        core.Repeat(X, 3),
        X * X,
    ]
    written = verbs.statements(core.Result("x", value) for value in values)
    assert [each for each in written if each] == LAYERS.splitlines()
