"""``rnnspec convert``: convert a trained model from one kind of file to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnspec.backends.contract import DEFAULTS, SourceOptions
from rnnspec.cli import completers
from rnnspec.cli.options import (
    BACKENDS_OF_FILES,
    BACKENDS_OF_FOLDERS,
    AllowOutside,
    Config,
    Force,
    Ignore,
    Map,
    SourceForm,
    takes_source_options,
)
from rnnspec.errors import listed, printable
from rnnspec.files.model import SUFFIX

if TYPE_CHECKING:
    from rnnspec.models.convert import Converted

_FOLDERS = listed([backend.title for backend in BACKENDS_OF_FOLDERS], "or")
_MODELS = listed(
    [*(backend.suffix for backend in BACKENDS_OF_FILES), SUFFIX, f"a folder of {_FOLDERS}"], "or"
)
_WRITERS_OF_FOLDERS = [backend.name for backend in BACKENDS_OF_FOLDERS]


@takes_source_options
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help=f"A model that rnnspec wrote ({_MODELS}), or a file that 'rnnspec import' takes.",
        ),
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help=f"{_MODELS}; its ending decides which.")
    ],
    spec: Annotated[
        str | None,
        typer.Option(
            "--spec",
            metavar="SPEC",
            help="The spec of IN, if IN does not contain it.",
            autocompletion=completers.specs,
        ),
    ] = None,
    config: Config = None,
    ignore: Ignore = None,
    mapping: Map = None,
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend",
            "-b",
            metavar="NAME",
            help=f"The backend of a folder OUT, {listed(_WRITERS_OF_FOLDERS, 'or')}; by default "
            f"{_WRITERS_OF_FOLDERS[0]}.",
            autocompletion=completers.backends,
        ),
    ] = None,
    form: SourceForm = None,
    options: SourceOptions = DEFAULTS,
    force: Force = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Move a trained model to another framework, proven equal.

    What rnnspec wrote may have been trained since, and contains its spec; that of another Keras
    file is found by importing it. No code in IN is executed. The result is loaded again and
    compared with the reference before it is kept, and so is IN, if its framework opens it.
    """
    # Imported here because '--help' computes nothing.
    from rnnspec.machine.processes import single_threaded

    with single_threaded():
        # NumPy reads the number of threads when it is imported.
        from rnnspec.cli.frameworks import import_required
        from rnnspec.models.convert import convert as convert_file

        converted = convert_file(
            source,
            output,
            spec=spec,
            config=config,
            ignore=ignore or (),
            mapping=mapping,
            backend=backend,
            form=form,
            options=options,
            force=force,
            allow_outside=allow_outside,
            importing=import_required,
        )
        _print_converted(source, converted)


def _print_converted(source: Path, converted: Converted) -> None:
    """Print what was read and written, with what it was compared, and how to load it."""
    from rnnspec.comparison.verify import DTYPE

    model, written = converted.model, converted.written
    print(printable(f"read {len(model.arrays)} arrays from {source}"))
    for sentence in model.imported.inferred:
        print(printable(f"inferred: {sentence}"))
    for part in model.imported.left_out:
        print(printable(f"not carried over: {part}"))
    if written.rounded:
        print(f"rounded to {DTYPE}, the dtype of the model")
    for path in written.paths:
        print(printable(f"wrote {path}"))
    print(f"equal to {written.equal}")
    print(printable(str(converted.compared)))
    print("To load it, without rnnspec:")
    for line in written.loading:
        print(f"  {line}")
