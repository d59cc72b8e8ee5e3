"""Networks to draw, and what a picture says when it is read back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from conftest import GALLERY
from covering import covering

from rnnspec import pipeline
from rnnspec.drawing.layout.grid import reads, split_heads
from rnnspec.drawing.options import Options
from rnnspec.drawing.picture import Picture
from rnnspec.drawing.scene import Area, Box, Disc, Point, Polyline, Scene, Text
from rnnspec.ir.nodes import (
    Attention,
    Join,
    Network,
    Pooling,
    Recurrent,
    SequenceInput,
    Transpose,
)
from rnnspec_random.strategies import sample, spec_text, specs

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

PLAIN = (
    *("stacked_lstm", "standard_rnn", "torchinfo_packed_lstm"),
    *("bidirectional_lstm", "bidirectional_lstm_stack"),
)
"""Networks of the gallery that tests name."""
STACKS = {
    "causal": """\
input: {features: 3, length: 400}
rnn:
  - {type: conv, filters: 6, kernel_size: 3, padding: causal, dilation: 2, activation: relu}
  - {type: conv, filters: 8, kernel_size: 9, stride: 2, padding: same}
  - {type: gru, units: 4}
head: {pooling: {last_steps: 3}, units: 2}
""",
    "pools": """\
input: {features: 2, length: 5, mask_value: 0}
rnn:
  - {type: conv, filters: 4, kernel_size: 2}
  - {type: batch_norm, momentum: 0.9}
  - {type: instance_norm, epsilon: 0.01}
  - {type: activation, activation: {leaky_relu: 0.1}}
  - {type: dropout, rate: 0.5, variational: true}
  - {type: average_pool, size: 2, padding: same}
  - {type: lstm, units: 3, bidirectional: true}
  - {type: dense, units: 4, activation: {clipped_relu: 6}}
  - {type: conv, filters: 4, kernel_size: 3, padding: same}
head: {pooling: {attention: {units: 3}}, hidden: [{type: layer_norm}]}
""",
    "strides": """\
input: {features: 1}
rnn:
  - {type: conv, filters: 2, kernel_size: 3, stride: 2}
  - {type: conv, filters: 2, kernel_size: 26, bias: false}
  - {type: max_pool, size: 13, stride: 4}
  - {type: lstm, units: 2, bidirectional: true}
  - {type: repeat, steps: 4}
  - {type: lstm, units: 2}
  - {type: conv, filters: 2, kernel_size: 2}
head: {pooling: flatten, units: 1}
""",
    "wide": """\
input: {features: 1, length: 2000000}
rnn:
  - {type: conv, filters: 2, kernel_size: 1000000, dilation: 2, padding: causal}
  - {type: average_pool, size: 1000000, stride: 1000000}
  - {type: gru, units: 2}
""",
    "joins": """\
input: {features: 8, length: 5, mask_value: 0}
rnn:
  - {type: lstm, name: low, units: 4, bidirectional: true, residual: true}
  - {type: concat, name: one, of: [input, low]}
  - {type: dropout, name: drop, rate: 0.3}
  - {type: gru, name: mid, units: 16, residual: true}
  - {type: lstm, name: top, units: 8, bidirectional: true}
  - {type: concat, of: [one, mid, drop, top, low]}
  - {type: lstm, units: 2, bidirectional: true}
head: {pooling: [last, max, sum, {attention: {}}], units: 2}
""",
    "heads": """\
input: {features: 3, length: 30}
rnn: [{type: gru, units: 16}, {type: dropout, rate: 0.1}]
heads:
  now: {pooling: none, dropout: 0.2, units: 1}
  soon: {pooling: {last_steps: 4}, units: 2}
  raw: {pooling: none}
  kind: {pooling: {attention: {units: 4}}, hidden: [{units: 2, dropout: 0.5}], units: 3}
  all: {pooling: [max, last_step, sum], units: 3}
""",
    "answers": """\
