"""The arrows, names and numbers of a picture are those of the network."""

from __future__ import annotations

import re

import pytest
from drawing.drawn import Edge, Read, base, networks, nodes, options, read, segments

from rnnspec.drawing.layout.build import scene
from rnnspec.drawing.options import Options
from rnnspec.drawing.scene import Area, Line, Scene, Text
from rnnspec.drawing.words import shape
from rnnspec.ir.nodes import LSTM, Dropout, Layer, Network, Pooling, Recurrent, Repeat, Residual
from rnnspec.summaries import summarize

NAMES = list(networks())
UNFOLDED = [name for name in NAMES if not name.startswith(("deep", "both"))]


@pytest.mark.parametrize("name", UNFOLDED)
def test_the_margin_is_the_summary(name: str) -> None:
    network = networks()[name]
    rows = {entry[0].split("layer norm")[0]: entry for entry in read(network).notes}
    for layer in summarize(network).layers:
        (entry,) = [texts for first, texts in rows.items() if first.startswith(layer.name)]
        count = f"  ·  {layer.parameters:,} parameter{'s' if layer.parameters > 1 else ''}"
        sizes = f"→ {shape(layer.output_shape[1:])}"
        assert entry[-1] == sizes + (count if layer.parameters else "")
    assert [network.name] in read(network).notes
    total = summarize(network).parameters.total
    assert any(entry[0].startswith(f"{total:,}parameter") for entry in read(network).notes)


@pytest.mark.parametrize("name", UNFOLDED)
def test_every_layer_stands_at_every_step(name: str) -> None:
    network, found = networks()[name], read(networks()[name])
    steps = found.columns("input")
    for layer in network.layers:
        if isinstance(layer, Repeat):
            steps = []
        below = found.into(layer.name)
        if isinstance(layer, Dropout):
            assert not below
        else:
            assert below, layer.name
        if isinstance(layer, Recurrent) and steps:
            for direction in (".forward", ".backward") if layer.merge else ("",):
                assert found.columns(f"{layer.name}{direction}") == steps
    last = network.input.steps
    length = "T" if last is None else str(last)
    wanted = "pad" if network.input.masked and last != 1 else length
    assert found.columns("input")[-1] == wanted
    *first, _ = found.columns("input")
    assert first == [str(number) for number in range(1, len(first) + 1)]


@pytest.mark.parametrize("name", NAMES)
def test_both_directions_have_a_legend_and_the_same_words_in_both_forms(name: str) -> None:
    network = networks()[name]
    unrolled, folded = (scene(network, given) for given in (Options(), Options(form="folded")))
    both = [layer for layer in recurrent(network) if layer.merge]
    legend = {"forward direction": "forward", "backward direction": "backward"}
    for picture in (unrolled, folded):
        shapes = [shape for part in picture.parts for shape in part.shapes]
        colours = {text.content: text.role for text in shapes if isinstance(text, Text)}
        found = {key: colours[key] for key in legend if key in colours}
        assert found == (legend if both else {})
    assert _last_states(unrolled) == _last_states(folded)
    assert (len(_last_states(folded)) == 2) == any(not each.return_sequences for each in both)


def _last_states(picture: Scene) -> set[str]:
    """Return the remarks on the last states of both directions, their lines put together."""
    notes = [part for part in picture.parts if "data-note" in dict(part.data)]
    texts = [
        " ".join(text.content for text in part.shapes if isinstance(text, Text)) for part in notes
    ]
    said = " ".join(texts)
    return set(
        re.findall(r"last state of the \w+ direction, (?:at step \w+|held over the padding)", said)
    )


def recurrent(network: Network) -> list[Recurrent]:
    return [layer for layer in network.layers if isinstance(layer, Recurrent)]


