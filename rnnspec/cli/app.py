"""The commands. Each imports what it prints with when it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.errors import UsageError
from rnnspec.version import __version__

app = typer.Typer(
    name="rnnspec",
    help="One YAML file, the same recurrent network in Keras and in PyTorch, proven equal.",
    epilog="Example: rnnspec build specs/stacked_lstm.yaml --backend keras",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SpecPath = Annotated[str, typer.Argument(metavar="SPEC", help="A YAML spec.", show_default=False)]
BackendName = Annotated[
    str | None, typer.Option("--backend", "-b", metavar="NAME", help="keras or torch.")
]
InputPaths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATHS",
        help="YAML specs, folders of them, patterns, or - for standard input.",
        show_default=False,
    ),
]
ReportFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="full, concise, json, github, sarif or junit.",
        show_default=False,
    ),
]
Jobs = Annotated[int, typer.Option(min=0, metavar="N", help="Processes; 0 decides by itself.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there already.")]
AllowOutside = Annotated[
    bool,
    typer.Option("--allow-outside", help="Files that a spec names may lie outside its folder."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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


@app.command(epilog="Example: rnnspec init my_tagger --network tagger")
def init(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Of the network; by default that of its kind."),
    ] = None,
    network: Annotated[
        str, typer.Option("--network", "-n", metavar="KIND", help="What to start from.")
    ] = "classifier",
    listing: Annotated[bool, typer.Option("--list", help="List the kinds of network.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write here, not to NAME.yaml."),
    ] = None,
    force: Force = False,
) -> None:
    """Write a commented spec to start from, and a schema for editors."""
    from rnnspec.cli import init as command

    if listing:
        command.list_networks()
    else:
        command.run(name, network, output, force=force)


@app.command(epilog="Example: rnnspec validate specs --format concise")
def validate(
    paths: InputPaths,
    format: ReportFormat = None,  # noqa: A002 - the name of the option
    jobs: Jobs = 0,
    allow_outside: AllowOutside = False,
) -> None:
    """Check specs, and print every problem with its place.

    In a folder every *.yaml and *.yml is checked; one that is no spec is passed over and counted.
    Exit code: 0 all valid, 1 a spec is wrong, 2 something cannot be read.
    """
    from rnnspec.cli.validate import run

    raise typer.Exit(run(paths, format, jobs, allow_outside=allow_outside))


@app.command(epilog="Example: rnnspec lint specs --ignore L103,L2")
def lint(
    paths: InputPaths,
    select: Annotated[
        list[str] | None,
        typer.Option(metavar="CODES", help="Only these, such as L101,L3: L3 is all L3xx."),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="CODES", help="Not these, even if selected.")
    ] = None,
    format: ReportFormat = None,  # noqa: A002 - the name of the option
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for a note too.")] = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Print advice on specs that are right.

    A warning is probably a mistake, a note something to know. Each has a code, which `rnnspec
    explain` explains; the comment `# rnnspec: ignore[CODE]` on its line silences it. Notes alone
    exit with 0, warnings with 1.
    """
    from rnnspec.cli import lint as command

    options = command.Options(select or [], ignore or [], format, strict)
    raise typer.Exit(command.run(paths, options, allow_outside=allow_outside))


@app.command(epilog="Example: rnnspec explain L101")
def explain(
    code: Annotated[
        str | None,
        typer.Argument(metavar="[CODE]", help="The code at the end of a message, in any case."),
    ] = None,
) -> None:
    """Print what a code means, or list all codes.

    With a spec that has the problem, and one that has not.
    """
    from rnnspec.cli import explain as command

    if code is None:
        command.list_all()
    else:
        command.show(code)


@app.command(epilog="Example: rnnspec summary specs/stacked_lstm.yaml --json")
def summary(spec: SpecPath, json: Json = False, allow_outside: AllowOutside = False) -> None:
    """Print layers, shapes and parameters; needs no framework."""
    from rnnspec import pipeline
    from rnnspec.cli import tables

    network = pipeline.read(spec, allow_outside=allow_outside).network
    found = pipeline.summarize(network)
    if json:
        tables.print_json(found.as_dict())
    else:
        tables.print_summary(found)


@app.command(epilog="Example: rnnspec build specs/stacked_lstm.yaml -b torch --seed 1 -o out")
def build(
    spec: SpecPath,
    backend: BackendName = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Draw the weights in NumPy: the same bits on every backend."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="A .keras file, or a folder for torch."),
    ] = None,
    force: Force = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Make the live model, print what it holds, save it with -o."""
    from rnnspec import pipeline
    from rnnspec.cli.build import run

    given = pipeline.read(spec, allow_outside=allow_outside)
    run(given, backend, seed, output, force=force)


@app.command(epilog="Example: rnnspec codegen specs/stacked_lstm.yaml --backend keras -o model.py")
def codegen(
    paths: InputPaths,
    backend: BackendName = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="A file, or a folder, where each is NAME.py."
        ),
    ] = None,
    force: Force = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 with a patch if OUT is stale.")
    ] = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Print source that makes the model without rnnspec."""
    from rnnspec.cli.codegen import run
    from rnnspec.cli.inputs import found

    inputs = found(paths, allow_outside=allow_outside)
    run(inputs, backend, output, force=force, check=check)


@app.command(epilog="Example: rnnspec diff specs/stacked_lstm.yaml specs/standard_rnn.yaml")
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A YAML spec, or -.")],
    after: Annotated[str, typer.Argument(metavar="B", help="A YAML spec, or -.")],
    json: Json = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 where the networks differ.")
    ] = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Print what changed from A to B, layer by layer.

    A default that is written out is no change, nor is a comment. For an older version of a file:
    git show HEAD:spec.yaml | rnnspec diff - spec.yaml
    """
    from rnnspec.cli.diff import run

    run(before, after, json=json, exit_code=exit_code, allow_outside=allow_outside)


@app.command(epilog="Example: rnnspec schema -o rnnspec.schema.json")
def schema(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write here, not to standard output."),
    ] = None,
    force: Force = False,
) -> None:
    """Print the language as a JSON Schema, for editors."""
    from rnnspec.cli.schema import run

    run(output, force=force)


@app.command(epilog="Example: rnnspec parity specs/*.yaml --level training")
def parity(
    specs: Annotated[
        list[str] | None,
        typer.Argument(metavar="SPECS...", help="YAML specs.", show_default=False),
    ] = None,
    backends: Annotated[
        str | None, typer.Option(metavar="A,B", help="Which ones; by default keras,torch.")
    ] = None,
    level: Annotated[
        str,
        typer.Option(metavar="LEVEL", help="counts, forward, gradients or training."),
    ] = "gradients",
    dtype: Annotated[str, typer.Option(metavar="TYPE", help="float64 or float32.")] = "float64",
    random: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Compare N random specs, made from the seed."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of all that is random.")] = 0,
    batch: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Run on this .npy array, not on a random batch."),
    ] = None,
    json: Json = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Prove that every backend makes the same network of a spec.

    From the same arrays and batches, up to a level: counts of parameters, outputs, gradients, 20
    steps of training.
    """
    from rnnspec.cli import parity as command
    from rnnspec.cli.inputs import found
    from rnnspec.cli.specs import load_all

    names = None if backends is None else _split(backends)
    options = command.Options(names, level, dtype, seed, batch)
    if (random is None) == (not specs):
        raise UsageError("expected either specs or --random N")
    if random is not None:
        command.run_random(random, options, json=json)
    else:
        command.run(load_all(found(specs or [], allow_outside=allow_outside)), options, json=json)


def _split(names: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in names.split(",")))
