"""A spec that is lowered and raised again describes the same network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from cases import cases
from graph_specs import GRAPHS, graph_text

from rnnspec import pipeline
from rnnspec.comparison.strategies import sample, specs
from rnnspec.errors import ModelError
from rnnspec.ir import nodes
from rnnspec.ir.initializers import HeUniform
from rnnspec.raising import raise_spec
from rnnspec.spec.write import dump

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


def network(text: str) -> nodes.Network:
    return pipeline.reads(text).network


@cases("path", GALLERY)
def test_the_gallery(path: Path) -> None:
    wanted = network(path.read_text("utf-8"))
    assert network(dump(raise_spec(wanted))) == wanted


@cases("name", list(GRAPHS))
def test_graphs_of_layers(name: str) -> None:
    wanted = network(graph_text(name))
    text = dump(raise_spec(wanted))
    # As text, because of the order of outputs and names.
    assert repr(network(text)) == repr(wanted), text


@cases("name", ["encoder_decoder", "rnnoise", "stream"])
def test_graphs_read_as_if_written_by_hand(name: str) -> None:
    expected = yaml.safe_load(graph_text(name))
    words = raise_spec(network(graph_text(name)))
    last = expected["rnn"][-1]
    if name == "encoder_decoder":
        # A last layer at each step is that of a head.
        del expected["rnn"][-1], last["type"]
        expected["head"] = {"pooling": "none", **last}
    del words["expect"]
    assert words == expected


def test_random_specs() -> None:
    for drawn in (*sample(specs(), 120), *sample(specs(long_names=True), 30)):
        wanted = network(dump(drawn))
        text = dump(raise_spec(wanted))
        # As text, because 0.0 equals -0.0.
        assert repr(network(text)) == repr(wanted), text


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
