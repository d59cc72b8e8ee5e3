"""The folded picture of a network as a Mermaid flowchart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from rnnspec.drawing.words import Entry, cell_name, dropout, entry, input_entry, remarks
from rnnspec.ir.nodes import (
    LSTM,
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

_CLASSES = {
    "data": "fill:#ffffff,stroke:#4a5763,color:#1f2933",
    "embedding": "fill:#fbefd5,stroke:#a8741a,color:#1f2933",
    "forward": "fill:#dceafa,stroke:#2a67a8,color:#1f2933",
    "backward": "fill:#d9f0e6,stroke:#26785a,color:#1f2933",
    "head": "fill:#ebe1f6,stroke:#6a459c,color:#1f2933",
}
_BOXES = {"box": ("[", "]"), "round": ("(", ")"), "pill": ("([", "])"), "circle": ("((", "))")}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ,.→×·")


def mermaid(network: Network) -> str:
    """Return a Mermaid flowchart from the bottom up: one node for each layer, the state as a loop.

    Dropout is a dotted line. Every text is escaped. The same network gives the same text.
    """
    chart = _Chart()
    chart.node("in", "pill", "data", ["x", *_lines(input_entry(network.input))])
    places = {layer.name: index for index, layer in enumerate(network.layers)}
    for index, layer in enumerate(network.layers):
        _add_layer(chart, index, layer)
        if isinstance(layer, Residual):
            chart.edge(chart.before[places[layer.start]], f"l{index}", "the input as it was")
        if not isinstance(layer, Dropout):
            chart.last, chart.dropout = f"l{index}", ""
    chart.node("out", "circle", "data", ["ŷ"])
    chart.enter("out")
    styles = [f"  classDef {name} {style}" for name, style in _CLASSES.items()]
    title = f"  accTitle: {network.name}"
    return "\n".join(["flowchart BT", title, *chart.lines, *styles]) + "\n"


@dataclass(slots=True)
class _Chart:
    """The lines so far, the node that the next layer follows, and the dropout between the two.

    ``before`` has the node that each layer follows.
    """

    lines: list[str] = field(default_factory=list)
    last: str = "in"
    dropout: str = ""
    before: list[str] = field(default_factory=list)

    def node(self, name: str, box: str, style: str, text: list[str]) -> None:
        left, right = _BOXES[box]
        label = "<br>".join(map(escape, text))
        self.lines.append(f'  {name}{left}"{label}"{right}:::{style}')

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
            chart.node(name, "pill", "data", text)
        case Residual():
            chart.node(name, "pill", "data", ["+", *text])
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
    words = "h, c" if isinstance(layer.cell, LSTM) else "h"
    rate = layer.recurrent_dropout
    chart.edge(name, name, f"{words}, dropout {rate:g}" if rate else words, dotted=bool(rate))


def _add_both_ways(chart: _Chart, name: str, layer: Recurrent, text: list[str]) -> None:
    """Draw a cell for each direction, and the pill that merges them."""
    for direction in ("forward", "backward"):
        cell = f"{name}{direction[0]}"
        chart.node(cell, "box", direction, [f"{cell_name(layer.cell, short=True)} {direction}"])
        chart.enter(cell, dropout(layer))
        _add_state(chart, cell, layer)
    chart.node(name, "pill", "data", [str(layer.merge), *text])
    last = {"forward": "last state", "backward": "last state, at step 1"}
    for direction, state in last.items():
        chart.edge(f"{name}{direction[0]}", name, "" if layer.return_sequences else state)


def escape(text: str) -> str:
    """Return ``text`` for a quoted label: whatever Mermaid or HTML could read is a number."""
    return "".join(c if c in _PLAIN else f"#{ord(c)};" for c in text)
