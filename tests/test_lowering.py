"""From words to nodes: every default resolved, every layer named, every shape known."""

from __future__ import annotations

import pytest

import rnnspec
from rnnspec import compiler
from rnnspec.errors import SpecError
from rnnspec.ir import nodes


def lower(rest: str) -> nodes.Network:
    text = f"version: 1\nname: net\ninput: {{length: 9, features: 2}}\n{rest}"
    return compiler.lower(rnnspec.loads(text))


def names(network: nodes.Network) -> list[str]:
    return [layer.name for layer in network.layers]


def test_layers_is_that_layer_that_many_times() -> None:
    short = lower("rnn: {type: lstm, units: 3, layers: 2, dropout: 0.1}")
    long = lower(
        "rnn: [{type: lstm, units: 3, dropout: 0.1}, {type: lstm, units: 3, dropout: 0.1}]"
    )
    assert short == long
    assert names(short) == ["lstm_1", "lstm_2"]


def test_layers_are_numbered_by_kind_from_one() -> None:
    rnn = "[{type: simple, units: 1}, {type: gru, units: 1}, {type: lstm, units: 1}, "
    rnn += "{type: gru, units: 1, bidirectional: true}, {type: gru, units: 1}]"
    head = "{pooling: mean, dropout: 0.5, hidden: [{units: 2, dropout: 0.1}], units: 1}"
    assert names(lower(f"rnn: {rnn}\nhead: {head}")) == [
        *("simple_rnn_1", "gru_1", "lstm_1", "bidirectional_1", "gru_2"),
        *("mean_pooling_1", "dropout_1", "dense_1", "dropout_2", "dense_2"),
    ]


def test_a_given_name_replaces_the_automatic_one() -> None:
    found = lower("rnn: [{type: lstm, units: 1, name: reader, layers: 2}, {type: lstm, units: 1}]")
    assert names(found) == ["reader_1", "reader_2", "lstm_3"]


def test_a_name_used_twice_is_refused_with_its_place() -> None:
    with pytest.raises(SpecError) as caught:
        lower("rnn: [{type: lstm, units: 1}, {type: gru, units: 1, name: lstm_1}]")
    assert str(caught.value).splitlines()[0] == (
        "<string>:4:59: error: rnn[1].name: a layer named 'lstm_1' is there already"
    )


def test_a_name_that_grows_too_long_with_its_number_is_refused_with_its_place() -> None:
    assert names(lower(f"rnn: {{type: lstm, units: 1, name: {'a' * 64}}}")) == ["a" * 64]
    assert (
        names(lower(f"rnn: {{type: lstm, units: 1, name: {'a' * 62}, layers: 2}}"))[1][-2:] == "_2"
    )
    with pytest.raises(SpecError) as caught:
        lower(f"rnn: [{{type: lstm, units: 1, layers: 2, name: {'a' * 63}}}]")
    assert str(caught.value).splitlines()[0] == (
        "<string>:4:47: error: rnn[0].name: with _1 to _2 after it, longer than 64 characters"
    )


@pytest.mark.parametrize(
    ("head", "last_returns_sequences", "output"),
    [
        ("", True, (9, 3)),
        ("head: {pooling: none}", True, (9, 3)),
        ("head: {pooling: none, units: 5}", True, (9, 5)),
        ("head: {pooling: last}", False, (3,)),
        ("head: {pooling: mean}", True, (3,)),
        ("head: {pooling: max, units: 5}", True, (5,)),
        ("head: {hidden: [{units: 4}]}", False, (4,)),
    ],
)
def test_the_head_decides_what_the_last_layer_returns(
    head: str, last_returns_sequences: bool, output: nodes.Shape
) -> None:
    found = lower(f"rnn: {{type: lstm, units: 3, layers: 2}}\n{head}")
    recurrent = [layer for layer in found.layers if isinstance(layer, nodes.Recurrent)]
    assert [layer.return_sequences for layer in recurrent] == [True, last_returns_sequences]
    assert found.output == output


def test_dropout_that_is_fresh_each_step_is_a_layer_of_its_own() -> None:
    found = lower("rnn: {type: lstm, units: 3, layers: 2, dropout: 0.2, variational: false}")
    assert names(found) == ["dropout_1", "lstm_1", "dropout_2", "lstm_2"]
    assert [getattr(layer, "dropout", None) for layer in found.layers] == [None, 0.0, None, 0.0]
    assert [layer.rate for layer in found.layers if isinstance(layer, nodes.Dropout)] == [0.2, 0.2]


def test_every_default_is_written_into_the_nodes() -> None:
    (lstm,) = lower("rnn: {type: lstm, units: 3}").layers
    assert lstm == nodes.Recurrent(
        name="lstm_1",
        input=(9, 2),
        cell=nodes.LSTM(activation="tanh", recurrent_activation="sigmoid", forget_bias=1.0),
        units=3,
        merge=None,
        bias=True,
        dropout=0.0,
        recurrent_dropout=0.0,
        return_sequences=True,
        kernel_initializer=nodes.GlorotUniform(),
        recurrent_initializer=nodes.Orthogonal(),
        bias_initializer=nodes.Constant(0.0),
    )


def test_tokens_come_with_their_vocabulary() -> None:
    text = "version: 1\nname: net\nembedding: {vocabulary: 7, dim: 2}\nrnn: {type: gru, units: 1}\n"
    found = compiler.lower(rnnspec.loads(text))
    assert found.input == nodes.TokenInput(steps=None, vocabulary=7)
    assert found.layers[0].output == (None, 2)
