"""Pairs of corresponding layers, and a complete list of changes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from cases import cases
from conftest import GALLERY
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import rnnspec
from rnnspec import pipeline
from rnnspec.comparison.diff import Diff, diff, has_given_name
from rnnspec.errors import SpecError
from rnnspec.ir.nodes import Embedding, Network
from rnnspec_random.layers import Words
from rnnspec_random.strategies import spec_text, specs

L = "{type: lstm, units: 32}"
M = "{type: lstm, units: 64}"
S = "{type: lstm, units: 16}"
G = "{type: gru, units: 32}"
NAMED = "{type: lstm, units: 32, name: encoder}"
DROPPED = "{type: lstm, units: 32, dropout: 0.2}"
FRESH = "{type: lstm, units: 32, dropout: 0.2, variational: false}"
R = "{type: repeat, steps: 2}"


def spec(*layers: str, head: str = "head: {units: 1}") -> rnnspec.Spec:
    rnn = ", ".join(layers)
    return pipeline.reads(f"version: 1\nname: net\ninput: {{features: 7}}\nrnn: [{rnn}]\n{head}\n")


def told(before: list[str], after: list[str]) -> str:
    """Return each layer but the head as +name, -name, name or old>new, with changed keys."""
    words = []
    for layer in diff(spec(*before), spec(*after)).layers:
        old, new = (each.name if each else "" for each in (layer.before, layer.after))
        keys = f":{','.join(change.key for change in layer.changes)}" if layer.changes else ""
        match layer.state:
            case "added":
                words.append(f"+{new}")
            case "removed":
                words.append(f"-{old}")
            case "same" | "changed":
                words.append((old if old == new else f"{old}>{new}") + keys)
    assert words.pop() == "dense_1"
    return " ".join(words)


@cases(
    ("before", "after", "expected"),
    [
        ([L], [L], "lstm_1"),
        ([L], [M], "lstm_1:units"),
        ([L], [G], "lstm_1>gru_1:type,reset_after"),
        ([L, M], [L, S, M], "lstm_1 +lstm_2 lstm_2>lstm_3"),
        ([L, M], [S, L, M], "+lstm_1 lstm_1>lstm_2 lstm_2>lstm_3"),
        ([S, L, M], [L, M], "-lstm_1 lstm_2>lstm_1 lstm_3>lstm_2"),
        ([L, L], [L, L, L], "lstm_1 lstm_2 +lstm_3"),
        ([L, L, L], [M, L, L], "lstm_1:units lstm_2 lstm_3"),
        ([L, L, L, L], [M, L, L, M], "lstm_1:units lstm_2 lstm_3 lstm_4:units"),
        ([L, L, L], [M, S, L, L], "lstm_1:units +lstm_2 lstm_2>lstm_3 lstm_3>lstm_4"),
        ([L, G], [M, L, M], "+lstm_1 lstm_1>lstm_2 gru_1>lstm_3:type,units,reset_after"),
        ([L, M], [G, L, S], "+gru_1 lstm_1 lstm_2:units"),
        ([S, L, M], [L, M, "{type: lstm, units: 128}"],
         "-lstm_1 lstm_2>lstm_1 lstm_3>lstm_2 +lstm_3"),
        ([L, G], [G, L], "+gru_1 lstm_1 -gru_1"),
        ([L, M, S], [M, L, "{type: lstm, units: 8}"],
         "+lstm_1 lstm_1>lstm_2 lstm_2>lstm_3:units -lstm_3"),
        ([DROPPED], [FRESH], "+dropout_1 lstm_1:variational"),
        ([FRESH], [L], "-dropout_1 lstm_1:dropout,variational"),
        ([L], [DROPPED], "lstm_1:dropout"),
        ([NAMED, L], [L, NAMED], "+lstm_1 encoder -lstm_2"),
        ([NAMED, L], [M, NAMED.replace("32", "8"), L], "+lstm_1 encoder:units lstm_2>lstm_3"),
        ([NAMED], [L], "encoder>lstm_1:name"),
        ([NAMED], [NAMED.replace("encoder", "reader")], "encoder>reader:name"),
    ],
)  # fmt: skip
def test_which_layer_is_which(before: list[str], after: list[str], expected: str) -> None:
    assert told(before, after) == expected


def test_equal_layers_at_the_end_are_not_shifted() -> None:
    found = diff(spec(L, L, L, head=""), spec(M, S, L, L, head="")).layers
    assert [each.state for each in found] == ["changed", "added", "changed", "same"]


def test_large_stacks_are_aligned() -> None:
    found = diff(spec(L[:-1] + ", layers: 2000}"), spec(L[:-1] + ", layers: 1999}"))
    assert [layer.state for layer in found.layers].count("removed") == 1


def times(layer: str, number: int) -> str:
    return f"{layer[:-1]}, layers: {number}}}"


@cases(
    ("before", "after", "states"),
    [
        ([times(G, 2_000)], [times(M, 2_000)], {"changed": 2_000}),
        (
            [times(G, 2_000)],
            [G, *[R, times(G, 5)] * 333],
            {"changed": 1_666, "added": 333, "removed": 334},
        ),
        ([times(DROPPED, 2_000)], [times(FRESH, 2_000)], {"changed": 2_000, "added": 2_000}),
        (
            [f"{{type: gru, units: {n + 1}}}" for n in range(1_800)],
            [f"{{type: gru, units: {n + 1}}}" for n in [1_999, *range(700, 1_800), *range(400)]],
            {"same": 1_099, "changed": 2, "removed": 699, "added": 400},
        ),
        (
            [times(L, 400), times(G, 600)],
            [times(M, 400), times(G, 601)],
            {"same": 600, "changed": 400, "added": 1},
        ),
    ],
)
def test_long_networks_are_aligned(
    before: list[str], after: list[str], states: dict[str, int]
) -> None:
    found = diff(spec(*before, head=""), spec(*after, head=""))
    counted = Counter(layer.state for layer in found.layers)
    assert counted == states


def test_a_name_alone_is_a_change() -> None:
    renamed = spec(L[:-1] + ", name: lstm_7}")
    assert not diff(spec(L), renamed).same


TOKENS = """\
version: 1
name: net
input: {length: 5}
embedding: {vocabulary: 20, dim: 4}
rnn:
  - {type: lstm, units: 3, dropout: 0.1, variational: false, layer_norm: true}
  - {type: repeat, steps: 2}
  - {type: gru, units: 3, bidirectional: true}
