"""Commands about files of trained models. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli.options import (
    AllowOutside,
    Config,
    ConvertedPath,
    Force,
    ForeignPath,
    Ignore,
    SourceForm,
    SpecOfTrained,
    TargetBackend,
    TrainedPath,
)
from rnnspec.processes import single_threaded


def convert(
    source: TrainedPath,
    output: ConvertedPath,
    spec: SpecOfTrained = None,
    config: Config = None,
    ignore: Ignore = None,
    backend: TargetBackend = None,
    form: SourceForm = None,
    force: Force = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Move a trained model to another framework, proven equal.

    What rnnspec wrote may have been trained since, and contains its spec; that of another Keras
    file is found by importing it. No code in IN is executed. The result is loaded again and
    compared with the reference before it is kept, and so is IN, if its framework opens it.
    """
    with single_threaded():
        from rnnspec.cli.commands import convert as command

        left_out = ignore or []
        options = command.Options(spec, config, left_out, backend, form, force, allow_outside)
        command.run(source, output, options)


def import_(
    source: ForeignPath,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="SPEC",
            help="Spec to write; by default named after FILE, in this folder.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Arrays to write; by default SPEC with the ending .safetensors."
        ),
    ] = None,
    spec: Annotated[
        str | None,
        typer.Option(
            "--spec",
            metavar="SPEC",
            help="The spec of FILE, if you have it; then only arrays are written.",
        ),
    ] = None,
    config: Config = None,
    ignore: Ignore = None,
    force: Force = False,
) -> None:
    """Read a trained Keras or PyTorch model as a spec and arrays.

    FILE is read as data: no code in it is run. It may be of Keras 2 or 3. Whatever the language
    cannot express is refused. Then the framework of FILE opens it, if it is installed and can, and
    nothing is written if the spec has other results. A state dict does not say what its modules
    compute: the spec is then a draft, and every guess in it is a comment.
    """
    from rnnspec.cli.commands import import_ as command

    options = command.Options(output, weights, spec, config, ignore or [])
    command.run(source, options, force=force)
