"""Measure, print a Markdown table, and write it to benchmarks/results/ with JSON and SVG."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.cold import ROOT, BenchmarkError
from benchmarks.findings import Findings
from benchmarks.machine import machine
from benchmarks.race import say
from benchmarks.report import markdown, write
from benchmarks.suites import SUITES, Suite

_RESULTS = ROOT / "benchmarks" / "results"
_NAMES = [suite.name for suite in SUITES]


def main() -> None:
    """Run the suites that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few rows: to try, not to quote")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(_NAMES)}")
    given = parser.parse_args()
    chosen = _NAMES if given.only is None else given.only.split(",")
    if unknown := set(chosen) - set(_NAMES):
        parser.error(
            f"no suite is called {', '.join(sorted(unknown))}; there are {', '.join(_NAMES)}"
        )
    suites = [suite for suite in SUITES if suite.name in chosen]
    facts, began = machine(), time.perf_counter()
    with _bytecode():
        findings, well = _run(suites, quick=given.quick)
    name = "-".join(["quick" if given.quick else "full", *(chosen if given.only else ())])
    facts |= {"took": f"{time.perf_counter() - began:.0f} s"}
    found, ratios = findings, findings.ratios
    write(_RESULTS, name, facts, found.races, ratios, curves=found.curves, notes=found.notes)
    print(markdown(facts, ratios, found.curves, found.notes), end="")
    sys.exit(not well)


@contextmanager
def _bytecode() -> Iterator[None]:
    """Let every process find its modules compiled, as those of an installed package are."""
    kept = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(kept)


def _run(suites: Sequence[Suite], *, quick: bool) -> tuple[Findings, bool]:
    """Return what was found, and whether no suite failed."""
    findings, well = Findings(), True
    for number, suite in enumerate(suites, 1):
        say(f"[{number}/{len(suites)}] {suite.name}, about {suite.seconds(quick=quick):.0f} s")
        try:
            suite.run(findings, quick=quick)
        except BenchmarkError as error:
            well = False
            say(f"{suite.name}: {error}")
            findings.notes.append(f"{suite.name} failed: {str(error).splitlines()[0]}")
    return findings, well


if __name__ == "__main__":
    main()
