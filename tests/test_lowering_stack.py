"""From spec to nodes: layers around the recurrent ones, poolings, joins, tied weights and heads."""

from __future__ import annotations

from cases import cases
from test_lowering import lower, names, told

from rnnspec import pipeline
from rnnspec.ir import nodes

GRU = "{type: gru, units: 4}"
FRONT = """rnn:
- {type: conv, filters: 3, kernel_size: 2}
- {type: batch_norm}
- {type: activation, activation: {leaky_relu: 0.5}}
- {type: max_pool, size: 2}
- {type: average_pool, size: 3, stride: 1, padding: same}
- {type: dropout, rate: 0.5, variational: true}
- {type: layer_norm, epsilon: 0.5}
- {type: gru, units: 4, layers: 2}
- {type: dense, units: 5, activation: {clipped_relu: 6}, bias: false}
- {type: concat, of: [dense_1, gru_2]}
"""


def test_layers_are_named_by_their_type_and_their_shapes_follow() -> None:
    network = lower(FRONT)
    shapes = {layer.name: layer.output for layer in network.layers}
    assert shapes == {
        "conv_1": (8, 3),
        "batch_norm_1": (8, 3),
        "activation_1": (8, 3),
        "max_pool_1": (4, 3),
        "average_pool_1": (4, 3),
        "dropout_1": (4, 3),
        "layer_normalization_1": (4, 3),
        "gru_1": (4, 4),
        "gru_2": (4, 4),
        "dense_1": (4, 5),
        "concat_1": (4, 9),
    }


def test_every_default_of_a_layer_is_in_its_node() -> None:
    conv, norm, leaky, pool, same, drops, layer_norm, *_, dense, _ = lower(FRONT).layers
    assert isinstance(conv, nodes.Conv)
    assert conv.window == nodes.Window(size=2, stride=1, dilation=1, padding="valid")
    assert (conv.activation, conv.bias, conv.masked) == ("linear", True, False)
    assert isinstance(norm, nodes.BatchNorm)
    assert (norm.epsilon, norm.momentum, norm.masked) == (1e-3, 0.99, False)
    assert isinstance(leaky, nodes.Activate)
    assert leaky.activation == nodes.LeakyRelu(slope=0.5)
    assert isinstance(pool, nodes.WindowPooling)
    assert (pool.statistic, pool.window.stride) == ("max", 2)
    assert isinstance(same, nodes.WindowPooling)
    assert (same.statistic, same.window.padding) == ("average", "same")
    assert isinstance(drops, nodes.Dropout)
    assert (drops.rate, drops.variational) == (0.5, True)
    assert isinstance(layer_norm, nodes.LayerNorm)
    assert layer_norm.epsilon == 0.5
    assert isinstance(dense, nodes.Dense)
    assert (dense.activation, dense.bias) == (nodes.ClippedRelu(limit=6.0), False)


@cases(
    ("keys", "steps"),
    [
        ("kernel_size: 3", 7),
        ("kernel_size: 3, dilation: 4", 1),
        ("kernel_size: 3, stride: 2", 4),
        ("kernel_size: 4, stride: 2, padding: same", 5),
        ("kernel_size: 4, dilation: 9, padding: causal", 9),
        ("kernel_size: 1, stride: 9, padding: causal", 1),
        ("kernel_size: 9", 1),
    ],
)
def test_windows_are_counted(keys: str, steps: int) -> None:
    network = lower(f"rnn: [{{type: conv, filters: 3, {keys}}}, {GRU}]")
    assert network.layers[0].output == (steps, 3)


def test_a_final_state_passes_layers_of_single_steps() -> None:
    after = "{type: dense, units: 3}, {type: layer_norm}, {type: dropout, rate: 0.5}"
    network = lower(f"rnn: [{GRU}, {after}]\nhead: {{pooling: last, units: 2}}")
    assert [layer.output for layer in network.layers] == [(4,), (3,), (3,), (3,), (2,)]
    network = lower(f"rnn: [{GRU}, {after}, {{type: repeat, steps: 2}}, {GRU}]")
    assert [layer.output for layer in network.layers] == [(4,), (3,), (3,), (3,), (2, 3), (2, 4)]


BOTH = "{type: gru, units: 4, bidirectional: true}"
SUM = "{type: gru, units: 4, bidirectional: true, merge: sum}"
LEARNED = "{type: gru, units: 4, initial_state: learned}"


