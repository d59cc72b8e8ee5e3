"""The commands. Each imports its modules only when it runs, which keeps ``--help`` fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli.backends import COMPARED, WRITTEN
from rnnspec.cli.options import (
    AllowOutside,
    Backend,
    ConvertedPath,
    Force,
    ForeignPath,
    Format,
    Jobs,
    Json,
    Paths,
    SpecOfTrained,
    SpecPath,
    TrainedPath,
)
from rnnspec.cli.terminal.help import Command
from rnnspec.errors import UsageError
from rnnspec.version import __version__

app = typer.Typer(
    name="rnnspec",
    help="One YAML file: the same recurrent network in Keras and in PyTorch.",
    epilog="Example: rnnspec build specs/stacked_lstm.yaml --backend keras",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"rnnspec {__version__}")
        raise typer.Exit


@app.callback()
def _rnnspec(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version


@app.command(cls=Command, epilog="Example: rnnspec init my_tagger --network tagger")
def init(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Name of the network; by default its kind."),
    ] = None,
    network: Annotated[
        str, typer.Option("--network", "-n", metavar="KIND", help="Kind of network to start from.")
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
    """Write a commented spec to start from, and a schema for editors."""
    from rnnspec.cli.commands import init as command

    if listing:
        command.list_networks()
    else:
        command.run(name, network, output, force=force)


@app.command(cls=Command, epilog="Example: rnnspec validate specs --format concise")
def validate(
    paths: Paths,
    format: Format = None,  # noqa: A002 - the name of the option
    jobs: Jobs = 0,
    allow_outside: AllowOutside = False,
) -> None:
    """Check specs, and print every problem with its location.

    In a folder, every *.yaml and *.yml file is checked; files that are not specs are skipped and
    counted. Exit code: 0 if all specs are valid, 1 if one is wrong, 2 if one cannot be read.
    """
    from rnnspec.cli.commands.validate import run

    raise typer.Exit(run(paths, format, jobs, allow_outside=allow_outside))


@app.command(cls=Command, epilog="Example: rnnspec lint specs --ignore L103,L2")
def lint(
    paths: Paths,
    select: Annotated[
        list[str] | None, typer.Option(metavar="CODES", help="Only these codes; L3 is all L3xx.")
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="CODES", help="Not these codes, even if they are selected."),
    ] = None,
    format: Format = None,  # noqa: A002 - the name of the option
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

    options = command.Options(select or [], ignore or [], format, strict)
    raise typer.Exit(command.run(paths, options, allow_outside=allow_outside))


@app.command(cls=Command, epilog="Example: rnnspec explain L101")
def explain(
    code: Annotated[
        str | None,
        typer.Argument(metavar="CODE", help="Code at the end of a message, such as E301."),
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


@app.command(cls=Command, epilog="Example: rnnspec summary specs/stacked_lstm.yaml --json")
def summary(spec: SpecPath, json: Json = False, allow_outside: AllowOutside = False) -> None:
    """Print layers, shapes and parameters, without a framework."""
    from rnnspec import pipeline
    from rnnspec.cli.terminal import tables

    network = pipeline.read(spec, allow_outside=allow_outside).network
    found = pipeline.summarize(network)
    if json:
        tables.print_json(found.as_dict())
    else:
        tables.print_summary(found)


@app.command(
    cls=Command, epilog="Example: rnnspec build specs/stacked_lstm.yaml -b torch --seed 1 -o out"
)
def build(
    spec: SpecPath,
    backend: Backend = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Draw the same weights on every backend.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help=WRITTEN),
    ] = None,
    force: Force = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Build the model, print its layers, and save it with -o."""
    from rnnspec import pipeline
    from rnnspec.cli.commands.build import run

    given = pipeline.read(spec, allow_outside=allow_outside)
    run(given, backend, seed, output, force=force)


@app.command(
    cls=Command,
    epilog="Example: rnnspec convert trained.keras moved --spec specs/stacked_lstm.yaml",
)
def convert(
    source: TrainedPath,
    output: ConvertedPath,
    spec: SpecOfTrained = None,
    force: Force = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Move a trained model to another framework, proven equal.

    IN was saved by rnnspec build, and may have been trained since. PyTorch folders and canonical
    files contain their spec, .keras files do not. Nothing in IN is executed. The result is loaded
    again and compared with the reference before it is kept.
    """
    from rnnspec.cli.commands.convert import run

    run(source, output, spec, force=force, allow_outside=allow_outside)


@app.command(
    "import", cls=Command, epilog="Example: rnnspec import trained.h5 -o names/classifier.yaml"
)
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
    config: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="The architecture of FILE, from model.to_json()."),
    ] = None,
    force: Force = False,
) -> None:
    """Read a trained Keras model as a spec and its arrays.

    FILE is .h5, .hdf5 or .keras, of Keras 2 or 3. It is read as data: no framework is imported,
    and no code in it is run. Whatever the language cannot express is refused.
    """
    from rnnspec.cli.commands import import_ as command

    command.run(source, command.Options(output, weights, spec, config), force=force)


@app.command(
    cls=Command,
    epilog="Example: rnnspec codegen specs/stacked_lstm.yaml --backend keras -o model.py",
)
def codegen(
    paths: Paths,
    backend: Backend = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="File, or folder for each NAME.py."),
    ] = None,
    force: Force = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; exit with 1 and a patch if OUT is stale."),
    ] = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Print Python source that builds the model without rnnspec."""
    from rnnspec.cli.commands.codegen import run
    from rnnspec.cli.inputs import found

    inputs = found(paths, allow_outside=allow_outside)
    run(inputs, backend, output, force=force, check=check)


@app.command(
    cls=Command, epilog="Example: rnnspec diff specs/stacked_lstm.yaml specs/standard_rnn.yaml"
)
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="Spec, or - for standard input.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Spec, or - for standard input.")],
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


@app.command(cls=Command, epilog="Example: rnnspec schema -o rnnspec.schema.json")
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


@app.command(cls=Command, epilog="Example: rnnspec parity specs/*.yaml --level training")
def parity(
    specs: Annotated[
        list[str] | None,
        typer.Argument(metavar="SPECS", help="Specs, folders, patterns, or - for standard input."),
    ] = None,
    backends: Annotated[str | None, typer.Option(metavar="A,B", help=COMPARED)] = None,
    level: Annotated[
        str,
        typer.Option(
            metavar="LEVEL",
            help="counts, forward, gradients (the default) or training.",
            show_default=False,
        ),
    ] = "gradients",
    dtype: Annotated[str, typer.Option(metavar="TYPE", help="float64 or float32.")] = "float64",
    random: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Compare N random specs instead.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of everything random.")] = 0,
    batch: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=".npy array to run on; by default a random batch."),
    ] = None,
    json: Json = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Check that every backend builds the same network from a spec.

    All run on the same arrays and batches. Each level includes those before it: numbers of
    parameters, outputs, gradients, and 20 steps of training.
    """
    from rnnspec.cli.commands import parity as command
    from rnnspec.cli.inputs import found
    from rnnspec.cli.specs import load_all

    names = None if backends is None else _names(backends)
    options = command.Options(names, level, dtype, seed, batch)
    if (random is None) == (not specs):
        raise UsageError("expected either specs or --random N")
    if random is not None:
        command.run_random(random, options, json=json)
    else:
        command.run(load_all(found(specs or [], allow_outside=allow_outside)), options, json=json)


def _names(listed: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in listed.split(",")))
