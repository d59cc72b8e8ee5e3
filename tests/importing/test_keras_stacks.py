"""Stacks around recurrent layers, as people build them in Keras, and what is not supported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from cli.conftest import _own_folder, _signals
from importing.old import DENSE, LSTM, changed, layer, message, written
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.comparison.strategies import sample, spec_text, specs
from rnnspec.errors import ModelError
from rnnspec.importing.assemble import check_same
from rnnspec.importing.run import take
from rnnspec.ir import nodes

keras = import_later("keras")
of, ops = import_later("keras.layers"), import_later("keras.ops")

__all__ = ["_own_folder", "_signals"]

Make = Callable[[], Any]


def sequential(*layers: Any) -> Any:
    return keras.Sequential([*layers])


def graph(make: Callable[[Any], Any], *shape: int | None) -> Any:
    start = keras.Input(shape)
    return keras.Model(start, make(start))


def drawn(model: Any) -> Any:
    """Give a model weights that show a fault; none is negative where a variance is."""
    rng = np.random.default_rng(1)
    model.set_weights(
        [
            np.abs(rng.normal(0.3, 0.4, np.shape(each))) + 0.1
            if np.ndim(each) == 1
            else rng.normal(0.0, 0.4, np.shape(each))
            for each in model.get_weights()
        ]
    )
    return model


def sentences(vocabulary: int = 20, dim: int = 6, steps: int | None = 12, **words: Any) -> Any:
    return (keras.Input((steps,)), of.Embedding(vocabulary, dim, **words))


def imdb_cnn_lstm() -> Any:
    return sequential(
        *sentences(50, 8, 30),
        of.Dropout(0.25),
        of.Conv1D(6, 5, activation="relu"),
        of.MaxPooling1D(4),
        of.LSTM(7),
        of.Dense(1),
        of.Activation("sigmoid"),
    )


def sleep_stages() -> Any:
    return sequential(
        keras.Input((None, 3)),
        of.Conv1D(6, 5, strides=2, padding="same", use_bias=False),
        of.BatchNormalization(momentum=0.9),
        of.ReLU(),
        of.MaxPooling1D(2),
        of.Conv1D(4, 3, padding="same"),
        of.BatchNormalization(),
        of.Activation("relu"),
        of.Dropout(0.5),
        of.Bidirectional(of.LSTM(5, return_sequences=True)),
        of.TimeDistributed(of.Dense(5, activation="softmax")),
    )


def danq() -> Any:
    return sequential(
        keras.Input((100, 4)),
        of.Conv1D(8, 26, activation="relu"),
        of.MaxPooling1D(13),
        of.Dropout(0.2),
        of.Bidirectional(of.LSTM(8, return_sequences=True)),
        of.Dropout(0.5),
        of.Flatten(),
        of.Dense(9, activation="relu"),
        of.Dense(3, activation="sigmoid"),
    )


def deep_speech() -> Any:
    def make(x: Any) -> Any:
        for _ in range(3):
            x = of.ReLU(20.0)(of.Dense(7)(x))
        x = of.Bidirectional(of.LSTM(5, return_sequences=True), merge_mode="sum")(x)
        return of.Dense(4)(of.Dense(7, activation=of.ReLU(max_value=20))(x))

    return graph(make, None, 6)


def two_poolings() -> Any:
    def make(words: Any) -> Any:
        x = of.SpatialDropout1D(0.3)(of.Embedding(20, 6)(words))
        x = of.Bidirectional(of.GRU(4, return_sequences=True))(x)
        x = of.Concatenate()([of.GlobalAveragePooling1D()(x), of.GlobalMaxPooling1D()(x)])
        return of.Dense(1, activation="sigmoid")(of.LeakyReLU(0.25)(of.Dense(4)(x)))

    return graph(make, None)


def poolings_by_functions() -> Any:
    def make(x: Any) -> Any:
        x = of.LSTM(4, return_sequences=True)(x)
        pooled = [of.GlobalAveragePooling1D()(x), x[:, -1], ops.sum(x, axis=1)]
        return of.Dense(2)(ops.concatenate(pooled, axis=-1))

    return graph(make, 12, 3)


def outputs_by_key() -> Any:
    def make(words: Any) -> Any:
        x = of.LSTM(4, return_sequences=True)(of.Embedding(20, 6, mask_zero=True)(words))
        return {
            "tags": of.Dense(3, activation="softmax")(x),
            "mood": of.Dense(2)(of.GlobalAveragePooling1D()(x)),
            "label": of.Dense(2)(x[:, -1]),
        }

    return graph(make, 12)


def outputs_by_layer() -> Any:
    def make(x: Any) -> Any:
        x = of.Dropout(0.1)(of.LSTM(4)(x))
        first = of.Dense(3, name="dense_1")(x)
        return [first, of.Dense(1, name="price")(of.Dense(4, activation="relu")(x))]

    return graph(make, 12, 3)


def joined_with_mask() -> Any:
    def make(words: Any) -> Any:
        vectors = of.Embedding(20, 6, mask_zero=True)(words)
        states = of.LSTM(4, return_sequences=True)(vectors)
        x = of.LSTM(5, return_sequences=True)(of.Concatenate()([vectors, states]))
        join = of.Concatenate(name="noise_input")
        return of.LSTM(3)(join([states, x, vectors]))

    return graph(make, 12)


def joined_behind_masking() -> Any:
    def make(x: Any) -> Any:
        x = of.Masking()(x)
        for _ in range(2):
            x = of.Concatenate()([of.Dense(3)(x), x])
        return of.LSTM(3)(x)

    return graph(make, None, 4)


def tied() -> Any:
    def make(words: Any) -> Any:
        embedding = of.ReversibleEmbedding(20, 6, mask_zero=True)
        x = of.LSTM(6, return_sequences=True)(embedding(words))
        return of.Softmax()(embedding(x, reverse=True))

    return graph(make, None)


def zeros_before_windows() -> Any:
    return sequential(
        keras.Input((None, 3)),
        of.ZeroPadding1D((4, 0)),
        of.Conv1D(5, 3, dilation_rate=2, activation="relu"),
        of.ZeroPadding1D(1),
        of.MaxPooling1D(3, 1),
        of.ZeroPadding1D((1, 2)),
        of.Conv1D(5, 4),
        of.GRU(3),
    )


def zeros_of_one_length() -> Any:
    # What is behind the last window makes no difference.
    return sequential(
        keras.Input((9, 3)), of.ZeroPadding1D((2, 1)), of.Conv1D(5, 3, strides=2), of.GRU(3)
    )


def tagger_with_a_mask() -> Any:
    return sequential(
        *sentences(mask_zero=True, steps=None),
        of.Bidirectional(of.LSTM(3, return_sequences=True)),
        of.Conv1D(5, 3, padding="same", activation="tanh"),
        of.Dense(4, activation="softmax"),
    )


def without_a_mask() -> Any:
    return sequential(
        *sentences(mask_zero=True), of.SpatialDropout1D(0.2), of.Conv1D(4, 3), of.LSTM(3)
    )


def without_masking() -> Any:
    return sequential(keras.Input((12, 3)), of.Masking(0.0), of.Conv1D(4, 3), of.LSTM(3))


def norms() -> Any:
    return sequential(
        keras.Input((12, 3)),
        of.LayerNormalization(scale=False),
        of.Dense(4, activation="tanh"),
        of.LSTM(5, return_sequences=True),
        of.BatchNormalization(center=False, scale=False, epsilon=1e-4),
        of.Flatten(),
        of.BatchNormalization(trainable=False),
        of.Dense(2, activation="elu"),
    )


def last_steps() -> Any:
    return graph(lambda x: of.Dense(2)(of.GRU(4, return_sequences=True)(x)[:, -4:]), 12, 3)


def models_inside() -> Any:
    inner = sequential(
        keras.Input((None, 3)), of.Conv1D(4, 3, padding="causal"), of.BatchNormalization()
    )

    def make(x: Any) -> Any:
        x = inner(x)
        x = of.Add()([x, of.LSTM(4, return_sequences=True)(x)])
        start = keras.Input((4,))
        return keras.Model(start, of.Dense(2)(start))(of.LSTM(4)(x))

    return graph(make, 12, 3)


STACKS: dict[Make, str] = {
    imdb_cnn_lstm: """\
