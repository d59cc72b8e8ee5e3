"""A race in one lane: the model of rnnspec against the handwritten ones."""

from benchmarks.lane import Lane
from benchmarks.names import OURS
from benchmarks.networks import Case
from benchmarks.race import Effort, Race, race, told


def run_race(lane: Lane, case: Case, effort: Effort) -> Race:
    """Prepare a case and race its contestants."""
    theirs = dict(lane.prepare(case).runs)
    ours = {OURS: theirs.pop(OURS)}
    return race(case.title, ours, theirs, effort, warmups=1, measure=told)
