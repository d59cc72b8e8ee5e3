"""As a compiler prints it: each problem with its source line, on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.cli.messages import tell
from rnnspec.cli.report.results import Checked, more, summary
from rnnspec.errors import UsageError, printable, render_problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def show(results: Sequence[Checked], tool: str) -> None:
    """Print problems to standard error, and a line that counts to standard output."""
    if told := [line for each in results for line in lines(each)]:
        tell("\n".join(told))
    if line := _summary(results, tool):
        print(line)


def lines(result: Checked) -> Iterator[str]:
    """Yield each problem of one file, with its source line."""
    if result.state == "unreadable":
        yield str(UsageError(result.reason, result.path))
    for problem in result.shown:
        yield render_problem(problem)
    if result.omitted:
        yield f"{printable(result.path)}: {more(result)}"


def _summary(results: Sequence[Checked], tool: str) -> str:
    line = summary(results, tool)
    if len(results) != 1:
        return line
    # Of one file nothing is to be counted: what is wrong has been said.
    (only,) = results
    clean = only.state == "checked" and not only.problems
    return f"{printable(only.path)}: {line.split(': ')[1]}" if clean else ""
