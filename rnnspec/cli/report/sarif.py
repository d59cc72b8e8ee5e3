"""SARIF 2.1.0, for code scanning services."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rnnspec.cli.report.places import readable, uri
from rnnspec.cli.report.results import more
from rnnspec.cli.terminal.guard import print_json
from rnnspec.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rnnspec.cli.report.results import Checked
    from rnnspec.errors import Problem, Span

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
# SARIF renders [text](target) in a message as a link; text of a user must not become one.
_LINK = re.compile(r"\[(?=[^\[\]]*\]\()")


def show(results: Sequence[Checked], tool: str) -> None:
    """Print the log in ASCII; it lists only the rules that have results."""
    run = {
        "tool": {"driver": _driver(results)},
        # A service replaces earlier results with the same id: those of lint must not replace
        # validate's.
        "automationDetails": {"id": f"rnnspec-{tool}/"},
        # Columns are counted in characters, not in UTF-16 code units.
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(results)],
        "results": [_result(problem) for each in results for problem in each.shown],
    }
    print_json({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _driver(results: Iterable[Checked]) -> dict[str, Any]:
    codes = {problem.code for each in results for problem in each.shown} - {""}
    rules = [_rule(code) for code in sorted(codes)]
    return {"name": "rnnspec", "version": __version__, "rules": rules}


def _rule(code: str) -> dict[str, Any]:
    from rnnspec import pages

    if code not in pages.codes():
        return {"id": code}
    text = pages.page(code)
    title = text.partition("\n")[0].removeprefix(f"# {code}:").strip()
    return {
        "id": code,
        "shortDescription": {"text": title},
        "help": {"text": text, "markdown": text},
    }


def _result(problem: Problem) -> dict[str, Any]:
    where = f"{problem.where}: " if problem.where else ""
    return {
        **({"ruleId": problem.code} if problem.code else {}),
        # The severities have the same names in SARIF.
        "level": problem.severity,
        "message": {"text": _LINK.sub(r"\\[", f"{where}{problem.message}")},
        "locations": [_location(problem.source, problem.span)],
    }


def _location(path: str, span: Span | None = None) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": uri(path)}}
    if span:
        place["region"] = {
            "startLine": span.line,
            "startColumn": span.column,
            "endColumn": span.end_column,
        }
    return {"physicalLocation": place}


def _invocation(results: Sequence[Checked]) -> dict[str, Any]:
    said = [note for each in results for note in _notifications(each)]
    read = all(each.state != "unreadable" for each in results)
    return {"executionSuccessful": read, "toolExecutionNotifications": said}


def _notifications(result: Checked) -> Iterator[dict[str, Any]]:
    """Yield the messages without a rule: files that were not checked, and omitted problems."""
    if result.state == "unreadable":
        yield _notification(result, "error", result.reason)
    if result.state == "foreign":
        yield _notification(result, "note", "not a spec")
    if result.omitted:
        yield _notification(result, "note", more(result))


def _notification(result: Checked, level: str, text: str) -> dict[str, Any]:
    message = {"text": f"{readable(result.path)}: {text}"}
    return {"level": level, "message": message, "locations": [_location(result.path)]}