@pytest.mark.parametrize("name", UNFOLDED)
def test_the_state_runs_through_every_step(name: str) -> None:
    network, found = networks()[name], read(networks()[name])
    for layer in recurrent(network):
        for direction in ("forward", "backward") if layer.merge else ("",):
            cell = f"{layer.name}.{direction}" if direction else layer.name
            steps = found.columns(cell)
            order = steps[::-1] if direction == "backward" else steps
            for state in ("c", "h") if isinstance(layer.cell, LSTM) else ("h",):
                assert way(found, cell, state) == order
        states = {edge.state for edge in found.edges if base(edge.source) == layer.name}
        assert states - {""} <= ({"c", "h"} if isinstance(layer.cell, LSTM) else {"h"})


def way(found: Read, cell: str, state: str) -> list[str]:
    """Follow a state from its zero, and return the steps that it passes."""
    arrows = [
        edge for edge in found.edges
        if edge.state == state and edge.target.partition("@")[0] == cell
    ]  # fmt: skip
    follows = {edge.source: edge.target for edge in arrows}
    assert len(follows) == len(arrows)
    at, passed = "0", []
    while at in follows:
        at = follows[at]
        passed += [] if at.endswith("@...") else [at.partition("@")[2]]
    return passed


def after(network: Network, layer: Layer) -> tuple[Layer, ...]:
    return network.layers[network.layers.index(layer) + 1 :]


@pytest.mark.parametrize("name", UNFOLDED)
def test_only_what_is_used_goes_up(name: str) -> None:
    network, found = networks()[name], read(networks()[name])
    for layer in recurrent(network):
        ups = [edge for edge in found.out_of(layer.name) if edge.kind != "residual"]
        if layer.return_sequences:
            cells = found.columns(f"{layer.name}.forward" if layer.merge else layer.name)
            leaving = {edge.source.partition("@")[2] for edge in ups}
            held = {"pad"} if layer.masked else set()
            one = next(iter(after(network, layer)), None)
            if layer.merge is None and isinstance(one, Pooling) and one.statistic == "last_step":
                cells = cells[-1:]
            assert leaving == set(cells) - held
        elif layer.merge is None:
            last = found.columns(layer.name)[-1]
            assert {edge.source for edge in ups} <= {f"{layer.name}@{last}"}
            assert ups
        else:
            last, first = (found.columns(f"{layer.name}.forward")[each] for each in (-1, 0))
            final = {(edge.source, edge.target) for edge in ups if edge.kind == "final"}
            merge = f"{layer.name}.merge"
            assert final == {
                (f"{layer.name}.forward@{last}", merge),
                (f"{layer.name}.backward@{first}", merge),
            }
            assert first in ("1", last)


def first_on_axis(network: Network, layer: Layer) -> str:
    """Return the name of the first nodes on the time axis of the input of a layer."""
    before = network.layers[: network.layers.index(layer)]
    repeated = [index for index, each in enumerate(before) if isinstance(each, Repeat)]
    if not repeated:
        return "input"
    cells = next(each for each in before[repeated[-1] :] if isinstance(each, Recurrent))
    return f"{cells.name}.forward" if cells.merge else cells.name


@pytest.mark.parametrize("name", NAMES)
def test_nothing_padded_or_unused_is_pooled(name: str) -> None:
    network, found = networks()[name], read(networks()[name])
    for layer in network.layers:
        if isinstance(layer, Pooling):
            pooled = [edge.source.partition("@")[2] for edge in found.into(layer.name)]
            assert "pad" not in pooled
            wanted = [
                step for step in found.columns(first_on_axis(network, layer)) if step != "pad"
            ]
            assert pooled == (wanted[-1:] if layer.statistic == "last_step" else wanted)


@pytest.mark.parametrize("name", UNFOLDED)
def test_dropout_dashes_the_arrows_that_it_acts_on(name: str) -> None:
    network, found = networks()[name], read(networks()[name])
    before: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Dropout):
            before.append(layer)
            continue
        rates = [each.rate for each in before if isinstance(each, Dropout)]
        if isinstance(layer, Recurrent):
            rates += [layer.dropout] if layer.dropout else []
            _check_recurrent_dropout(found, layer)
        for edge in found.into(layer.name):
            merges = base(edge.source) == layer.name
            hollow = edge.target.endswith("@pad")
            wanted = "" if merges or hollow else " ".join(f"{rate:g}" for rate in rates)
            assert (edge.dropout, edge.dashed) == (wanted, bool(wanted))
        before = []


