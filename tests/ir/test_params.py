"""Parameter counts, compared with published figures and explicit formulas."""

from __future__ import annotations

from typing import Any

from cases import cases

import rnnspec
from rnnspec import pipeline
from rnnspec.ir.initializers import Constant
from rnnspec.ir.nodes import Network
from rnnspec.ir.params import axis_groups, count, counts, named_params, shape_of


def network(rnn: str, rest: str = "", entrance: str = "input: {features: 7}") -> Network:
    text = f"version: 1\nname: net\n{entrance}\nrnn: {rnn}\n{rest}\n"
    return pipeline.program(rnnspec.loads(text)).network


@cases(
    ("rnn", "expected"),
    [
        ("{type: simple, units: 5}", 7 * 5 + 5 * 5 + 5),
        ("{type: lstm, units: 5}", 4 * (7 * 5 + 5 * 5 + 5)),
        ("{type: gru, units: 5}", 3 * (7 * 5 + 5 * 5 + 2 * 5)),
        ("{type: simple, units: 5, bias: false}", 7 * 5 + 5 * 5),
        ("{type: lstm, units: 5, bias: false}", 4 * (7 * 5 + 5 * 5)),
        ("{type: gru, units: 5, bias: false}", 3 * (7 * 5 + 5 * 5)),
        ("{type: gru, units: 5, reset_after: false}", 3 * (7 * 5 + 5 * 5 + 5)),
        ("{type: gru, units: 5, reset_after: false, bias: false}", 3 * (7 * 5 + 5 * 5)),
        ("{type: lstm, units: 5, layer_norm: true}", 4 * (7 * 5 + 5 * 5 + 5) + 2 * 5),
        ("{type: lstm, units: 7, residual: true}", 4 * (7 * 7 + 7 * 7 + 7)),
        ("{type: simple, units: 5, recurrent_dropout: 0.5}", 7 * 5 + 5 * 5 + 5),
        ("{type: lstm, units: 5, bidirectional: true}", 2 * 4 * (7 * 5 + 5 * 5 + 5)),
        ("{type: gru, units: 5, bidirectional: true, merge: sum}", 2 * 3 * (7 * 5 + 5 * 5 + 10)),
    ],
)
def test_a_recurrent_layer_counts_its_gates(rnn: str, expected: int) -> None:
    assert counts(network(rnn)).total == expected


def test_a_repeat_holds_nothing() -> None:
    found = network(
        "[{type: simple, units: 5}, {type: repeat, steps: 9}, {type: simple, units: 4}]"
    )
    assert [count(layer) for layer in found.layers] == [65, 0, 5 * 4 + 4 * 4 + 4]


def test_a_mask_holds_nothing() -> None:
    entrance = "embedding: {vocabulary: 11, dim: 7, mask_zero: true}"
    found = network("{type: simple, units: 5}", "head: {pooling: mean}", entrance)
    assert [count(layer) for layer in found.layers] == [11 * 7, 65, 0]


@cases(("merge", "width"), [("concat", 10), ("sum", 5), ("mul", 5), ("ave", 5)])
def test_the_next_layer_is_as_wide_as_the_merge_leaves_it(merge: str, width: int) -> None:
    both = f"{{type: lstm, units: 5, bidirectional: true, merge: {merge}}}"
    found = network(both, "head: {units: 3}")
    assert found.layers[-1].input == (width,)
    assert count(found.layers[-1]) == width * 3 + 3


def test_arrays_are_named_by_layer_direction_and_role() -> None:
    found = network("{type: gru, units: 2, bidirectional: true}", "head: {units: 1}")
    assert [(name, param.shape) for name, _, param in named_params(found)] == [
        ("bidirectional_1.forward.kernel", (7, 6)),
        ("bidirectional_1.forward.recurrent_kernel", (2, 6)),
        ("bidirectional_1.forward.bias", (6,)),
        ("bidirectional_1.forward.recurrent_bias", (6,)),
        ("bidirectional_1.backward.kernel", (7, 6)),
        ("bidirectional_1.backward.recurrent_kernel", (2, 6)),
        ("bidirectional_1.backward.bias", (6,)),
        ("bidirectional_1.backward.recurrent_bias", (6,)),
        ("dense_1.kernel", (4, 1)),
        ("dense_1.bias", (1,)),
    ]


def test_a_gru_that_resets_first_has_one_bias_and_a_norm_two_arrays() -> None:
    found = network("{type: gru, units: 2, reset_after: false, layer_norm: true}")
    assert [(name, param.shape) for name, _, param in named_params(found)] == [
        ("gru_1.kernel", (7, 6)),
        ("gru_1.recurrent_kernel", (2, 6)),
        ("gru_1.bias", (6,)),
        ("layer_normalization_1.gamma", (2,)),
        ("layer_normalization_1.beta", (2,)),
    ]
    gamma, beta = [param.initializer for _, _, param in named_params(found)][-2:]
    assert (gamma, beta) == (Constant(1.0), Constant(0.0))


def test_a_frozen_embedding_is_counted_apart() -> None:
    entrance = "embedding: {vocabulary: 11, dim: 3, trainable: false}"
    found = counts(network("{type: simple, units: 2}", entrance=entrance))
    assert (found.non_trainable, found.trainable) == (33, 3 * 2 + 2 * 2 + 2)
    assert found.as_dict() == {"total": 45, "trainable": 12, "non_trainable": 33}


@cases(
    ("axes", "groups", "shape"),
    [
        ("in (gate out)", (("in",), ("gate", "out")), (2, 12)),
        ("(gate out) in", (("gate", "out"), ("in",)), (12, 2)),
        ("(gate out)", (("gate", "out"),), (12,)),
        ("out", (("out",),), (4,)),
    ],
)
def test_axes_are_read_with_their_brackets(axes: str, groups: Any, shape: tuple[int, ...]) -> None:
    assert axis_groups(axes) == groups
    assert shape_of(axes, {"in": 2, "gate": 3, "out": 4}) == shape