input: {length: 30}
embedding: {vocabulary: 50, dim: 8}
rnn:
- {type: dropout, rate: 0.25}
- {type: conv, filters: 6, kernel_size: 5, activation: relu}
- {type: max_pool, size: 4}
- {type: lstm, units: 7}
head: {units: 1, activation: sigmoid}
""",
    sleep_stages: """\
input: {features: 3}
rnn:
- {type: conv, filters: 6, kernel_size: 5, stride: 2, padding: same, bias: false}
- {type: batch_norm, momentum: 0.9}
- {type: activation, activation: relu}
- {type: max_pool, size: 2}
- {type: conv, filters: 4, kernel_size: 3, padding: same}
- {type: batch_norm}
- {type: activation, activation: relu}
- {type: lstm, units: 5, bidirectional: true, dropout: 0.5, variational: false}
head: {pooling: none, units: 5, activation: softmax}
""",
    danq: """\
input: {length: 100, features: 4}
rnn:
- {type: conv, filters: 8, kernel_size: 26, activation: relu}
- {type: max_pool, size: 13}
- {type: lstm, units: 8, bidirectional: true, dropout: 0.2, variational: false}
- {type: dropout, rate: 0.5}
head:
  pooling: flatten
  hidden:
  - {units: 9, activation: relu}
  units: 3
  activation: sigmoid
