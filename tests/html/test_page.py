"""The page of a report: whole, with nothing to fetch or run, and the same every time."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

from cases import cases

import rnnspec
from rnnspec.comparison.report import BackendResult, Finding, ParityReport, SpecParity
from rnnspec.ir.params import Counts
from rnnspec.results.page import page

SPEC = rnnspec.loads("""\
version: 1
name: net
description: '</style></title><script>alert("1")</script>'
input: {features: 2}
rnn: {type: gru, units: 3}
""")
COMMAND = "rnnspec parity 'a</code><script>.yaml'"


def report(difference: float) -> ParityReport:
    counts = Counts(63, 0)
    found = {"forward": Finding(difference, "gru_1 <b>", 1e-9)}
    result = BackendResult("Some <i>1.0</i>", {"gru_1": 63}, counts, found)
    spec = SpecParity("net", {"gru_1": 63}, counts, {"some": result}, {}, ())
    return ParityReport("forward", "float64", {"forward": 1e-9}, (spec,))


def made(difference: float = 1e-15) -> ET.Element:
    text = page(report(difference), [SPEC], seed=5, command=COMMAND)
    assert text == page(report(difference), [SPEC], seed=5, command=COMMAND)
    start = "<!DOCTYPE html>\n"
    assert text.startswith(start)
    return ET.fromstring(text.removeprefix(start))


def words(root: ET.Element) -> str:
    return "|".join(root.itertext())


def test_nothing_is_fetched_or_run_and_text_stays_text() -> None:
    root = made()
    tags = {each.tag for each in root.iter()}
    assert not tags & {"script", "link", "iframe", "object", "svg", "b", "i"}
    names = {name for each in root.iter() for name in each.attrib}
    assert not {name for name in names if name.startswith("on") or name in {"href", "id"}}
    assert all(
        each.get("src", "").startswith("data:image/svg+xml;base64,") for each in root.iter("img")
    )
    (style,) = (each.text or "" for each in root.iter("style"))
    assert not re.search(r"url|@import|[<&]", style)
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    (policy,) = [m.get("content", "") for m in root.iter("meta") if m.get("http-equiv")]
    assert policy.startswith("default-src 'none';")
    for text in (SPEC.description, COMMAND, "Some <i>1.0</i>", "gru_1 <b>"):
        assert text in words(root)


def test_the_equations_of_a_cell_are_in_its_section() -> None:
    spec = rnnspec.loads("""\
version: 1
name: net
input: {features: 2}
cells: {mine: {states: [h], equations: {h: tanh(W @ x) * h}}}
rnn: {type: mine, units: 3}
""")
    text = page(report(1e-15), [spec], seed=5, command=COMMAND)
    assert text.count("</math></div><img") == 1


def test_the_verdict_is_first_and_the_way_to_repeat_it_last() -> None:
    found = words(made()).split("Parity: equal")[-1]
    assert found.startswith("|equal|: 1 spec, compared up to forward in float64")
    assert found.index("How to repeat it") < found.index(COMMAND) < found.index("Seed|5")


@cases(
    ("difference", "width", "kind"),
    [
        (0.0, "0.00%", "fine"),
        (1e-18, "0.00%", "fine"),
        (1e-15, "16.67%", "fine"),
        (1e-9, "50.00%", "fine"),
        (1e-3, "83.33%", "wrong"),
        (7.0, "100.00%", "wrong"),
        (float("inf"), "100.00%", "wrong"),
    ],
)
def test_a_bar_is_as_long_as_its_logarithm(difference: float, width: str, kind: str) -> None:
    (bar,) = [each for each in made(difference).iter("div") if each.get("class") == "bar"]
    drawn, limit = bar
    assert (drawn.get("class"), drawn.get("style")) == (kind, f"width: {width}")
    assert limit.get("style") == "left: 50.00%"
    assert bar.get("aria-label") == f"{difference:.1e}, within 1e-09: {kind}"


def test_a_report_of_counts_has_no_bars() -> None:
    given = report(0.0)
    (spec,) = given.specs
    bare = replace(spec, backends={"some": replace(spec.backends["some"], findings={})})
    counted = replace(given, tolerances={}, specs=(bare,))
    assert "Largest differences" not in page(counted, [SPEC], seed=0, command="")
