"""From spec to nodes: what each layer takes, which shape it gives, and what the outputs are."""

from __future__ import annotations

import pytest
from cases import cases
from fuzz.of_growth import check_growth

from rnnspec import pipeline
from rnnspec.errors import SpecError
from rnnspec.ir import nodes


def read(text: str) -> nodes.Network:
    return pipeline.reads(f"version: 1\nname: net\n{text}").network


def graph(network: nodes.Network) -> list[str]:
    """Return a line for each input that is taken by name, learned state, layer and output."""
    lines = [
        f"{network_input.name} {shape_text(network_input.shape)}"
        for network_input in network.named_inputs
    ]
    for layer, names in zip(network.layers, nodes.sources(network).values(), strict=True):
        lines += [f"{each.name} {each.size}" for each in nodes.learned_of(layer)]
        lines.append(f"{layer.name}: {' '.join(names)} -> {shape_text(layer.output)}")
    return lines + [f"{name} = {layer}" for name, layer in network.outputs]


def shape_text(shape: nodes.Shape) -> str:
    return " x ".join("any" if size is None else str(size) for size in shape) or "label"


ONE = "input: {features: 3}\n"
GRU = "{type: gru, units: 4}"
GRAPHS = {
    # A label and a vector beside the steps of two inputs, one of which takes the table of another.
    """inputs:
  words: {length: 50, embedding: {vocabulary: 100, dim: 10, name: table}}
  target: {length: 50, embedding: words}
  user: {per: sequence, embedding: {vocabulary: 5, dim: 4}}
  basin: {features: 27, per: sequence}
rnn:
- {type: concat, of: [words, target, user, basin]}
- {type: lstm, units: 8, name: encoder}
- {type: dense, units: 3, of: encoder.cell}
head: {units: 2}
""": """words 50
target 50
user label
basin 27
table: words -> 50 x 10
target_embedding: target -> 50 x 10
user_embedding: user -> 4
concat_1: table target_embedding user_embedding basin -> 50 x 51
encoder: concat_1 -> 8
dense_1: encoder_final_c -> 3
dense_2: dense_1 -> 2""",
    # Both directions of a stack begin as those of another, layer by layer.
    f"""{ONE}rnn:
- {{type: lstm, units: 4, name: encoder, layers: 2, bidirectional: true}}
- type: lstm
  of: input
  units: 4
  layers: 2
  bidirectional: true
  initial_state: {{of: encoder}}
""": """encoder_1: input -> any x 8
encoder_2: encoder_1 -> 8
bidirectional_3: input encoder_1_final_h encoder_1_final_c -> any x 8
bidirectional_4: bidirectional_3 encoder_2 encoder_2_final_c -> any x 8""",
    # Given states are inputs, and outputs beside the result.
    f"""{ONE}rnn: {{type: gru, units: 4, layers: 2, bidirectional: true, initial_state: given}}
head: {{units: 1}}
""": """input any x 3
bidirectional_1_h 8
bidirectional_2_h 8
bidirectional_1: input bidirectional_1_h -> any x 8
bidirectional_2: bidirectional_1 bidirectional_2_h -> 8
dense_1: bidirectional_2 -> 1
output = dense_1
bidirectional_1_h_next = bidirectional_1_final_h
bidirectional_2_h_next = bidirectional_2""",
    f"{ONE}rnn: {{type: lstm, units: 4, initial_state: learned}}": """lstm_1_initial_h 4
lstm_1_initial_c 4
lstm_1: input -> any x 4""",
    # One state begins as a vector, the other as zeros.
    f"""{ONE}rnn:
- {{type: gru, units: 4, name: a}}
- {{type: lstm, units: 4, of: input, initial_state: {{c: a.state}}}}
""": """a: input -> 4
lstm_1: input a -> any x 4""",
    # A layer that is read as a sequence and as a state gives the sequence.
    f"""{ONE}rnn:
- {GRU}
- {{type: pool, pooling: last, name: summary}}
- {{type: repeat, like: input, of: summary}}
- {{type: multiply, of: [repeat_vector_1, gru_1]}}
- {{type: gru, units: 2, direction: backward}}
heads: {{one: {{}}, all: {{pooling: none}}, first: {{of: multiply_1, pooling: first_step}}}}
""": """gru_1: input -> any x 4
summary: gru_1 -> 4
repeat_vector_1: summary input -> any x 4
multiply_1: repeat_vector_1 gru_1 -> any x 4
gru_2: multiply_1 -> any x 2
last_pooling_2: gru_2 -> 2
first_step_pooling_1: multiply_1 -> 4
one = last_pooling_2
all = gru_2
first = first_step_pooling_1""",
    # A layer that is read only as a state gives the state, by whatever it is read.
    f"""{ONE}rnn:
- {{type: gru, units: 4, name: a}}
- {{type: pool, pooling: last, name: summary}}
- {{type: gru, units: 4, of: input, name: b}}
- {{type: concat, of: [summary, b.state]}}
head: {{pooling: none, units: 3, normalize: l2}}
""": """a: input -> 4
b: input -> 4
concat_1: a b -> 8
dense_1: concat_1 -> 3
unit_normalization_1: dense_1 -> 3""",
    # Poolings of a layer may ask with a vector.
    f"""{ONE}rnn:
- {GRU}
- {{type: pool, pooling: [max, {{attention: {{query: gru_1.state, activation: tanh}}}}], of: gru_1}}
- {{type: normalize}}
head: {{hidden: [{{type: normalize}}]}}
""": """gru_1: input -> any x 4
max_pooling_1: gru_1 -> 4
attention_pooling_1: gru_1 gru_1_final_h -> 4
concat_1: max_pooling_1 attention_pooling_1 -> 8
unit_normalization_1: concat_1 -> 8
unit_normalization_2: unit_normalization_1 -> 8""",
    # Steps that windows see, and steps that become features.
    f"""input: {{features: 3, length: 9}}
rnn:
- {{type: conv, filters: 5, kernel_size: 4, padding: [1, 2]}}
- {{type: average_pool, size: 3, stride: 2, padding: [0, 1]}}
- {{type: transpose}}
- {{type: instance_norm}}
- {GRU}
""": """conv_1: input -> 9 x 5
average_pool_1: conv_1 -> 4 x 5
transpose_1: average_pool_1 -> 5 x 4
instance_norm_1: transpose_1 -> 5 x 4
gru_1: instance_norm_1 -> 5 x 4""",
}