""",
    deep_speech: """\
input: {features: 6}
rnn:
- type: dense
  units: 7
  activation: {clipped_relu: 20.0}
- type: dense
  units: 7
  activation: {clipped_relu: 20.0}
- type: dense
  units: 7
  activation: {clipped_relu: 20.0}
- {type: lstm, units: 5, bidirectional: true, merge: sum}
head:
  pooling: none
  hidden:
  - units: 7
    activation: {clipped_relu: 20.0}
  units: 4
""",
    two_poolings: """\
embedding: {vocabulary: 20, dim: 6}
rnn:
- {type: dropout, rate: 0.3, variational: true}
- {type: gru, units: 4, bidirectional: true}
head:
  pooling: [mean, max]
  hidden:
  - units: 4
    activation: {leaky_relu: 0.25}
  units: 1
  activation: sigmoid
""",
    poolings_by_functions: """\
input: {length: 12, features: 3}
rnn: {type: lstm, units: 4}
head:
  pooling: [mean, last_step, sum]
  units: 2
""",
    outputs_by_key: """\
input: {length: 12}
embedding: {vocabulary: 20, dim: 6, mask_zero: true}
rnn: {type: lstm, units: 4}
heads:
  tags: {pooling: none, units: 3, activation: softmax}
  mood: {pooling: mean, units: 2}
  label: {units: 2}
""",
    outputs_by_layer: """\
input: {length: 12, features: 3}
rnn:
- {type: lstm, units: 4}
- {type: dropout, rate: 0.1}
heads:
  output_1: {units: 3}
  price:
    hidden:
    - {units: 4, activation: relu}
    units: 1
""",
    joined_with_mask: """\
input: {length: 12}
embedding: {vocabulary: 20, dim: 6, mask_zero: true}
rnn:
- {type: lstm, units: 4}
- type: concat
  of: [embedding_1, lstm_1]
- {type: lstm, units: 5}
- type: concat
  name: noise_input
  of: [lstm_1, lstm_2, embedding_1]
- {type: lstm, units: 3}
head: {pooling: last}
""",
    joined_behind_masking: """\
input: {features: 4, mask_value: 0.0}
rnn:
- {type: dense, units: 3}
- type: concat
  of: [dense_1, input]
- {type: dense, units: 3}
- type: concat
  of: [dense_2, concat_1]
- {type: lstm, units: 3}
head: {pooling: last}
""",
    tied: """\
embedding: {vocabulary: 20, dim: 6, mask_zero: true}
rnn: {type: lstm, units: 6}
head: {pooling: none, units: 20, activation: softmax, bias: false, tied: true}
""",
    zeros_before_windows: """\
input: {features: 3}
rnn:
- {type: conv, filters: 5, kernel_size: 3, dilation: 2, padding: causal, activation: relu}
- {type: max_pool, size: 3, stride: 1, padding: same}
- {type: conv, filters: 5, kernel_size: 4, padding: same}
- {type: gru, units: 3}
head: {pooling: last}
""",
    zeros_of_one_length: """\
