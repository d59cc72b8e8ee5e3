"""``rnnspec validate``: check every file at the paths, and print one report."""

from __future__ import annotations

from typing import Annotated

import typer

from rnnspec.cli.options import AllowOutside, Format, Json, Paths, Set


def validate(
    paths: Paths,
    format: Format = None,  # noqa: A002 - the name of the option
    json: Json = False,
    jobs: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Number of processes; by default it depends on the number of files.",
            show_default=False,
        ),
    ] = 0,
    settings: Set = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Check specs, and print every problem with its location.

    In a folder, every *.yaml and *.yml file is checked; files that are not specs are skipped and
    counted. Exit code: 0 if all specs are valid, 1 if one is wrong, 2 if one cannot be read.
    """
    # Imported here because '--help' reads no spec.
    from rnnspec.cli.inputs import check, find_inputs
    from rnnspec.cli.report import check_format, print_report
    from rnnspec.machine.processes import map_in_order

    name = check_format(format, json=json)
    results = map_in_order(
        check, find_inputs(paths, allow_outside=allow_outside, settings=settings), jobs
    )
    raise typer.Exit(print_report(results, name, "validate"))
