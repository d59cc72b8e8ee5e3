"""Reports for programs: JSON, SARIF 2.1.0 and JUnit XML, all in ASCII."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from rnnspec.cli.guard import print_json, print_xml
from rnnspec.cli.results import Checked, count_severities, readable, summary, uri
from rnnspec.errors import printable, render_problem
from rnnspec.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from xml.etree.ElementTree import Element

    from rnnspec.errors import Problem, Span


def print_document(results: Sequence[Checked], format: str, tool: str) -> None:  # noqa: A002
    """Print the results of a command in a format: json, sarif or junit."""
    match format:
        case "json":
            print_json(_json(results, tool))
        case "sarif":
            print_json(_sarif(results, tool))
        case _:
            print_xml(_junit(results, tool))


_VERSION = 1
"""The version of the JSON document; it grows when docs/reference/reports.md changes."""
_LONGEST_LINE = 1000
"""Longer source lines are left out: fifty problems may be on one line of a megabyte."""


def _json(results: Sequence[Checked], tool: str) -> dict[str, Any]:
    files = [_json_file(result) for result in results]
    states = Counter(file["state"] for file in files)
    severities = Counter(problem.severity for result in results for problem in result.problems)
    counts = {
        "files": len(files),
        **{state: states[state] for state in ("valid", "wrong", "not_a_spec", "unreadable")},
        "errors": severities["error"],
        "warnings": severities["warning"],
        "notes": severities["note"],
    }
    return {"version": _VERSION, "tool": tool, "files": files, "counts": counts}


def _json_file(result: Checked) -> dict[str, Any]:
    # Only errors make a spec wrong; the exit code counts warnings too.
    checked = "wrong" if result.wrong else "valid"
    states = {"checked": checked, "foreign": "not_a_spec", "unreadable": "unreadable"}
    return {
        "path": readable(result.path),
        "state": states[result.state],
        "reason": result.reason or None,
        "problems": [_json_problem(problem) for problem in result.first],
        "omitted": len(result.problems) - len(result.first),
    }


def _json_problem(problem: Problem) -> dict[str, Any]:
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


_SARIF_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
# SARIF renders [text](target) in a message as a link; text of a user must not become one.
_LINK = re.compile(r"\[(?=[^\[\]]*\]\()")


def _sarif(results: Sequence[Checked], tool: str) -> dict[str, Any]:
    """Return the log; it lists only the rules that have results."""
    problems = [problem for result in results for problem in result.first]
    rules = [_sarif_rule(code) for code in sorted({problem.code for problem in problems} - {""})]
    invocation = {
        "executionSuccessful": all(result.state != "unreadable" for result in results),
        "toolExecutionNotifications": [
            notification for result in results for notification in _notifications(result)
        ],
    }
    run = {
        "tool": {"driver": {"name": "rnnspec", "version": __version__, "rules": rules}},
        # A service replaces earlier results with the same id: those of lint must not replace
        # validate's.
        "automationDetails": {"id": f"rnnspec-{tool}/"},
        # Columns are counted in characters, not in UTF-16 code units.
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": [_sarif_result(problem) for problem in problems],
    }
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _sarif_rule(code: str) -> dict[str, Any]:
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


def _sarif_result(problem: Problem) -> dict[str, Any]:
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


def _notifications(result: Checked) -> Iterator[dict[str, Any]]:
    """Yield the messages without a rule: files that were not checked, and omitted problems."""
    messages = [
        ("error", result.reason if result.state == "unreadable" else ""),
        ("note", "not a spec" if result.state == "foreign" else ""),
        ("note", result.more),
    ]
    for level, text in messages:
        if text:
            message = {"text": f"{readable(result.path)}: {text}"}
            yield {"level": level, "message": message, "locations": [_location(result.path)]}


def _junit(results: Sequence[Checked], tool: str) -> str:
    """Return JUnit XML for CI servers, with one test case per file."""
    # Imported here because the other formats do not need it.
    from xml.etree import ElementTree as ET

    counts = {
        "tests": len(results),
        "failures": sum(_fails(result) for result in results),
        "errors": sum(result.state == "unreadable" for result in results),
        "skipped": sum(result.state == "foreign" for result in results),
    }
    numbers = {name: str(count) for name, count in counts.items()}
    root = ET.Element("testsuites", {"name": "rnnspec", **numbers})
    suite = ET.SubElement(root, "testsuite", {"name": f"rnnspec {tool}", **numbers})
    for result in results:
        # All characters that XML forbids are unprintable, so printable() escapes them.
        path = printable(result.path)
        names = {"name": path, "classname": f"rnnspec.{tool}", "file": path}
        _add_outcome(ET.SubElement(suite, "testcase", names), result)
    # After the test cases, as the schema of the format requires.
    ET.SubElement(suite, "system-out").text = summary(results, tool)
    ET.indent(root)
    # ASCII is valid in every encoding of standard output.
    return str(ET.tostring(root, encoding="us-ascii", xml_declaration=True), "ascii")


def _fails(result: Checked) -> bool:
    return result.state == "checked" and result.exit_code != 0


def _add_outcome(case: Element, result: Checked) -> None:
    from xml.etree.ElementTree import SubElement

    text = "\n".join([*map(render_problem, result.first), *filter(None, [result.more])])
    match result.state:
        case "unreadable":
            SubElement(case, "error", message=printable(result.reason), type="unreadable")
        case "foreign":
            SubElement(case, "skipped", message="not a spec")
        case "checked" if _fails(result):
            message = count_severities(result.problems)
            kind = "error" if result.wrong else "warning"
            SubElement(case, "failure", message=message, type=kind).text = text
        # Notes do not fail a test case, but must not be lost.
        case "checked":
            if text:
                SubElement(case, "system-out").text = text