input: {features: 3, length: 30}
rnn: {type: gru, units: 16}
heads:
  first: {dropout: 0.2, hidden: [{type: batch_norm}, {type: dropout, rate: 0.5}]}
  second: {units: 2}
  third: {hidden: [{units: 2}], units: 2, normalize: l2}
""",
    "tied": """\
embedding: {vocabulary: 50, dim: 4, mask_zero: true}
rnn:
  - {type: dropout, name: drop, rate: 0.1, variational: true}
  - {type: lstm, name: cells, units: 4, dropout: 0.2, recurrent_dropout: 0.3}
  - {type: gru, name: sums, units: 4, residual: true}
  - {type: concat, of: [drop, embedding_1, sums, cells]}
  - {type: dense, units: 4}
head: {pooling: none, units: 50, tied: true}
""",
}

GRAPHS = {
    "guide": """\
inputs:
  title: {embedding: {vocabulary: 10000, dim: 64}}
  body: {embedding: {vocabulary: 10000, dim: 64}}
  tags: {features: 12, per: sequence}
rnn:
  - {type: lstm, units: 128, of: title, name: title_lstm}
  - {type: lstm, units: 32, of: body, name: body_lstm}
  - {type: concat, of: [title_lstm.state, body_lstm.state, tags], name: all}
heads:
  priority: {units: 1, activation: sigmoid}
  department: {units: 4, activation: softmax}
""",
    "encoder_decoder": """\
inputs:
  source: {features: 71}
  target: {features: 93}
rnn:
  - {type: lstm, units: 256, of: source, name: encoder}
  - {type: lstm, units: 256, of: target, name: decoder, initial_state: {of: encoder}}
head: {units: 93, activation: softmax, pooling: none}
""",
    "actor_critic": """\
input: {length: 16, features: 8}
rnn:
  - {type: lstm, units: 64, initial_state: given}
heads:
  actor: {hidden: [{units: 32, activation: tanh}], units: 4, activation: softmax, pooling: none}
  critic: {units: 1, pooling: none}
""",
    "lstm_fcn": """\
inputs:
  series: {length: 96, features: 1}
rnn:
  - {type: transpose, of: series, name: shuffled}
  - {type: lstm, units: 8, name: lstm}
  - {type: conv, filters: 128, kernel_size: 8, padding: same, of: series, name: conv_a}
  - {type: batch_norm}
  - {type: conv, filters: 256, kernel_size: 5, padding: same, activation: relu}
  - {type: conv, filters: 128, kernel_size: 3, padding: same, activation: relu}
  - {type: pool, pooling: mean, name: average}
  - {type: concat, of: [lstm.state, average]}
head: {units: 2, activation: softmax}
""",
    "tagger": """\
inputs:
  words: {length: 50, embedding: {vocabulary: 10000, dim: 100, mask_zero: true}}
  casing: {length: 50, embedding: {vocabulary: 8, dim: 10}}
  basin: {features: 27, per: sequence}
rnn:
  - {type: concat, of: [words, casing, basin]}
  - {type: lstm, units: 100, bidirectional: true, initial_state: learned}
head: {units: 9, activation: softmax, pooling: none}
""",
    "inner_head": """\
input: {length: 20, features: 5}
rnn:
  - {type: gru, units: 16, name: low}
  - {type: gru, units: 16, direction: backward, name: high}
  - {type: add, of: [low, high], name: both}
  - {type: normalize}
heads:
  early: {of: low, units: 3, pooling: none}
  late: {units: 2, pooling: mean}
""",
    "query": """\
inputs:
  clicks: {length: 20, features: 5}
  user: {per: sequence, embedding: {vocabulary: 50, dim: 16}}
rnn:
  - {type: gru, units: 16, of: clicks, name: reads}
  - {type: pool, pooling: {attention: {query: user, activation: tanh}}, name: context}
  - {type: multiply, of: [context, user], name: gated}
  - {type: repeat, like: clicks, name: again}
  - {type: concat, of: [again, reads]}
  - {type: gru, units: 8}
head: {units: 1}
""",
    "branches": """\
