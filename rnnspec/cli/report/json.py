"""One JSON document, described in docs/reference/reports.md; ``version`` grows when it changes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rnnspec.cli.report.places import readable
from rnnspec.cli.terminal.guard import print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.cli.report.results import Checked
    from rnnspec.errors import Problem

_VERSION = 1
_LONGEST_LINE = 1000
"""Longer source lines are left out: fifty problems may be on one line of a megabyte."""


def show(results: Sequence[Checked], tool: str) -> None:
    """Print the document, in ASCII."""
    files = [_file(each) for each in results]
    document = {
        "version": _VERSION,
        "tool": tool,
        "files": files,
        "counts": _counts(results, files),
    }
    print_json(document)


def _file(result: Checked) -> dict[str, Any]:
    return {
        "path": readable(result.path),
        "state": _state(result),
        "reason": result.reason or None,
        "problems": [_problem(each) for each in result.shown],
        "omitted": result.omitted,
    }


def _state(result: Checked) -> str:
    match result.state:
        case "checked":
            # Only errors make a spec wrong; the exit code counts warnings too.
            return "wrong" if result.wrong else "valid"
        case "foreign":
            return "not_a_spec"
        case "unreadable":
            return "unreadable"


def _problem(problem: Problem) -> dict[str, Any]:
    span = problem.span
    return {
        "code": problem.code or None,
        "severity": problem.severity,
        "line": span and span.line,
        "column": span and span.column,
        "end_column": span and span.end_column,
        "where": problem.where,
        "message": problem.message,
        "source_line": span.text if span and len(span.text) <= _LONGEST_LINE else None,
    }


def _counts(results: Sequence[Checked], files: Sequence[dict[str, Any]]) -> dict[str, int]:
    states = Counter(each["state"] for each in files)
    severities = Counter(problem.severity for each in results for problem in each.problems)
    return {
        "files": len(files),
        **{state: states[state] for state in ("valid", "wrong", "not_a_spec", "unreadable")},
        "errors": severities["error"],
        "warnings": severities["warning"],
        "notes": severities["note"],
    }