@cases(("text", "expected"), list(GRAPHS.items()))
def test_a_layer_takes_what_it_names(text: str, expected: str) -> None:
    assert graph(read(text)) == expected.splitlines()


@cases(
    ("rest", "expected"),
    [
        ("", [True, False, True]),
        ("head: {pooling: mean}", [True, False, True]),
        ("head: {units: 1}", [True, False, False]),
        ("heads: {one: {units: 1}, two: {}}", [True, False, False]),
        ("heads: {one: {units: 1}, two: {pooling: mean}}", [True, False, True]),
        ("heads: {one: {}, two: {of: gru_2}}", [True, False, False]),
        ("heads: {one: {}, two: {of: gru_2, pooling: max}}", [True, True, False]),
    ],
)
def test_a_layer_gives_its_final_state_if_all_that_read_it_take_that(
    rest: str, expected: list[bool]
) -> None:
    network = read(f"{ONE}rnn: [{GRU}, {GRU}, {{type: repeat, steps: 2}}, {GRU}]\n{rest}")
    layers = [layer for layer in network.layers if isinstance(layer, nodes.Recurrent)]
    assert [layer.return_sequences for layer in layers] == expected


def test_a_join_is_real_where_all_that_it_joins_is() -> None:
    network = read("""inputs:
  words: {embedding: {vocabulary: 9, dim: 2, mask_zero: true}}
  power: {features: 2, mask_value: 0}
  plain: {features: 2}
rnn:
- {type: conv, filters: 2, kernel_size: 3, stride: 2, of: words}
- {type: conv, filters: 2, kernel_size: 3, stride: 2, of: power}
- {type: conv, filters: 2, kernel_size: 3, stride: 2, of: plain}
- {type: add, of: [conv_1, conv_2, conv_3]}
- {type: gru, units: 2}
""")
    assert nodes.masks(network)["gru_1"] == (("words", 2, 2), ("power", 2, 2))
    assert [layer.masked for layer in network.layers if isinstance(layer, nodes.Recurrent)] == [
        True
    ]


@cases(
    ("stream", "expected"),
    [
        ("", ()),
        ("stream: b", ("b",)),
        ("stream: a", ("a",)),
        ("stream: [b, a]", ("a", "b")),
    ],
)
def test_the_inputs_that_come_in_chunks(stream: str, expected: tuple[str, ...]) -> None:
    inputs = "{a: {features: 2}, b: {features: 2}, c: {features: 2, per: sequence}}"
    join = "[{type: concat, of: [a, b, c]}, {type: gru, units: 2}]"
    assert read(f"inputs: {inputs}\nrnn: {join}\n{stream}").streams == expected
    assert read("inputs: {a: {features: 2}}\nrnn: {type: gru, units: 2}").streams == ("a",)


@cases("prefix", ["layer", "no"])
def test_the_time_is_in_proportion_to_the_layers(prefix: str) -> None:
    """Each of 2,000 layers reads the two before it, or two that are not there."""

    def layers(times: int) -> str:
        lines = [f"- {{type: gru, units: 2, name: layer_{i}}}" for i in (0, 1)]
        for i in range(2, times * 125):
            of = f"{prefix}_{i - 2}, {prefix}_{i - 1}"
            lines.append(f"- {{type: add, of: [{of}], name: layer_{i}}}")
        return ONE + "\n".join(["rnn:", *lines])

    def ask(text: str) -> None:
        if prefix == "layer":
            assert len(read(text).layers) == text.count("- {")
        else:
            with pytest.raises(SpecError):
                read(text)

    check_growth("layers", layers, ask)