@cases(
    ("layer", "after", "masked", "takes_state"),
    [
        (GRU, "{type: dense, units: 3}", True, False),
        (GRU, "{type: dense, units: 3, bias: false, activation: tanh}", True, True),
        (GRU, "{type: dense, units: 3, bias: false, activation: sigmoid}", True, False),
        (GRU, "{type: activation, activation: {leaky_relu: 0.1}}", True, True),
        (GRU, "{type: activation, activation: softplus}", True, False),
        (GRU, "{type: activation, activation: softplus}", False, True),
        (GRU, "{type: layer_norm}", True, False),
        (GRU, "{type: normalize}", True, True),
        (GRU, "{type: dropout, rate: 0.5}", True, True),
        (LEARNED, "{type: dropout, rate: 0.5}", True, False),
        (LEARNED, "{type: dropout, rate: 0.5}", False, True),
        (LEARNED, "{type: pool, pooling: last}", True, True),
        ("{type: gru, units: 4, layer_norm: true}", "{type: pool, pooling: last}", True, False),
        (GRU, "{type: batch_norm}", True, False),
        (GRU, "{type: batch_norm}", False, False),
        (BOTH, "{type: batch_norm}", False, False),
        (BOTH, "{type: activation, activation: sigmoid}", True, False),
        (BOTH, "{type: dense, units: 3}", True, True),
        (SUM, "{type: activation, activation: sigmoid}", True, True),
    ],
)
def test_a_final_state_is_taken_before_layers_only_if_that_is_the_same(
    layer: str, after: str, *, masked: bool, takes_state: bool
) -> None:
    network = lower(f"rnn: [{layer}, {after}]\nhead: {{units: 2}}", masked=masked)
    (recurrent,) = (each for each in network.layers if isinstance(each, nodes.Recurrent))
    assert recurrent.return_sequences is not takes_state


def test_a_list_of_poolings_takes_one_sequence() -> None:
    head = "{pooling: [last, mean, {attention: {units: 3}}], units: 2}"
    network = lower(f"rnn: {{type: gru, units: 4, bidirectional: true}}\nhead: {head}")
    assert names(network)[1:-1] == [
        *("last_pooling_1", "mean_pooling_1", "attention_pooling_1", "concat_1"),
    ]
    assert nodes.sources(network)["attention_pooling_1"] == ("bidirectional_1",)
    assert nodes.kept_outputs(network) >= {"bidirectional_1", "last_pooling_1"}
    last = network.layers[1]
    assert isinstance(last, nodes.Pooling)
    assert (last.backward, network.layers[-2].output) == (4, (24,))


@cases(
    ("pooling", "shape"),
    [("flatten", (36,)), ("sum", (4,)), ("{last_steps: 2}", (2, 4)), ("{attention: {}}", (4,))],
)
def test_other_poolings(pooling: str, shape: tuple[int, ...]) -> None:
    assert lower(f"rnn: {GRU}\nhead: {{pooling: {pooling}}}").output == shape


def test_a_join_names_the_result_of_a_block() -> None:
    layer = "{type: gru, units: 2, name: one, residual: true, layer_norm: true}"
    network = lower(f"rnn: [{layer}, {{type: concat, of: [input, one]}}]")
    join = network.layers[-1]
    assert isinstance(join, nodes.Join)
    assert (join.of, join.output) == (("input", "add_1"), (9, 4))


def test_heads_take_the_output_of_the_last_layer() -> None:
    heads = "{one: {units: 2}, two: {pooling: none, hidden: [{units: 3}], units: 5}}"
    network = lower(f"rnn: {GRU}\nheads: {heads}")
    assert network.outputs == (("one", "dense_1"), ("two", "dense_3"))
    assert nodes.sources(network)["dense_2"] == ("gru_1",)
    assert {layer.name: layer.output for layer in network.layers} == {
        "gru_1": (9, 4),
        "last_pooling_1": (4,),
        "dense_1": (2,),
        "dense_2": (9, 3),
        "dense_3": (9, 5),
    }


def test_heads_that_all_take_the_final_state_share_it() -> None:
    network = lower(f"rnn: {GRU}\nheads: {{one: {{units: 2}}, two: {{units: 3}}}}")
    assert names(network) == ["gru_1", "dense_1", "dense_2"]
    assert network.layers[0].output == (4,)


def test_a_mask_goes_through_windows_up_to_a_repeat() -> None:
    text = """version: 1
name: net
embedding: {vocabulary: 9, dim: 4, mask_zero: true}
rnn:
- {type: conv, filters: 4, kernel_size: 3, stride: 2, padding: same}
- {type: batch_norm}
- {type: gru, units: 4}
- {type: repeat, steps: 2}
- {type: batch_norm}
- {type: gru, units: 4}
head: {pooling: {attention: {}}, units: 9, tied: true}
"""
    network = pipeline.reads(text).network
    masked = {layer.name: layer.masked for layer in network.layers if hasattr(layer, "masked")}
    assert masked == {
        "embedding_1": True,
        "conv_1": True,
        "batch_norm_1": True,
        "gru_1": True,
        "batch_norm_2": False,
        "gru_2": False,
        "attention_pooling_1": False,
    }
    (output,) = [layer for layer in network.layers if isinstance(layer, nodes.Dense)]
    assert output.tied == "embedding_1"
    assert nodes.masks(network) == {
        **dict.fromkeys(("input", "embedding_1"), (("input", 0, 1),)),
        **dict.fromkeys(("conv_1", "batch_norm_1"), (("input", 0, 2),)),
    }


def test_a_window_that_no_sequence_has_is_refused() -> None:
    layer = "{type: conv, filters: 2, kernel_size: 3, dilation: 2000000000, padding: causal}"
    (problem,) = told(f"rnn: [{layer}, {GRU}]")
    assert problem.endswith(
        "rnn[0].dilation: too large: a window spans 4,000,000,001 steps; the maximum is "
        "2,147,483,647 [E417]"
    )