input: {length: 30, features: 4}
rnn:
  - {type: conv, filters: 8, kernel_size: 3, padding: same, name: stem}
  - {type: conv, filters: 8, kernel_size: 3, padding: same, of: stem, name: a}
  - {type: conv, filters: 8, kernel_size: 5, padding: same, of: stem, name: b}
  - {type: max_pool, size: 3, stride: 1, padding: same, of: stem, name: c}
  - {type: concat, of: [a, b, c]}
  - {type: lstm, units: 8}
head: {units: 1}
""",
    "backwards": """\
inputs:
  audio: {length: 30, features: 4}
rnn:
  - {type: gru, units: 8, of: audio, direction: backward, initial_state: given, name: back}
  - {type: lstm, units: 6, bidirectional: true, of: audio, name: front}
  - {type: lstm, units: 6, bidirectional: true, initial_state: {of: front}, of: back, name: both}
head: {units: 1}
""",
    "translator": """\
inputs:
  source: {embedding: {vocabulary: 12, dim: 5, mask_zero: true}}
  target: {embedding: {vocabulary: 11, dim: 4, mask_zero: true}}
stream: target
rnn:
  - {type: gru, units: 6, bidirectional: true, of: source, name: encoder}
  - {type: dense, units: 7, activation: tanh, of: encoder.state, name: bridge}
  - type: gru
    units: 7
    of: target
    name: decoder
    initial_state: {h: bridge}
    attention: {over: encoder, score: additive, units: 3}
  - {type: concat, of: [decoder, decoder.context], name: both}
  - {type: attention, of: decoder, over: encoder, score: general, name: luong}
  - {type: concat, of: [both, luong]}
head: {pooling: none, units: 11, activation: softmax}
""",
    "attending_stack": """\
inputs:
  source: {length: 12, embedding: {vocabulary: 50, dim: 8}}
  target: {embedding: {vocabulary: 40, dim: 8}}
stream: target
rnn:
  - {type: lstm, units: 8, layers: 2, of: source, name: encoder}
  - type: lstm
    units: 8
    of: target
    attention: {over: encoder, score: general}
    residual: true
    initial_state: learned
  - {type: dropout, rate: 0.2}
  - type: gru
    units: 8
    name: second
    attention: {over: encoder, score: dot}
    direction: backward
    residual: true
  - {type: attention, over: encoder, score: additive, units: 5}
  - {type: concat, of: [attention_1, second.context]}
head: {pooling: none, units: 40, activation: softmax}
""",
    "input_feeding": """\
inputs:
  source: {length: 9, embedding: {vocabulary: 50, dim: 8, mask_zero: true}}
  target: {features: 6, mask_value: 0}
stream: target
cells:
  fed:
    states: [a, h]
    memory: [m]
    equations:
      h: tanh(W @ x + V @ a + U @ h + b)
      a: tanh(W_a @ concat(attend(A @ h, m), h))
rnn:
  - {type: gru, units: 8, of: source, name: encoder}
  - {type: fed, units: 6, of: target, name: decoder, over: {m: encoder}, residual: true}
  - {type: fed, units: 6, name: back, over: {m: source}, score: additive, score_units: 4,
    direction: backward}
head: {pooling: none, units: 40, activation: softmax}
""",
    "self_attention": """\
input: {length: 20, features: 6, mask_value: 0}
rnn:
  - {type: gru, units: 8, bidirectional: true, name: reads}
  - {type: attention, over: reads, score: scaled_dot, name: relates}
  - {type: lstm, units: 4}
head: {units: 2}
""",
    "question": """\
inputs:
  source: {features: 5, mask_value: 0}
  question: {features: 7, per: sequence}
rnn:
  - {type: gru, units: 7, of: source, name: reads}
  - {type: attention, of: question, over: reads, score: dot, name: answer}
  - {type: concat, of: [answer, question, reads.state]}
