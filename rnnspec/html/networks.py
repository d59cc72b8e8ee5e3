"""Specs, summaries and diffs as elements of HTML."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from rnnspec.diff import Change, Diff, LayerDiff
from rnnspec.drawing.picture import draw
from rnnspec.errors import UsageError
from rnnspec.html.elements import element, lines, paragraph, strong, table
from rnnspec.ir.params import count
from rnnspec.ir.text import type_name
from rnnspec.pipeline import program
from rnnspec.summaries import TITLES, Summary, summarize, totals

if TYPE_CHECKING:
    from rnnspec.importing.live import Model
    from rnnspec.ir.nodes import Layer
    from rnnspec.spec.models import Spec

_MARKS = {"same": "", "changed": "~", "added": "+", "removed": "-"}


def spec(given: Spec) -> Iterator[Element]:
    """Yield the name, the description, the layers and the picture of a spec."""
    network = program(given).network
    yield paragraph(strong(network.name))
    yield from description(network.description)
    yield from layers(summarize(network))
    yield from picture(given)


def model(given: Model) -> Iterator[Element]:
    """Yield the spec of a model that was taken over, and what was inferred or left behind."""
    yield from spec(given.spec)
    if given.remarks:
        yield lines(given.remarks)


def description(text: str) -> Iterator[Element]:
    """Yield the description of a spec, if it has one."""
    if text:
        yield paragraph(text)


def picture(given: Spec) -> Iterator[Element]:
    """Yield the picture of a spec, unless the network is too large for one.

    It is an image: several in one notebook then share no names, and nothing in it is active.
    """
    try:
        drawn = str(draw(given))
    except UsageError:
        return
    data = base64.b64encode(drawn.encode()).decode()
    source = f"data:image/svg+xml;base64,{data}"
    yield element("img", src=source, alt=f"Picture of {given.name}", style="max-width: 100%")


def summary(given: Summary) -> Iterator[Element]:
    """Yield the name and the layers of a network."""
    yield paragraph(strong(given.name))
    yield from layers(given)


def layers(given: Summary) -> Iterator[Element]:
    """Yield a row for each layer, then the totals."""
    yield table(TITLES, (layer.cells for layer in given.layers))
    yield from map(paragraph, (totals(given.parameters), *given.remarks))


def diff(given: Diff) -> Iterator[Element]:
    """Yield what changed from one spec to another."""
    title = strong(_arrow(given.before.name, given.after.name))
    yield paragraph(title, ": no change in the network" if given.same else "")
    promises = [Change(f"expect.{c.key}", c.before, c.after) for c in given.expect]
    if changes := [*given.network, *promises]:
        yield lines(map(_change, changes))
    if not given.same:
        titles = ("", "Layer (type)", "Output shape", "Parameters", "Changes")
        rows = map(_layer_row, given.layers)
        yield table(titles, rows, left=frozenset({0, 1, 4}))
        yield paragraph(_arrow(*map(totals, given.parameters)))


def _layer_row(layer: LayerDiff) -> tuple[str, ...]:
    both = [each for each in (layer.before, layer.after) if each is not None]
    return (
        _MARKS[layer.state],
        _arrow(*(f"{each.name} ({type_name(each)})" for each in both)),
        _arrow(*map(_shape, both)),
        _arrow(*(f"{count(each):,}" for each in both)),
        "; ".join(map(_change, layer.changes)),
    )


def _change(change: Change) -> str:
    return f"{change.key}: {_value(change.before)} → {_value(change.after)}"


def _value(value: object) -> str:
    return "unset" if value is None else str(value)


def _shape(layer: Layer) -> str:
    return str((None, *layer.output))


def _arrow(*sides: str) -> str:
    return " → ".join(dict.fromkeys(sides))
