"""Networks to draw, and what a picture says when it is read back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from xml.etree import ElementTree as ET

from conftest import GALLERY

from rnnspec import pipeline
from rnnspec.comparison.strategies import sample, spec_text, specs
from rnnspec.drawing.options import Options
from rnnspec.drawing.picture import Picture
from rnnspec.drawing.scene import Area, Box, Disc, Line, Scene, Text
from rnnspec.ir.nodes import Network

SVG = "{http://www.w3.org/2000/svg}"

CORNERS = """\
version: 1
name: corners
description: Padding, residual, layer norm, both dropouts and mean pooling in one picture.
input: {length: 500}
embedding: {vocabulary: 10001, dim: 64, mask_zero: true, trainable: false}
rnn:
  - {type: gru, units: 64, dropout: 0.2, recurrent_dropout: 0.1, layer_norm: true, residual: true}
  - type: lstm
    units: 32
    bidirectional: true
    dropout: 0.5
    variational: false
    residual: true
    layer_norm: true
    recurrent_dropout: 0.3
head: {pooling: mean, hidden: [{units: 16, activation: relu, dropout: 0.5}], units: 1}
"""
LONG = "many_windows_wwwwmmmmwwwwmmmmwwwwmmmmwwwwmmmmwwwwmmmmwwww"
DEEP = f"""\
version: 1
name: deep
input: {{length: 150000}}
embedding: {{vocabulary: 10000000, dim: 64, name: {LONG}_a, weights: a.txt, words: b.txt}}
rnn:
  - {{type: lstm, units: 32, layers: 12, bidirectional: true, dropout: 0.2, residual: true}}
  - {{type: simple, units: 64, layers: 7, dropout: 0.2, variational: false, name: {LONG}}}
  - {{type: repeat, steps: 5000}}
  - type: gru
    units: 1048576
    bidirectional: true
    merge: ave
    name: {LONG}_b
    activation: hard_sigmoid
    recurrent_activation: hard_sigmoid
    reset_after: false
    bias: false
