"""``python -m benchmarks [--quick]``: measure, print a Markdown table, write results/."""

import argparse
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from benchmarks.cold import cold
from benchmarks.machine import machine
from benchmarks.race import Effort, Race, say
from benchmarks.ratio import against_each, against_fastest
from benchmarks.report import markdown, write
from benchmarks.worker import run_apart

_RESULTS = Path(__file__).parent / "results"
_FULL = Effort(seconds=45, least=12, most=200)
_QUICK = Effort(seconds=3, least=4, most=40)


def main() -> None:
    """Run every race there is a framework for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to try, not to quote")
    quick = parser.parse_args().quick
    effort, name = (_QUICK, "quick") if quick else (_FULL, "full")
    facts = machine()
    starts = cold(effort)
    steps = _steps(effort)
    ratios = [*against_each(starts), *chain.from_iterable(map(against_fastest, steps))]
    write(_RESULTS, name, facts, [starts, *steps], ratios)
    print(markdown(facts, ratios), end="")


def _steps(effort: Effort) -> list[Race]:
    races: list[Race] = []
    for framework in ("torch", "keras"):
        if find_spec(framework):
            races += run_apart(framework, effort)
        else:
            say(f"{framework} is not installed: skipped")
    return races


main()
