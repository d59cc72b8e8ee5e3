"""Encoders and decoders of Keras with attention, as tutorials write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cases import cases
from importing.test_keras_inputs import check_lines
from offered import import_later

import rnnspec
from rnnspec.errors import ModelError
from rnnspec.importing.run import import_file

keras = import_later("keras")
of, ops = import_later("keras.layers"), import_later("keras.ops")

Model = Callable[[], Any]


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


def general() -> Any:
    """Return a decoder whose queries are projected by a dense layer without a bias."""
    return attends(
        lambda: of.Attention(name="luong"),
        query=lambda: of.Dense(8, use_bias=False, name="wa"),
        both=True,
    )


def additive(use_bias: bool) -> Any:
    """Return a decoder that scores as Bahdanau does, after the cell."""
    return attends(
        of.AdditiveAttention,
        query=lambda: of.Dense(6, use_bias=use_bias, name="w1"),
        keys=lambda: of.Dense(6, use_bias=not use_bias, name="w2"),
    )


def projected_values() -> Any:
    return attends(
        lambda: of.AdditiveAttention(use_scale=False),
        query=lambda: of.Dense(6),
        values=lambda: of.Dense(6),
    )


def one_query() -> Any:
    """Return a classifier in which the last state attends to all steps."""
    x = keras.Input((None, 3), name="x")
    memory, state = of.GRU(4, return_sequences=True, return_state=True)(x)
    weights = of.Softmax()(of.Dot(axes=[1, 2])([state, memory]))
    context = of.Dot(axes=[1, 1])([weights, memory])
    return keras.Model(x, of.Dense(2)(of.Concatenate()([context, state])))


def self_attention() -> Any:
    x = keras.Input((None,), name="x")
    steps = of.GRU(4, return_sequences=True)(of.Embedding(9, 3, mask_zero=True)(x))
    pooled = of.GlobalAveragePooling1D()(of.Attention(dropout=0.1)([steps, steps]))
    return keras.Model(x, of.Dense(2)(pooled))


def unmasked_decoder() -> Any:
    """Return a model whose decoder reads padding, since Keras 3 passes no mask on to it."""
    inputs = [keras.Input((None,), name="source"), keras.Input((None,), name="target")]
    source, target = (of.Embedding(9, 3, mask_zero=True)(each) for each in inputs)
    _, *states = of.LSTM(4, return_state=True)(source)
    return keras.Model(inputs, of.LSTM(4)(target, initial_state=states))


MODELS: dict[str, tuple[Model, tuple[str, ...]]] = {
    "dot products": (
        by_dot_products,
        (
            "  initial_state: {of: encoder}\n",
            "- {type: attention, over: encoder, score: dot}\n",
            "  of: [attention_1, decoder]\n",
        ),
    ),
    "dot products with a layer of softmax": (
        lambda: by_dot_products(softmax=of.Softmax()),
        ("- {type: attention, over: encoder, score: dot}\n",),
    ),
    "scaled dot products": (
        lambda: by_dot_products(scale=lambda scores: 2.0 * (scores * 0.25)),
        ("- {type: attention, over: encoder, score: scaled_dot}\n",),
    ),
    "masks": (
        lambda: attends(of.Attention),
        ("- {type: attention, over: encoder, score: dot}\n", "mask_zero: true"),
    ),
    "general": (general, ("score: general}\n",)),
    "dense queries with a bias": (
        lambda: attends(of.Attention, query=lambda: of.Dense(4)),
        ("- {type: attention, over: encoder, score: dot}\n", "- {type: dense, units: 4}\n"),
    ),
    "additive": (
        lambda: additive(use_bias=False),
        ("score: additive, units: 6}\n",),
    ),
    "additive, the bias at the queries": (
        lambda: additive(use_bias=True),
        ("score: additive, units: 6}\n",),
    ),
    "additive over projected values": (
        projected_values,
        (
            "- {type: dense, of: encoder, units: 6}\n",
            "- {type: attention, of: decoder, over: dense_1, score: additive, units: 6}\n",
        ),
    ),
    "additive without projections": (
        lambda: attends(of.AdditiveAttention, masked=False),
        ("score: additive, units: 4, bias: false}\n",),
    ),
    "one query": (one_query, ("score: dot}\n",)),
    "a decoder without its mask": (
        unmasked_decoder,
        ("mask_zero: true", "  target:\n    embedding: {vocabulary: 9, dim: 3}\n"),
    ),
    "queries that are the steps": (self_attention, ("score: dot}\n",)),
}


@pytest.mark.parametrize("name", MODELS)
def test_an_encoder_and_decoder_is_read_and_compared(name: str) -> None:
    check_lines(*MODELS[name])


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


def over_decoder() -> Any:
    source, target, memory, queries, _ = sides()
    weights = of.Activation("softmax")(of.Dot(axes=[2, 2])([memory, queries]))
    return closed([source, target], queries, of.Dot(axes=[1, 1])([weights, memory]))


def products_of_steps() -> Any:
    x = keras.Input((5, 3))
    steps = of.GRU(4, return_sequences=True)(x)
    return keras.Model(x, of.Dot(axes=[1, 1])([steps, of.Dense(2)(steps)]))


def scores_as_features() -> Any:
    source, target, memory, queries, _ = sides()
    scores = of.Dot(axes=[2, 2])([queries, memory])
    return keras.Model([source, target], of.GlobalMaxPooling1D()(scores))


def returned_weights() -> Any:
    source, target, memory, queries, _ = sides()
    context, weights = of.Attention()([queries, memory], return_attention_scores=True)
    return keras.Model([source, target], [context, weights])


def state_of_decoder() -> Any:
    source, target, memory, queries, last = sides(masked=True)
    context = of.GlobalAveragePooling1D()(of.Attention()([queries, memory]))
    return keras.Model([source, target], of.Concatenate()([context, last]))


def causal() -> Any:
    source, target, memory, queries, _ = sides()
    context = of.Attention()([queries, memory], use_causal_mask=True)
    return closed([source, target], queries, context)


def given_masks() -> Any:
    source, target, memory, queries, _ = sides()
    real = ops.not_equal(source, 0)
    return closed([source, target], queries, of.Attention()([queries, memory], mask=[None, real]))


REFUSED: dict[str, tuple[Model, str]] = {
    "products that weigh padding": (
        lambda: by_dot_products(masked=True),
        r"dot\S*: weighs padding, too, since Dot and Activation read no mask, and rnnspec leaves",
    ),
    "a softmax over the queries": (
        over_decoder,
        r"dot\S*: weighs other steps than those whose scores these are",
    ),
    "axes": (
        products_of_steps,
        r"dot\S*.axes: expected the features of queries and steps, received \[1, 1\]",
    ),
    "scores as features": (
        scores_as_features,
        r"pooling\S*: reads the scores of an attention; expected their softmax over the steps, and",
    ),
    "scores and a number": (
        lambda: by_dot_products(scale=lambda scores: scores + 1.0),
        r"add\S*: reads the scores of an attention; expected their softmax over the steps, and",
    ),
    "scaled weights": (
        lambda: by_dot_products(softmax=lambda scores: of.Softmax()(scores) * 2.0),
        r"multiply\S*: reads the weights of an attention; expected their softmax over the steps",
    ),
    "scaled steps": (
        lambda: by_dot_products(softmax=lambda scores: of.Softmax()(scores + 0.0 * scores)),
        r"multiply\S*: called with constants|add\S*: reads the scores",
    ),
    "weights that are returned": (returned_weights, r"attention\S*: its output 1 is used"),
    "a learned scale": (
        lambda: attends(lambda: of.Attention(use_scale=True)),
        r"attention\S*.use_scale: expected false, received true: the learned scale is no array",
    ),
    "score_mode": (
        lambda: attends(lambda: of.Attention(score_mode="concat")),
        r"attention\S*.score_mode: expected 'dot', received 'concat'; that is AdditiveAttention",
    ),
    "keys of their own": (
        lambda: attends(of.Attention, keys=lambda: of.Dense(4)),
        r"attention\S*: has keys other than its values; for rnnspec, only AdditiveAttention has",
    ),
    "earlier steps only": (
        causal,
        r"attention\S*: called with use_causal_mask, which rnnspec does",
    ),
    "several heads": (
        lambda: attends(lambda: lambda x: of.MultiHeadAttention(2, 3)(*x)),
        "'MultiHeadAttention': rnnspec does not support attention with several heads",
    ),
    "the state of a decoder without its mask": (
        state_of_decoder,
        r"decoder\S*: reads padding, since Keras 3 passes no mask on to a layer that",
    ),
    "masks as arguments": (given_masks, r"attention\S*: has a mask that is not that of one input"),
}


@cases(("make", "message"), REFUSED)
def test_what_is_no_attention_of_the_language(make: Model, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        rnnspec.from_keras(make())
