"""Functional models of Keras with several inputs, branches, joins, states and attention."""

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


def steps(features: int, name: str, length: int | None = None) -> Any:
    return keras.Input((length, features), name=name)


def tokens(name: str, length: int | None = None) -> Any:
    return keras.Input((length,), name=name)


def vector(features: int, name: str) -> Any:
    return keras.Input((features,), name=name)


def without_names(name: str | None = None) -> Any:
    """Return a model whose second input has no name: its layer and its tensor have others."""
    x, user = keras.Input((None, 4), name=name), keras.Input((3,))
    joined = of.Concatenate()([of.LSTM(5)(x), user])
    return keras.Model([x, user], [of.Dense(2)(joined), of.Dense(1)(joined)])


def both_directions(wide: bool) -> Any:
    source, target = steps(3, "source"), steps(4, "target")
    encoder = of.Bidirectional(of.LSTM(2, return_state=True), name="encoder")
    _, *states = encoder(source)
    if wide:
        states = [of.Concatenate()(states[0::2]), of.Concatenate()(states[1::2])]
        return keras.Model([source, target], of.LSTM(4)(target, initial_state=states))
    decoder = of.Bidirectional(of.LSTM(2))
    return keras.Model([source, target], decoder(target, initial_state=states))


def decoder() -> Any:
    """Return the half of a translator that is called again and again."""
    inputs = [steps(4, "chunk"), vector(4, "state_h"), vector(4, "state_c")]
    layer = of.LSTM(4, return_sequences=True, return_state=True, name="lower")
    sequence, *states = layer(inputs[0], initial_state=inputs[1:])
    return keras.Model(inputs, [of.Dense(3, name="words")(sequence), *states])


def sides(*, masked: bool = False, both: bool = False) -> list[Any]:
    """Return the inputs of both sides, the steps of both, and the last h of the decoder."""
    units = 4
    inputs = [keras.Input((None,), name="source"), keras.Input((None,), name="target")]
    source = of.Embedding(9, 3, mask_zero=masked)(inputs[0])
    target = of.Embedding(8, 3, mask_zero=masked)(inputs[1])
    encoder = of.LSTM(units, return_sequences=True, return_state=True, name="encoder")
    if both:
        memory, *states = of.Bidirectional(encoder)(source)
        states = [of.Concatenate()(states[0::2]), of.Concatenate()(states[1::2])]
        units *= 2
    else:
        memory, *states = encoder(source)
    decoder = of.LSTM(units, return_sequences=True, return_state=True, name="decoder")
    queries, last, _ = decoder(target, initial_state=states)
    return [*inputs, memory, queries, last]


def closed(inputs: list[Any], queries: Any, context: Any) -> Any:
    hidden = of.Dense(5, activation="tanh")(of.Concatenate()([context, queries]))
    return keras.Model(inputs, of.Dense(8, activation="softmax")(hidden))


def by_dot_products(*, masked: bool = False, softmax: Any = None, scale: Any = None) -> Any:
    """Return Luong's decoder as many tutorials of Keras write it."""
    source, target, memory, queries, _ = sides(masked=masked)
    scores = of.Dot(axes=[2, 2])([queries, memory])
    scores = scores if scale is None else scale(scores)
    weights = (softmax or of.Activation("softmax"))(scores)
    context = of.Dot(axes=[2, 1])([weights, memory])
    return closed([source, target], queries, context)


def attends(
    layer: Callable[[], Any],
    *,
    keys: Any = None,
    query: Any = None,
    values: Any = None,
    masked: bool = True,
    both: bool = False,
) -> Any:
    source, target, memory, queries, _ = sides(masked=masked, both=both)
    values = values()(memory) if values else memory
    asked = [query()(queries) if query else queries, values]
    context = layer()([*asked, *([keys()(values)] if keys else [])])
    return closed([source, target], queries, context)


def additive(use_bias: bool) -> Any:
    """Return a decoder that scores as Bahdanau does, after the cell."""
    return attends(
        of.AdditiveAttention,
        query=lambda: of.Dense(6, use_bias=use_bias, name="w1"),
        keys=lambda: of.Dense(6, use_bias=not use_bias, name="w2"),
    )


def built(name: str, body: str, names: dict[str, Any]) -> Any:
    """Return the model that the statements of a function return."""
    local: dict[str, Any] = {}
    exec(compile(f"def make():\n{body}", name, "exec"), names, local)
    return local["make"]()


def read(name: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the statements of each model of a file, and what is said of it."""
    blocks = Path(__file__).with_name(name).read_text("utf-8").rstrip("\n").split("\n\n")
    models = {}
    for block in blocks:
        code, *told = block.split("\n=> ")
        name, _, body = code.removeprefix("# ").partition("\n")
        models[name] = (body, tuple(told))
    return models


GRAPHS = read("keras_graphs.txt")


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_of_layers_is_read_and_compared(name: str) -> None:
    body, lines = GRAPHS[name]
    model = built(name, body, globals())
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0.0, 0.5, np.shape(weight)) for weight in model.get_weights()])
    found = rnnspec.from_keras(model, name="net")
    assert found.compared.startswith("compared with the model in Keras")
    text = found.spec.document.text
    assert [line for line in lines if line not in text] == [], text


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_inputs_of_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    names = {name: name for name in ("chunk", "state_h", "state_c")}
    for make, inputs in ((decoder, names), (without_names, None)):
        make().save(path)
        found = import_file(path, tmp_path / "net.yaml", force=True)
        assert str(found.compared).startswith("compared with the original in Keras")
        assert inputs is None or found.model.imported.inputs == inputs


def test_attention_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    additive(use_bias=True).save(path)
    found = import_file(path, tmp_path / "net.yaml")
    assert str(found.compared).startswith("compared with the original in Keras"), found.compared
    said = found.model.imported.inferred
    for part in (
        "a sequence of padding alone has the context 0, where Keras has the mean of its steps",
        "the bias of its queries, as a part of that of the keys",
        "passes no mask on to a layer that is called with initial_state: padding must be behind",
    ):
        assert any(part in line for line in said), said


def test_an_added_array_is_said() -> None:
    found = rnnspec.from_keras(attends(lambda: of.AdditiveAttention(use_scale=False), masked=False))
    for part in (
        "score, 1 everywhere, is an array that learns, where use_scale is false",
        "the kernel of its keys, the identity, is an array that learns, where Keras has none",
        "the kernel of its query, the identity, is an array that learns, where Keras has none",
    ):
        assert any(part in line for line in found.inferred), found.inferred


@cases(("body", "told"), read("keras_refused.txt"))
def test_what_is_no_graph_of_the_language(body: str, told: tuple[str, ...]) -> None:
    (message,) = told
    with pytest.raises(ModelError, match=message):
        rnnspec.from_keras(built("refused", body, globals()))
