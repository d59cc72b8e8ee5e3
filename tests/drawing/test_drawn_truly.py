"""The arrows, names and numbers of a picture are those of the network."""

from __future__ import annotations

import re

from cases import cases
from drawing.drawn import Edge, Read, base, is_chain, networks, nodes, read

from rnnspec.drawing.attending import fold_projections
from rnnspec.drawing.layout.build import scene
from rnnspec.drawing.layout.grid import split_heads
from rnnspec.drawing.options import Options
from rnnspec.drawing.scene import Area, Polyline, Scene, Text
from rnnspec.drawing.words import dropped_states, lengths, shape, state_arrows
from rnnspec.ir.nodes import (
    AttentionPooling,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Join,
    LastSteps,
    Layer,
    Network,
    Pooling,
    Port,
    Recurrent,
    Repeat,
    Residual,
    WindowPooling,
    kept_outputs,
    sources,
)
from rnnspec.results.summaries import summarize

NAMES = [name for name, network in networks().items() if is_chain(network)]
UNFOLDED = [name for name in NAMES if not name.startswith(("deep", "both"))]


@cases("name", [name for name in networks() if name not in NAMES])
def test_an_edge_leads_to_each_layer_from_all_that_it_takes(name: str) -> None:
    network, found = fold_projections(networks()[name]).network, read(name)
    edges = {(base(edge.source), base(edge.target)) for edge in found.edges}
    edges |= {(base(edge.source), edge.target.partition("@")[0]) for edge in found.edges}
    for layer, taken in sources(network).items():
        node = next(other for other in network.layers if other.name == layer)
        # It has a line.
        if isinstance(node, Dropout):
            continue
        for source in taken[:1] if isinstance(node, Repeat) else taken:
            assert (drawn_as(network, source), layer) in edges
    for vector in network.learned.values():
        assert any(edge.source == vector.name for edge in found.edges)
    for port in network.ports.values():
        if port.state:
            assert (port.layer, port.name) in edges
        else:  # they leave the attention in the layer
            assert any(edge.source.startswith(f"{port.layer}.attention") for edge in found.edges)
    for output, result in network.results.items():
        if not (isinstance(result, Port) and result.state):
            target = f"output.{output}" if output else "output"
            assert (drawn_as(network, result.name), target) in edges


@cases("name", ["translator", "attending_stack"])
def test_a_query_is_the_state_before_its_step(name: str) -> None:
    network, found = fold_projections(networks()[name]).network, read(name)
    for layer in recurrent(network):
        if layer.attention is None:
            continue
        steps = [at for at in found.columns(layer.name) if at != "pad" or not layer.masked]
        steps = steps[::-1] if layer.backward else steps
        edges = [edge for edge in found.edges if edge.target.startswith(f"{layer.name}.attention")]
        memory = {(edge.source, step(edge)) for edge in edges if edge.kind == "memory"}
        assert memory == {(f"{layer.attention.over}.memory", at) for at in steps}
        queries = {step(edge): edge.source for edge in edges if edge.kind == "query"}
        assert list(queries) == steps
        first, *others = queries.values()
        assert base(first) == layer.first_states.get("h", "0")
        for before, at, source in zip(steps, steps[1:], others, strict=False):
            assert source in (f"{layer.name}@{before}", f"{layer.name}@..."), at
        contexts = [edge for edge in found.edges if edge.kind == "context"]
        contexts = [edge for edge in contexts if base(edge.target) == layer.name]
        assert [edge.target for edge in contexts] == [f"{layer.name}@{at}" for at in steps]
        assert all(edge.source == f"{layer.name}.attention@{step(edge)}" for edge in contexts)


def test_a_memory_leads_into_the_cells_that_ask_it() -> None:
    network, found = fold_projections(networks()["input_feeding"]).network, read("input_feeding")
    asking = [layer for layer in recurrent(network) if layer.attention is not None]
    assert len(asking) == 2
    for layer in asking:
        assert layer.attention is not None
        steps = [at for at in found.columns(layer.name) if at != "pad" or not layer.masked]
        edges = [edge for edge in found.edges if edge.kind == "memory"]
        edges = [edge for edge in edges if base(edge.target) == layer.name]
        assert {edge.source for edge in edges} == {f"{layer.attention.over}.memory"}
        assert {edge.target for edge in edges} == {f"{layer.name}@{at}" for at in steps}
        assert not any(edge.target.startswith(f"{layer.name}.attention") for edge in found.edges)


