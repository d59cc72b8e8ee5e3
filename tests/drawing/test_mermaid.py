"""The flowchart: one node for each layer, lines true to the network, and no text that is read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from cases import cases
from conftest import GALLERY

from rnnspec import pipeline
from rnnspec.drawing.attending import fold_projections
from rnnspec.drawing.writers.mermaid import mermaid
from rnnspec.ir.nodes import (
    Dense,
    Dropout,
    Learned,
    Network,
    Port,
    Recurrent,
    Residual,
    learned_of,
    sources,
)
from rnnspec_random.strategies import sample, spec_text, specs

TEXT = r"(?:[\w ,.→×·]|<br>|#\d+;)+"
NODE = rf'  (l\d+[fb]?|in\d*|out\d*)(?:\(\[|\(\(|\[|\()"({TEXT})"(?:\]\)|\)\)|\]|\)):::\w+'
EDGE = rf'  (\w+) (-->|-\.->|-\.-)(?:\|"({TEXT})"\|)? (\w+)'
OTHER = r"---|title: \"\w+\"|flowchart BT|  accTitle: \w+|  classDef \w+ [\w#:,]+"


def parts(network: Network) -> tuple[dict[str, str], list[tuple[str, str, str, str]]]:
    """Return the nodes and the lines of a flowchart, every line of which is one of these."""
    nodes, edges = {}, []
    for line in mermaid(network).splitlines():
        if found := re.fullmatch(NODE, line):
            nodes[found[1]] = found[2]
        elif found := re.fullmatch(EDGE, line):
            edges.append((found[1], found[2], found[3] or "", found[4]))
        else:
            assert re.fullmatch(OTHER, line), line
    return nodes, edges


def check(network: Network) -> None:
    drawn = fold_projections(network)
    for owner, projections in drawn.projections.items():
        (node,) = (text for text in parts(network)[0].values() if text.startswith(f"{owner}  "))
        assert all(f"<br>{part.name}  " in node for part in projections)
    assert mermaid(network) == mermaid(network)
    nodes, edges = parts(network)
    network = drawn.network
    for index, layer in enumerate(network.values):
        if isinstance(layer, Dropout):
            assert any(f"{layer.name}  dropout" in text for _, _, text, _ in edges)
            continue
        assert layer.name in nodes[f"l{index}"]
    assert {end for edge in edges for end in (edge[0], edge[3])} == set(nodes)
    loops = [edge for edge in edges if edge[0] == edge[3]]
    cells = [layer for layer in network.layers if isinstance(layer, Recurrent)]
    assert len(loops) == sum(1 if cell.merge is None else 2 for cell in cells)
    dotted = sum(arrow == "-.->" for _, arrow, _, _ in loops)
    assert dotted == sum(
        bool(cell.recurrent_dropout) * (1 if cell.merge is None else 2) for cell in cells
    )
    sums = [layer for layer in network.layers if isinstance(layer, Residual)]
    assert sum(text.endswith("the input as it was") for _, _, text, _ in edges) == len(sums)
    tied = [layer.tied for layer in network.layers if isinstance(layer, Dense) and layer.tied]
    tied += [layer.shares for layer in network.layers if layer.shares]
    assert sum(text == "shared arrays" for _, _, text, _ in edges) == len(tied)
    check_sources(network, nodes, edges)


def check_sources(
    network: Network, nodes: dict[str, str], edges: list[tuple[str, str, str, str]]
) -> None:
    """Check that the lines into each node come from the layers that it takes."""
    taken = sources(network)
    node = {network_input.name: f"in{at or ''}" for at, network_input in enumerate(network.inputs)}
    for index, layer in enumerate(network.values):
        if isinstance(layer, Learned):
            node[layer.name] = f"l{index}"
            assert not any(end == f"l{index}" for _, _, _, end in edges)
            continue
        if isinstance(layer, Port):
            node[layer.name] = f"l{index}"
            ends = {start for start, _, _, end in edges if end == f"l{index}"}
            assert ends == {node[layer.layer]}
            continue
        before = {node[name] for name in taken[layer.name]}
        before |= {node[vector.name] for vector in learned_of(layer)}
        node[layer.name] = f"l{index}"
        if isinstance(layer, Dropout):  # a line
            (node[layer.name],) = before
            continue
        ends = {f"l{index}"}
        if isinstance(layer, Recurrent) and layer.merge:
            ends = {f"l{index}f", f"l{index}b"}
        received = {
            start for start, _, text, end in edges
            if end in ends and start not in ends
            and not text.endswith("the input as it was") and text != "shared arrays"
        }  # fmt: skip
        assert received == before, layer.name
    for index, (name, result) in enumerate(network.results.items()):
        out = f"out{index or ''}"
        assert {start for start, _, _, end in edges if end == out} == {node[result.name]}
        assert nodes[out] == ("#375;" + f"<br>{name}" * bool(name))


@cases("gallery_spec", GALLERY)
def test_the_gallery(gallery_spec: Path) -> None:
    check(pipeline.read(gallery_spec).network)


def test_any_network() -> None:
    for spec in sample(specs(), 40):
        check(pipeline.reads(spec_text(spec)).network)


def test_the_name_is_the_title() -> None:
    network = pipeline.reads(
        "version: 1\nname: null_and_void\ninput: {features: 1}\nrnn: {type: gru, units: 1}"
    ).network
    assert mermaid(network).startswith('---\ntitle: "null_and_void"\n---\nflowchart BT\n')
    hostile = mermaid(replace(network, name='"\n---\nclick'))
    assert hostile.startswith('---\ntitle: "#34;#10;#45;#45;#45;#10;click"\n---\n')


def test_lines_of_a_whole_network() -> None:
    network = pipeline.reads("""\
version: 1
name: end
input: {length: 8, features: 4}
rnn:
  - {type: gru, name: graph, units: 4, residual: true, dropout: 0.1, variational: false}
  - {type: lstm, name: subgraph, units: 4, bidirectional: true, dropout: 0.2}
head: {units: 1, name: click, dropout: 0.5}
""").network
    assert parts(network)[1] == [
        ("l1", "-->", "h", "l1"),
        ("in", "-.->", "dropout_1  dropout 0.1, fresh at each step", "l1"),
        ("l1", "-->", "", "l2"),
        ("in", "-->", "the input as it was", "l2"),
        ("l2", "-.->", "dropout 0.2", "l3f"),
        ("l3f", "-->", "c, h", "l3f"),
        ("l2", "-.->", "dropout 0.2", "l3b"),
        ("l3b", "-->", "c, h", "l3b"),
        ("l3f", "-->", "last state of the forward direction, at step 8", "l3"),
        ("l3b", "-->", "last state of the backward direction, at step 1", "l3"),
        ("l3", "-.->", "dropout_2  dropout 0.5", "l5"),
        ("l5", "-->", "", "out"),
    ]


@cases(
    "text",
    ['"]; click l0 call x()', "a<script>alert(1)</script>", "%%{init: {}}%%", "#quot;\n end"],
)
def test_a_text_that_is_more_than_a_name_stays_text(text: str) -> None:
    network = pipeline.reads(
        "version: 1\nname: n\ninput: {features: 1}\nrnn: {type: gru, units: 1}"
    ).network
    (layer,) = network.layers
    hostile = replace(network, description=text, layers=(replace(layer, name=text),))
    nodes, _ = parts(hostile)
    assert re.sub(r"#(\d+);", lambda code: chr(int(code[1])), nodes["l0"]).startswith(
        f"{text}  GRU"
    )
