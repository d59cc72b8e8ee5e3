"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli import completers
from rnnspec.cli.backends import COMPARED, CONVERTED, FOLDERS, FOREIGN, FORM, NAMED, TRAINED
from rnnspec.errors import UsageError

SpecPath = Annotated[
    str,
    typer.Argument(
        metavar="SPEC", help="YAML spec.", show_default=False, autocompletion=completers.specs
    ),
]
Backend = Annotated[
    str | None,
    typer.Option("--backend", "-b", metavar="NAME", help=NAMED, autocompletion=completers.backends),
]
Backends = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        "-b",
        metavar="NAMES",
        help=COMPARED,
        show_default=False,
        autocompletion=completers.several_backends,
    ),
]
FormerBackends = Annotated[
    list[str] | None,
    typer.Option("--backends", hidden=True, autocompletion=completers.several_backends),
]
"""The former name of ``--backend`` of ``parity``."""
SourceForm = Annotated[
    str | None,
    typer.Option(
        "--form",
        metavar="FORM",
        help=FORM,
        show_default=False,
        autocompletion=completers.source_forms,
    ),
]
Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATHS",
        help="Specs, folders, patterns, or - for standard input.",
        show_default=False,
        autocompletion=completers.specs,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="full, concise, github, sarif or junit.",
        show_default=False,
        autocompletion=completers.formats,
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="Number of processes; by default it depends on the number of files.",
        show_default=False,
    ),
]
Started = Annotated[
    int | None,
    typer.Option("--jobs", min=1, metavar="N", help="Number of processes that share the specs."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
AllowOutside = Annotated[
    bool,
    typer.Option("--allow-outside", help="Let specs name files outside their folders."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TrainedPath = Annotated[
    Path,
    typer.Argument(
        metavar="IN",
        help=TRAINED,
    ),
]
ForeignPath = Annotated[
    Path,
    typer.Argument(metavar="FILE", help=FOREIGN),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="JSON",
        help="The architecture of a Keras file, from model.to_json(), if it has none.",
        show_default=False,
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="PATTERN",
        help="Leave out arrays of these names, such as 'aux.*'; can be repeated.",
        show_default=False,
    ),
]
ConvertedPath = Annotated[
    Path,
    typer.Argument(
        metavar="OUT",
        help=CONVERTED,
    ),
]
SpecOfTrained = Annotated[
    str | None,
    typer.Option(
        "--spec",
        metavar="SPEC",
        help="The spec of IN, if IN does not contain it.",
        autocompletion=completers.specs,
    ),
]
TargetBackend = Annotated[
    str | None,
    typer.Option(
        "--backend", "-b", metavar="NAME", help=FOLDERS, autocompletion=completers.backends
    ),
]
Level = Annotated[
    str | None,
    typer.Option(
        metavar="LEVEL",
        help="counts, forward, gradients (the default) or training.",
        autocompletion=completers.levels,
    ),
]
Optimizer = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="reference: rnnspec's optimizers only; own: those of the frameworks too.",
        autocompletion=completers.optimizers,
    ),
]


def listed_names(given: list[str]) -> list[str]:
    """Return the names in an option that takes a list with commas, and may be repeated."""
    parts = (name.strip() for each in given for name in each.split(","))
    return list(dict.fromkeys(parts))


def format_named(format: str | None, *, json: bool) -> str | None:  # noqa: A002 - the option's name
    """Return the format that ``--format`` or ``--json`` asks for."""
    if json and format not in (None, "json"):
        raise UsageError(f"--json is a format; it cannot be combined with --format {format}")
    return "json" if json else format
