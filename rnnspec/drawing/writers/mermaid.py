"""The folded picture of a network as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from rnnspec.drawing.attending import fold_projections, memories
from rnnspec.drawing.looks import NodeShape, dropout, look
from rnnspec.drawing.scene import COLOUR, Role
from rnnspec.drawing.words import (
    MarginEntry,
    dropped_states,
    entry,
    input_entry,
    last_states,
    lengths,
    remarks,
    states_in_words,
)
from rnnspec.ir.nodes import (
    Attention,
    AttentionPooling,
    Dense,
    Dropout,
    Layer,
    Learned,
    Network,
    Port,
    Recurrent,
    Repeat,
    Residual,
    sources,
)

_ROLES: tuple[Role, ...] = (
    *("plain", "slab", "embedding", "convolution", "forward", "backward", "head"),
)
_Shape = NodeShape | Literal["result"]
_BRACKETS: dict[_Shape, tuple[str, str]] = {
    "cell": ("[", "]"),
    "box": ("(", ")"),
    "slab": ("(", ")"),
    "pill": ("([", "])"),
    "sum": ("([", "])"),
    "result": ("((", "))"),
}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ,.→×·")


def mermaid(network: Network) -> str:
    """Return a Mermaid flowchart from the bottom up: one node for each layer, the state as a loop.

    Dropout is a dotted line. Every text is escaped. The same network gives the same text.
    """
    names, drawn = lengths(network), fold_projections(network)
    network = drawn.network
    sources_of = sources(network)
    chart = _Chart(names)
    for index, network_input in enumerate(network.inputs):
        name = f"in{index or ''}"
        chart.node(name, "pill", "plain", ["x", *_lines(input_entry(network_input))])
        chart.outputs[network_input.name] = _Origin(name)
    for index, layer in enumerate(network.values):
        words = entry(layer, names[layer.name])
        if isinstance(layer, Learned):
            appearance = look(layer)
            chart.node(f"l{index}", appearance.shape, appearance.role, _lines(words))
            chart.outputs[layer.name] = _Origin(f"l{index}")
            continue
        if isinstance(layer, Port):
            appearance = look(layer)
            chart.node(f"l{index}", appearance.shape, appearance.role, _lines(words))
            chart.enter(f"l{index}", layer.layer)
            chart.outputs[layer.name] = _Origin(f"l{index}")
            continue
        if isinstance(layer, Dropout):
            before = chart.outputs[sources_of[layer.name][0]]
            dropped = ", ".join(filter(None, (before.dropout, words.heading)))
            chart.outputs[layer.name] = replace(before, dropout=dropped)
            continue
        name = f"l{index}"
        parts = [entry(part, names[part.name]) for part in drawn.projections.get(layer.name, ())]
        _add_layer(chart, name, layer, [words, *parts], sources_of[layer.name])
        chart.outputs[layer.name] = _Origin(name)
        match layer:
            case Residual(start=start):
                chart.enter(name, sources_of[start][0], "the input as it was")
            case Dense(tied=str() as tied):
                chart.share(tied, name)
            case _:
                pass
        if layer.shares:
            chart.share(layer.shares, name)
    for index, (output, result) in enumerate(network.results.items()):
        name = f"out{index or ''}"
        chart.node(name, "result", "plain", ["ŷ", *([output] if output else [])])
        chart.enter(name, result.name)
    paints = {role: COLOUR[role] for role in _ROLES}
    ink = COLOUR["ink"][1]
    styles = [
        f"  classDef {role} fill:{fill},stroke:{stroke},color:{ink}"
        for role, (fill, stroke) in paints.items()
    ]
    name = escape(network.name)
    head = ["---", f'title: "{name}"', "---", "flowchart BT", f"  accTitle: {name}"]
    return "\n".join([*head, *chart.lines, *styles]) + "\n"


@dataclass(frozen=True, slots=True)
class _Origin:
    """The node that an output comes from, and the dropout on its way."""

    node: str
    dropout: str = ""


@dataclass(slots=True)
class _Chart:
    """The lines so far, the output of each layer, and the names of lengths."""

    lengths: dict[str, str]
    lines: list[str] = field(default_factory=list)
    outputs: dict[str, _Origin] = field(default_factory=dict)

    def node(self, name: str, shape: _Shape, role: Role, text: list[str]) -> None:
        left, right = _BRACKETS[shape]
        label = "<br>".join(map(escape, text))
        self.lines.append(f'  {name}{left}"{label}"{right}:::{role}')

    def edge(self, start: str, end: str, text: str = "", *, dotted: bool = False) -> None:
        label = f'|"{escape(text)}"|' if text else ""
        self.lines.append(f"  {start} {'-.->' if dotted else '-->'}{label} {end}")

    def share(self, owner: str, name: str) -> None:
        """Connect a node with the layer whose arrays it has."""
        self.lines.append(f'  {self.outputs[owner].node} -.-|"shared arrays"| {name}')

    def enter(self, name: str, layer: str, text: str = "", dropout: str = "") -> None:
        """Lead the output of a layer into a node, which may have a ``dropout`` of its own."""
        output = self.outputs[layer]
        dropped = [*filter(None, (output.dropout, dropout))]
        words = ", ".join([*dropped, *filter(None, (text,))])
        self.edge(output.node, name, words, dotted=bool(dropped))


def _add_layer(
    chart: _Chart, name: str, layer: Layer, entries: list[MarginEntry], names: Sequence[str]
) -> None:
    """Add the node of a layer, whose text begins with ``entries``, and the edges into it."""
    text = [line for words in entries for line in _lines(words)]
    text += remarks(layer)
    if isinstance(layer, Recurrent) and layer.merge is not None:
        _add_both_ways(chart, name, layer, text, names[0])
        _add_first_states(chart, [f"{name}f", f"{name}b"], layer)
        return
    appearance = look(layer)
    if appearance.shape == "sum":
        text = [appearance.word, *text]
    chart.node(name, appearance.shape, appearance.role, text)
    if isinstance(layer, Recurrent):
        _add_state(chart, name, layer)
    rate = dropout(layer) if isinstance(layer, Recurrent) else ""
    attended = {memory.of for memory in memories(layer)}
    for source in dict.fromkeys(names[:1] if isinstance(layer, Recurrent) else names):
        if source in attended and source != names[0]:
            continue
        asks = isinstance(layer, AttentionPooling) and source != names[0]
        asks |= isinstance(layer, Attention)
        counts = isinstance(layer, Repeat) and source != names[0]
        chart.enter(name, source, "query" if asks else "its steps" if counts else "", rate)
    for memory in memories(layer):
        chart.enter(name, memory.of, "memory")
    if isinstance(layer, Recurrent):
        _add_first_states(chart, [name], layer)


def _add_first_states(chart: _Chart, cells: list[str], layer: Recurrent) -> None:
    """Lead the vectors that the states of a layer begin as into its cells."""
    for state, vector in layer.first_states.items():
        for cell in cells:
            chart.enter(cell, vector, f"first {state}")


def _lines(words: MarginEntry) -> list[str]:
    return [line for line in (words.heading, words.compact_detail) if line]


def _add_state(chart: _Chart, name: str, layer: Recurrent) -> None:
    words = states_in_words(layer)
    rate = layer.recurrent_dropout if dropped_states(layer) else 0.0
    chart.edge(name, name, f"{words}, dropout {rate:g}" if rate else words, dotted=bool(rate))


def _add_both_ways(
    chart: _Chart, name: str, layer: Recurrent, text: list[str], source: str
) -> None:
    """Draw a cell for each direction, and the pill that merges them."""
    directions: tuple[Role, Role] = ("forward", "backward")
    for direction in directions:
        cell = f"{name}{direction[0]}"
        chart.node(cell, "cell", direction, [f"{look(layer).short} {direction}"])
        chart.enter(cell, source, dropout=dropout(layer))
        _add_state(chart, cell, layer)
    chart.node(name, "pill", "plain", [str(layer.merge), *text])
    ahead, back = (
        ("", "") if layer.return_sequences else last_states(layer, chart.lengths[layer.name])
    )
    chart.edge(f"{name}f", name, ahead)
    chart.edge(f"{name}b", name, back)


def escape(text: str) -> str:
    """Return ``text`` for a quoted label: whatever Mermaid or HTML could read is a number."""
    return "".join(c if c in _PLAIN else f"#{ord(c)};" for c in text)
