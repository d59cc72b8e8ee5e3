"""Join the reports of all shards into the report of the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rnnspec.comparison.drawn.passes import Outcome
from rnnspec.comparison.random import Found, Outcomes
from rnnspec.comparison.report import ParityReport
from rnnspec.comparison.shards.records import GivenReport, RandomReport, Report, read
from rnnspec.errors import RnnspecError, UsageError, listed

if TYPE_CHECKING:
    from collections.abc import Sequence


class DiffersError(RnnspecError):
    """Backends differ, as a report says."""

    exit_code = 1


def merged(paths: Sequence[str]) -> ParityReport | tuple[Found, str]:
    """Return the report of the whole run; for random specs with the options to see a failure again.

    Raises:
        UsageError: a file is not the report of a shard, shards overlap or are missing, or their
            options or versions differ.
        RnnspecError: every random spec was refused.
    """
    reports = [(path, read(path)) for path in paths]
    if not reports:
        raise UsageError("expected the reports of all shards, received none")
    _check_same(reports)
    ordered = _ordered(reports)
    if isinstance(ordered[0], GivenReport):
        return _given(cast("list[GivenReport]", ordered))
    return _random(cast("list[RandomReport]", ordered))


def _check_same(reports: Sequence[tuple[str, Report]]) -> None:
    (path, first), *others = reports
    for other, report in others:
        if type(report) is not type(first):
            raise UsageError(
                f"expected a report of the same run as {path}, received another", other
            )
        for key in {**first.shared, **report.shared}:
            wanted, found = first.shared.get(key), report.shared.get(key)
            if wanted != found:
                message = f"{key}: expected {_shown(wanted)} as in {path}, received {_shown(found)}"
                raise UsageError(message, other)


def _shown(value: object) -> str:
    return "none" if value is None else repr(value)


def _ordered(reports: Sequence[tuple[str, Report]]) -> list[Report]:
    places: dict[int, str] = {}
    of = reports[0][1].shard.of
    for path, report in reports:
        number = report.shard.number
        if number in places:
            raise UsageError(f"shard {number}/{of} is also in {places[number]}", path)
        places[number] = path
    missing = [f"{n}/{of}" for n in range(1, of + 1) if n not in places]
    if missing:
        what = f"shard{'s' if len(missing) > 1 else ''} {listed(missing[:10])}"
        raise UsageError(f"expected the reports of all {of} shards; missing: {what}")
    return [report for _, report in sorted(reports, key=lambda each: each[1].shard.number)]


def _given(reports: list[GivenReport]) -> ParityReport:
    first = reports[0]
    parts = [report.parities() for report in reports]
    specs = (parts[index % len(parts)][index // len(parts)] for index in range(first.shard.cases))
    return ParityReport(first.level, first.dtype, first.tolerances, tuple(specs), first.form)


def _random(reports: list[RandomReport]) -> tuple[Found, str]:
    outcomes: list[Outcome] = []
    spec = again = ""
    for index in range(reports[0].shard.cases):
        report = reports[index % len(reports)]
        outcomes.append(_outcome(report, index // len(reports)))
        if outcomes[-1].error is not None:
            spec, again = report.spec, report.shard.again
            break
    found = Outcomes(len(outcomes), outcomes, spec)
    found.check_accepted()
    return found.found(reports[0].shard.float32), again


def _outcome(report: RandomReport, index: int) -> Outcome:
    largest, shard = report.largest_of(index), report.shard
    if not report.equal and index == len(shard.outcomes) - 1:
        kind = DiffersError if shard.exit_code == 1 else RnnspecError
        return Outcome(largest, kind(report.error))
    return Outcome(largest, refusal=None if largest else DiffersError(shard.refusal))
