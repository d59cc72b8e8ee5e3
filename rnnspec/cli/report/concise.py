"""One line per problem, ``PATH:LINE:COL: error: text``, for editors and grep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.cli.report.results import Checked, more, summary
from rnnspec.cli.terminal.messages import tell
from rnnspec.errors import UsageError, printable, render_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def show(results: Sequence[Checked], tool: str) -> None:
    """Print the problems, and the summary to standard error, which editors do not parse."""
    for line in lines(results):
        print(line)
    tell(summary(results, tool))


def lines(results: Sequence[Checked]) -> Iterator[str]:
    """Yield a line for each problem."""
    for result in results:
        if result.state == "unreadable":
            yield str(UsageError(result.reason, result.path))
        yield from map(render_line, result.shown)
        if result.omitted:
            yield f"{printable(result.path)}: {more(result)}"