@cases("name", UNFOLDED)
def test_the_margin_is_the_summary(name: str) -> None:
    network, found = networks()[name], read(name)
    names = lengths(network)
    heads = {layer.name: head.name for head in split_heads(network)[1] for layer in head.layers}
    for layer in summarize(network).layers:
        entry = found.margin[layer.name]
        count = f"  ·  {layer.parameters:,} parameter{'s' if layer.parameters > 1 else ''}"
        sizes = f"→ {shape(layer.output_shape[1:], names[layer.name])}"
        head = f"  ·  head {heads[layer.name]}" if layer.name in heads else ""
        assert entry[-1] == sizes + (count if layer.parameters else "") + head
    assert found.margin[network.name] == [""]
    total = summarize(network).parameters.total
    assert found.margin[f"{total:,}"][0].startswith("parameter")


@cases("name", UNFOLDED)
def test_every_layer_stands_at_every_step(name: str) -> None:
    network, found = networks()[name], read(name)
    forked = forks(network)
    for layer in network.layers:
        below = found.into(layer.name)
        if isinstance(layer, Dropout):
            assert bool(below) == (layer.name in forked)
        else:
            assert below, layer.name
        if isinstance(layer, Recurrent):
            steps = columns_below(network, found, layer)
            for direction in (".forward", ".backward") if layer.merge else ("",):
                assert found.columns(f"{layer.name}{direction}") == steps
    last = network.input.steps
    length = "T" if last is None else str(last)
    wanted = "pad" if network.input.masked and last != 1 else length
    assert found.columns("input")[-1] == wanted
    *first, _ = found.columns("input")
    assert first == [str(number) for number in range(1, len(first) + 1)]


def joins(found: Read, layer: str) -> list[Edge]:
    """Return the lines of earlier outputs into a join."""
    return [edge for edge in found.edges if edge.kind == "join" and base(edge.target) == layer]


def forks(network: Network) -> set[str]:
    """Return the layers whose output is taken by more than the next layer."""
    found = set(kept_outputs(network))
    taken = sources(network)
    starts = [layer.start for layer in network.layers if isinstance(layer, Residual)]
    return found | {taken[start][0] for start in starts}


def columns_below(network: Network, found: Read, layer: Layer | Port) -> list[str]:
    """Return the steps of the sequence that goes into a layer, from left to right."""
    kinds, taken = {other.name: other for other in network.layers}, sources(network)
    below = layer
    while (name := below.layer if isinstance(below, Port) else taken[below.name][0]) in kinds:
        below = kinds[name]
        match below:
            case Repeat(steps=int() as length) | LastSteps(count=length):
                every = [str(step + 1) for step in range(length)]
                return every if length <= 5 else [*every[:3], every[-1]]
            case Conv() | WindowPooling():
                return found.columns(below.name)
            case _:
                pass
    return found.columns("input")


@cases("name", NAMES)
def test_each_output_has_its_name_and_its_results(name: str) -> None:
    network, found = networks()[name], read(name)
    for output, layer in network.results.items():
        node = f"output.{output}" if output else "output"
        ends = [edge for edge in found.edges if edge.target.partition("@")[0] == node]
        assert {base(edge.source) for edge in ends} == {drawn_as(network, layer.name)}
        if len(layer.output) == 1:
            assert [edge.target for edge in ends] == [node]
        elif not isinstance(layer, Conv | WindowPooling | LastSteps):
            real = [step for step in columns_below(network, found, layer) if step != "pad"]
            assert [step(edge) for edge in ends if step(edge) != "pad"] == real
        assert not output or [output] in found.notes


