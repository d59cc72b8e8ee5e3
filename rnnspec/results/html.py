"""Results as HTML: specs, imported models, summaries, diffs and reports of parity."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from rnnspec.comparison.diff import Change, Diff, LayerDiff
from rnnspec.comparison.report import OwnOptimizer, ParityReport, SpecParity
from rnnspec.drawing.picture import draw
from rnnspec.drawing.words import cell_words, equation_cells
from rnnspec.drawing.writers.mathml import Markup, mathml
from rnnspec.errors import UsageError, render_difference
from rnnspec.ir.params import count
from rnnspec.ir.text import type_name
from rnnspec.lowering import array_places
from rnnspec.models.foreign import Model
from rnnspec.pipeline import program
from rnnspec.results.elements import Content, element, lines, paragraph, render, strong, table
from rnnspec.results.summaries import TITLES, Summary, summarize, totals
from rnnspec.spec.models import Spec

if TYPE_CHECKING:
    from rnnspec.ir.nodes import Layer, Network

Result = Spec | Model | Summary | ParityReport | Diff

_MARKS = {"same": "", "changed": "~", "added": "+", "removed": "-"}


def fragment(result: Result) -> str:
    """Return a result in the colours of the page around it: no background, no names, no script."""
    return render(element("div", *_elements(result)))


def _elements(result: Result) -> Iterable[Element]:
    match result:
        case Spec():
            return _spec(result)
        case Model():
            # Also what was inferred or not carried over.
            remarks = [lines(result.remarks)] if result.remarks else []
            return (*_spec(result.spec), *remarks)
        case Summary():
            return (paragraph(strong(result.name)), *_layers(result))
        case ParityReport():
            return _report(result)
        case Diff():
            return _diff(result)


def _spec(spec: Spec) -> Iterator[Element]:
    """Yield the name, the description, the layers and the picture of a spec."""
    network = program(spec).network
    yield paragraph(strong(network.name))
    yield from description(network.description)
    yield from _layers(summarize(network, array_places(spec)))
    yield from equations_of(network)
    yield from picture(spec)


def description(text: str) -> Iterator[Element]:
    """Yield the description of a spec, if it has one."""
    if text:
        yield paragraph(text)


def equations_of(network: Network) -> Iterator[Element]:
    """Yield the equations of each cell that has some, below its name and its states."""
    for (name, equations), layers in equation_cells(network).items():
        yield paragraph(strong(name), f", {cell_words(equations.states, layers)}")
        # A browser breaks no formula into lines.
        yield element("div", mathematics(mathml(equations)), style="overflow-x: auto")


def mathematics(markup: Markup) -> Element:
    """Return mathematics as an element."""
    content = markup.content
    inside = (content,) if isinstance(content, str) else map(mathematics, content)
    return element(markup.tag, *inside, **markup.attributes)


def picture(spec: Spec) -> Iterator[Element]:
    """Yield the picture of a spec, unless the network is too large for one.

    It is an image: several in one notebook then share no names, and nothing in it is active. It is
    dark on dark pages, as the page around it.
    """
    try:
        drawn = draw(spec, theme="auto")
    except UsageError:
        return
    # The page has the equations itself.
    svg = str(replace(drawn, options=replace(drawn.options, equations=False)))
    data = base64.b64encode(svg.encode()).decode()
    source = f"data:image/svg+xml;base64,{data}"
    yield element("img", src=source, alt=f"Picture of {spec.name}", style="max-width: 100%")


def _layers(summary: Summary) -> Iterator[Element]:
    """Yield a table with a row for each layer, then the totals."""
    yield table(TITLES, (row for layer in summary.layers for row in layer.cells))
    yield from map(paragraph, (totals(summary.parameters), *summary.remarks))


def _diff(diff: Diff) -> Iterator[Element]:
    """Yield the changes from one spec to another."""
    title = strong(_arrow(diff.before.name, diff.after.name))
    yield paragraph(title, ": no change in the network" if diff.same else "")
    promises = [Change(f"expect.{c.key}", c.before, c.after) for c in diff.expect]
    if changes := [*diff.network, *promises]:
        yield lines(map(_change, changes))
    if not diff.same:
        titles = ("", "Layer (type)", "Output shape", "Parameters", "Changes")
        rows = map(_layer_row, diff.layers)
        yield table(titles, rows, left=frozenset({0, 1, 4}))
        yield paragraph(_arrow(*map(totals, diff.parameters)))


def _layer_row(layer: LayerDiff) -> tuple[str, ...]:
    sides: list[Layer] = [side for side in (layer.before, layer.after) if side is not None]
    return (
        _MARKS[layer.state],
        _arrow(*(f"{side.name} ({type_name(side)})" for side in sides)),
        _arrow(*(str((None, *side.output)) for side in sides)),
        _arrow(*(f"{count(side):,}" for side in sides)),
        "; ".join(map(_change, layer.changes)),
    )


def _change(change: Change) -> str:
    before, after = (
        "unset" if value is None else str(value) for value in (change.before, change.after)
    )
    return f"{change.key}: {before} → {after}"


def _arrow(*sides: str) -> str:
    return " → ".join(dict.fromkeys(sides))


def _report(report: ParityReport) -> Iterator[Element]:
    """Yield the verdict, then a table and the differences of each spec."""
    yield verdict(report)
    yield from map(paragraph, report.left_out)
    for spec in report.specs:
        yield parity_table(spec, report.tolerances)
        yield from remarks(spec)


def verdict(report: ParityReport) -> Element:
    """Return the verdict, and how it was reached."""
    equal, colon, compared = report.verdict.partition(":")
    return paragraph(strong(equal), colon + compared)


def parity_table(spec: SpecParity, tolerances: dict[str, float]) -> Element:
    """Return the counts of each layer, then the largest difference of each level."""
    return table((spec.name, "spec", *spec.backends), _parity_rows(spec, tolerances))


def _parity_rows(spec: SpecParity, tolerances: dict[str, float]) -> Iterator[tuple[Content, ...]]:
    results = spec.backends.values()
    for layer, expected in spec.layers.items():
        yield (layer, *_counts(expected, *(result.layers[layer] for result in results)))
    for key, expected in spec.parameters.as_dict().items():
        received = (result.parameters.as_dict()[key] for result in results)
        yield (key.replace("_", "-"), *_counts(expected, *received))
    for level in tolerances:
        bound = spec.bound(level)
        cells: list[Content] = []
        for finding in (result.findings[level] for result in results):
            suffix = f" of {finding.allowed:.2g}" if bound is None else ""
            cells.append(_difference(finding.difference, finding.allowed, suffix))
        yield (level, "within rounding" if bound is None else f"within {bound:.2g}", *cells)
    for name, optimizers in spec.own.items():
        allowed = tolerances["training"]
        cells = [_own_optimizer(optimizer, allowed) for optimizer in optimizers]
        yield (f"own {name}", f"within {allowed:g}", *cells)


def _counts(expected: int, *received: int) -> list[Content]:
    marked = (f"{n:,}" if n == expected else strong(f"{n:,} ✗") for n in received)
    return [f"{expected:,}", *marked]


def _difference(difference: float, allowed: float, suffix: str = "") -> Content:
    text = f"{difference:.1e}{suffix}"
    return text if difference <= allowed else strong(f"{text} ✗")


def _own_optimizer(optimizer: OwnOptimizer, allowed: float) -> Content:
    difference = optimizer.finding.difference
    known = optimizer.known and optimizer.rest <= allowed
    return f"{difference:.1e}*" if known else _difference(difference, allowed)


def remarks(spec: SpecParity) -> Iterator[Element]:
    """Yield the differences, those that are known, and the backends that were left out."""
    if spec.differences:
        yield lines(map(render_difference, spec.differences))
    for optimizer, causes in spec.known.items():
        yield paragraph(f"* {optimizer}")
        yield lines(causes)
    yield from map(paragraph, spec.left_out)
