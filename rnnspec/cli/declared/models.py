"""Commands about networks and models. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli import completers
from rnnspec.cli.backends import WRITTEN
from rnnspec.cli.options import (
    AllowOutside,
    Backend,
    Backends,
    Force,
    FormerBackends,
    Json,
    Level,
    Optimizer,
    Paths,
    SourceForm,
    SpecPath,
    Started,
    listed_names,
)
from rnnspec.errors import UsageError


def summary(
    spec: SpecPath,
    json: Json = False,
    draw: Annotated[
        bool, typer.Option("--draw", help="Print a picture of the network above the table.")
    ] = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Print layers, shapes and parameters, without a framework."""
    from rnnspec import pipeline
    from rnnspec.cli.terminal import pictures, tables
    from rnnspec.summaries import summarize

    if json and draw:
        raise UsageError("--json prints data alone; it cannot honour --draw")

    network = pipeline.read(spec, allow_outside=allow_outside).network
    found = summarize(network)
    if json:
        tables.print_json(found.as_dict())
    else:
        if draw:
            pictures.print_picture(network)
        tables.print_summary(found)


def build(
    spec: SpecPath,
    backend: Backend = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Seed of the weights, which are then the same on every backend.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help=WRITTEN),
    ] = None,
    form: SourceForm = None,
    quantize: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            help="int8: round the weights of an ONNX file, and print how much outputs change.",
            autocompletion=completers.quantized,
            show_default=False,
        ),
    ] = None,
    force: Force = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Build the model, print its layers, and save it with -o."""
    from rnnspec import pipeline
    from rnnspec.cli.commands import build as command

    given = pipeline.read(spec, allow_outside=allow_outside)
    command.run(given, command.Options(backend, form, seed, output, force, quantize))


def codegen(
    paths: Paths,
    backend: Backend = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="File, or folder with a file for each spec."
        ),
    ] = None,
    form: SourceForm = None,
    force: Force = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing; if OUT is out of date, print a patch and exit with 1."
        ),
    ] = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Print Python source that builds the model without rnnspec."""
    from rnnspec.cli.commands import codegen as command
    from rnnspec.cli.inputs import find_inputs

    inputs = find_inputs(paths, allow_outside=allow_outside)
    command.run(inputs, command.Options(backend, form, output, force, check))


def draw(
    spec: SpecPath,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write: .svg, .png, .pdf, .tex, .mmd or .txt; by default text is printed.",
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option(metavar="FORM", help="unrolled or folded.", autocompletion=completers.forms),
    ] = "unrolled",
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Number of time steps to draw, 2 to 64.", show_default=False
        ),
    ] = None,
    labels: Annotated[
        str, typer.Option(metavar="LABELS", help="full or none.", autocompletion=completers.labels)
    ] = "full",
    theme: Annotated[
        str,
        typer.Option(metavar="THEME", help="colour or print.", autocompletion=completers.themes),
    ] = "colour",
    background: Annotated[
        str,
        typer.Option(
            metavar="GROUND", help="white or none.", autocompletion=completers.backgrounds
        ),
    ] = "white",
    force: Force = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Draw the network, unrolled over time or folded.

    More than 6 equal layers in a row are drawn as the first, dots, and the last. A network that
    still has more than 60 rows is refused.
    """
    from rnnspec import pipeline
    from rnnspec.cli.commands import draw as command
    from rnnspec.drawing.picture import picture

    command.check_output(output)
    given = pipeline.read(spec, allow_outside=allow_outside)
    options = {"form": form, "labels": labels, "theme": theme, "background": background}
    command.run(given, picture(given.network, steps=steps, **options), output, force=force)


def parity(
    specs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SPECS",
            help="Specs, folders, patterns, or - for standard input.",
            autocompletion=completers.specs,
        ),
    ] = None,
    backend: Backends = None,
    former_backend: FormerBackends = None,
    level: Level = None,
    form: SourceForm = None,
    optimizer: Optimizer = "reference",
    dtype: Annotated[
        str,
        typer.Option(metavar="TYPE", help="float64 or float32.", autocompletion=completers.dtypes),
    ] = "float64",
    random: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Compare N random specs instead.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed of arrays, batches and random specs.")
    ] = 0,
    batch: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=".npy array to run on; by default a random batch."),
    ] = None,
    jobs: Started = None,
    json: Json = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the report as a page.")
    ] = None,
    force: Force = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Check that every backend builds the same network from a spec.

    All backends get the same arrays and batches. Each level includes those before it: numbers of
    parameters, outputs, gradients, and 20 steps of training.
    """
    from rnnspec.cli.commands import parity as command

    names = listed_names([*(backend or ()), *(former_backend or ())])
    options = command.Options(
        names or None, form, level, dtype, seed, batch, html, force, jobs, optimizer
    )
    if (random is None) == (not specs):
        raise UsageError("expected either specs or --random N")
    if random is not None:
        command.run_random(random, options, json=json)
    else:
        command.run_given(specs or [], options, allow_outside=allow_outside, json=json)
