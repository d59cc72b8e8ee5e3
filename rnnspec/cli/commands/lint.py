"""``rnnspec lint``: print advice on specs, in the formats of ``validate``."""

from __future__ import annotations

from typing import Annotated

import typer

from rnnspec.cli import completers
from rnnspec.cli.options import AllowOutside, Format, Json, Paths


def lint(
    paths: Paths,
    select: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODES",
            autocompletion=completers.several_advice_codes,
            help="Only these codes; L3 stands for L301, L302 and so on.",
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODES",
            autocompletion=completers.several_advice_codes,
            help="Not these codes, even if they are selected.",
        ),
    ] = None,
    format: Format = None,  # noqa: A002 - the name of the option
    json: Json = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if there are notes.")
    ] = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Print advice on valid specs.

    A warning is about a probable mistake, a note about something worth knowing. A comment on the
    same line suppresses either:

    # rnnspec: ignore[L101]

    Exit code: 0 if there are only notes, 1 if there are warnings or a spec is wrong, 2 if one
    cannot be read.
    """
    # Imported here because '--help' reads no spec.
    from rnnspec.cli.inputs import check, find_inputs
    from rnnspec.cli.report import check_format, print_report
    from rnnspec.lint.rules import select_codes
    from rnnspec.lint.run import lint as find_advice

    name = check_format(format, json=json)
    codes = select_codes(select or [], ignore or [])
    # Last, because it may wait for standard input, and wrong options are reported at once.
    inputs = find_inputs(paths, allow_outside=allow_outside)
    results = [check(item, lambda program: find_advice(program, codes)) for item in inputs]
    code = print_report(results, name, "lint")
    has_notes = strict and any(result.problems for result in results)
    raise typer.Exit(max(code, int(has_notes)))