def test_dropout_before_layers_that_are_left_out() -> None:
    found = read(networks()["deep"])
    hidden = {base(node) for node in found.nodes if ".." in node}
    assert hidden == {"bidirectional_2", "dropout_2"}
    for layer in hidden:
        assert {(edge.dropout, edge.dashed) for edge in found.into(layer)} == {("0.2", True)}


def _check_recurrent_dropout(found: Read, layer: Recurrent) -> None:
    along = [edge for edge in found.edges if edge.state and base(edge.target) == layer.name]
    for edge in along:
        held = layer.masked and "@pad" in edge.source + edge.target
        free = edge.source == "0" or edge.state == "c" or held or not layer.recurrent_dropout
        assert edge.dashed == (not free), edge


@pytest.mark.parametrize("name", UNFOLDED)
def test_a_residual_begins_at_the_input_of_its_layer(name: str) -> None:
    network, found = networks()[name], read(networks()[name])
    layers = {layer.name: layer for layer in network.layers}
    for layer in network.layers:
        if not isinstance(layer, Residual):
            continue
        start = layer.start
        if isinstance(layers[start], Dropout):  # its row has no node
            names = list(layers)
            start = names[names.index(start) + 1]
        below = {(edge.source, step(edge)) for edge in found.into(start)}
        below = {(source, at) for source, at in below if base(source) != start}
        ways = [edge for edge in found.edges if edge.kind == "residual"]
        ways = [edge for edge in ways if base(edge.target) == layer.name]
        assert {(edge.source, step(edge)) for edge in ways} == below


def step(edge: Edge) -> str:
    return edge.target.partition("@")[2]


@pytest.mark.parametrize("name", NAMES)
def test_an_arrow_touches_the_nodes_that_it_names(name: str) -> None:
    network = networks()[name]
    for given in (Options(), Options(form="folded")):
        picture = scene(network, given)
        areas = nodes(picture)
        for part in picture.parts:
            data = dict(part.data)
            lines = [shape for shape in part.shapes if isinstance(shape, Line)]
            if "data-to" in data:
                start, end = lines[0].points[0], lines[-1].points[-1]
                held = 20 if "pad" in data["data-from"] + data["data-to"] else 3
                dot = 15 if data.get("data-kind") == "residual" else 3
                assert touches(start, areas.get(data["data-from"]), held, dot), data
                assert touches(end, areas.get(data["data-to"]), held, 3), data


def touches(point: tuple[float, float], area: Area | None, right: float, up: float) -> bool:
    """Return whether an arrow ends at a node; a held state passes, a residual begins at a dot."""
    if area is None:  # a zero, or the dots for steps that are not drawn
        return True
    x, y = point
    return area[0] - 3 <= x <= area[2] + right and area[1] - up <= y <= area[3] + 3


@pytest.mark.parametrize("name", NAMES)
def test_no_line_runs_over_a_node_of_another(name: str) -> None:
    network = networks()[name]
    for given in options(network):
        picture = scene(network, given)
        areas = nodes(picture)
        for part in picture.parts:
            data = dict(part.data)
            if "data-to" not in data:
                continue
            others = {
                key: area for key, area in areas.items()
                if key not in (data["data-from"], data["data-to"])
            }  # fmt: skip
            for line in part.shapes:
                for piece in segments(line) if isinstance(line, Line) else ():
                    over = [key for key, area in others.items() if _meets(piece, area)]
                    assert not over, (data, over)


def _meets(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> bool:
    return (
        one[0] < other[2] - 1 and other[0] + 1 < one[2]
        and one[1] < other[3] - 1 and other[1] + 1 < one[3]
    )  # fmt: skip
