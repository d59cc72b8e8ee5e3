"""Functional models of Keras with several inputs, branches, joins and states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from offered import import_later

import rnnspec
from rnnspec.errors import ModelError
from rnnspec.importing.run import import_file

keras = import_later("keras")
of, ops = import_later("keras.layers"), import_later("keras.ops")

Model = Callable[[], Any]


def steps(features: int, name: str, length: int | None = None) -> Any:
    return keras.Input((length, features), name=name)


def tokens(name: str, length: int | None = None) -> Any:
    return keras.Input((length,), name=name)


def vector(features: int, name: str) -> Any:
    return keras.Input((features,), name=name)


def tagger() -> Any:
    inputs = [
        tokens("words", 6),
        tokens("shape", 6),
        vector(5, "user"),
        keras.Input((), name="topic"),
    ]
    words, shape, user, topic = inputs
    joined = [
        of.Embedding(9, 4, name="table")(words),
        of.Embedding(4, 2)(shape),
        of.RepeatVector(6)(user),
        of.RepeatVector(6)(of.Embedding(5, 3)(topic)),
    ]
    hidden = of.Bidirectional(of.LSTM(4, return_sequences=True))(of.Concatenate()(joined))
    return keras.Model(inputs, of.Dense(3, activation="softmax")(hidden))


def without_names(name: str | None = None) -> Any:
    """Return a model whose second input has no name: its layer and its tensor have others."""
    x, user = keras.Input((None, 4), name=name), keras.Input((3,))
    joined = of.Concatenate()([of.LSTM(5)(x), user])
    return keras.Model([x, user], [of.Dense(2)(joined), of.Dense(1)(joined)])


def translator() -> Any:
    source, target = steps(3, "source"), steps(4, "target")
    _, *states = of.LSTM(4, return_state=True, name="encoder")(source)
    decoder = of.LSTM(4, return_sequences=True, return_state=True, name="decoder")
    return keras.Model([source, target], of.Dense(3)(decoder(target, initial_state=states)[0]))


def both_directions(wide: bool) -> Any:
    source, target = steps(3, "source"), steps(4, "target")
    encoder = of.Bidirectional(of.LSTM(2, return_state=True), name="encoder")
    _, *states = encoder(source)
    if wide:
        states = [of.Concatenate()(states[0::2]), of.Concatenate()(states[1::2])]
        return keras.Model([source, target], of.LSTM(4)(target, initial_state=states))
    decoder = of.Bidirectional(of.LSTM(2))
    return keras.Model([source, target], decoder(target, initial_state=states))


def flipped() -> Any:
    x = steps(3, "x")
    backward = ops.flip(of.LSTM(3, go_backwards=True, return_sequences=True)(x), axis=1)
    return keras.Model(x, of.GRU(2)(of.Add()([of.Dense(3)(x), backward])))


def results() -> Any:
    x = steps(3, "x", 6)
    hidden = of.LSTM(4, return_sequences=True)(x)
    mean = of.GlobalAveragePooling1D()(hidden)
    gated = of.Multiply()([hidden, mean])
    largest = of.Dense(2)(of.GlobalMaxPooling1D()(gated))
    return keras.Model(x, {"one": largest, "two": of.Dense(2)(gated), "three": of.Dense(1)(mean)})


def lstm_fcn() -> Any:
    x = steps(3, "x", 6)
    convolved = of.GlobalAveragePooling1D()(of.Conv1D(3, 3, padding="same")(x))
    joined = of.Concatenate()([of.LSTM(4)(of.Permute((2, 1))(x)), convolved])
    return keras.Model(x, of.Dense(2)(joined))


def first_states() -> Any:
    """Return a model whose first states are of other layers, side by side."""
    x, user = steps(3, "audio"), vector(5, "user")
    one, two = of.Dense(2)(user), of.Dense(2)(user)
    both = of.Bidirectional(of.GRU(2))(x, initial_state=[one, two])
    return keras.Model({"audio": x, "user": user}, both)


def decoder() -> Any:
    """Return the half of a translator that is called again and again."""
    inputs = [steps(4, "chunk"), vector(4, "state_h"), vector(4, "state_c")]
    layer = of.LSTM(4, return_sequences=True, return_state=True, name="lower")
    sequence, *states = layer(inputs[0], initial_state=inputs[1:])
    return keras.Model(inputs, [of.Dense(3, name="words")(sequence), *states])


def shared() -> Any:
    left, right = tokens("left", 5), tokens("right", 5)
    table = of.Embedding(9, 3, mask_zero=True)
    joined = of.Concatenate()([of.LSTM(3)(table(left)), of.GRU(2)(table(right))])
    return keras.Model([left, right], of.Dense(1)(joined))


def shared_later_first() -> Any:
    """Return a model whose output depends on the second call of an embedding before the first."""
    left, right = tokens("left", 5), tokens("right", 5)
    table = of.Embedding(9, 3)
    before, behind = table(left), table(right)
    joined = of.Concatenate()([of.GRU(2)(behind), of.LSTM(3)(before)])
    return keras.Model([left, right], of.Dense(1)(joined))


def nested() -> Any:
    one, two = steps(3, "one"), steps(3, "two")
    inner_one, inner_two = steps(3, "inner_one"), steps(3, "inner_two")
    inner = keras.Model(
        [inner_one, inner_two], [of.LSTM(3)(inner_two), of.Dense(2)(of.GRU(3)(inner_one))]
    )
    first, second = inner([one, two])
    return keras.Model([one, two], of.Concatenate()([second, first]))


def from_vector() -> Any:
    user = vector(5, "x")
    return keras.Model(user, of.LSTM(3, return_sequences=True)(of.RepeatVector(4)(user)))


def lower_head() -> Any:
    x = steps(3, "x")
    lower = of.LSTM(4, return_sequences=True)(x)
    return keras.Model(x, {"one": of.Dense(2)(lower), "two": of.Dense(2)(of.GRU(3)(lower))})


MODELS: dict[str, tuple[Model, tuple[str, ...]]] = {
    "tagger": (
        tagger,
        (
            "  user: {features: 5, per: sequence}\n",
            "  of: [words, shape, user, topic]\n",
            "    embedding: {name: table, vocabulary: 9, dim: 4}\n",
        ),
    ),
    "a list without names": (
        without_names,
        ("  of: [lstm_1.state, input_layer",),
    ),
    "one without a name": (
        lambda: without_names("chunk"),
        ("  chunk: {features: 4}\n", "  of: [lstm_1.state, input_layer"),
    ),
    "translator": (translator, ("  initial_state: {of: encoder}\n",)),
    "a wide decoder": (
        lambda: both_directions(wide=True),
        ("  initial_state: {h: encoder.state, c: encoder.cell}\n",),
    ),
    "states of both directions": (
        lambda: both_directions(wide=False),
        ("  initial_state: {of: encoder}\n",),
    ),
    "a flip": (flipped, ("units: 3, direction: backward}\n",)),
    "results": (results, ("  three: {of: mean_pooling_1, units: 1}\n", "- type: multiply\n")),
    "two branches": (lstm_fcn, ("- {type: transpose}\n", "  of: [lstm_1.state, mean_pooling_1]\n")),
    "first states side by side": (first_states, ("  initial_state: {h: concat_1}\n",)),
    "decoder": (
        decoder,
        (
            "  initial_state: {h: state_h, c: state_c}\n",
            "  words: {pooling: none, units: 3}\n",
            "  lower_c: {of: lower.cell}\n",
        ),
    ),
    "one table": (shared, ("  right: {length: 5, embedding: left}\n", "mask_zero: true")),
    "one table, its second call first": (
        shared_later_first,
        ("  right: {length: 5, embedding: left}\n", "  of: [gru_1.state, lstm_1.state]\n"),
    ),
    "a model inside": (nested, ("  of: [dense_1, lstm_1.state]\n",)),
    "a vector": (
        from_vector,
        ("  input_1: {features: 5, per: sequence}\n", "- {type: repeat, steps: 4}\n"),
    ),
    "a head of a lower layer": (lower_head, ("  one: {of: lstm_1, pooling: none, units: 2}\n",)),
}


def check_lines(make: Model, lines: tuple[str, ...]) -> None:
    """Read a model, which is compared, as a spec that has these lines."""
    model = make()
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0.0, 0.5, np.shape(each)) for each in model.get_weights()])
    found = rnnspec.from_keras(model, name="net")
    assert found.compared.startswith("compared with the model in Keras")
    text = found.spec.document.text
    assert [line for line in lines if line not in text] == [], text


@pytest.mark.parametrize("name", MODELS)
def test_a_graph_of_layers_is_read_and_compared(name: str) -> None:
    check_lines(*MODELS[name])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_inputs_of_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    names = {name: name for name in ("chunk", "state_h", "state_c")}
    for make, inputs in ((decoder, names), (without_names, None)):
        make().save(path)
        found = import_file(path, tmp_path / "net.yaml", force=True)
        assert str(found.compared).startswith("compared with the original in Keras")
        assert inputs is None or found.model.imported.inputs == inputs


def masked_twice() -> Any:
    left, right = tokens("left", 5), tokens("right", 5)
    table = of.Embedding(9, 3, mask_zero=True)
    return keras.Model([left, right], of.GRU(2)(of.Concatenate()([table(left), table(right)])))


def reversed_steps() -> Any:
    x = steps(3, "x")
    return keras.Model(x, of.GRU(2)(of.GRU(3, go_backwards=True, return_sequences=True)(x)))


def unequal() -> Any:
    x = steps(3, "x")
    hidden = of.LSTM(3, return_sequences=True)(x)
    return keras.Model(x, of.Add()([hidden, of.Dense(1)(x)]))


REFUSED: dict[str, tuple[Model, str]] = {
    "masks of two inputs": (
        masked_twice,
        "joins sequences with the masks of two inputs: for Keras",
    ),
    "reversed": (reversed_steps, r"gru\S*: reads steps in reverse order; expected keras.ops.flip"),
    "unequal": (unequal, r"add\S*: expected outputs of equal size, received those of \[3, 1\]"),
}


@cases(("make", "message"), REFUSED)
def test_what_is_no_graph_of_the_language(make: Model, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        rnnspec.from_keras(make())
