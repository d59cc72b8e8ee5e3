"""The results as one Markdown table, and as JSON with every time behind it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.race import Race
from benchmarks.ratio import Ratio

_TITLES = (
    "what",
    "rnnspec",
    "opponent",
    "ratio",
    "quartiles",
    "aim",
    "rnnspec ms",
    "opponent ms",
    "rounds",
)
_NOTE = (
    "Each ratio is the median over interleaved rounds of rnnspec's time / the opponent's in the"
    " same round. The row with an aim is the one against the fastest opponent written by hand."
)


def markdown(facts: Mapping[str, str], ratios: Sequence[Ratio]) -> str:
    """Return the machine, the versions and the table."""
    head = [f"- {name}: {fact}" for name, fact in facts.items()]
    rows = [_TITLES, tuple("---" for _ in _TITLES), *map(_row, ratios)]
    table = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*head, "", *table, "", _NOTE, ""])


def _row(ratio: Ratio) -> tuple[str, ...]:
    return (
        ratio.title,
        f"`{ratio.ours}`",
        f"`{ratio.theirs}`",
        f"**{ratio.median:.2f}**",
        f"{ratio.low:.2f} to {ratio.high:.2f}",
        "" if ratio.aim is None else f"{ratio.aim:.2f}",
        f"{ratio.ours_ms:.1f}",
        f"{ratio.theirs_ms:.1f}",
        str(ratio.rounds),
    )


def write(
    folder: Path,
    name: str,
    facts: Mapping[str, str],
    races: Sequence[Race],
    ratios: Sequence[Ratio],
) -> None:
    """Write ``NAME.md`` and ``NAME.json`` into ``folder``."""
    folder.mkdir(exist_ok=True)
    data = {
        "facts": dict(facts),
        "ratios": [asdict(ratio) for ratio in ratios],
        "seconds": [asdict(race) for race in races],
    }
    (folder / f"{name}.md").write_text(markdown(facts, ratios), "utf-8")
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
