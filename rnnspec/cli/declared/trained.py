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
from rnnspec.workers.cores import single_threaded


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
    'rnnspec import' takes. Folders, .onnx and canonical files contain their spec; that of a
    Keras file is found by importing it. Nothing in IN is executed. The result is loaded again and
    compared with the reference before it is kept. A Keras file that Keras opens is compared too.
    """
    with single_threaded():
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
    .bin, .safetensors), or .onnx of rnnspec. It is read as data: no framework is imported, and no
    code in it is run.
    Whatever the language cannot express is refused. A state dict does not say what its modules
    compute: the spec is then a draft, and every guess in it is a comment.
    """
    from rnnspec.cli.commands import import_ as command

    command.run(source, command.Options(output, weights, spec, config), force=force)
