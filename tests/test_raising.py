"""A spec that is lowered and raised again describes the same network."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from cases import cases
from graphs import TO_RAISE

from rnnspec import pipeline
from rnnspec.errors import ModelError, SpecError
from rnnspec.ir import nodes
from rnnspec.ir.initializers import HeUniform
from rnnspec.raising import raise_spec
from rnnspec.spec.write import dump
from rnnspec_random.strategies import sample, specs

GALLERY = sorted((Path(__file__).parent.parent / "specs").glob("*.yaml"))
TEXT = """\
version: 1
name: net
input: {features: 3}
rnn:
- {type: lstm, units: 3, layers: 2, residual: true}
- {type: gru, name: last, units: 4, dropout: 0.5, variational: false}
head:
  hidden:
  - {units: 5, activation: relu}
  units: 2
expect: {parameters: 313}
"""
SUM = "{type: gru, units: 4, bidirectional: true, merge: sum}"


def network(text: str) -> nodes.Network:
    return pipeline.reads(text).network


@cases("path", GALLERY)
def test_the_gallery(path: Path) -> None:
    wanted = network(path.read_text("utf-8"))
    assert network(dump(raise_spec(wanted))) == wanted


@cases("name", list(TO_RAISE))
def test_graphs_of_layers(name: str) -> None:
    wanted = network(TO_RAISE[name])
    text = dump(raise_spec(wanted))
    # As text, because of the order of outputs and names.
    assert repr(network(text)) == repr(wanted), text


@cases("name", ["encoder_decoder", "rnnoise", "stream"])
def test_graphs_read_as_if_written_by_hand(name: str) -> None:
    expected = yaml.safe_load(TO_RAISE[name])
    words = raise_spec(network(TO_RAISE[name]))
    last = expected["rnn"][-1]
    if name == "encoder_decoder":
        # A last layer at each step is that of a head.
        del expected["rnn"][-1], last["type"]
        expected["head"] = {"pooling": "none", **last}
    del words["expect"]
    assert words == expected


@cases(
    "layers",
    [
        "{type: gru, units: 4}, {type: pool, pooling: last}, {type: dense, units: 3}",
        "{type: gru, units: 4}, {type: pool, pooling: last}, {type: layer_norm}",
        "{type: gru, units: 4}, {type: dense, units: 3}",
        "{type: gru, units: 4, layer_norm: true}, {type: batch_norm}",
        "{type: gru, units: 4, direction: backward}, {type: activation, activation: softplus}",
        f"{SUM}, {{type: pool, pooling: last}}, {{type: batch_norm}}",
    ],
)
def test_a_state_before_layers_or_behind_them(layers: str) -> None:
    rest = "{type: repeat, steps: 2}, {type: gru, units: 4}"
    data = "input: {features: 3, mask_value: 0}"
    wanted = network(f"version: 1\nname: net\n{data}\nrnn: [{layers}, {rest}]\n")
    text = dump(raise_spec(wanted))
    assert network(text) == wanted, text


@cases("item", ["batch_norm", "dense, units: 3", "activation, activation: relu"])
def test_a_head_that_only_takes_the_last_step(item: str) -> None:
    ends = f"input: {{features: 3}}\nrnn: [{{type: gru, units: 4}}, {{type: {item}}}]"
    for text in (ends, f"{ends}\nhead: {{pooling: last}}"):
        wanted = network(f"version: 1\nname: net\n{text}\n")
        raised = dump(raise_spec(wanted))
        assert network(raised) == wanted, raised


@cases("begins", ["zeros", "learned"])
def test_a_pooling_beside_the_state_that_it_asks_with(begins: str) -> None:
    layer = f"{{type: gru, units: 4, initial_state: {begins}}}"
    asked = "{type: pool, pooling: {attention: {query: gru_1.state}}}"
    join = "{type: concat, of: [attention_pooling_1, gru_1.state]}"
    wanted = network(
        f"version: 1\nname: net\ninput: {{features: 3}}\nrnn: [{layer}, {asked}, {join}]\n"
    )
    raised = dump(raise_spec(wanted))
    assert network(raised) == wanted, raised


def test_random_specs() -> None:
    for drawn in (*sample(specs(), 50), *sample(specs(long_names=True), 10)):
        wanted = network(dump(drawn))
        text = dump(raise_spec(wanted))
        # As text, because 0.0 equals -0.0.
        assert repr(network(text)) == repr(wanted), text


def encoder_decoder(rng: Random) -> dict[str, Any]:
    """Return a spec in which layers attend to the steps of others."""
    units, keys = rng.choice([3, 4]), rng.choice([2, 3])

    def scored(over: str, sizes: tuple[int, ...]) -> dict[str, Any]:
        """Return the keys of an attention whose queries and steps have these sizes."""
        same = len(set(sizes)) == 1
        score = rng.choice(["general", "additive", *(["dot", "scaled_dot"] if same else [])])
        additive = {"units": keys, **rng.choice([{}, {"bias": False}])}
        return {"over": over, "score": score} | (additive if score == "additive" else {})

    def maybe(**keys: Any) -> dict[str, Any]:
        return keys if rng.random() < 0.4 else {}

    both = rng.random() < 0.5
    memory = 2 * units if both else units
    kind = rng.choice(["lstm", "gru", "simple"])
    encoder = {"type": kind, "of": "source", "units": units, "name": "encoder"}
    encoder |= {"bidirectional": True} if both else {}
    decoder = {"type": kind, "of": "target", "units": units, "name": "decoder"}
    decoder |= maybe(dropout=0.2, **maybe(variational=False)) | maybe(layer_norm=True)
    decoder |= maybe(initial_state=rng.choice(["learned", *([] if both else [{"of": "encoder"}])]))
    decoder |= maybe(residual=True, units=4) if units == 4 else {}
    context = rng.random() < 0.7
    if context:
        decoder["attention"] = scored("encoder", (units, memory))
    rnn = [encoder, decoder]
    joined = ["decoder", *(["decoder.context"] if context else [])]
    for number in range(rng.randint(0 if context else 1, 2)):
        # The names of projections may be those of layers in the spec, too.
        names = [f"attention_{number}", f"luong_{number}"]
        name = rng.choice(names)
        if rng.random() < 0.4:
            layer = {"type": "dense", "units": memory, **maybe(bias=False)}
            rnn.append({**layer, "of": "decoder", "name": f"{rng.choice(names)}_query"})
            sizes, queries = (memory, memory), rnn[-1]["name"]
        else:
            queries = rng.choice(["decoder", "encoder"])
            sizes = (units if queries == "decoder" else memory, memory)
            joined += [] if queries == "decoder" else [f"{name}_pooled"]
        layer = {"type": "attention", "of": queries, **scored("encoder", sizes), "name": name}
        rnn.append(layer)
        if queries == "encoder":
            rnn.append({"type": "pool", "pooling": "mean", "name": f"{name}_pooled"})
        else:
            joined.append(name)
    if rng.random() < 0.3:
        rnn.append({"type": "attention", "of": "decoder.state", **scored("target", (units, 4))})
        joined.append(f"attention_{sum(layer['type'] == 'attention' for layer in rnn)}")
    rnn += [{"type": "concat", "of": joined}] if len(joined) > 1 else []
    return {
        "version": 1,
        "name": "decoder",
        "inputs": {
            "source": {"features": 5, **maybe(mask_value=0)},
            "target": {"features": 4, **maybe(mask_value=0)},
        },
        "stream": "target",
        "rnn": rnn,
    }


def test_encoders_and_decoders() -> None:
    rng, read = Random(0), Counter[str]()
    for _ in range(100):
        drawn = encoder_decoder(rng)
        try:
            wanted = network(dump(drawn))
        except SpecError as error:
            if "is already named" not in str(error):
                raise
            # A layer of the spec has the name of a projection.
            continue
        text = dump(raise_spec(wanted))
        assert repr(network(text)) == repr(wanted), (dump(drawn), text)
        read.update(re.findall(r"score: (\w+)", text))
        read.update(re.findall(r"\w+\.context|_query|variational: false|residual", text))
    assert min(read.values()) > 7, read
    assert len(read) == 8


def test_equal_layers_with_attention_are_no_stack() -> None:
    memory = {"type": "gru", "units": 3, "of": "source", "name": "memory"}
    layer = {"type": "gru", "units": 3, "attention": {"over": "memory", "score": "dot"}}
    inputs = {"source": {"features": 3}, "target": {"features": 3}}
    words = {"version": 1, "name": "net", "inputs": inputs, "stream": "target"}
    text = dump(words | {"rnn": [memory, {**layer, "of": "target"}, layer, layer]})
    assert network(dump(raise_spec(network(text)))) == network(text)


ATTENDS = """\
version: 1
name: net
inputs: {source: {features: 3}, target: {features: 3}}
stream: target
rnn:
- {type: gru, units: 3, of: source, name: memory}
- {type: gru, units: 3, of: target, name: decoder}
- {type: attention, of: decoder, over: memory, score: additive, units: 3}
"""


@cases(
    ("fields", "message"),
    [
        (
            {"name": "other"},
            "other: an additive score of queries and keys that no layers of its own project",
        ),
        (
            {"additive": False, "keys": "memory", "scale": 0.5},
            "attention_1: scales its scores by 0.5; expected 1, or 0.57735, 1 / sqrt(3) [E704]",
        ),
    ],
)
def test_refuses_scores_that_the_language_lacks(fields: dict[str, Any], message: str) -> None:
    made = network(ATTENDS)
    *layers, attention = made.layers
    wrong = replace(made, layers=(*layers, replace(attention, **fields)))
    with pytest.raises(ModelError, match=re.escape(f"error: {message}")):
        raise_spec(wrong)


def test_reads_as_if_written_by_hand() -> None:
    assert dump(raise_spec(network(TEXT))) == TEXT


CELLS = """\
version: 1
name: cells
input: {features: 3}
cells:
  mine:
    states: [h, m]
    equations:
      z: alpha * layer_norm(W @ x + U @ h)
      m: dt * z + m
      h: P @ m
    settings: {dt: 0.5, size: 2}
    sizes: {h: size}
    parameters: {alpha: scalar}
    initialize: {U: {normal: 0.1}, alpha: 3}