@cases("name", UNFOLDED)
def test_a_window_gathers_its_steps(name: str) -> None:
    network, found = networks()[name], read(name)
    for layer in network.layers:
        if not isinstance(layer, Conv | WindowPooling):
            continue
        below, window = columns_below(network, found, layer), layer.window
        results, length = found.columns(layer.name), layer.input[0]
        if window.keeps_steps:
            assert results == below
        for result in results[:-1]:
            # Any length is drawn as a multiple of the stride.
            before = window.added(length or 1000 * window.stride)[0]
            first = (int(result) - 1) * window.stride - before + 1
            every = range(first, first + window.reach + 1, window.dilation)
            steps = {every[0], every[-1]} if window.size > 5 else set(every)
            check_gathered(found, layer, result, steps, below)
        last = [edge for edge in found.edges if edge.target == f"{layer.name}@{results[-1]}"]
        assert (not last) == (results[-1] == "pad")
        assert all(edge.kind == "added" or step_of(edge.source) != "pad" for edge in last)


def check_gathered(
    found: Read, layer: Conv | WindowPooling, result: str, steps: set[int], below: list[str]
) -> None:
    """Check that the lines into the node of a window come from the steps that it gathers."""
    target, length = f"{layer.name}@{result}", layer.input[0]
    inside = {step for step in steps if step >= 1 and (length is None or step <= length)}
    numbers = {int(label): label for label in below[:-1]}
    if length is not None:
        numbers[length] = below[-1]
    expected = {numbers.get(step, "...") for step in inside} - {"pad"}
    edges = [edge for edge in found.edges if edge.target == target]
    starts = [edge.source for edge in edges if edge.kind != "added"]
    if any("@" not in source for source in starts):  # all begin at one node, such as a repeat
        assert len(starts) == len(expected)
    else:
        assert set(map(step_of, starts)) == expected
    added = {edge.source for edge in edges if edge.kind == "added"}
    outside = {"before": min(steps) < 1, "after": max(steps) > (length or 1e9)}
    # What is added to a pool does not count.
    sides = [side for side, is_used in outside.items() if is_used and isinstance(layer, Conv)]
    assert added == {f"{layer.name}.{side}" for side in sides}


def step_of(node: str) -> str:
    return node.partition("@")[2]


@cases("name", UNFOLDED)
def test_a_join_takes_the_layers_that_it_names(name: str) -> None:
    network, found = networks()[name], read(name)
    for layer in network.layers:
        if isinstance(layer, Join):
            edges = [*found.into(layer.name), *joins(found, layer.name)]
            columns = {step_of(edge.target) for edge in edges}
            nodes = {drawn_as(network, name) for name in layer.of}
            for column in columns:
                ends = [edge for edge in edges if step_of(edge.target) == column]
                assert {base(edge.source) for edge in ends} == nodes
                if column:  # not a join of vectors
                    assert {step_of(edge.source) for edge in ends} == {column}
            assert columns


def drawn_as(network: Network, name: str) -> str:
    """Return the layer whose node an output leaves: that of a dropout is a line."""
    kinds = {layer.name: layer for layer in network.layers}
    while isinstance(kinds.get(name), Dropout) and name not in forks(network):
        (name,) = sources(network)[name]
    port = network.ports.get(name)
    return port.layer if port and not port.state else name


@cases("name", NAMES)
def test_shared_vectors_have_a_line_in_the_margin(name: str) -> None:
    network = networks()[name]
    tied = [layer for layer in network.layers if isinstance(layer, Dense) and layer.tied]
    parts = [part for part in scene(network, Options()).parts if "data-note" in dict(part.data)]
    lines = [
        (dict(part.data)["data-layer"], shape) for part in parts for shape in part.shapes
        if isinstance(shape, Polyline) and shape.dashed
    ]  # fmt: skip
    assert [layer for layer, _ in lines] == [layer.name for layer in tied]
    texts = {
        dict(part.data)["data-layer"]: part.shapes[0] for part in parts
        if isinstance(part.shapes[0], Text) and part.shapes[0].weight == 600
    }  # fmt: skip
    for layer, (_, line) in zip(tied, lines, strict=True):
        for end, row in ((line.points[0], layer.name), (line.points[-1], str(layer.tied))):
            text = texts[row]
            assert isinstance(text, Text)
            assert text.area[1] < end[1] < text.area[3]


