"""``rnnspec convert``: convert a trained model from one kind of file to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec import pipeline
from rnnspec.backends import form_named
from rnnspec.cli.inputs import Input, read_files
from rnnspec.cli.terminal.frameworks import import_quietly
from rnnspec.convert import run as conversion
from rnnspec.convert.choice import kind_named, kind_of
from rnnspec.convert.original import compare
from rnnspec.convert.verify import DTYPE
from rnnspec.errors import printable
from rnnspec.files import Inputs

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.backends import Backend
    from rnnspec.convert.kinds import Loaded, Source, Written
    from rnnspec.convert.original import Compared
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
    kind = kind_of(source, named=spec is not None, config=options.config, ignore=options.ignore)
    target = kind_named(output, options.backend, form_named(options.form))
    named = None if spec is None else pipeline.read(spec, allow_outside=allow_outside)
    program = conversion.spec_for(kind, source, named, allow_outside=allow_outside)
    inputs = _inputs(kind, source, named, program)
    # Before the frameworks are imported, which takes seconds.
    target.check_output(output, program, force=force, inputs=inputs)
    loaded = conversion.read(kind, source, program, _import)
    found = None
    if loaded.original is not None:
        found = compare(loaded.original, program, loaded.arrays, _import)
    written = target.write(output, program, loaded.arrays, _import, force=force)
    _print(source, loaded, written, found)


def _import(backend: Backend) -> None:
    backend.require()
    import_quietly([backend])


def _inputs(kind: Source, source: Path, named: Program | None, program: Program) -> Inputs:
    specs = [] if named is None else [Input(named.source)]
    files = [(path, f"the input {path}") for path in kind.files(source)]
    return Inputs({**read_files(specs, [program]).titles, **Inputs.of(files).titles})


def _print(source: Path, loaded: Loaded, written: Written, found: Compared | None) -> None:
    print(printable(f"read {len(loaded.arrays)} arrays from {source}"))
    for part in loaded.left_out:
        print(printable(f"not carried over: {part}"))
    if written.rounded:
        print(f"rounded to {DTYPE}, the dtype of the model")
    for path in written.paths:
        print(printable(f"wrote {path}"))
    print(f"equal: {written.equal}")
    if found is not None:
        print(printable(str(found)))
    print("To load it, without rnnspec:")
    for line in written.loading:
        print(f"  {line}")