head: {units: 3}
""",
}

"""Networks of several inputs, branches, joins and states."""


@cache
def networks() -> dict[str, Network]:
    """Return networks that cover the gallery, extreme and random ones, by name."""
    chosen = [*covering(GALLERY), *(path for path in GALLERY if path.stem in PLAIN)]
    found = {path.stem: pipeline.read(path).network for path in chosen}
    unmasked = BOTH.replace(", mask_value: -1, length: LENGTH", "")
    texts = {
        "corners": CORNERS,
        "deep": DEEP,
        "both last_step": unmasked.replace("POOLING", "last_step"),
    }
    poolings = {1: "none", 2: "last", 3: "max", 2**31 - 1: "none"}
    for length, pooling in poolings.items():
        text = BOTH.replace("LENGTH", str(length)).replace("POOLING", pooling)
        texts[f"both {length} {pooling}"] = text
    texts |= {name: f"version: 1\nname: {name}\n{text}" for name, text in STACKS.items()}
    drawn = [*sample(specs(), 8), *sample(specs(long_names=True), 2)]
    texts |= {f"random {number}": spec_text(spec) for number, spec in enumerate(drawn)}
    texts |= {name: f"version: 1\nname: {name}\n{text}" for name, text in GRAPHS.items()}
    return found | {name: pipeline.reads(text).network for name, text in texts.items()}


def is_chain(network: Network) -> bool:
    """True if each layer stands right above the one that it takes, but for lines to joins.

    Layers of heads stand there by head, which is not their order if one head's are among another's.
    """
    trunk, heads = split_heads(network)
    above = [layer.name for head in heads for layer in head.layers]
    in_order = above == [layer.name for layer in network.layers if layer.name in above]
    below = [names for names, _ in reads(trunk, network)]
    follows = all(
        isinstance(stage, Join) or before.name in names
        for before, stage, names in zip(trunk, trunk[1:], below[1:], strict=False)
    )
    plain = not any(
        (isinstance(layer, Recurrent) and (layer.backward or layer.initial))
        or (isinstance(layer, Join) and layer.how != "concat")
        or (isinstance(layer, Pooling) and layer.statistic == "first_step")
        or isinstance(layer, Transpose | Attention)
        for layer in network.layers
    )
    finals = any(port.state for port in network.ports.values())
    return follows and in_order and plain and not finals and network.takes_one_array


def options(network: Network) -> Iterator[Options]:
    """Yield every kind of picture of a network that may overlap in its own way."""
    steps = [
        network_input.steps or 64
        for network_input in network.inputs
        if isinstance(network_input, SequenceInput)
    ]
    most = min(max(steps), 64)
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
    margin: dict[str, list[str]]

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


@cache
def read(name: str) -> Read:
    """Return what the SVG of one of the networks says, read as XML."""
    root = ET.fromstring(str(Picture(networks()[name], Options())))
    parts = [part for part in root if part.tag == f"{SVG}g"]
    edges = [_edge(part) for part in parts if "data-from" in part.attrib]
    nodes = [part.attrib["data-node"] for part in parts if "data-node" in part.attrib]
    notes = [
        ["".join(text.itertext()) for text in part.iter(f"{SVG}text")]
        for part in parts
        if "data-note" in part.attrib
    ]
    margin = dict(filter(None, map(_margin_entry, parts)))
    return Read(root, nodes, edges, notes, margin)


def _margin_entry(part: ET.Element) -> tuple[str, list[str]] | None:
    """Return the name that an entry of the margin begins with, and its lines after that."""
    texts = list(part.iter(f"{SVG}text"))
    if "data-note" not in part.attrib or not texts:
        return None
    bold = [element for element in texts[0].iter() if element.get("font-weight") == "600"]
    if not bold:
        return None
    rest = "".join(texts[0].itertext()).removeprefix(bold[0].text or "")
    lines = ["".join(text.itertext()) for text in texts[1:]]
    return bold[0].text or "", [rest, *lines]


def _edge(part: ET.Element) -> Edge:
    found = part.attrib
    kind, state, dropout = (found.get(f"data-{key}", "") for key in ("kind", "state", "dropout"))
    dashed = any("stroke-dasharray" in path.attrib for path in part)
    return Edge(found["data-from"], found["data-to"], kind, state, dropout, dashed)


def inside(one: Area, other: Area) -> bool:
    """True if the first area lies inside the second."""
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


Segment = tuple[Point, Point]
Boxes = np.ndarray[Any, np.dtype[np.float64]]


def segments(line: Polyline) -> Iterator[Segment]:
    """Yield each straight piece of a line."""
    yield from pairwise(line.points)


def runs_over(segment: Segment, area: Area, room: float = 0.7) -> bool:
    """True if a straight line has a point inside an area, or nearer to it than ``room``."""
    (x, y), (to_x, to_y) = segment
    enters, leaves = 0.0, 1.0
    for begin, end, low, high in ((x, to_x, area[0], area[2]), (y, to_y, area[1], area[3])):
        lowest, highest = low - room, high + room
        if begin == end:
            if not lowest < begin < highest:
                return False
            continue
        shares = sorted(((lowest - begin) / (end - begin), (highest - begin) / (end - begin)))
        enters, leaves = max(enters, shares[0]), min(leaves, shares[1])
    return enters < leaves


WIDE = 130.0
"""The width of nodes that take several steps."""


def overlaps(scene: Scene) -> Iterator[str]:
    """Yield every text that leaves the picture, or meets a text, a line or an edge of a node.

    And every arrow, or lane of several, that runs over a node at none of its ends: one that passes
    behind a node is broken there.
    """
    canvas = (scene.x, scene.y, scene.x + scene.width, scene.y + scene.height)
    shapes = [shape for part in scene.parts for shape in part.shapes]
    texts = [shape for shape in shapes if isinstance(shape, Text)]
    pieces = [piece for shape in shapes if isinstance(shape, Polyline) for piece in segments(shape)]
    text_boxes, boxes = boxes_of(text.area for text in texts), boxes_of(map(box, pieces))
    areas = nodes(scene)
    node_names, node_boxes = list(areas), boxes_of(areas.values())
    wide = {name: area for name, area in areas.items() if area[2] - area[0] > WIDE}
    for number, text in enumerate(texts):
        area = text.area
        if not inside(area, canvas):
            yield f"{text.content} leaves the picture"
        for index in meeting(text_boxes, area):
            # An index meets its variable on purpose.
            if index > number and not (text.variable and texts[index].variable):
                yield f"{text.content} meets {texts[index].content}"
        is_free = not any(inside(area, other) for other in wide.values())
        if is_free and any(runs_over(pieces[index], area) for index in meeting(boxes, area, 1)):
            yield f"{text.content} meets a line"
        for index in meeting(node_boxes, area):
            if not inside(area, areas[node_names[index]]):
                yield f"{text.content} leaves {node_names[index]}"
    for part in scene.parts:
        data = dict(part.data)
        lines = [shape for shape in part.shapes if isinstance(shape, Polyline)]
        ends = [data[key] for key in ("data-lane", "data-from", "data-to") if key in data]
        for piece in chain.from_iterable(map(segments, lines if ends else ())):
            for name in (node_names[index] for index in meeting(node_boxes, box(piece), room=1)):
                if name not in ends and runs_over(piece, areas[name], -1):
                    yield f"the arrow from {' to '.join(ends)} runs over {name}"


def box(piece: Segment) -> Area:
    """Return the smallest area around a straight line."""
    (x, y), (to_x, to_y) = piece
    return min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y)


def boxes_of(areas: Iterable[Area]) -> Boxes:
    return np.array(list(areas), float).reshape(-1, 4)


def meeting(boxes: Boxes, area: Area, room: float = 0) -> list[int]:
    """Return the numbers of the boxes that have a point in common with an area and its room."""
    left, top, right, low = area
    found = (boxes[:, 0] < right + room) & (left - room < boxes[:, 2])
    found &= (boxes[:, 1] < low + room) & (top - room < boxes[:, 3])
    return [int(index) for index in np.flatnonzero(found)]
