"""Load all specs of a command, or print the problems of each that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from rnnspec.cli.inputs import Input, check
from rnnspec.cli.report.full import lines
from rnnspec.cli.terminal.messages import tell
from rnnspec.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.errors import Problem
    from rnnspec.pipeline import Program


def load_all(inputs: Sequence[Input]) -> list[Program]:
    """Return the specs in ``inputs``; print the names of files in folders that are not specs.

    Raises:
        typer.Exit: a spec is wrong or cannot be read; its problems have been printed.
        UsageError: none of the inputs is a spec.
    """
    programs: list[Program] = []

    def keep(program: Program) -> tuple[Problem, ...]:
        programs.append(program)
        return ()

    results = [check(each, keep) for each in inputs]
    if worst := max((each.exit_code for each in results), default=0):
        # All inputs have been checked by now, so that one run shows every problem.
        tell("\n".join(line for each in results for line in lines(each)))
        raise typer.Exit(worst)
    if foreign := [each.path for each in results if each.state == "foreign"]:
        tell(printable(f"rnnspec: note: skipped, not a spec: {', '.join(foreign)}"))
    if not programs:
        raise UsageError("expected a spec, found none", ", ".join(each.path for each in inputs))
    return programs
