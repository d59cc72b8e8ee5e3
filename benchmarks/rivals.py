"""A race in one lane: what rnnspec built there against all that is written by hand."""

from benchmarks.lane import Lane
from benchmarks.names import OURS
from benchmarks.networks import Case
from benchmarks.race import Effort, Race, race, told


def raced(lane: Lane, case: Case, effort: Effort) -> Race:
    """Prepare a case and race it."""
    theirs = dict(lane.prepare(case).runs)
    ours = {OURS: theirs.pop(OURS)}
    return race(case.title, ours, theirs, effort, warmups=1, measure=told)
