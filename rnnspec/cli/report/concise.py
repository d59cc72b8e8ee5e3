"""One line a problem, ``PATH:LINE:COL: error: text``, as editors and grep read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.cli.report.results import Checked, more, summary
from rnnspec.cli.terminal.messages import tell
from rnnspec.errors import UsageError, printable, render_line

if TYPE_CHECKING:
    from collections.abc import Sequence


def show(results: Sequence[Checked], tool: str) -> None:
    """Print the lines, and to standard error, which no editor reads, a line that counts."""
    for result in results:
        if result.state == "unreadable":
            print(UsageError(result.reason, result.path))
        for problem in result.shown:
            print(render_line(problem))
        if result.omitted:
            print(f"{printable(result.path)}: {more(result)}")
    tell(summary(results, tool))
