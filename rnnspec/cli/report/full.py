"""The format of a compiler: each problem with its source line, on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.cli.report.results import CLEAN, Checked, more, summary
from rnnspec.cli.terminal.messages import tell
from rnnspec.errors import UsageError, printable, render_problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def show(results: Sequence[Checked], tool: str) -> None:
    """Print problems to standard error, and the summary to standard output."""
    if told := [line for each in results for line in lines(each)]:
        tell("\n".join(told))
    print(_summary(results, tool))


def lines(result: Checked) -> Iterator[str]:
    """Yield each problem of one file, with its source line."""
    if result.state == "unreadable":
        yield str(UsageError(result.reason, result.path))
    for problem in result.shown:
        yield render_problem(problem)
    if result.omitted:
        yield f"{printable(result.path)}: {more(result)}"


def _summary(results: Sequence[Checked], tool: str) -> str:
    if len(results) == 1 and results[0].state == "checked" and not results[0].problems:
        return f"{printable(results[0].path)}: {CLEAN[tool]}"
    return summary(results, tool)