head: {pooling: mean, hidden: [{units: 4}], units: 1}
"""


@cases(
    ("old", "new", "changed"),
    [
        ("name: net", "name: other", {"name"}),
        ("length: 5", "length: 6", {"input.length"}),
        ("input: {length: 5}\n", "", {"input.length"}),
        ("vocabulary: 20", "vocabulary: 21", {"embedding_1.vocabulary"}),
        ("dim: 4", "dim: 5", {"embedding_1.dim"}),
        ("dim: 4", "dim: 4, trainable: false", {"embedding_1.trainable"}),
        ("dim: 4", "dim: 4, mask_zero: true", {"embedding_1.mask_zero"}),
        (
            "dim: 4",
            "dim: 4, weights: w.txt, words: v.txt",
            {"embedding_1.weights", "embedding_1.words"},
        ),
        ("dropout: 0.1", "dropout: 0.2", {"dropout_1.rate", "lstm_1.dropout"}),
        ("steps: 2", "steps: 3", {"repeat_vector_1.steps"}),
        ("true}\nhead", "true, merge: sum}\nhead", {"bidirectional_1.merge"}),
        ("true}\nhead", "true, bias: false}\nhead", {"bidirectional_1.bias"}),
        ("true}\nhead", "true, recurrent_dropout: 0.5}\nhead",
         {"bidirectional_1.recurrent_dropout"}),
        ("true}\nhead", "true, reset_after: false}\nhead", {"bidirectional_1.reset_after"}),
        ("true}\nhead", "true, activation: relu}\nhead", {"bidirectional_1.activation"}),
        ("mean", "max", {"mean_pooling_1.pooling"}),
        ("{units: 4}", "{units: 4, activation: relu}", {"dense_1.activation"}),
        ("units: 1}", "units: 1, bias: false}", {"dense_2.bias"}),
        ("head:", "initializers: {kernel: {normal: 0.1}}\nhead:", {"initializers.kernel"}),
        ("head:", "initializers: {forget_bias: 0}\nhead:", {"initializers.forget_bias"}),
        ("head:", "initializers: {embedding: ones}\nhead:", {"initializers.embedding"}),
        ("head:", "initializers: {bias: zeros, recurrent: orthogonal}\nhead:", set()),
        ("head:", "description: x\nhead:", set()),
    ],
)  # fmt: skip
def test_a_change_is_told_by_its_key(old: str, new: str, changed: set[str]) -> None:
    assert old in TOKENS
    found = diff(pipeline.reads(TOKENS), pipeline.reads(TOKENS.replace(old, new, 1)))
    keys = {change.key for change in found.network}
    for layer in found.layers:
        name = layer.before.name if layer.before else ""
        keys |= {f"{name}.{change.key}" for change in layer.changes}
    assert keys == changed
    assert found.same == (not changed)


def bare(network: Network) -> Network:
    return replace(network, description="")


def is_told(found: Diff) -> bool:
    """True if a line tells of a change, as it must exactly if the networks are not the same."""
    told = bool(found.network) or any(x.state != "same" or x.renamed for x in found.layers)
    assert told != found.same
    return told


@settings(max_examples=25)
@given(specs(), specs())
def test_it_is_the_same_exactly_if_the_networks_are_equal(a: Words, b: Words) -> None:
    before, after = (pipeline.reads(spec_text(each)) for each in (a, b))
    assert is_told(diff(before, after)) == (bare(before.network) != bare(after.network))
    assert not is_told(diff(before, before))


@settings(max_examples=25)
@given(st.data())
def test_one_other_word_is_told_exactly_if_the_networks_differ(data: st.DataObject) -> None:
    words = data.draw(specs())
    other = data.draw(specs())
    key = data.draw(st.sampled_from(sorted(words.keys() & other.keys())))
    try:
        before = pipeline.reads(spec_text(words))
        after = pipeline.reads(spec_text({**words, key: other[key]}))
    except SpecError:
        reject()
    assert is_told(diff(before, after)) == (bare(before.network) != bare(after.network))


@settings(max_examples=25)
@given(specs(), specs())
def test_every_layer_is_there_once_and_in_order(a: Words, b: Words) -> None:
    before, after = (pipeline.reads(spec_text(each)) for each in (a, b))
    layers = diff(before, after).layers
    assert tuple(x.before for x in layers if x.before) == before.network.layers
    assert tuple(x.after for x in layers if x.after) == after.network.layers


@cases("gallery_spec", GALLERY)
def test_a_name_that_nobody_gave_is_known_by_its_kind(gallery_spec: Path) -> None:
    network = pipeline.read(gallery_spec).network
    text = gallery_spec.read_text()
    for layer in network.layers:
        # A layer of an attention, or one of several 'layers'.
        name = re.sub(r"_(keys|query|\d+)$", "", layer.name)
        # The embedding of a named input is named after it.
        is_named = network.takes_one_array or not isinstance(layer, Embedding)
        if has_given_name(layer) and is_named:
            assert re.search(rf"name: ({layer.name}|{name})\b", text), layer.name


ATTENDING = """\
version: 1
name: net
inputs: {source: {features: 4}, target: {features: 3}}
rnn:
- {type: gru, units: 4, of: target, name: decoder, attention: {over: source, score: STEP}}
- {type: attention, over: source, score: LAYER, name: luong}
"""


@cases(
    ("step", "layer", "told"),
    [
        ("dot", "scaled_dot", {"luong": [("score", "dot", "scaled_dot")]}),
        ("dot", "general", {"luong_query": [], "luong": [("score", "dot", "general")]}),
        ("general", "dot", {"decoder": [("attention.score", "dot", "general")]}),
        (
            "additive, units: 2",
            "dot",
            {
                "decoder_keys": [],
                "decoder": [
                    ("attention.score", "dot", "additive"),
                    ("attention.units", None, 2),
                ],
            },
        ),
    ],
)
def test_an_attention_changes_by_its_keys(
    step: str, layer: str, told: dict[str, list[tuple[str, object, object]]]
) -> None:
    before, after = (
        pipeline.reads(ATTENDING.replace("STEP", one).replace("LAYER", other))
        for one, other in (("dot", "dot"), (step, layer))
    )
    changed = {
        one.after.name: [(change.key, change.before, change.after) for change in one.changes]
        for one in diff(before, after).layers
        if one.after and (one.changes or not one.before)
    }
    assert changed == told


STACK = """\
version: 1
name: net
input: {length: 20, features: 3}
rnn:
- {type: conv, filters: 8, kernel_size: 3, activation: {leaky_relu: 0.1}}
- {type: max_pool, size: 2}
- {type: batch_norm}
- {type: lstm, units: 8}
- {type: dropout, rate: 0.2}
- {type: dense, units: 8}
- {type: concat, of: [lstm_1, dense_1]}
head: {pooling: [mean, {attention: {units: 4}}], units: 5}
"""


@cases(
    ("old", "new", "layer", "changes"),
    [
        (
            "kernel_size: 3",
            "kernel_size: 5, dilation: 2",
            "conv_1",
            "kernel_size 3 5, dilation 1 2",
        ),
        ("filters: 8", "filters: 8, padding: same", "conv_1", "padding valid same"),
        (
            "{leaky_relu: 0.1}",
            "{clipped_relu: 6}",
            "conv_1",
            "activation leaky_relu 0.1 clipped_relu 6.0",
        ),
        ("max_pool, size: 2", "max_pool, size: 2, stride: 1", "max_pool_1", "stride 2 1"),
        ("batch_norm", "batch_norm, momentum: 0.9", "batch_norm_1", "momentum 0.99 0.9"),
        ("rate: 0.2", "rate: 0.2, variational: true", "dropout_1", "variational False True"),
        (
            "[lstm_1, dense_1]",
            "[dense_1, lstm_1]",
            "concat_1",
            "of ('lstm_1', 'dense_1') ('dense_1', 'lstm_1')",
        ),
        ("units: 4", "units: 6", "attention_pooling_1", "units 4 6"),
        ("[mean, {", "[max, {", "mean_pooling_1", "pooling mean max"),
    ],
)
def test_layers_of_a_stack_differ_by_their_keys(
    old: str, new: str, layer: str, changes: str
) -> None:
    assert old in STACK
    found = diff(pipeline.reads(STACK), pipeline.reads(STACK.replace(old, new)))
    (changed,) = [each for each in found.layers if each.before and each.before.name == layer]
    told = [f"{change.key} {change.before} {change.after}" for change in changed.changes]
    assert ", ".join(told) == changes


def test_heads_differ_by_their_names() -> None:
    text = STACK.replace("head: {", "heads: {one: {pooling: max, units: 2}, two: {")[:-1] + "}\n"
    found = diff(pipeline.reads(text), pipeline.reads(text.replace("one:", "three:")))
    (change,) = found.network
    assert (change.key, change.before, change.after) == ("heads", ("one", "two"), ("three", "two"))
    assert diff(pipeline.reads(text), pipeline.reads(text)).same


GRAPH = """\
version: 1
name: net
inputs: {audio: {features: 3, length: 9}, text: {length: 9, features: 3}}
rnn:
  - {type: gru, units: 4, of: audio, name: ears}
  - {type: gru, units: 4, of: text, name: eyes, initial_state: {h: ears.state}}
  - {type: dense, units: 4, of: eyes, name: mind}
  - {type: add, of: [ears, mind, eyes]}
head: {pooling: none, units: 1}
"""


@cases(
    ("old", "new", "changed"),
    [
        ("{length: 9", "{mask_value: 0, length: 9", {"inputs.text.mask_value"}),
        ("{h: ears.state}", "learned", {"initial_state.h"}),
        ("4, of: text", "4, of: text, direction: backward", {"direction"}),
        ("of: eyes", "of: ears", {"of"}),
        ("type: add", "type: multiply", {"type"}),
        ("4, of: eyes", "4", set[str]()),
    ],
)
def test_a_change_of_a_graph_is_told_by_its_key(old: str, new: str, changed: set[str]) -> None:
    result = diff(pipeline.reads(GRAPH), pipeline.reads(GRAPH.replace(old, new)))
    changes = [*result.network, *(change for layer in result.layers for change in layer.changes)]
    assert {change.key for change in changes} == changed
