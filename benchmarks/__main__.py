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
from benchmarks.race import log
from benchmarks.report import markdown, write
from benchmarks.suites import SUITES, Suite

_RESULTS = ROOT / "benchmarks" / "results"
_NAMES = [suite.name for suite in SUITES]


def main() -> None:
    """Run the selected suites."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a few rows, to try it out, not to quote"
    )
    parser.add_argument(
        "--only", metavar="NAME,...", help=f"suites to run, out of {', '.join(_NAMES)}"
    )
    given = parser.parse_args()
    chosen = _NAMES if given.only is None else given.only.split(",")
    if unknown := set(chosen) - set(_NAMES):
        parser.error(
            f"unknown suite {', '.join(sorted(unknown))}; expected some of {', '.join(_NAMES)}"
        )
    suites = [suite for suite in SUITES if suite.name in chosen]
    # Before the suites, so that the load is that of other programs.
    facts, began = machine(), time.perf_counter()
    with _bytecode():
        findings, succeeded = _run(suites, quick=given.quick)
    name = "-".join(["quick" if given.quick else "full", *(chosen if given.only else ())])
    facts |= {"took": f"{time.perf_counter() - began:.0f} s"}
    found, ratios = findings, findings.ratios
    # Even if a suite failed, because the results of the others may have taken minutes.
    write(_RESULTS, name, facts, found.races, ratios, curves=found.curves, notes=found.notes)
    print(markdown(facts, ratios, found.curves, found.notes), end="")
    sys.exit(not succeeded)


@contextmanager
def _bytecode() -> Iterator[None]:
    """Let every process find compiled modules, like those of an installed package."""
    kept = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        # With this variable, every process would compile all modules again.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(kept)


def _run(suites: Sequence[Suite], *, quick: bool) -> tuple[Findings, bool]:
    """Return the findings, and whether every suite succeeded."""
    findings, succeeded = Findings(), True
    for number, suite in enumerate(suites, 1):
        log(f"[{number}/{len(suites)}] {suite.name}, about {suite.seconds(quick=quick):.0f} s")
        try:
            suite.run(findings, quick=quick)
        # A suite that fails is reported, and does not stop the others.
        except BenchmarkError as error:
            succeeded = False
            log(f"{suite.name}: {error}")
            findings.notes.append(f"{suite.name} failed: {str(error).splitlines()[0]}")
    return findings, succeeded


if __name__ == "__main__":
    main()
