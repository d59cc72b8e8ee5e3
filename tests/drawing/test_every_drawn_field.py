"""Every field of every node changes the picture, or is named here with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import get_args

from cases import cases
from test_every_field import CORPUS, FIELDS, SEEN, parts, with_value

from rnnspec.drawing.options import Options
from rnnspec.drawing.picture import Picture
from rnnspec.ir.nodes import Cell, Input, Layer, Network

INITIAL = "the values before training are no part of the structure"
UNDRAWN = {
    ("Constant", "value"): INITIAL,
    ("Normal", "stddev"): INITIAL,
    ("Uniform", "limit"): INITIAL,
    ("LSTM", "forget_bias"): INITIAL,
    **{
        (kind, f"{array}_initializer"): INITIAL
        for kind in ("Dense", "Conv", "Attention")
        for array in ("kernel", "bias")
    },
    ("Embedding", "initializer"): INITIAL,
    ("Recurrent", "kernel_initializer"): INITIAL,
    ("Recurrent", "recurrent_initializer"): INITIAL,
    ("Recurrent", "bias_initializer"): INITIAL,
    ("Pretrained", "weights"): "the picture says 'pretrained', whatever the name of the file",
    ("Pretrained", "words"): "likewise",
    ("TokenInput", "vocabulary"): "the embedding has the same number, and shows it",
}
"""Fields that no picture shows, and why."""


@cache
def drawn(network: Network) -> str | None:
    """Return the picture of a network, or None if it is no network."""
    try:
        return str(Picture(network, Options()))
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, IndexError):
        return None


def changes(kind: str, field: str) -> Iterator[bool]:
    """Yield for each node of a kind if another value of a field changes the picture."""
    for program in CORPUS:
        for place, node in parts(program.network):
            if type(node).__name__ == kind:
                others = (value for value in SEEN[kind, field] if value != getattr(node, field))
                pictures = (
                    drawn(with_value(program.network, (*place, field), value)) for value in others
                )
                if after := next(filter(None, pictures), None):
                    yield after != drawn(program.network)


@cases(("kind", "field"), FIELDS)
def test_a_field_changes_the_picture(kind: str, field: str) -> None:
    changed = any(changes(kind, field))
    assert changed or (kind, field) in UNDRAWN, f"no picture shows {kind}.{field}"
    assert not (changed and (kind, field) in UNDRAWN), f"{kind}.{field} is drawn: remove it"


def test_every_kind_of_node_is_in_some_picture() -> None:
    seen = {type(node) for program in CORPUS for _, node in parts(program.network)}
    assert {*get_args(Layer), *get_args(Input), *get_args(Cell)} <= seen
    assert set(UNDRAWN) <= set(FIELDS)
