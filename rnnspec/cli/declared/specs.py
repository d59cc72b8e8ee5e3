"""Commands about specs. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli import completers
from rnnspec.cli.options import AllowOutside, Force, Format, Jobs, Json, Paths, format_named


def init(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Name of the network; by default its kind."),
    ] = None,
    network: Annotated[
        str,
        typer.Option(
            "--network",
            "-n",
            metavar="KIND",
            help="Kind of network to start from.",
            autocompletion=completers.networks,
        ),
    ] = "classifier",
    listing: Annotated[
        bool, typer.Option("--list", help="List the kinds of network, and exit.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write; by default NAME.yaml."),
    ] = None,
    force: Force = False,
) -> None:
    """Write a commented spec, and a schema for editors."""
    from rnnspec.cli.commands import init as command

    if listing:
        command.list_networks()
    else:
        command.run(name, network, output, force=force)


def validate(
    paths: Paths,
    format: Format = None,  # noqa: A002 - the name of the option
    json: Json = False,
    jobs: Jobs = 0,
    allow_outside: AllowOutside = False,
) -> None:
    """Check specs, and print every problem with its location.

    In a folder, every *.yaml and *.yml file is checked; files that are not specs are skipped and
    counted. Exit code: 0 if all specs are valid, 1 if one is wrong, 2 if one cannot be read.
    """
    from rnnspec.cli.commands.validate import run

    raise typer.Exit(run(paths, format_named(format, json=json), jobs, allow_outside=allow_outside))


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
    from rnnspec.cli.commands import lint as command

    chosen = format_named(format, json=json)
    options = command.Options(select or [], ignore or [], chosen, strict)
    raise typer.Exit(command.run(paths, options, allow_outside=allow_outside))


def explain(
    code: Annotated[
        str | None,
        typer.Argument(
            metavar="CODE",
            help="Code at the end of a message, such as E301.",
            autocompletion=completers.codes,
        ),
    ] = None,
) -> None:
    """Explain the code of a message, or list all codes.

    The explanation shows a spec with the problem, and one without it.
    """
    from rnnspec.cli.commands import explain as command

    if code is None:
        command.list_all()
    else:
        command.show(code)


def diff(
    before: Annotated[
        str,
        typer.Argument(
            metavar="A", help="Spec, or - for standard input.", autocompletion=completers.specs
        ),
    ],
    after: Annotated[
        str,
        typer.Argument(
            metavar="B", help="Spec, or - for standard input.", autocompletion=completers.specs
        ),
    ],
    json: Json = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 if the networks differ.")
    ] = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Print what changed from A to B, layer by layer.

    Comments and defaults that are written out make no difference. To compare a file with its older
    version:

    git show HEAD:net.yaml | rnnspec diff - net.yaml
    """
    from rnnspec.cli.commands.diff import run

    run(before, after, json=json, exit_code=exit_code, allow_outside=allow_outside)


def schema(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write; by default standard output."
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Print the JSON Schema of the language, for editors."""
    from rnnspec.cli.commands.schema import run

    run(output, force=force)
