"""Arguments and options of several commands, with help from the records of backends."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.backends import forms, having, names
from rnnspec.backends.needs import FILES, SINGLE_FILE, SOURCE, TARGETS
from rnnspec.cli import completers
from rnnspec.errors import listed

_FORM = forms()[0]
_OTHER_FORMS = [
    f"for {listed(backends)} {form}"
    for form in forms()
    if form != _FORM and (backends := [b.name for b in having(SOURCE) if b.forms[0] == form])
]
BACKENDS_OF_FILES = [backend for backend in having(FILES) if backend.suffix]
BACKENDS_OF_FOLDERS = [backend for backend in having(FILES) if not backend.suffix]

SpecPath = Annotated[
    str,
    typer.Argument(
        metavar="SPEC", help="YAML spec.", show_default=False, autocompletion=completers.specs
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
Backend = Annotated[
    str | None,
    typer.Option(
        "--backend",
        "-b",
        metavar="NAME",
        help=f"{names('or')}; not needed if only one framework is installed.",
        autocompletion=completers.backends,
    ),
]
SourceForm = Annotated[
    str | None,
    typer.Option(
        "--form",
        metavar="FORM",
        help=f"{listed(forms(), 'or')}; by default {', '.join([_FORM, *_OTHER_FORMS])}.",
        show_default=False,
        autocompletion=completers.source_forms,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="NAME",
        help=f"Of {listed([backend.name for backend in having(TARGETS)])}: "
        f"{listed([name for backend in having(TARGETS) for name in backend.targets], 'or')}.",
        show_default=False,
        autocompletion=completers.targets,
    ),
]
MaxSteps = Annotated[
    int | None,
    typer.Option(
        "--max-steps",
        min=1,
        metavar="N",
        help=f"Of {listed([backend.name for backend in having(TARGETS)])}: the longest sequence, "
        "if input.length does not say it.",
        show_default=False,
    ),
]
SingleHeader = Annotated[
    bool,
    typer.Option(
        "--single-header",
        help=f"Of {listed([backend.name for backend in having(SINGLE_FILE)])}: write a single "
        "header, which OUT says too if it ends in .h.",
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
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
AllowOutside = Annotated[
    bool,
    typer.Option("--allow-outside", help="Let specs name files outside their folders."),
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
