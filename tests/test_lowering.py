"""From spec to nodes: every default resolved, every layer named, every shape known."""

from __future__ import annotations

import pytest
from cases import cases

import rnnspec
from rnnspec import pipeline
from rnnspec.errors import SpecError
from rnnspec.ir import initializers, nodes
from rnnspec.ir.params import MAX_AXIS
from rnnspec.spec.fields import MAX_SIZE


def lower(rest: str, *, masked: bool = False) -> nodes.Network:
    keys = "length: 9, features: 2" + ", mask_value: 0.0" * masked
    text = f"version: 1\nname: net\ninput: {{{keys}}}\n{rest}"
    return pipeline.program(rnnspec.loads(text)).network


def names(network: nodes.Network) -> list[str]:
    return [layer.name for layer in network.layers]


def told(rest: str) -> list[str]:
    """Return the first line of each problem, without the source's name."""
    with pytest.raises(SpecError) as caught:
        lower(rest)
    return [
        line.removeprefix("<string>:")
        for line in str(caught.value).splitlines()
        if line.startswith("<string>:")
    ]


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
    assert told("rnn: [{type: lstm, units: 1}, {type: gru, units: 1, name: lstm_1}]") == [
        "4:59: error: rnn[1].name: another layer is already named 'lstm_1' [E415]"
    ]


@cases(
    ("taken", "layer", "place"),
    [
        ("dropout_1", "{type: gru, units: 1, dropout: 0.1, variational: false}", "dropout"),
        ("layer_normalization_1", "{type: gru, units: 1, layer_norm: true}", "layer_norm"),
        ("add_1", "{type: gru, units: 1, residual: true}", "residual"),
        ("repeat_vector_1", "{type: repeat, steps: 2}, {type: gru, units: 1}", "name"),
    ],
)
def test_a_name_that_another_kind_of_layer_would_get_is_taken(
    taken: str, layer: str, place: str
) -> None:
    (problem,) = told(f"rnn: [{{type: lstm, units: 1, name: {taken}}}, {layer}]")
    said = f"another layer is already named '{taken}' [E415]"
    assert problem.endswith(f": error: rnn[1].{place}: {said}")


def test_a_name_that_grows_too_long_with_its_number_is_refused_with_its_place() -> None:
    assert names(lower(f"rnn: {{type: lstm, units: 1, name: {'a' * 64}}}")) == ["a" * 64]
    assert (
        names(lower(f"rnn: {{type: lstm, units: 1, name: {'a' * 62}, layers: 2}}"))[1][-2:] == "_2"
    )
    with pytest.raises(SpecError) as caught:
        lower(f"rnn: [{{type: lstm, units: 1, layers: 2, name: {'a' * 63}}}]")
    assert str(caught.value).splitlines()[0] == (
        "<string>:4:47: error: rnn[0].name: expected at most 64 characters including the suffixes "
        "_1 to _2 [E416]"
    )


@cases(
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
        masked=False,
        return_sequences=True,
        kernel_initializer=initializers.GlorotUniform(),
        recurrent_initializer=initializers.Orthogonal(),
        bias_initializer=initializers.Constant(0.0),
    )


def test_what_is_written_is_in_the_nodes() -> None:
    words = "activation: relu, recurrent_activation: hard_sigmoid, reset_after: false, "
    words += "dropout: 0, recurrent_dropout: 0.25"
    (gru,) = lower(f"rnn: {{type: gru, units: 3, {words}}}").layers
    assert isinstance(gru, nodes.Recurrent)
    assert gru.cell == nodes.GRU(
        activation="relu", recurrent_activation="hard_sigmoid", reset_after=False
    )
    assert (gru.dropout, gru.recurrent_dropout) == (0.0, 0.25)
    assert isinstance(gru.dropout, float)
    (simple,) = lower("rnn: {type: simple, units: 3, activation: elu}").layers
    assert isinstance(simple, nodes.Recurrent)
    assert simple.cell == nodes.SimpleRNN(activation="elu")


def test_recurrent_dropout_stays_in_the_layer_when_dropout_leaves_it() -> None:
    words = "dropout: 0.5, variational: false, recurrent_dropout: 0.25"
    dropout, lstm = lower(f"rnn: {{type: lstm, units: 3, {words}}}").layers
    assert isinstance(dropout, nodes.Dropout)
    assert isinstance(lstm, nodes.Recurrent)
    assert (dropout.rate, lstm.dropout, lstm.recurrent_dropout) == (0.5, 0.0, 0.25)


def test_a_block_is_dropout_then_layer_then_norm_then_sum() -> None:
    words = "layer_norm: true, residual: true, dropout: 0.1, variational: false"
    found = lower(f"rnn: {{type: lstm, units: 2, layers: 2, {words}}}")
    assert names(found) == [
        *("dropout_1", "lstm_1", "layer_normalization_1", "add_1"),
        *("dropout_2", "lstm_2", "layer_normalization_2", "add_2"),
    ]
    norm, add = found.layers[2:4]
    assert norm == nodes.LayerNorm(name="layer_normalization_1", input=(9, 2), epsilon=1e-3)
    assert add == nodes.Residual(name="add_1", input=(9, 2), start="dropout_1")
    assert found.layers[7] == nodes.Residual(name="add_2", input=(9, 2), start="dropout_2")


