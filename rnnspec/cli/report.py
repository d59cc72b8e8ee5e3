"""Reports on the files that ``validate`` and ``lint`` have checked, in several formats."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rnnspec.cli.guard import print_command
from rnnspec.cli.messages import tell
from rnnspec.cli.results import CLEAN, Checked, in_repository, readable, summary
from rnnspec.errors import (
    Problem,
    Severity,
    UsageError,
    printable,
    render_line,
    render_place,
    render_problem,
)
from rnnspec.errors.arguments import one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FORMATS = ("full", "concise", "json", "github", "sarif", "junit")


def check_format(name: str | None, *, json: bool = False) -> str:
    """Return the format that ``--format`` or ``--json`` asks for.

    The default is annotations on GitHub, otherwise full text.

    Raises:
        UsageError: the format is unknown, or both options are given.
    """
    if json and name not in (None, "json"):
        raise UsageError(f"--json is a format; it cannot be combined with --format {name}")
    if json:
        return "json"
    if name is None:
        return "github" if os.environ.get("GITHUB_ACTIONS") == "true" else "full"
    return one_of("format", name, FORMATS)


def print_report(results: Sequence[Checked], format: str, tool: str) -> int:  # noqa: A002
    """Print ``results`` and return the exit code; ``tool`` is the command: validate or lint.

    The code is 2 if a file cannot be read, else 1 if there is an error or a warning, else 0.

    Raises:
        UsageError: none of the files is a spec.
    """
    match format:
        case "full":
            _print_full(results, tool)
        case "concise":
            for result in results:
                for line in lines_of(result, render_line):
                    print(line)
            # To standard error, which editors do not parse.
            tell(summary(results, tool))
        case "github":
            _print_commands(results, tool)
        case _:
            from rnnspec.cli import documents

            documents.print_document(results, format, tool)
    # Not a success: the path was probably mistyped. Raised after the report, so that it is
    # complete.
    if results and all(result.state == "foreign" for result in results):
        files = "the file" if len(results) == 1 else f"any of the {len(results)} files"
        raise UsageError(f"expected a spec, found none in {files}")
    return max((result.exit_code for result in results), default=0)


def _print_full(results: Sequence[Checked], tool: str) -> None:
    """Print in the format of a compiler: problems to standard error, the summary to output."""
    if lines := [line for result in results for line in lines_of(result)]:
        tell("\n".join(lines))
    if len(results) == 1 and results[0].state == "checked" and not results[0].problems:
        print(f"{printable(results[0].path)}: {CLEAN[tool]}")
    else:
        print(summary(results, tool))


def lines_of(result: Checked, render: Callable[[Problem], str] = render_problem) -> Iterator[str]:
    """Yield each problem of one file, by default with its source line."""
    if result.state == "unreadable":
        yield str(UsageError(result.reason, result.path))
    yield from map(render, result.first)
    if result.more:
        yield f"{printable(result.path)}: {result.more}"


_COMMANDS: dict[Severity, str] = {"error": "error", "warning": "warning", "note": "notice"}
# The escapes that the runner undoes (ActionCommand.cs in https://github.com/actions/runner).
# Without them, a line break in a message would start another command, and a comma in a path another
# property.
_IN_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTY = _IN_DATA | str.maketrans({":": "%3A", ",": "%2C"})


def _print_commands(results: Sequence[Checked], tool: str) -> None:
    """Print workflow commands, which GitHub shows as annotations on the lines of a change.

    Their text begins with the place: the log shows nothing else of a command, and a change has only
    so many annotations.
    """
    for result in results:
        path = printable(result.path)
        if result.state == "unreadable":
            text = f"{path}: {result.reason}"
            print_command(_command("error", Problem(result.path, result.reason), text))
        for problem in result.first:
            print_command(_command(_COMMANDS[problem.severity], problem, render_place(problem)))
        if result.more:
            print_command(_command("notice", Problem(result.path, ""), f"{path}: {result.more}"))
    print(summary(results, tool))


def _command(name: str, problem: Problem, text: str) -> str:
    properties = {"file": readable(in_repository(problem.source))}
    if span := problem.span:
        properties |= {
            "line": str(span.line),
            "col": str(span.column),
            "endLine": str(span.line),
            "endColumn": str(span.end_column),
        }
    properties["title"] = f"rnnspec ({problem.code})" if problem.code else "rnnspec"
    # Translated before printable(), because GitHub has an escape of its own for a line feed.
    pairs = ",".join(
        f"{key}={printable(value.translate(_IN_PROPERTY))}" for key, value in properties.items()
    )
    return f"::{name} {pairs}::{printable(text.translate(_IN_DATA))}"
