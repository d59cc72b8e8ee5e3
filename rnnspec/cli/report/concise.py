"""One line per problem, ``PATH:LINE:COL: error: text``, for editors and grep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.cli.report.results import Checked, more, summary
from rnnspec.cli.terminal.messages import tell
from rnnspec.errors import UsageError, printable, render_line

if TYPE_CHECKING:
    from collections.abc import Sequence


def show(results: Sequence[Checked], tool: str) -> None:
    """Print the problems, and the summary to standard error, which editors do not parse."""
    for result in results:
        if result.state == "unreadable":
            print(UsageError(result.reason, result.path))
        for problem in result.shown:
            print(render_line(problem))
        if result.omitted:
            print(f"{printable(result.path)}: {more(result)}")
    tell(summary(results, tool))
