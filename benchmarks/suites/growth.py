"""Growth of time and memory of the compiler with layers and with specs."""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.budget import Budget
from benchmarks.cold import ROOT, SPEC, output
from benchmarks.curve import Curve
from benchmarks.findings import Findings
from benchmarks.race import log

_LAYERS = (1, 3, 10, 30, 100, 300, 1000, 2000)
_SPECS = (1, 10, 100, 1000, 3000, 10_000)
_QUICK = 1000
_HEAD = "version: 1\nname: deep\ninput: {features: 8}\nrnn:\n"
_LAYER = "  - {type: lstm, units: 8, dropout: 0.1}\n"


def run(budget: Budget, findings: Findings) -> None:
    """Measure both curves, with each point in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        most = _QUICK if budget.quick else _SPECS[-1]
        layers = _curve("layers", "codegen of one spec, by layers", _LAYERS, Path(folder), most)
        specs = _curve("specs", "validate --jobs 1, by specs", _SPECS, Path(folder), most)
    findings.curves += [layers, specs]


def _curve(what: str, title: str, sizes: tuple[int, ...], folder: Path, most: int) -> Curve:
    used = [size for size in sizes if size <= most]
    write = _deep if what == "layers" else _many
    first = write(folder, 1)
    points = []
    for size in used:
        log(f"{title}: {size:,}")
        points.append(_point(what, write(folder, size), first))
    times, peaks = ([point[axis] for point in points] for axis in (0, 1))
    return Curve(what, title, what, used, times, peaks)


def _point(what: str, path: Path, first: Path) -> tuple[float, float]:
    # In a fresh process, because the caches filled by one size would help the next.
    work = ("-m", "benchmarks.growth_work", what, str(path), str(first))
    time, peak = json.loads(output(sys.executable, *work))
    return time, peak


def _deep(folder: Path, layers: int) -> Path:
    path = folder / f"deep_{layers}.yaml"
    path.write_text(_HEAD + _LAYER * layers, "utf-8")
    return path


def _many(folder: Path, specs: int) -> Path:
    place = folder / f"many_{specs}"
    place.mkdir(exist_ok=True)
    text = (ROOT / SPEC).read_text("utf-8")
    for number in range(specs):
        (place / f"spec_{number:05}.yaml").write_text(f"{text}# {number}\n", "utf-8")
    return place