@cases("name", NAMES)
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
    assert (len(_last_states(folded)) >= 2) == any(not each.return_sequences for each in both)


def _last_states(picture: Scene) -> set[str]:
    """Return the remarks on the last states of both directions, their lines put together."""
    notes = [part for part in picture.parts if "data-note" in dict(part.data)]
    texts = [
        " ".join(text.content for text in part.shapes if isinstance(text, Text)) for part in notes
    ]
    said = " ".join(texts)
    return set(
        re.findall(
            r"last state of the \w+ direction, (?:at step [\w']+|held over the padding)", said
        )
    )


def recurrent(network: Network) -> list[Recurrent]:
    return [layer for layer in network.layers if isinstance(layer, Recurrent)]


@cases("name", UNFOLDED)
def test_the_state_runs_through_every_step(name: str) -> None:
    network, found = networks()[name], read(name)
    for layer in recurrent(network):
        for direction in ("forward", "backward") if layer.merge else ("",):
            cell = f"{layer.name}.{direction}" if direction else layer.name
            steps = found.columns(cell)
            order = steps[::-1] if direction == "backward" else steps
            for states in state_arrows(layer):
                assert way(found, cell, states) == order
        drawn = {edge.state for edge in found.edges if base(edge.source) == layer.name} - {""}
        assert set(" ".join(drawn).split()) <= {name for name, _ in layer.states}


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


@cases("name", UNFOLDED)
def test_only_what_is_used_goes_up(name: str) -> None:
    network, found = networks()[name], read(name)
    for layer in recurrent(network):
        ups = [edge for edge in found.out_of(layer.name) if edge.kind != "residual"]
        if layer.return_sequences:
            cells = found.columns(f"{layer.name}.forward" if layer.merge else layer.name)
            leaving = {edge.source.partition("@")[2] for edge in ups}
            held = {"pad"} if layer.masked else set()
            one = next(iter(after(network, layer)), None)
            if layer.merge is None and isinstance(one, Pooling) and one.statistic == "last_step":
                cells = cells[-1:] if layer.name not in kept_outputs(network) else cells
            if isinstance(one, LastSteps | WindowPooling | Conv | Join):
                # Not every step is gathered; see the tests of these.
                assert leaving - {"..."} <= set(cells) - held
            else:
                # The last step that is not padding may be hidden.
                assert leaving - {"..."} == set(cells) - held
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


@cases("name", NAMES)
def test_nothing_padded_or_unused_is_pooled(name: str) -> None:
    network, found = networks()[name], read(name)
    for layer in network.layers:
        if not isinstance(layer, Pooling | AttentionPooling | Flatten | LastSteps):
            continue
        pooled = [edge.source.partition("@")[2] for edge in found.into(layer.name)]
        real = [step for step in columns_below(network, found, layer) if step != "pad"]
        match layer:
            case Pooling(statistic="last_step"):
                real = real[-1:]
            case Pooling(statistic="last", backward=backward):
                # With hidden steps, the last one that is not padding is among them.
                columns = columns_below(network, found, layer)
                is_hidden = columns[-1] == "pad" and (layer.input[0] or 1000) > len(columns)
                last = "..." if is_hidden else real[-1]
                real = list(dict.fromkeys([real[0], last] if backward else [last]))
            case LastSteps(count=count):
                length = layer.input[0] or 1000
                numbers = {**{step: int(step) for step in real[:-1]}, real[-1]: length}
                real = [step for step in real if numbers[step] > length - count]
                real += ["..."] if len(real) < count else []
            case _:
                pass
        assert pooled == real