def test_a_layer_norm_with_an_epsilon() -> None:
    found = lower("rnn: {type: gru, units: 3, layer_norm: {epsilon: 1e-5}}")
    assert found.layers[-1] == nodes.LayerNorm(
        name="layer_normalization_1", input=found.layers[-1].input, epsilon=1e-5
    )


def test_a_residual_starts_at_the_layer_itself_when_nothing_stands_before_it() -> None:
    words = "residual: true, dropout: 0.1, bidirectional: true"
    found = lower(f"rnn: {{type: gru, units: 1, name: reader, {words}}}")
    assert found.layers[1] == nodes.Residual(name="add_1", input=(9, 2), start="reader")


def test_a_norm_may_stand_on_a_final_state() -> None:
    found = lower("rnn: {type: gru, units: 3, layer_norm: true}\nhead: {}")
    assert found.layers[1] == nodes.LayerNorm(
        name="layer_normalization_1", input=(3,), epsilon=1e-3
    )


@cases(
    ("layer", "sizes"),
    [
        ("{type: lstm, units: 3, residual: true}", "received 2 and 3 features [E409]"),
        (
            "{type: gru, units: 2, bidirectional: true, residual: true}",
            "received 2 and 4 features [E409]",
        ),
        (
            "{type: lstm, units: 3, layers: 3, residual: true}",
            "received 2 and 3 features [E409]",
        ),
    ],
)
def test_a_residual_between_unequal_sizes_is_refused_once(layer: str, sizes: str) -> None:
    column = layer.index("residual") + len("rnn: ") + 1
    assert told(f"rnn: {layer}") == [
        f"4:{column}: error: rnn: 'residual' needs an input and an output of equal size, {sizes}"
    ]


def test_all_that_is_wrong_is_told_in_file_order() -> None:
    first = "{residual: true, name: add_1, type: lstm, units: 3}"
    second = "{type: gru, units: 1, residual: true, name: add_1}"
    needs = "'residual' needs an input and an output of equal size"
    assert told(f"rnn: [{first}, {second}]") == [
        f"4:8: error: rnn[0]: {needs}, received 2 and 3 features [E409]",
        "4:18: error: rnn[0].residual: another layer is already named 'add_1' [E415]",
        f"4:82: error: rnn[1]: {needs}, received 3 and 1 features [E409]",
        "4:104: error: rnn[1].name: another layer is already named 'add_1' [E415]",
    ]


@cases("merge", ["sum", "mul", "ave"])
def test_a_merge_that_keeps_the_size_may_have_a_residual(merge: str) -> None:
    words = f"bidirectional: true, merge: {merge}, residual: true"
    found = lower(f"rnn: {{type: lstm, units: 2, {words}}}")
    assert names(found) == ["bidirectional_1", "add_1"]
    assert found.output == (9, 2)


LIMITS = "the maximum is 2,147,483,647 per axis and 1,152,921,504,606,846,975 per array [E417]"


@cases(
    ("rest", "expected"),
    [
        (
            "rnn: {type: lstm, units: 536870912, layers: 3}",
            (
                "4:26: error: rnn.units: too large: lstm_1.kernel would have "
                "2 x 2,147,483,648 elements"
            ),
        ),
        (
            "rnn:\n  - {type: simple, units: 1073741824}\n  - {type: lstm, units: 3}",
            (
                "5:27: error: rnn[0].units: too large: simple_rnn_1.recurrent_kernel would have "
                "1,073,741,824 x 1,073,741,824 elements"
            ),
        ),
        (
            (
                "rnn: {type: gru, units: 3}\nhead: {units: 2147483647, pooling: none,\n"
                "  hidden: [{units: 2147483647}]}"
            ),
            (
                "5:15: error: head.units: too large: dense_2.kernel would have "
                "2,147,483,647 x 2,147,483,647 elements"
            ),
        ),
        (
            (
                "rnn:\n  - {type: simple, units: 379625062, merge: concat, bidirectional: true}\n"
                "  - {type: repeat, steps: 2147483647}\n  - {type: gru, units: 1}"
            ),
            (
                "6:27: error: rnn[1].steps: too large: the output of repeat_vector_1 for "
                "one sequence would have 2,147,483,647 x 759,250,124 elements"
            ),
        ),
    ],
)
def test_no_array_is_larger_than_any_can_be(rest: str, expected: str) -> None:
    assert told(rest) == [f"{expected}; {LIMITS}"]


@cases(
    "rest",
    ["rnn: {type: lstm, units: 268435455}", "rnn: {type: simple, units: 1000000000}"],
)
def test_what_is_only_larger_than_a_memory_is_lowered(rest: str) -> None:
    assert lower(rest).layers


def test_a_row_of_the_input_and_an_embedding_are_not_too_large_either() -> None:
    texts = (
        "input: {features: 2147483647, length: 2147483647}\nrnn: {type: gru, units: 3}",
        "embedding: {vocabulary: 2147483647, dim: 2147483647}\nrnn: {type: gru, units: 3}",
    )
    for text, where in zip(texts, ("input.length", "embedding.dim"), strict=True):
        with pytest.raises(SpecError, match=f"{where}: too large: "):
            rnnspec.loads(f"version: 1\nname: net\n{text}")


def test_the_largest_axis_is_the_largest_size() -> None:
    assert MAX_AXIS == MAX_SIZE
