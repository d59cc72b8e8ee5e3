"""``rnnspec summary``: print layers, shapes and parameters."""

from __future__ import annotations

from typing import Annotated

import typer

from rnnspec.cli.options import AllowOutside, Json, Set, SpecPath
from rnnspec.errors import UsageError


def summary(
    spec: SpecPath,
    json: Json = False,
    draw: Annotated[
        bool, typer.Option("--draw", help="Print a picture of the network above the table.")
    ] = False,
    settings: Set = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Print layers, shapes and parameters, without a framework."""
    # Imported here because '--help' reads no spec.
    from rnnspec import pipeline
    from rnnspec.cli.commands.draw import shows_unicode
    from rnnspec.cli.guard import print_json
    from rnnspec.cli.inputs import read_settings
    from rnnspec.lowering import array_places
    from rnnspec.results import tables
    from rnnspec.results.summaries import summarize

    if json and draw:
        raise UsageError("--json prints data alone; it cannot honour --draw")
    program = pipeline.read(spec, overrides=read_settings(settings), allow_outside=allow_outside)
    network = program.network
    result = summarize(network, array_places(program.spec))
    if json:
        print_json(result.as_dict())
        return
    if draw:
        from rnnspec.drawing.writers.text import text

        print(text(network, unicode=shows_unicode()))
    tables.print_result(result)
