"""The results as a Markdown table and as JSON, with the machine that they were measured on."""

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from benchmarks.race import Curve, Findings, Race, Ratio, spread

_PACKAGES = (
    *("rnnspec", "pydantic", "pyyaml", "typer", "rich", "check-jsonschema", "torchinfo", "numpy"),
    *("torch", "keras", "tensorflow", "tensorflow-cpu", "jax", "flax"),
    *("onnx", "onnxruntime", "tf2onnx"),
)
_TITLES = (
    *("what", "rnnspec", "opponent", "ratio", "quartiles", "aim", "met"),
    *("rnnspec's", "opponent's", "rounds"),
)
_GROWTH = ("what", "sizes", "time's exponent", "memory's exponent", "at the largest")
_NOTE = (
    "Each ratio is the median, over interleaved rounds, of the cost of rnnspec divided by that of"
    " the opponent in the same round. Below 1, rnnspec is ahead. The aim is the largest acceptable"
    " ratio; for handwritten code, only the fastest has one. If the aim lies between the quartiles,"
    " it is as good as met."
)


def describe_machine() -> dict[str, str]:
    """Return the facts that the results depend on, in the order of printing."""
    cpuinfo = Path("/proc/cpuinfo")  # platform does not know the processor on Linux
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    processor = next(models, platform.processor() or "unknown processor")
    # A container or taskset may allow fewer cores than the machine has.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    packages = {package.metadata["Name"]: package.version for package in metadata.distributions()}
    versions = {name.lower(): version for name, version in packages.items()}
    return {
        "machine": f"{processor}, {cores} cores, {platform.system()} {platform.machine()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "Python": platform.python_version(),
        "versions": ", ".join(f"{name} {versions[name]}" for name in _PACKAGES if name in versions),
    }


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (titles, ["---"] * len(titles), *rows)]


def markdown(facts: Mapping[str, str], findings: Findings) -> str:
    """Return the environment, the table, the curves and the notes as Markdown."""
    head = [f"- {name}: {fact}" for name, fact in facts.items()]
    parts = [head, table(_TITLES, map(_row, findings.ratios)), [_NOTE]]
    if findings.curves:
        parts.append(table(_GROWTH, map(_growth, findings.curves)))
    if findings.notes:
        parts.append([f"- {note}" for note in findings.notes])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _row(ratio: Ratio) -> tuple[str, ...]:
    met = ""
    if ratio.aim is not None:
        # Rounded as printed, so that the verdict never contradicts the table.
        aim = round(ratio.aim, 2)
        met = "as good as" if round(ratio.low, 2) <= aim else "no"
        met = "yes" if round(ratio.median, 2) <= aim else met
    costs = (ratio.ours_median, ratio.theirs_median)
    in_ms = ratio.unit == "ms"
    return (
        ratio.title,
        f"`{ratio.ours}`",
        f"`{ratio.theirs}`",
        f"**{ratio.median:.2f}**",
        f"{ratio.low:.2f} to {ratio.high:.2f}",
        "" if ratio.aim is None else f"{ratio.aim:.2f}",
        met,
        *(f"{cost * (1e3 if in_ms else 1):,.1f} {ratio.unit}" for cost in costs),
        str(ratio.rounds),
    )


def _growth(curve: Curve) -> tuple[str, ...]:
    time, memory = curve.exponents
    return (
        curve.title,
        f"{curve.sizes[0]:,} to {curve.sizes[-1]:,}",
        f"**{time:.2f}**",
        f"**{memory:.2f}**",
        f"{curve.seconds[-1] * 1e3:,.0f} ms, {curve.peak[-1] / 1e6:,.1f} MB",
    )


def write(folder: Path, name: str, facts: Mapping[str, str], findings: Findings) -> None:
    """Write ``NAME.md`` and ``NAME.json`` into ``folder``."""
    folder.mkdir(exist_ok=True)
    curves = []
    for curve in findings.curves:
        time, memory = curve.exponents
        curves.append({**asdict(curve), "exponent_seconds": time, "exponent_peak": memory})
    data = {
        "facts": dict(facts),
        "ratios": [asdict(ratio) for ratio in findings.ratios],
        "samples": [sample for race in findings.races for sample in _samples(race)],
        "curves": curves,
        "notes": findings.notes,
    }
    (folder / f"{name}.md").write_text(markdown(facts, findings), "utf-8")
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")


def _samples(race: Race) -> Iterator[dict[str, object]]:
    """Yield the spread of each contestant; times are in seconds."""
    unit = "s" if race.unit == "ms" else race.unit
    for contestant, values in (race.ours | race.theirs).items():
        low, median, high = spread(values)
        about = {"race": race.title, "contestant": contestant, "unit": unit, "n": len(values)}
        yield {**about, "low": low, "median": median, "high": high}
