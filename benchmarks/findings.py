"""Results of the suites."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.curve import Curve
from benchmarks.race import Race
from benchmarks.ratio import Ratio


@dataclass(slots=True)
class Findings:
    """Races, their ratios, curves and notes."""

    races: list[Race] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, race: Race, ratios: Iterable[Ratio]) -> None:
        """Add a race and its ratios."""
        self.races.append(race)
        self.ratios += ratios
