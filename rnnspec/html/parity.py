"""Reports of parity as elements of HTML."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from rnnspec.comparison.report import Finding, OwnOptimizer, ParityReport, SpecParity
from rnnspec.errors import render_difference
from rnnspec.html.elements import Content, lines, paragraph, strong, table


def report(given: ParityReport) -> Iterator[Element]:
    """Yield the verdict, then a table and the differences of each spec."""
    yield verdict(given)
    for each in given.specs:
        yield spec_table(each, given.tolerances)
        yield from remarks(each)


def verdict(given: ParityReport) -> Element:
    """Return whether all is equal, and how it was compared."""
    equal, colon, compared = given.verdict.partition(":")
    return paragraph(strong(equal), colon + compared)


def spec_table(spec: SpecParity, tolerances: dict[str, float]) -> Element:
    """Return the counts of each layer, then the largest difference of each level."""
    return table((spec.name, "spec", *spec.backends), _rows(spec, tolerances))


def _rows(spec: SpecParity, tolerances: dict[str, float]) -> Iterator[tuple[Content, ...]]:
    results = spec.backends.values()
    for layer, wanted in spec.layers.items():
        yield (layer, *_numbers(wanted, *(each.layers[layer] for each in results)))
    for key, wanted in spec.parameters.as_dict().items():
        held = (each.parameters.as_dict()[key] for each in results)
        yield (key.replace("_", "-"), *_numbers(wanted, *held))
    for level in tolerances:
        bound = spec.bound(level)
        said = "within rounding" if bound is None else f"within {bound:.2g}"
        yield (level, said, *(_finding(each.findings[level], bound) for each in results))
    for name, owned in spec.own.items():
        allowed = tolerances["training"]
        yield (f"own {name}", f"within {allowed:g}", *(_own(each, allowed) for each in owned))


def _numbers(wanted: int, *held: int) -> list[Content]:
    return [f"{wanted:,}", *(f"{n:,}" if n == wanted else strong(f"{n:,} ✗") for n in held)]


def _finding(found: Finding, bound: float | None) -> Content:
    own = f" of {found.allowed:.2g}" if bound is None else ""
    return _difference(found.difference, found.allowed, own)


def _difference(found: float, allowed: float, own: str = "") -> Content:
    return f"{found:.1e}{own}" if found <= allowed else strong(f"{found:.1e}{own} ✗")


def _own(found: OwnOptimizer, allowed: float) -> Content:
    difference = found.finding.difference
    known = found.known and found.rest <= allowed
    return f"{difference:.1e}*" if known else _difference(difference, allowed)


def remarks(spec: SpecParity) -> Iterator[Element]:
    """Yield the differences, those that are known, and the backends that were left out."""
    if spec.differences:
        yield lines(map(render_difference, spec.differences))
    for optimizer, causes in spec.known.items():
        yield paragraph(f"* {optimizer}")
        yield lines(causes)
    for backend, (first, *others) in spec.refused.items():
        more = f" (and {len(others)} more)" if others else ""
        yield paragraph(f"Left out {backend}: {first.layer}.{first.key}: {first.reason}{more}")
