"""Workflow commands, which GitHub shows as annotations on the lines of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.cli.report.concise import lines
from rnnspec.cli.report.places import in_repository, readable
from rnnspec.cli.report.results import Checked, more, summary
from rnnspec.cli.terminal.guard import broken, print_command
from rnnspec.errors import Problem, Severity, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COMMANDS: dict[Severity, str] = {"error": "error", "warning": "warning", "note": "notice"}
# The escapes that the runner undoes (ActionCommand.cs in https://github.com/actions/runner).
# Without them, a line break in a message would start another command, and a comma in a path another
# property.
_IN_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTY = _IN_DATA | str.maketrans({":": "%3A", ",": "%2C"})


def show(results: Sequence[Checked], tool: str) -> None:
    """Print a command for each problem, then the problems with their places, and the summary.

    The log shows nothing of a command but its text, and a change has only so many annotations.
    """
    for result in results:
        for command in _commands(result):
            print_command(command)
    for line in lines(results):
        # Outside a workflow, the stream itself does not break commands.
        print(broken(line))
    print(summary(results, tool))


def _commands(result: Checked) -> Iterator[str]:
    if result.state == "unreadable":
        yield _command("error", _properties(Problem(result.path, result.reason)), result.reason)
    for problem in result.shown:
        where = f"{problem.where}: " if problem.where else ""
        text = printable(f"{where}{problem.message}")
        yield _command(_COMMANDS[problem.severity], _properties(problem), text)
    if result.omitted:
        yield _command("notice", _properties(Problem(result.path, "")), more(result))


def _properties(problem: Problem) -> dict[str, str]:
    properties = {"file": problem.source}
    if span := problem.span:
        properties |= {
            "line": str(span.line),
            "col": str(span.column),
            "endLine": str(span.line),
            "endColumn": str(span.end_column),
        }
    return properties | {"title": f"rnnspec ({problem.code})" if problem.code else "rnnspec"}


def _command(name: str, properties: dict[str, str], text: str) -> str:
    properties["file"] = readable(in_repository(properties["file"]))
    # Translated before printable(), because GitHub has an escape of its own for a line feed.
    said = ",".join(
        f"{key}={printable(value.translate(_IN_PROPERTY))}" for key, value in properties.items()
    )
    return f"::{name} {said}::{printable(text.translate(_IN_DATA))}"
