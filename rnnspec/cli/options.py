"""Arguments and options of several commands, with help from the records of backends."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from rnnspec.backends import declared_options, describe_option, forms, having, names
from rnnspec.backends.contract import Option
from rnnspec.backends.needs import FILES, SOURCE
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
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set a key of the spec, such as rnn.0.units=64; can be repeated.",
        show_default=False,
    ),
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

Map = Annotated[
    Path | None,
    typer.Option(
        "--map",
        metavar="YAML",
        help="Which array of FILE is which of SPEC, where names and shapes do not tell; "
        "written, to be completed, if there is no such file.",
        show_default=False,
    ),
]


def takes_source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that backends declare, in place of its parameter ``options``."""
    written = signature(command, eval_str=True)
    declared = declared_options(command.__name__)

    @wraps(command)
    def call(**arguments: Any) -> None:
        values = {name: arguments.pop(name) for name in declared}
        options = {name: v for name, v in values.items() if v is not None and v is not False}
        command(**arguments, options=options)

    parameters = list[Parameter]()
    for parameter in written.parameters.values():
        ours = parameter.name == "options"
        parameters += map(_parameter, declared.values()) if ours else [parameter]
    # What typer reads.
    call.__signature__ = written.replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _parameter(option: Option) -> Parameter:
    """Return the parameter of a command that typer reads as an option."""
    is_flag = option.kind is bool
    declaration = typer.Option(
        option.flag,
        metavar=option.metavar or None,
        min=1 if option.kind is int else None,
        help=describe_option(option),
        show_default=False,
        autocompletion=completers.complete_with(lambda: option.values) if option.values else None,
    )
    return Parameter(
        option.name,
        Parameter.POSITIONAL_OR_KEYWORD,
        default=False if is_flag else None,
        annotation=Annotated[bool if is_flag else option.kind | None, declaration],
    )
