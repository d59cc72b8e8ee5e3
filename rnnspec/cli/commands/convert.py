"""``rnnspec convert``: convert a trained model from one kind of file to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec import pipeline
from rnnspec.backends import form_named
from rnnspec.cli.inputs import Input, read_files
from rnnspec.cli.terminal.frameworks import import_required
from rnnspec.comparison.verify import DTYPE
from rnnspec.convert import run as conversion
from rnnspec.convert.choice import kind_named, kind_of
from rnnspec.errors import printable
from rnnspec.files import Inputs
from rnnspec.importing.original import compare_file

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.convert.kinds import Source, Written
    from rnnspec.importing.original import Compared
    from rnnspec.importing.run import Taken
    from rnnspec.pipeline import Program


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command; ``config`` is what the input may lack.

    ``ignore`` are patterns of the arrays in it that are left out.
    """

    spec: str | None
    config: Path | None
    ignore: list[str]
    backend: str | None
    form: str | None
    force: bool
    allow_outside: bool


def run(source: Path, output: Path, options: Options) -> None:
    """Convert a file, and print the paths and the results of the comparisons."""
    spec, force, allow_outside = options.spec, options.force, options.allow_outside
    kind = kind_of(
        source,
        named=spec is not None,
        config=options.config,
        ignore=options.ignore,
        importing=import_required,
    )
    target = kind_named(output, options.backend, form_named(options.form))
    named = None if spec is None else pipeline.read(spec, allow_outside=allow_outside)
    program = conversion.spec_for(kind, source, named, allow_outside=allow_outside)
    inputs = _inputs(kind, source, named, program)
    # Before the frameworks are imported, which takes seconds.
    target.check_output(output, program, force=force, inputs=inputs)
    taken = conversion.read(kind, source, program, import_required)
    compared = compare_file(source, taken, import_required)
    written = target.write(output, program, taken.arrays, import_required, force=force)
    _print(source, taken, written, compared)


def _inputs(kind: Source, source: Path, named: Program | None, program: Program) -> Inputs:
    specs = [] if named is None else [Input(named.source)]
    files = [(path, f"the input {path}") for path in kind.files(source)]
    return Inputs({**read_files(specs, [program]).titles, **Inputs.of(files).titles})


def _print(source: Path, taken: Taken, written: Written, compared: Compared) -> None:
    print(printable(f"read {len(taken.arrays)} arrays from {source}"))
    for part in taken.imported.left_out:
        print(printable(f"not carried over: {part}"))
    if written.rounded:
        print(f"rounded to {DTYPE}, the dtype of the model")
    for path in written.paths:
        print(printable(f"wrote {path}"))
    print(f"equal to {written.equal}")
    print(printable(str(compared)))
    print("To load it, without rnnspec:")
    for line in written.loading:
        print(f"  {line}")
