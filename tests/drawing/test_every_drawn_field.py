"""Every field of every node changes the picture, or is named here with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice, takewhile
from typing import get_args

from cases import cases
from test_every_field import CORPUS, FIELDS, SEEN, parts, with_value

from rnnspec.drawing.formats import plain_text
from rnnspec.drawing.layout.build import scene
from rnnspec.drawing.looks import look
from rnnspec.drawing.options import Options
from rnnspec.drawing.picture import Picture
from rnnspec.drawing.scene import Text
from rnnspec.drawing.writers import mermaid, svg, tikz
from rnnspec.ir.nodes import (
    Cell,
    Dropout,
    Input,
    Layer,
    Network,
    StepAttention,
)

INITIAL = "the values before training are no part of the structure"
UNDRAWN = {
    ("Constant", "value"): INITIAL,
    ("Normal", "stddev"): INITIAL,
    ("Uniform", "limit"): INITIAL,
    ("LSTM", "forget_bias"): INITIAL,
    **{
        (kind, f"{array}_initializer"): INITIAL
        for kind in ("Dense", "Conv", "AttentionPooling")
        for array in ("kernel", "bias")
    },
    ("Embedding", "initializer"): INITIAL,
    ("Attention", "kernel_initializer"): INITIAL,
    ("EquationCell", "initializers"): INITIAL,
    ("LearnedFormula", "initializers"): INITIAL,
    ("LearnedFormula", "inputs"): "the layers that it takes show their shapes",
    ("Recurrent", "kernel_initializer"): INITIAL,
    ("Recurrent", "recurrent_initializer"): INITIAL,
    ("Recurrent", "bias_initializer"): INITIAL,
    ("VectorInput", "name"): "a first state is named by its layer, and others by what they are",
    ("Pretrained", "weights"): "the picture says 'pretrained', whatever the name of the file",
    ("Pretrained", "words"): "likewise",
    ("TokenInput", "vocabulary"): "the embedding has the same number, and shows it",
    ("LabelInput", "vocabulary"): "likewise",
    ("LabelInput", "name"): "an input is shown by what it is",
    ("Network", "streams"): "whole sequences are drawn, not chunks",
}
"""Fields that no picture shows, and why."""
_FEW = 12


@cache
def drawn(network: Network) -> str | None:
    """Return the picture of a network, or None if it is no network."""
    try:
        return str(Picture(network, Options()))
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, IndexError):
        return None


_REFERENCES = (
    *("source", "start", "like", "query", "table", "tied", "of", "initial", "stream"),
    *("over", "keys"),
)
"""Fields with names of layers and inputs."""


def _possible(network: Network, layer: str, field: str, value: object) -> bool:
    """True if a field of a layer may have a value: the name of what is before the layer."""
    if isinstance(value, StepAttention):
        value = (value.over, value.keys)
    elif field not in _REFERENCES:
        return True
    before = takewhile(lambda other: other.name != layer, network.layers)
    known = {None, *(node.name for node in (*network.inputs, *before))}
    return known.issuperset(value if isinstance(value, tuple) else (value,))


def changes(kind: str, field: str) -> Iterator[bool]:
    """Yield for each node of a kind if another value of a field changes the picture."""
    # A small network is drawn faster.
    for program in sorted(CORPUS, key=lambda program: len(program.network.layers)):
        for place, node in parts(program.network):
            if type(node).__name__ == kind:
                name = getattr(node, "name", "")
                others = (
                    value
                    for value in SEEN[kind, field]
                    if value != getattr(node, field)
                    and _possible(program.network, name, field, value)
                )
                pictures = (
                    drawn(with_value(program.network, (*place, field), value))
                    # Of names, one is as good as another.
                    for value in islice(others, 3 if field == "name" else None)
                )
                if after := next(filter(None, pictures), None):
                    yield after != drawn(program.network)


@cases(("kind", "field"), FIELDS)
def test_a_field_changes_the_picture(kind: str, field: str) -> None:
    # All of what no picture shows would be drawn with every value in every network.
    few = _FEW if (kind, field) in UNDRAWN else None
    changed = any(islice(changes(kind, field), few))
    assert changed or (kind, field) in UNDRAWN, f"no picture shows {kind}.{field}"
    assert not (changed and (kind, field) in UNDRAWN), f"{kind}.{field} is drawn: remove it"


def test_every_kind_of_node_is_in_some_picture() -> None:
    seen = {type(node) for program in CORPUS for _, node in parts(program.network)}
    assert {*get_args(Layer), *get_args(Input), *get_args(Cell)} <= seen
    assert set(UNDRAWN) <= set(FIELDS)


@cases("kind", get_args(Layer))
def test_a_kind_of_layer_has_one_look_in_all_pictures(kind: type[Layer]) -> None:
    network, layer = min(
        (
            (program.network, layer)
            for program in CORPUS
            for layer in program.network.layers
            if isinstance(layer, kind)
        ),
        key=lambda pair: len(pair[0].layers),
    )
    appearance = look(layer)
    options = Options(form="folded")  # its nodes have room for a word, and never for a sentence
    shapes = scene(network, options)
    drawing, typeset, flowchart = svg.svg(shapes), tikz.tikz(shapes), mermaid.mermaid(network)
    terminal = plain_text(network, options, unicode=True).split()
    assert {*appearance.kind.split()} <= {*terminal}
    assert svg.escape(appearance.kind) in drawing
    # A label that is too wide for the picture is in several lines.
    drawn_shapes = (shape for part in shapes.parts for shape in part.shapes)
    texts = [one for one in drawn_shapes if isinstance(one, Text) and not one.variable]
    assert appearance.kind in " ".join(f"{one.content} {one.more}".strip() for one in texts)
    assert all(tikz.escape(word) in typeset for one in texts for word in (one.content, one.more))
    assert mermaid.escape(appearance.kind) in flowchart
    if kind is not Dropout:
        assert appearance.short in " ".join(terminal)
        assert f">{svg.escape(appearance.word)}" in drawing
        assert rf"\selectfont {tikz.escape(appearance.word)}" in typeset
        assert f":::{appearance.role}" in flowchart