head: {{pooling: none, units: 1, activation: sigmoid}}
"""
BOTH = """\
version: 1
name: both
input: {features: 3, mask_value: -1, length: LENGTH}
rnn: {type: lstm, units: 2, layers: 12, bidirectional: true, merge: mul, layer_norm: true}
head: {pooling: POOLING, dropout: 0.5, hidden: [{units: 3, dropout: 0.25}]}
"""


@cache
def networks() -> dict[str, Network]:
    """Return the gallery, networks of extremes, and random ones, by name."""
    found = {path.stem: pipeline.read(path).network for path in GALLERY}
    unmasked = BOTH.replace(", mask_value: -1, length: LENGTH", "")
    texts = {
        "corners": CORNERS,
        "deep": DEEP,
        "both last_step": unmasked.replace("POOLING", "last_step"),
    }
    for length in (1, 2, 3, 2**31 - 1):
        for pooling in ("last", "max", "none"):
            text = BOTH.replace("LENGTH", str(length)).replace("POOLING", pooling)
            texts[f"both {length} {pooling}"] = text
    drawn = [*sample(specs(), 12), *sample(specs(long_names=True), 4)]
    texts |= {f"random {number}": spec_text(spec) for number, spec in enumerate(drawn)}
    return found | {name: pipeline.reads(text).network for name, text in texts.items()}


def options(network: Network) -> Iterator[Options]:
    """Yield every kind of picture of a network that may overlap in its own way."""
    most = min(network.input.steps or 64, 64)
    yield Options()
    yield Options(form="folded")
    yield Options(labels="none")
    yield Options(steps=min(2, most))
    yield Options(steps=most)


@dataclass(frozen=True)
class Edge:
    """An arrow as the SVG has it."""

    source: str
    target: str
    kind: str
    state: str
    dropout: str
    dashed: bool


@dataclass(frozen=True)
class Read:
    """What an SVG says of a network."""

    root: ET.Element
    nodes: list[str]
    edges: list[Edge]
    notes: list[list[str]]

    def into(self, layer: str) -> list[Edge]:
        """Return the edges into a layer that bring no state and no residual."""
        found = [edge for edge in self.edges if not edge.state and not edge.kind]
        return [edge for edge in found if base(edge.target) == layer]

    def out_of(self, layer: str) -> list[Edge]:
        """Return the edges out of a layer that carry no state along the time axis."""
        return [edge for edge in self.edges if not edge.state and base(edge.source) == layer]

    def columns(self, layer: str) -> list[str]:
        """Return the steps at which a node of a layer is drawn, from left to right."""
        return [name.partition("@")[2] for name in self.nodes if name.partition("@")[0] == layer]


def base(node: str) -> str:
    """Return the layer of a node."""
    return node.partition("@")[0].partition(".")[0]


def read(network: Network, given: Options | None = None) -> Read:
    """Return what the SVG of a network says, read as XML."""
    root = ET.fromstring(str(Picture(network, given or Options())))
    parts = [part for part in root if part.tag == f"{SVG}g"]
    edges = [_edge(part) for part in parts if "data-from" in part.attrib]
    nodes = [part.attrib["data-node"] for part in parts if "data-node" in part.attrib]
    notes = [
        ["".join(text.itertext()) for text in part.iter(f"{SVG}text")]
        for part in parts
        if "data-note" in part.attrib
    ]
    return Read(root, nodes, edges, notes)


def _edge(part: ET.Element) -> Edge:
    found = part.attrib
    kind, state, dropout = (found.get(f"data-{key}", "") for key in ("kind", "state", "dropout"))
    dashed = any("stroke-dasharray" in path.attrib for path in part)
    return Edge(found["data-from"], found["data-to"], kind, state, dropout, dashed)


def meet(one: Area, other: Area) -> bool:
    """Return whether two areas have a point in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def inside(one: Area, other: Area) -> bool:
    """Return whether the first area lies inside the second."""
    return other[0] <= one[0] and one[2] <= other[2] and other[1] <= one[1] and one[3] <= other[3]


def nodes(scene: Scene) -> dict[str, Area]:
    """Return the area of each node of a picture."""
    found = {}
    for part in scene.parts:
        areas = [shape.area for shape in part.shapes if isinstance(shape, Box | Disc)]
        if name := dict(part.data).get("data-node"):
            lefts, tops, rights, lows = zip(*areas, strict=True)
            room = 5 if ".." in name else 0  # around the dots for layers that are left out
            found[name] = min(lefts), min(tops) - room, max(rights), max(lows) + room
    return found


def segments(line: Line) -> Iterator[Area]:
    """Yield the area of each straight piece of a line."""
    for (x, y), (to_x, to_y) in pairwise(line.points):
        yield min(x, to_x) - 0.7, min(y, to_y) - 0.7, max(x, to_x) + 0.7, max(y, to_y) + 0.7


def overlaps(scene: Scene) -> Iterator[str]:
    """Yield every text that leaves the picture, or meets a text, a line or an edge of a node."""
    canvas = (scene.x, scene.y, scene.x + scene.width, scene.y + scene.height)
    shapes = [shape for part in scene.parts for shape in part.shapes]
    texts = [shape for shape in shapes if isinstance(shape, Text)]
    lines = [area for shape in shapes if isinstance(shape, Line) for area in segments(shape)]
    areas = nodes(scene)
    for number, text in enumerate(texts):
        area = text.area
        if not inside(area, canvas):
            yield f"{text.content} leaves the picture"
        for other in texts[number + 1 :]:
            # An index meets its variable on purpose.
            if meet(area, other.area) and not (text.variable and other.variable):
                yield f"{text.content} meets {other.content}"
        if any(meet(area, line) for line in lines):
            yield f"{text.content} meets a line"
        for name, node in areas.items():
            if meet(area, node) and not inside(area, node):
                yield f"{text.content} leaves {name}"
