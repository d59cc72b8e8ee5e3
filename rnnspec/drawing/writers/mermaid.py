"""The folded picture of a network as a Mermaid flowchart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from rnnspec.drawing.scene import COLOUR, Role
from rnnspec.drawing.words import (
    Entry,
    cell_name,
    dropout,
    entry,
    input_entry,
    last_states,
    remarks,
    state_names,
)
from rnnspec.ir.nodes import (
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Network,
    Normalize,
    Pooling,
    Recurrent,
    Repeat,
    Residual,
)

_ROLES: tuple[Role, ...] = ("plain", "embedding", "forward", "backward", "head")
_BOXES = {"box": ("[", "]"), "round": ("(", ")"), "pill": ("([", "])"), "circle": ("((", "))")}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ,.→×·")


def mermaid(network: Network) -> str:
    """Return a Mermaid flowchart from the bottom up: one node for each layer, the state as a loop.

    Dropout is a dotted line. Every text is escaped. The same network gives the same text.
    """
    chart = _Chart()
    chart.node("in", "pill", "plain", ["x", *_lines(input_entry(network.input))])
    places = {layer.name: index for index, layer in enumerate(network.layers)}
    for index, layer in enumerate(network.layers):
        _add_layer(chart, index, layer)
        if isinstance(layer, Residual):
            chart.edge(chart.before[places[layer.start]], f"l{index}", "the input as it was")
        if not isinstance(layer, Dropout):
            chart.last, chart.dropout = f"l{index}", ""
    chart.node("out", "circle", "plain", ["ŷ"])
    chart.enter("out")
    paints = {role: COLOUR[role] for role in _ROLES}
    ink = COLOUR["ink"][1]
    styles = [
        f"  classDef {role} fill:{fill},stroke:{stroke},color:{ink}"
        for role, (fill, stroke) in paints.items()
    ]
    name = escape(network.name)
    head = ["---", f'title: "{name}"', "---", "flowchart BT", f"  accTitle: {name}"]
    return "\n".join([*head, *chart.lines, *styles]) + "\n"


@dataclass(slots=True)
class _Chart:
    """The lines so far, the node that the next layer follows, and the dropout between the two.

    ``before`` has the node that each layer follows.
    """

    lines: list[str] = field(default_factory=list)
    last: str = "in"
    dropout: str = ""
    before: list[str] = field(default_factory=list)

    def node(self, name: str, box: str, role: Role, text: list[str]) -> None:
        left, right = _BOXES[box]
        label = "<br>".join(map(escape, text))
        self.lines.append(f'  {name}{left}"{label}"{right}:::{role}')

    def edge(self, start: str, end: str, text: str = "", *, dotted: bool = False) -> None:
        label = f'|"{escape(text)}"|' if text else ""
        self.lines.append(f"  {start} {'-.->' if dotted else '-->'}{label} {end}")

    def enter(self, name: str, text: str = "") -> None:
        """Lead the output of the layers so far into a node; ``text`` is a dropout of its own."""
        words = ", ".join(filter(None, (self.dropout, text)))
        self.edge(self.last, name, words, dotted=bool(words))


def _add_layer(chart: _Chart, index: int, layer: Layer) -> None:
    chart.before.append(chart.last)
    name, text = f"l{index}", [*_lines(entry(layer)), *remarks(layer)]
    match layer:
        case Embedding():
            chart.node(name, "round", "embedding", text)
        case Dense():
            chart.node(name, "round", "head", text)
        case LayerNorm() | Repeat() | Pooling() | Normalize():
            chart.node(name, "pill", "plain", text)
        case Residual():
            chart.node(name, "pill", "plain", ["+", *text])
        case Dropout():
            chart.dropout = ", ".join(filter(None, (chart.dropout, entry(layer).heading)))
            return
        case Recurrent(merge=None):
            chart.node(name, "box", "forward", text)
            _add_state(chart, name, layer)
        case Recurrent():
            _add_both_ways(chart, name, layer, text)
            return
        case _:
            assert_never(layer)
    chart.enter(name, dropout(layer) if isinstance(layer, Recurrent) else "")


def _lines(words: Entry) -> list[str]:
    return [line for line in (words.heading, words.compact_detail) if line]


def _add_state(chart: _Chart, name: str, layer: Recurrent) -> None:
    words = ", ".join(state_names(layer.cell))
    rate = layer.recurrent_dropout
    chart.edge(name, name, f"{words}, dropout {rate:g}" if rate else words, dotted=bool(rate))


def _add_both_ways(chart: _Chart, name: str, layer: Recurrent, text: list[str]) -> None:
    """Draw a cell for each direction, and the pill that merges them."""
    directions: tuple[Role, Role] = ("forward", "backward")
    for direction in directions:
        cell = f"{name}{direction[0]}"
        chart.node(cell, "box", direction, [f"{cell_name(layer.cell, short=True)} {direction}"])
        chart.enter(cell, dropout(layer))
        _add_state(chart, cell, layer)
    chart.node(name, "pill", "plain", [str(layer.merge), *text])
    ahead, back = ("", "") if layer.return_sequences else last_states(layer)
    chart.edge(f"{name}f", name, ahead)
    chart.edge(f"{name}b", name, back)


def escape(text: str) -> str:
    """Return ``text`` for a quoted label: whatever Mermaid or HTML could read is a number."""
    return "".join(c if c in _PLAIN else f"#{ord(c)};" for c in text)
