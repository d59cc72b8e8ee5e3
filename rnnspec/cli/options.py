"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli import completers
from rnnspec.cli.backends import FOLDERS, NAMED

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
SourceForm = Annotated[
    str | None,
    typer.Option(
        "--form",
        metavar="FORM",
        help="training, inference or step; by default the first that the backend writes.",
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
        help="full, concise, json, github, sarif or junit.",
        show_default=False,
        autocompletion=completers.formats,
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="Number of processes; by default as many as pay off.",
        show_default=False,
    ),
]
Started = Annotated[
    int | None,
    typer.Option(
        "--jobs", min=1, metavar="N", help="Number of processes to start; each imports backends."
    ),
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
        help="A trained model: a Keras file, a PyTorch folder, a .safetensors or .onnx file.",
    ),
]
ForeignPath = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="A trained model of Keras or PyTorch, or an ONNX file."),
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
        help=".keras, .safetensors or a folder for PyTorch; its ending decides which.",
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
        help="In training: reference, written out by rnnspec, or own, each framework's too.",
        autocompletion=completers.optimizers,
    ),
]
