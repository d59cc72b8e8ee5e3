"""Live models of Keras: those that rnnspec builds come back as their own specs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.errors import ModelError, UsageError
from rnnspec.importing.run import take
from rnnspec.models import saving
from rnnspec.weights.initial import draw_scaled


@pytest.fixture
def keras() -> Any:
    return pytest.importorskip("keras")


def test_every_kind_of_network(keras: Any, covering_spec: Path) -> None:
    is_taken_over(covering_spec)


def test_square_matrices_of_a_formula(keras: Any, tmp_path: Path) -> None:
    text = "version: 1\nname: net\ninput: {features: 4}\nrnn:\n- {type: gru, units: 4}\n"
    text += "- {type: formula, name: f, of: {h: gru_1}, units: 4, equations: {y: tanh(A @ h)}}\n"
    path = tmp_path / "net.yaml"
    path.write_text(f"{text}head: {{pooling: none, units: 2}}\n", "utf-8")
    is_taken_over(path)


def is_taken_over(path: Path) -> None:
    """Assert that a model, and the file that is saved of it, give the spec and all arrays."""
    program, backend = pipeline.read(path), get("keras")
    generated = pipeline.generate(program, backend)
    model = pipeline.instantiate(generated, drawn=False)
    drawn = draw_scaled(program.network, 1)
    arrays = {name: array.astype(np.float32) for name, array in drawn.items()}
    generated.store.write(model, arrays)
    found = rnnspec.from_keras(model, program.network.name)
    assert pipeline.program(found.spec).network == program.network
    assert found.compared.startswith("compared with the model in Keras 3.")
    text, saved = path.read_text("utf-8"), path.with_name("saved.keras")
    saving.save(saved, generated, text, model, force=False)
    taken = take(saved)
    assert (taken.text, taken.imported.guesses, taken.imported.inferred) == (text, (), ())
    for read in (found.arrays, taken.arrays):
        assert list(read) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(read[name], array)


def test_a_model_of_ours_that_was_changed(keras: Any) -> None:
    text = "version: 1\nname: net\nembedding: {vocabulary: 9, dim: 3, mask_zero: true}\n"
    text += "rnn: {type: gru, units: 3}\nhead: {pooling: {attention: {}}, units: 2}\n"
    model = rnnspec.build(rnnspec.loads(text), "keras")
    assert "attention" in rnnspec.from_keras(model).spec.document.text
    model.get_layer("dense_1").activation = keras.activations.relu
    with pytest.raises(ModelError, match=r"einsum\S*: cannot carry over"):
        rnnspec.from_keras(model)


def test_a_model_that_cannot_be_taken_over(keras: Any) -> None:
    class Own(keras.layers.LSTM):  # type: ignore[misc]
        pass

    model = keras.Sequential([keras.Input((5, 3)), Own(2)])
    with pytest.raises(ModelError, match="Own' is not Keras's own, and foreign code is not run"):
        rnnspec.from_keras(model)
    with pytest.raises(UsageError, match="expected a Keras model, received 3"):
        rnnspec.from_keras(3)
    with pytest.raises(ModelError, match="expected an input of shape"):
        rnnspec.from_keras(keras.Sequential([keras.layers.LSTM(2)]))


def masked(keras: Any, policy: str = "float32") -> Any:
    """Return a model of tokens with padding, with weights that show a fault."""
    of = keras.layers
    keras.config.set_dtype_policy(policy)
    try:
        inputs = keras.Input((None,), dtype="int32")
        x = of.Embedding(300, 8, mask_zero=True, dtype=policy)(inputs)
        # LAPACK draws nothing orthogonal in half precision.
        x = of.LSTM(8, return_sequences=True, recurrent_initializer="zeros", dropout=0.5)(x)
        x = of.Bidirectional(of.GRU(8, recurrent_initializer="zeros"))(x)
        model = keras.Model(inputs, of.Dense(2, activity_regularizer="l2")(x))
    finally:
        keras.config.set_dtype_policy("float32")
    rng = np.random.default_rng(0)
    shapes = [np.shape(weight) for weight in model.get_weights()]
    model.set_weights([rng.normal(0.0, 0.4, shape).astype(np.float32) for shape in shapes])
    return model


POLICIES = {
    "float64": ("float64", 1e-12),
    "mixed_float16": ("float16", 1e-2),
    "bfloat16": ("bfloat16", 5e-2),
}


@pytest.mark.parametrize("policy", POLICIES)
def test_it_is_run_in_its_own_precision(keras: Any, policy: str) -> None:
    dtype, allowed = POLICIES[policy]
    model = masked(keras, policy)
    said = rnnspec.from_keras(model).compared
    assert f" in forward ({dtype})" in said
    assert 0.0 < float(said.rpartition("difference ")[2].split()[0]) < allowed
    # A call that no configuration shows.
    plain, dense = model.layers[-1].call, model.layers[-1]
    dense.call = lambda x, training=None: plain(x, training=training) * 1.5
    with pytest.raises(ModelError, match=r"received a difference of 0\.[0-9]+ \[E709\]"):
        rnnspec.from_keras(model)
    dense.call = lambda x: x
    with pytest.raises(ModelError, match=r"does not run it \(.*\) \[E709\]"):
        rnnspec.from_keras(model)


def test_it_stays_as_it_is(keras: Any) -> None:
    model = masked(keras)
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((2, 3), np.int32), np.ones((2, 2), np.float32))

    def state() -> tuple[Any, ...]:
        arrays = [
            variable.numpy().tobytes()
            for variable in (*model.variables, *model.optimizer.variables)
        ]
        return arrays, model.to_json(), model.predict_function, model.compiled

    before = state()
    rnnspec.from_keras(model)
    assert state() == before
    assert model.train_on_batch(np.ones((2, 3), np.int32), np.ones((2, 2), np.float32)) > 0.0


def test_both_directions_with_an_initial_forget_bias_that_the_language_lacks(keras: Any) -> None:
    of, drawn = keras.layers, {"unit_forget_bias": False, "bias_initializer": "random_normal"}
    model = keras.Sequential([keras.Input((5, 3)), of.Bidirectional(of.LSTM(2, **drawn))])
    lost = "the initial forget_bias (layers differ, or rnnspec does not support it)"
    assert lost in rnnspec.from_keras(model).left_out


def test_a_sum_that_drops_the_mask(keras: Any) -> None:
    of = keras.layers
    inputs = keras.Input((None,))
    x = of.Embedding(9, 3, mask_zero=True)(inputs)
    x = x + of.LSTM(3, return_sequences=True, bias_initializer="ones")(x)
    with pytest.raises(ModelError) as caught:
        rnnspec.from_keras(keras.Model(inputs, of.GRU(4, bias_initializer="ones")(x)))
    assert {problem.code for problem in caught.value.problems} <= {"E701", "E704", "E709"}


def test_batches_of_one_size(keras: Any) -> None:
    of = keras.layers
    layers = [keras.Input(batch_shape=(4, 5, 3)), of.Masking(0.5), of.LSTM(4), of.Dense(2)]
    assert rnnspec.from_keras(keras.Sequential(layers)).compared.startswith("compared with")


def test_a_sequence_that_is_too_long_to_run(keras: Any) -> None:
    model = keras.Sequential([keras.Input((2**31 - 1, 3)), keras.layers.LSTM(2)])
    said = rnnspec.from_keras(model).compared
    assert said.startswith("not compared with the model: a sequence of it has ")


def test_a_model_of_keras_2() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    of = tf_keras.layers
    layers = [of.Embedding(9, 3, mask_zero=True), of.LSTM(4, recurrent_activation="hard_sigmoid")]
    model = tf_keras.Sequential([tf_keras.Input((None,)), *layers])
    said = rnnspec.from_keras(model).compared
    assert said.startswith("compared with the model in tf_keras 2.")
    model.layers[-1].cell.activation = model.layers[-1].cell.recurrent_activation
    kept = model.layers[-1].get_config
    model.layers[-1].get_config = lambda: {**kept(), "activation": "tanh"}
    with pytest.raises(ModelError, match="E709"):
        rnnspec.from_keras(model)


def test_a_stack_of_keras_2() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    of = tf_keras.layers
    start = tf_keras.Input((12, 3))
    # Keras 2 keeps numbers of activations as arrays, and slopes in float32.
    x = of.LeakyReLU(0.25)(of.BatchNormalization()(of.Conv1D(4, 3, groups=1)(start)))
    x = of.ReLU(max_value=6.0)(of.Dense(5)(of.MaxPooling1D(2)(x)))
    x = of.LSTM(4, return_sequences=True)(x)
    outputs = {"whole": of.Flatten()(x), "best": of.GlobalMaxPooling1D()(x)}
    found = rnnspec.from_keras(tf_keras.Model(start, outputs), "net")
    assert found.compared.startswith("compared with the model in tf_keras 2.")
    assert found.spec.document.text.partition("expect: ")[0] == (
        "version: 1\nname: net\ninput: {length: 12, features: 3}\nrnn:\n"
        "- {type: conv, filters: 4, kernel_size: 3}\n- {type: batch_norm}\n"
        "- type: activation\n  activation: {leaky_relu: 0.25}\n- {type: max_pool, size: 2}\n"
        "- type: dense\n  units: 5\n  activation: {clipped_relu: 6.0}\n- {type: lstm, units: 4}\n"
        "heads:\n  whole: {pooling: flatten}\n  best: {pooling: max}\n"
    )
    assert "padding in the statistics of a batch" not in str(found)