input: {length: 9, features: 3}
rnn:
- {type: conv, filters: 5, kernel_size: 3, stride: 2, padding: causal}
- {type: gru, units: 3}
head: {pooling: last}
""",
    tagger_with_a_mask: """\
embedding: {vocabulary: 20, dim: 6, mask_zero: true}
rnn:
- {type: lstm, units: 3, bidirectional: true}
- {type: conv, filters: 5, kernel_size: 3, padding: same, activation: tanh}
head: {pooling: none, units: 4, activation: softmax}
""",
    without_a_mask: """\
input: {length: 12}
embedding: {vocabulary: 20, dim: 6}
rnn:
- {type: dropout, rate: 0.2, variational: true}
- {type: conv, filters: 4, kernel_size: 3}
- {type: lstm, units: 3}
head: {pooling: last}
""",
    without_masking: """\
input: {length: 12, features: 3}
rnn:
- {type: conv, filters: 4, kernel_size: 3}
- {type: lstm, units: 3}
head: {pooling: last}
""",
    norms: """\
input: {length: 12, features: 3}
rnn:
- {type: layer_norm}
- {type: dense, units: 4, activation: tanh}
- {type: lstm, units: 5}
- {type: batch_norm, epsilon: 0.0001}
head:
  pooling: flatten
  hidden:
  - {type: batch_norm}
  units: 2
  activation: elu
""",
    last_steps: """\
input: {length: 12, features: 3}
rnn: {type: gru, units: 4}
head:
  pooling: {last_steps: 4}
  units: 2
""",
    models_inside: """\
