"""The commands. Each imports what it prints with when it prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rnnspec import compiler
from rnnspec.errors import SpecError, UsageError, printable
from rnnspec.spec.models import Spec
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
SpecPaths = Annotated[
    list[str], typer.Argument(metavar="SPECS", help="YAML specs.", show_default=False)
]
BackendName = Annotated[
    str | None, typer.Option("--backend", "-b", metavar="NAME", help="keras or torch.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there already.")]
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


@app.command(epilog="Example: rnnspec validate specs/stacked_lstm.yaml specs/standard_rnn.yaml")
def validate(paths: SpecPaths) -> None:
    """Check specs, and print every problem with its place."""
    _load_all(paths)
    print(f"{len(paths)} specs: valid" if len(paths) != 1 else f"{printable(paths[0])}: valid")


@app.command(epilog="Example: rnnspec summary specs/stacked_lstm.yaml --json")
def summary(spec: SpecPath, json: Json = False) -> None:
    """Print layers, shapes and parameters; needs no framework."""
    from rnnspec.cli import tables

    found = compiler.summary(spec)
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
) -> None:
    """Make the live model, print what it holds, save it with -o."""
    from rnnspec.cli.build import run

    run(spec, backend, seed, output, force=force)


@app.command(epilog="Example: rnnspec codegen specs/stacked_lstm.yaml --backend keras -o model.py")
def codegen(
    spec: SpecPath,
    backend: BackendName = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write here, not to standard output."),
    ] = None,
    force: Force = False,
) -> None:
    """Print source that makes the model without rnnspec."""
    from rnnspec.backends import chosen
    from rnnspec.files import check_target, write_file

    if output is not None:
        check_target(output, force=force)
    text = compiler.codegen(spec, chosen(backend).name)
    if output is None:
        print(text, end="")
    else:
        write_file(output, text, force=force)
        print(printable(f"wrote {output}"))


@app.command(epilog="Example: rnnspec parity specs/*.yaml --level training")
def parity(  # noqa: PLR0913, PLR0917 - each is an option
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
    json: Json = False,
) -> None:
    """Prove that every backend makes the same network of a spec.

    From the same arrays and batches, up to a level: counts of parameters, outputs, gradients, 20
    steps of training.
    """
    from rnnspec.cli import parity as command

    names = None if backends is None else _split(backends)
    options = command.Options(names, level, dtype, seed)
    if (random is None) == (not specs):
        raise UsageError("expected either specs or --random N")
    if random is not None:
        command.run_random(random, options, json=json)
    else:
        command.run(_load_all(specs or []), options, json=json)


def _split(names: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in names.split(",")))


def _load_all(paths: list[str]) -> list[Spec]:
    """Load every spec, or exit after a message for each that is wrong or cannot be read."""
    loaded: list[Spec] = []
    worst = 0
    for path in paths:
        try:
            loaded.append(compiler.load(path))
        except (SpecError, UsageError) as error:
            print(error, file=sys.stderr)
            worst = max(worst, error.exit_code)
    if worst:
        raise typer.Exit(worst)
    return loaded
