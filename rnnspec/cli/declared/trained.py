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
    SourceForm,
    SpecOfTrained,
    TargetBackend,
    TrainedPath,
)


def convert(
    source: TrainedPath,
    output: ConvertedPath,
    spec: SpecOfTrained = None,
    config: Config = None,
    backend: TargetBackend = None,
    form: SourceForm = None,
    force: Force = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Move a trained model to another framework, proven equal.

    IN was saved by rnnspec build, and may have been trained since, or it is a trained model that
    'rnnspec import' takes. What rnnspec wrote contains its spec; that of another Keras file is
    found by importing it. No code in IN is executed. The result is loaded again and compared with
    the reference before it is kept, and so is IN, if its framework opens it.
    """
    from rnnspec.cli.commands import convert as command

    options = command.Options(spec, config, backend, form, force, allow_outside)
    command.run(source, output, options)


def import_(
    source: ForeignPath,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="SPEC", help="Spec to write; by default NAME.yaml, as FILE."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Arrays to write; by default beside SPEC, .safetensors."),
    ] = None,
    spec: Annotated[
        str | None,
        typer.Option(
            "--spec", metavar="SPEC", help="The spec of FILE; then only arrays are written."
        ),
    ] = None,
    config: Config = None,
    force: Force = False,
) -> None:
    """Read a trained Keras or PyTorch model as a spec and arrays.

    FILE is .h5, .hdf5 or .keras of Keras 2 or 3, or a state dict of PyTorch (.pt, .pth, .ckpt,
    .bin, .safetensors), or a file that rnnspec built. It is read as data, and no code in it is run.
    Whatever the language cannot express is refused. Then the framework of FILE opens it, if it is
    installed and can, and nothing is written if the spec has other results. A state dict does not
    say what its modules compute: the spec is then a draft, and every guess in it is a comment.
    """
    from rnnspec.cli.commands import import_ as command

    command.run(source, command.Options(output, weights, spec, config), force=force)