input: {length: 12, features: 3}
rnn:
- {type: conv, filters: 4, kernel_size: 3, padding: causal}
- {type: batch_norm}
- {type: lstm, units: 4, residual: true}
- {type: lstm, units: 4}
head: {units: 2}
""",
}


DROPPED = "no mask, as no layer uses that of Keras, which Keras drops at conv1d"
LEARNS = "everywhere, is an array that learns, where"
REMARKS: dict[Make, tuple[str, ...]] = {
    without_a_mask: (f"inferred: embedding: {DROPPED}",),
    without_masking: (f"inferred: masking: {DROPPED}",),
    norms: (
        f"inferred: layer_normalization and batch_normalization: gamma, 1 {LEARNS} scale is false",
        f"inferred: batch_normalization: beta, 0 {LEARNS} center is false",
        "not carried over: trainable: false of batch_normalization_1 (acts in training only)",
    ),
    outputs_by_layer: ("inferred: output 1, 'dense_1', is named output_1",),
}


@pytest.mark.filterwarnings("ignore:.*destroy the mask")
@pytest.mark.parametrize("make", STACKS, ids=lambda make: make.__name__)
def test_a_stack(make: Make) -> None:
    # The numbers in the names of layers begin at 1 again.
    keras.utils.clear_session(free_memory=False)
    model = drawn(make())
    found = rnnspec.from_keras(model, "net")
    text, _, expected = found.spec.document.text.partition("expect: ")
    assert text == f"version: 1\nname: net\n{STACKS[make]}"
    assert f"parameters: {model.count_params()}" in expected or make == norms
    assert found.compared.startswith("compared with the model in Keras 3.")
    assert make not in REMARKS or found.remarks[:-1] == REMARKS[make]


def test_settings_without_effect_are_left_out() -> None:
    model = sequential(
        keras.Input((6, 3)),
        of.Conv1D(4, 1, dilation_rate=2),
        of.SpatialDropout1D(0.0),
        of.LSTM(5),
    )
    text = rnnspec.from_keras(drawn(model)).spec.document.text
    assert "\n- {type: conv, filters: 4, kernel_size: 1}\n- {type: lstm, units: 5}\n" in text


def test_each_output_has_the_rounding_of_its_own() -> None:
    keras.utils.clear_session(free_memory=False)
    model = outputs_by_layer()
    price = model.get_layer("price")
    price.set_weights([np.zeros_like(array) for array in price.get_weights()])
    assert "largest difference" in rnnspec.from_keras(model).remarks[-1]


MASKING = layer("Masking", mask_value=-1.0)
SEQUENCE = changed(LSTM, return_sequences=True)
CONV = layer("Conv1D", filters=2, kernel_size=[2], strides=[1])


@cases(
    ("layers", "wanted"),
    [
        ([changed(CONV, groups=3)], "conv1d.groups: expected 1, received 3; rnnspec does not"),
        ([changed(CONV, data_format="channels_first")],
         "conv1d.data_format: expected 'channels_last', received 'channels_first'"),
        ([changed(CONV, padding="full")],
         "conv1d.padding: expected 'valid' or 'same' or 'causal', received 'full'"),
        ([changed(CONV, kernel_size=[2, 3])],
         "conv1d.kernel_size: expected an integer from 1 to 2,147,483,647, received [2, 3]"),
        ([changed(CONV, kernel_size=9)], "conv1d: needs at least 9 steps, its input has 5"),
        ([layer("MaxPooling1D", pool_size=9)], "maxpooling1d: needs at least 9 steps, its"),
        ([layer("MaxPooling1D", padding="causal")],
         "maxpooling1d.padding: expected 'valid' or 'same', received 'causal'"),
        ([layer("ZeroPadding1D", padding=[1, 9]), CONV],
         "zeropadding1d.padding: adds 1 and 9 steps; expected at most"),
        ([layer("ZeroPadding1D", padding=[0, 1]), changed(CONV, padding="same")],
         "zeropadding1d.padding: adds 0 and 1 steps; expected 'valid' behind it"),
        ([layer("ZeroPadding1D", padding=[1, 1])],
         "zeropadding1d: expected a convolution or a pooling of windows behind it, received lstm"),
        ([layer("ZeroPadding1D", padding=[1, 1]), layer("AveragePooling1D", pool_size=3)],
         "zeropadding1d: adds zeros that averagepooling1d counts; rnnspec counts no padding"),
        ([layer("ZeroPadding1D", padding=[1, 1]), layer("MaxPooling1D", pool_size=3)],
         "zeropadding1d: adds zeros that maxpooling1d counts"),
        ([layer("BatchNormalization", axis=1)],
         "batchnormalization.axis: expected -1 (the features), received 1"),
        ([layer("BatchNormalization", momentum=1.0)],
         "batchnormalization.momentum: expected 0 to below 1, received 1.0"),
        ([layer("BatchNormalization", epsilon=0.0)],
         "batchnormalization.epsilon: expected 1e-12 to 1, received 0.0"),
        ([layer("BatchNormalization", renorm=True)],
         "batchnormalization.renorm: expected False, received True"),
        ([layer("LayerNormalization", axis=[1, 2])],
         "layernormalization.axis: expected -1 (the features), received [1, 2]"),
        ([layer("ReLU", threshold=1.0)], "relu.threshold: expected 0.0 or 0 or None, received 1.0"),
        ([layer("ReLU", max_value=6.0, negative_slope=0.1)],
         "relu.max_value: expected None with a negative_slope, received a number"),
        ([layer("ReLU", max_value=-6.0)], "relu.max_value: expected a number above 0, received"),
        ([layer("ELU", alpha=2.0)], "elu.alpha: expected 1.0 or 1, received 2.0"),
        ([layer("PReLU")], "prelu: cannot carry over a layer of the class 'PReLU'"),
        ([MASKING, CONV], "masking: sets padding to zero, for layers that have no mask; expected"),
        ([MASKING, SEQUENCE, CONV], "conv1d: reads padding, since Keras has no mask here, and"),
        ([MASKING, SEQUENCE, layer("MaxPooling1D")],
         "maxpooling1d: counts padding, since Keras has no mask here; rnnspec does not"),
        ([MASKING, SEQUENCE, layer("Flatten"), DENSE],
         "flatten: puts padding among the features; rnnspec does not support that"),
        ([SEQUENCE, layer("Reshape", target_shape=[2, 5])],
         "reshape.target_shape: expected the same shape or a vector, received (2, 5) for (5, 2)"),
    ],
)  # fmt: skip
def test_what_the_language_lacks(layers: list[dict[str, Any]], wanted: str) -> None:
    if not any(each["class_name"] in ("Flatten", "LSTM", "Reshape") for each in layers[1:]):
        layers = [*layers, LSTM]
    (first, *_) = message(written(*layers)).splitlines()
    assert first.startswith(f"model.h5: error: {wanted}")


def both_ways(shared: Any, x: Any) -> Any:
    return of.Concatenate()([shared(x), shared(of.Dense(3)(x))])


BRANCHES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a layer before one pooling": (
        lambda x: of.Concatenate()(
            [of.GlobalMaxPooling1D()(x), of.GlobalMaxPooling1D()(of.Dense(2, name="first")(x))]
        ),
        "expected a recurrent layer first, received none",
    ),
    "steps side by side": (
        lambda x: of.Concatenate(axis=1, name="long")([x, of.LSTM(3, return_sequences=True)(x)]),
        r"long.axis: expected -1 \(the features\), received 1",
    ),
    "one layer twice": (
        lambda x: both_ways(of.LSTM(3, name="shared"), x),
        "shared: called 2 times, with the same weights; rnnspec does not support that",
    ),
}


@cases(("make", "wanted"), BRANCHES)
def test_branches_that_the_language_lacks(make: Callable[[Any], Any], wanted: str) -> None:
    with pytest.raises(ModelError, match=wanted):
        rnnspec.from_keras(graph(make, 6, 3))


def test_a_join_of_one_layer_twice() -> None:
    def make(x: Any) -> Any:
        x = of.LSTM(3, return_sequences=True)(x)
        return of.GRU(2)(of.Concatenate()([x, x]))

    assert "of: [lstm_1, lstm_1]" in str(rnnspec.from_keras(graph(make, 6, 3)).spec)


def test_an_embedding_that_is_not_the_kernel_of_the_output() -> None:
    def make(words: Any) -> Any:
        embedding = of.ReversibleEmbedding(9, 4, tie_weights=False, name="table")
        return embedding(of.LSTM(4, return_sequences=True)(embedding(words)), reverse=True)

    with pytest.raises(ModelError, match=r"table:1.tie_weights: expected True, received False"):
        rnnspec.from_keras(graph(make, None))


def without_names(network: nodes.Network) -> nodes.Network:
    """Return a network with layers by number, without those that change nothing."""
    names, layers = {nodes.INPUT: nodes.INPUT}, list[nodes.Layer]()
    for node, (source, *_) in zip(network.layers, nodes.sources(network).values(), strict=True):
        if isinstance(node, nodes.Dropout) and not node.rate:
            names[node.name] = names[source]
            continue
        if isinstance(node, nodes.Activate) and node.activation == "linear":
            names[node.name] = names[source]
            continue
        renamed: Any = replace(node, name=f"layer_{len(layers)}", source=names[source])
        match renamed:
            case nodes.Residual(start=start):
                renamed = replace(renamed, start=names[start])
            case nodes.Join(of=taken):
                renamed = replace(renamed, of=tuple(names[name] for name in taken))
            case nodes.Dense(tied=str() as embedding):
                renamed = replace(renamed, tied=names[embedding])
            case nodes.Embedding():
                renamed = replace(renamed, pretrained=None)
            case _:
                pass
        names[node.name] = renamed.name
        layers.append(renamed)
    outputs = tuple((name, names[node]) for name, node in network.outputs)
    return replace(network, name="net", description="", layers=tuple(layers), outputs=outputs)


def test_random_networks_come_back_from_each_kind_of_file(tmp_path: Path) -> None:
    same, refused = 0, set[str]()
    for words in sample(specs(cells=False, graph=False), 14):
        keras.utils.clear_session(free_memory=False)
        if "forget_bias" in words.get("initializers", {}):
            # Source sets another one after the model is made; no configuration of Keras tells it.
            words["initializers"]["forget_bias"] = 1.0
        wanted = pipeline.program(rnnspec.loads(spec_text(words)))
        model = rnnspec.build(wanted.spec, "keras", seed=1)
        for suffix in (".keras", ".h5"):
            path = tmp_path / f"net{suffix}"
            model.save(path)
            try:
                taken = take(path)
            except ModelError as error:
                refused |= {each.code for each in error.problems}
                continue
            found = taken.program.network
            check_same(spec_text(words), without_names(wanted.network), without_names(found))
            for array, other in zip(
                rnnspec.read_weights(model).values(), taken.arrays.values(), strict=True
            ):
                np.testing.assert_array_equal(array, other)
            same += 1
    assert same >= 4
    # What no layer of Keras computes is an operation in its file.
    assert refused <= {"E701", "E703", "E704"}
