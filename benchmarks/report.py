"""The results as a Markdown table, as JSON with the spread of samples, and the curves as SVG."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.curve import Curve
from benchmarks.plot import svg
from benchmarks.race import Race
from benchmarks.ratio import Ratio, spread

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


def markdown(
    facts: Mapping[str, str],
    ratios: Sequence[Ratio],
    curves: Sequence[Curve] = (),
    notes: Sequence[str] = (),
) -> str:
    """Return the environment, the table, the curves and the notes as Markdown."""
    head = [f"- {name}: {fact}" for name, fact in facts.items()]
    parts = [head, _table(_TITLES, map(_row, ratios)), [_NOTE]]
    if curves:
        parts.append(_table(_GROWTH, map(_growth, curves)))
    if notes:
        parts.append([f"- {note}" for note in notes])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _table(titles: Sequence[str], rows: Iterator[tuple[str, ...]]) -> list[str]:
    cells = [titles, ["---"] * len(titles), *rows]
    return [f"| {' | '.join(row)} |" for row in cells]


def _row(ratio: Ratio) -> tuple[str, ...]:
    aimed = ratio.aim is not None
    return (
        ratio.title,
        f"`{ratio.ours}`",
        f"`{ratio.theirs}`",
        f"**{ratio.median:.2f}**",
        f"{ratio.low:.2f} to {ratio.high:.2f}",
        f"{ratio.aim:.2f}" if aimed else "",
        _met(ratio) if aimed else "",
        _shown(ratio.ours_median, ratio.unit),
        _shown(ratio.theirs_median, ratio.unit),
        str(ratio.rounds),
    )


def _met(ratio: Ratio) -> str:
    """Return whether the aim is met, to two digits, or lies within the quartiles."""
    # Rounded as printed, so that the verdict never contradicts the table.
    aim = round(ratio.aim or 0, 2)
    if round(ratio.median, 2) <= aim:
        return "yes"
    return "as good as" if round(ratio.low, 2) <= aim else "no"


def _shown(value: float, unit: str) -> str:
    return f"{value * 1e3:,.1f} ms" if unit == "ms" else f"{value:,.1f} {unit}"


def _growth(curve: Curve) -> tuple[str, ...]:
    time, memory = curve.exponents
    return (
        curve.title,
        f"{curve.sizes[0]:,} to {curve.sizes[-1]:,}",
        f"**{time:.2f}**",
        f"**{memory:.2f}**",
        f"{curve.seconds[-1] * 1e3:,.0f} ms, {curve.peak[-1] / 1e6:,.1f} MB",
    )


def write(  # noqa: PLR0913 - the parts of a report
    folder: Path,
    name: str,
    facts: Mapping[str, str],
    races: Sequence[Race],
    ratios: Sequence[Ratio],
    *,
    curves: Sequence[Curve] = (),
    notes: Sequence[str] = (),
) -> None:
    """Write ``NAME.md``, ``NAME.json`` and ``NAME-CURVE.svg`` into ``folder``."""
    folder.mkdir(exist_ok=True)
    data = {
        "facts": dict(facts),
        "ratios": [asdict(ratio) for ratio in ratios],
        "samples": [sample for race in races for sample in _samples(race)],
        "curves": [_fitted(curve) for curve in curves],
        "notes": list(notes),
    }
    (folder / f"{name}.md").write_text(markdown(facts, ratios, curves, notes), "utf-8")
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    for curve in curves:
        (folder / f"{name}-{curve.name}.svg").write_text(svg(curve), "utf-8")


def _samples(race: Race) -> Iterator[dict[str, object]]:
    """Yield the spread of each contestant; times are in seconds."""
    unit = "s" if race.unit == "ms" else race.unit
    for contestant, values in (race.ours | race.theirs).items():
        low, median, high = spread(values)
        about = {"race": race.title, "contestant": contestant, "unit": unit, "n": len(values)}
        yield {**about, "low": low, "median": median, "high": high}


def _fitted(curve: Curve) -> dict[str, object]:
    time, memory = curve.exponents
    return {**asdict(curve), "exponent_seconds": time, "exponent_peak": memory}
