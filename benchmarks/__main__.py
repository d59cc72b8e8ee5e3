"""Measure, print a Markdown table, and write it to benchmarks/results/ with JSON."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.networks import ROOT
from benchmarks.processes import BenchmarkError
from benchmarks.race import Findings, log
from benchmarks.report import describe_machine, markdown, write
from benchmarks.suites import SUITES, Suite


def main() -> None:
    """Run the selected suites."""
    names = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a few rows, to try it out, not to quote"
    )
    parser.add_argument(
        "--only", metavar="NAME,...", help=f"suites to run, out of {', '.join(names)}"
    )
    options = parser.parse_args()
    chosen = names if options.only is None else options.only.split(",")
    if unknown := set(chosen) - set(names):
        parser.error(
            f"unknown suite {', '.join(sorted(unknown))}; expected some of {', '.join(names)}"
        )
    suites = [suite for suite in SUITES if suite.name in chosen]
    # Before the suites, so that the load is that of other programs.
    facts, began = describe_machine(), time.perf_counter()
    with _shared_bytecode():
        findings, succeeded = _run(suites, quick=options.quick)
    name = "-".join(["quick" if options.quick else "full", *(chosen if options.only else ())])
    facts |= {"took": f"{time.perf_counter() - began:.0f} s"}
    # Even if a suite failed, because the results of the others may have taken minutes.
    write(ROOT / "benchmarks" / "results", name, facts, findings)
    print(markdown(facts, findings), end="")
    sys.exit(not succeeded)


@contextmanager
def _shared_bytecode() -> Iterator[None]:
    """Let every process find compiled modules, like those of an installed package."""
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        # With this variable, every process would compile all modules again.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(environment)


def _run(suites: Sequence[Suite], *, quick: bool) -> tuple[Findings, bool]:
    """Return the findings, and whether every suite succeeded."""
    findings, succeeded = Findings(), True
    for number, suite in enumerate(suites, 1):
        limit = suite.quick if quick else suite.full
        log(f"[{number}/{len(suites)}] {suite.name}, about {limit:.0f} s")
        try:
            suite.measure(findings, quick=quick)
        # A suite that fails is reported, and does not stop the others.
        except BenchmarkError as error:
            succeeded = False
            log(f"{suite.name}: {error}")
            findings.notes.append(f"{suite.name} failed: {str(error).splitlines()[0]}")
    return findings, succeeded


if __name__ == "__main__":
    main()
