"""The reach of a mask, and the effect of a repeat on the layers before it."""

from __future__ import annotations

from cases import cases

import rnnspec
from rnnspec import pipeline
from rnnspec.ir import initializers, nodes


def lower(entrance: str, rest: str) -> nodes.Network:
    return pipeline.program(rnnspec.loads(f"version: 1\nname: net\n{entrance}\n{rest}")).network


def numbers(rest: str) -> nodes.Network:
    return lower("input: {length: 9, features: 2}", rest)


def tokens(embedding: str, rest: str = "rnn: {type: gru, units: 1}") -> nodes.Network:
    return lower(f"embedding: {{vocabulary: 7, dim: 2{embedding}}}", rest)


def names(network: nodes.Network) -> list[str]:
    return [layer.name for layer in network.layers]


def returns(network: nodes.Network) -> list[bool]:
    return [
        layer.return_sequences for layer in network.layers if isinstance(layer, nodes.Recurrent)
    ]


def test_tokens_come_with_their_vocabulary() -> None:
    found = tokens("")
    assert found.input == nodes.TokenInput(steps=None, vocabulary=7, mask_zero=False)
    assert found.layers[0] == nodes.Embedding(
        name="embedding_1",
        input=(None,),
        vocabulary=7,
        dim=2,
        masked=False,
        trainable=True,
        initializer=initializers.Uniform(0.05),
        pretrained=None,
    )
    assert found.layers[0].output == (None, 2)


def test_pretrained_vectors_are_two_paths_as_they_were_written() -> None:
    (embedding, _) = tokens(", weights: a/v.vec, words: ./w.txt").layers
    assert isinstance(embedding, nodes.Embedding)
    assert embedding.pretrained == nodes.Pretrained(weights="a/v.vec", words="./w.txt")
    assert embedding.initializer == initializers.Uniform(0.05)


STACK = """\
rnn:
  - {type: lstm, units: 4, layer_norm: true}
  - {type: gru, units: 3}
  - {type: repeat, steps: 5}
  - {type: lstm, units: 3}
head: {pooling: mean, units: 1}
"""


def masked(network: nodes.Network) -> dict[str, bool]:
    return {layer.name: layer.masked for layer in network.layers if hasattr(layer, "masked")}


def test_a_mask_reaches_as_far_as_a_repeat() -> None:
    before = {"embedding_1": True, "lstm_1": True, "gru_1": True}
    assert masked(tokens(", mask_zero: true", STACK)) == {
        **before, "lstm_2": False, "mean_pooling_1": False,
    }  # fmt: skip
    assert not any(masked(tokens("", STACK)).values())


def test_a_mask_reaches_the_pooling() -> None:
    rest = "rnn: {type: gru, units: 2, residual: true, layer_norm: true}\nhead: {pooling: max}"
    assert masked(tokens(", mask_zero: true", rest)) == {
        "embedding_1": True, "gru_1": True, "max_pooling_1": True,
    }  # fmt: skip


@cases(("value", "expected"), [("0", 0.0), ("-1.5", -1.5)])
def test_numbers_are_masked_by_a_value(value: str, expected: float) -> None:
    found = lower(f"input: {{features: 2, mask_value: {value}}}", STACK)
    assert found.input == nodes.NumericInput(steps=None, features=2, mask_value=expected)
    assert isinstance(found.input.mask_value, float)
    assert masked(found) == {
        "lstm_1": True, "gru_1": True, "lstm_2": False, "mean_pooling_1": False,
    }  # fmt: skip


def test_a_repeat_makes_a_sequence_of_the_final_state() -> None:
    found = numbers(STACK)
    assert names(found) == [
        *("lstm_1", "layer_normalization_1", "gru_1", "repeat_vector_1", "lstm_2"),
        *("mean_pooling_1", "dense_1"),
    ]
    assert returns(found) == [True, False, True]
    assert found.layers[3] == nodes.Repeat(name="repeat_vector_1", input=(3,), steps=5)
    assert found.layers[4].input == (5, 3)


def test_only_the_last_copy_before_a_repeat_gives_its_state() -> None:
    rnn = "[{type: gru, units: 3, layers: 3}, {type: repeat, steps: 2}, {type: gru, units: 3}]"
    found = numbers(f"rnn: {rnn}")
    assert returns(found) == [True, True, False, True]
    assert found.output == (2, 3)


def test_a_repeat_may_be_named() -> None:
    gru, repeat = "{type: gru, units: 1}", "{type: repeat, steps: 2"
    found = numbers(f"rnn: [{gru}, {repeat}, name: code}}, {gru}, {repeat}}}, {gru}]")
    assert names(found) == ["gru_1", "code", "gru_2", "repeat_vector_2", "gru_3"]
