"""Pages: no script, nothing fetched, for light, dark and paper; and the report of parity as one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from rnnspec.comparison.report import ParityReport, SpecParity
from rnnspec.pipeline import program
from rnnspec.results import html
from rnnspec.results.elements import Content, element, paragraph, render, table
from rnnspec.version import __version__

if TYPE_CHECKING:
    from rnnspec.spec.models import Spec

_LEAST, _MOST = -18.0, 0.0
"""The ends of a bar, in powers of ten: below the rounding of float64, and 1."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --ground: #ffffff; --rule: #c3ccd5;
  --fine: #2a67a8; --wrong: #b3261e; }
body { color: var(--ink); background: var(--ground); max-width: 64em; margin: 2em auto;
  padding: 0 1em; font: 15px/1.5 Inter, "Helvetica Neue", Arial, sans-serif; }
td, th { font-variant-numeric: tabular-nums; }
section { border-top: 1px solid var(--rule); margin-top: 2em; break-inside: avoid; }
.wide { overflow-x: auto; }
.verdict { font-size: 1.3em; }
.bar { position: relative; width: 24em; height: 0.8em; border: 1px solid var(--rule); }
.bar div { height: 100%; background: var(--fine); print-color-adjust: exact; }
.bar .wrong { background: var(--wrong); }
.bar .limit { position: absolute; top: -0.3em; bottom: -0.3em; width: 0; height: auto;
  background: none; border-left: 2px solid var(--ink); }
img { display: block; margin: 1em 0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --ground: #15191d;
  --rule: #46515c; --fine: #6ba6e8; --wrong: #f2867e; } }
@media print { :root { --ink: #000000; --ground: #ffffff; --rule: #999999; --fine: #2a67a8;
  --wrong: #b3261e; } body { max-width: none; margin: 0; } }
"""


def page(report: ParityReport, specs: Sequence[Spec], *, seed: int, command: str) -> str:
    """Return a page with the verdict first, then each spec, and how to repeat the comparison.

    Args:
        report: the report.
        specs: its specs, in its order.
        seed: the seed of everything random.
        command: the command that compared them.
    """
    heading = "Parity: equal" if report.equal else "Parity: NOT equal"
    verdict = html.verdict(report)
    verdict.set("class", "verdict")
    sections = (
        element("section", *_spec(result, spec, report.tolerances))
        for result, spec in zip(report.specs, specs, strict=True)
    )
    again = element("section", element("h2", "How to repeat it"), _details(report, seed, command))
    absent = map(paragraph, report.left_out)
    return document(heading, element("h1", heading), verdict, *absent, *sections, again)


def document(title: str, *content: Content, style: str = "") -> str:
    """Return a page that fetches nothing, in the colours that its reader prefers."""
    sheet = element("style")
    sheet.text = _STYLE + style  # element() would escape its line breaks
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", **{"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        sheet,
    )
    root = element("html", head, element("body", *content), lang="en")
    return f"<!DOCTYPE html>\n{render(root)}\n"


def _spec(result: SpecParity, spec: Spec, tolerances: dict[str, float]) -> Iterator[Element]:
    yield element("h2", result.name)
    yield from html.description(spec.description)
    yield from html.remarks(result)
    yield wide(html.parity_table(result, tolerances))
    if tolerances:
        yield element("h3", "Largest differences")
        yield element("p", "On a logarithmic scale from 1e-18 to 1; the line is the tolerance.")
        yield wide(table(_TITLES, _bars(result, tolerances), left=frozenset({0, 1, 2, 4})))
    yield from html.equations_of(program(spec).network)
    yield from html.picture(spec)


_TITLES = ("Level", "Backend", "", "Difference", "Where")


def wide(content: Element) -> Element:
    """Return content that scrolls sideways where the page is too narrow for it."""
    return element("div", content, **{"class": "wide"})


def _bars(
    result: SpecParity, levels: Iterable[str]
) -> Iterator[tuple[str, str, Element, str, str]]:
    for level in levels:
        for name, backend in result.backends.items():
            finding = backend.findings[level]
            bar = _bar(finding.difference, finding.allowed)
            difference = f"{finding.difference:.1e} of {finding.allowed:.2g}"
            yield level, name, bar, difference, finding.where


def _bar(difference: float, allowed: float) -> Element:
    kind = "fine" if difference <= allowed else "wrong"
    return element(
        "div",
        element("div", style=f"width: {_percent(difference)}", **{"class": kind}),
        element("div", style=f"left: {_percent(allowed)}", **{"class": "limit"}),
        role="img",
        **{"class": "bar", "aria-label": f"{difference:.1e}, within {allowed:g}: {kind}"},
    )


def _percent(value: float) -> str:
    """Return the place of a value on a bar."""
    power = math.log10(value) if value > 0 else _LEAST
    part = (min(max(power, _LEAST), _MOST) - _LEAST) / (_MOST - _LEAST)
    return f"{100 * part:.2f}%"


def _details(report: ParityReport, seed: int, command: str) -> Element:
    rows: list[tuple[Content, ...]] = [
        ("Command", element("code", command)),
        ("Seed", str(seed)),
        ("rnnspec", __version__),
        ("Backends", ", ".join(report.versions)),
    ]
    return wide(table(("", ""), rows, left=frozenset({0, 1})))
