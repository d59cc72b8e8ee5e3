"""``python -m benchmarks.growth_work WHAT PATH``: one point of a curve, in its own process.

Prints the seconds and the peak of allocated bytes as JSON. The clock starts after imports and
everything else that is loaded once. Memory is measured in a run of its own, because tracing takes
time.
"""

import io
import json
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from statistics import median

import rnnspec
from benchmarks.race import Run, seconds
from rnnspec.cli.commands import validate

# Runs are repeated up to this many seconds or this often.
_ENOUGH, _MOST = 0.3, 5


def _generate(path: str) -> Run:
    text = Path(path).read_text("utf-8")
    return lambda: rnnspec.codegen(rnnspec.loads(text), "torch")


def _check(path: str) -> Run:
    return lambda: validate.run([path], "concise", 1)


WORK: dict[str, Callable[[str], Run]] = {"layers": _generate, "specs": _check}


def measure(what: str, path: str, first: str) -> tuple[float, float]:
    """Return the median seconds and the peak bytes; ``first`` is small, to trigger lazy imports."""
    # The first call imports modules and compiles patterns and templates, whatever the size.
    WORK[what](first)()
    run = WORK[what](path)
    times = [seconds(run)]
    while sum(times) < _ENOUGH and len(times) < _MOST:
        times.append(seconds(run))
    tracemalloc.start()
    try:
        run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return median(times), float(peak)


if __name__ == "__main__":
    # The output of 'validate' must not mix with the JSON.
    sink = io.StringIO()
    with redirect_stdout(sink), redirect_stderr(sink):
        found = measure(*sys.argv[1:])
    print(json.dumps(found))