rnn:
- {type: mine, units: 4}
- {type: mine, units: 4, size: 3}
- {type: mine, units: 4, dt: 2}
"""


def test_a_cell_with_other_numbers_is_another_cell() -> None:
    """Sizes are settings of one cell; other settings are numbers in its equations."""
    text = dump(raise_spec(network(CELLS)))
    lines = """\
  mine:
    states: [h, m]
    equations:
      z: alpha * (z_gamma * standardize(W @ x + U @ h, 0.001) + z_beta)
      m: 0.5 * z + m
      h: P @ m
    settings: {size: 2}
    sizes: {h: size}
    parameters: {alpha: scalar}
    initialize:
      alpha: 3.0
      z_gamma: ones
      U: {normal: 0.1}
  mine_2:
"""
    assert lines in text
    assert "rnn:\n- {type: mine, units: 4}\n- {type: mine, units: 4, size: 3}\n" in text
    assert "- {type: mine_2, name: mine_3, units: 4}\n" in text
    assert "m: 2 * z + m" in text
    # Only the name of the cell is another one.
    again = network(text)
    assert repr(again).replace("EquationCell(name='mine_2'", "EquationCell(name='mine'") == repr(
        network(CELLS)
    )


def altered(number: int, **fields: object) -> nodes.Network:
    made = network(TEXT)
    layers = list(made.layers)
    layers[number] = replace(layers[number], **fields)  # type: ignore[arg-type]
    return replace(made, layers=tuple(layers))


@cases(
    ("wrong", "message"),
    [
        (altered(3, start="lstm_1"), "add_2: adds the input of lstm_1, expected that of"),
        (
            altered(0, kernel_initializer=HeUniform()),
            "initializers: expected one kernel initializer for the network, received 2",
        ),
    ],
)
def test_refuses_what_the_language_lacks(wrong: nodes.Network, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        raise_spec(wrong)
    assert str(caught.value).startswith(f"net: error: {message}")
    assert str(caught.value).endswith(" [E704]")
