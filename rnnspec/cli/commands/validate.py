"""``rnnspec validate``: check every file at the paths, and print one report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.cli.inputs import check, find_inputs
from rnnspec.cli.report import format_for, print_report
from rnnspec.processes import map_in_order

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(paths: Sequence[str], format: str | None, jobs: int, *, allow_outside: bool = False) -> int:  # noqa: A002 - the option's name
    """Check the specs at ``paths``, print the report, and return the exit code."""
    chosen = format_for(format)
    return print_report(
        map_in_order(check, find_inputs(paths, allow_outside=allow_outside), jobs),
        chosen,
        "validate",
    )