@cases("name", UNFOLDED)
def test_dropout_dashes_the_arrows_that_it_acts_on(name: str) -> None:
    network, found = networks()[name], read(name)
    for layer in network.layers:
        rates = rates_into(network, layer)
        if isinstance(layer, Recurrent):
            rates += [layer.dropout] if layer.dropout else []
            _check_recurrent_dropout(found, layer)
        elif isinstance(layer, Dropout):
            rates.append(layer.rate)
        for edge in found.into(layer.name):
            merges = base(edge.source) == layer.name
            hollow = edge.target.endswith("@pad")
            wanted = "" if merges or hollow else " ".join(f"{rate:g}" for rate in rates)
            assert (edge.dropout, edge.dashed) == (wanted, bool(wanted))


def rates_into(network: Network, layer: Layer) -> list[float]:
    """Return the rates of the dropouts whose rows the arrows into a layer go through."""
    kinds, taken = {other.name: other for other in network.layers}, sources(network)
    name, rates = taken[layer.name][0], list[float]()
    if isinstance(layer, Join):  # the others come from the side
        name = network.layers[network.layers.index(layer) - 1].name
    while isinstance(dropped := kinds.get(name), Dropout) and name not in forks(network):
        rates.insert(0, dropped.rate)
        (name,) = taken[name]
    return rates


def test_dropout_before_layers_that_are_left_out() -> None:
    found = read("deep")
    hidden = {base(node) for node in found.nodes if ".." in node}
    assert hidden == {"bidirectional_2", "dropout_2"}
    for layer in hidden:
        assert {(edge.dropout, edge.dashed) for edge in found.into(layer)} == {("0.2", True)}


def _check_recurrent_dropout(found: Read, layer: Recurrent) -> None:
    along = [edge for edge in found.edges if edge.state and base(edge.target) == layer.name]
    for edge in along:
        held = layer.masked and "@pad" in edge.source + edge.target
        reads = not dropped_states(layer).isdisjoint(edge.state.split())
        free = edge.source == "0" or not reads or held or not layer.recurrent_dropout
        assert edge.dashed == (not free), edge


@cases("name", UNFOLDED)
def test_a_residual_begins_at_the_input_of_its_layer(name: str) -> None:
    network, found = networks()[name], read(name)
    layers = {layer.name: layer for layer in network.layers}
    for layer in network.layers:
        if not isinstance(layer, Residual):
            continue
        start = layer.start
        while isinstance(layers[start], Dropout) and start not in forks(network):
            names = list(layers)  # its row has no node
            start = names[names.index(start) + 1]
        below = {(edge.source, step(edge)) for edge in found.into(start)}
        below = {(source, at) for source, at in below if base(source) != start}
        ways = [edge for edge in found.edges if edge.kind == "residual"]
        ways = [edge for edge in ways if base(edge.target) == layer.name]
        assert {(edge.source, step(edge)) for edge in ways} == below


def step(edge: Edge) -> str:
    return edge.target.partition("@")[2]


@cases("name", NAMES)
def test_an_arrow_touches_the_nodes_that_it_names(name: str) -> None:
    network = networks()[name]
    for given in (Options(), Options(form="folded")):
        picture = scene(network, given)
        areas = nodes(picture)
        for part in picture.parts:
            data = dict(part.data)
            lines = [shape for shape in part.shapes if isinstance(shape, Polyline)]
            if "data-to" in data:
                start, end = lines[0].points[0], lines[-1].points[-1]
                held = 20 if "pad" in data["data-from"] + data["data-to"] else 3
                dot = 15 if data.get("data-kind") in ("residual", "join") else 3
                asks = data.get("data-kind") == "query"  # from a dot on the arrow of the state
                held += 200 if asks else 0
                for key, place, up in (("data-from", start, dot), ("data-to", end, 3)):
                    # A zero, and the dots for steps that are not drawn, are no nodes.
                    if data[key] != "0" and not data[key].endswith("@..."):
                        assert touches(place, areas[data[key]], held, up), data


def touches(point: tuple[float, float], area: Area, right: float, up: float) -> bool:
    """True if an arrow ends at a node; a held state passes, a residual begins at a dot."""
    x, y = point
    return area[0] - 3 <= x <= area[2] + right and area[1] - up <= y <= area[3] + 3
