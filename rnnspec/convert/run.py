"""Conversion of a trained model from one kind of file to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec import pipeline
from rnnspec.backends import Backend, form_named
from rnnspec.backends.contract import DEFAULTS, SourceOptions
from rnnspec.convert.choice import kind_named, kind_of
from rnnspec.diff import Diff, diff
from rnnspec.errors import UsageError
from rnnspec.files import Inputs
from rnnspec.importing.original import Compared, compare_file
from rnnspec.slots import is_finite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.convert.kinds import Importing, Source, Written
    from rnnspec.importing.run import Taken
    from rnnspec.pipeline import Program
    from rnnspec.slots import Array

_MOST_CHANGES = 5


@dataclass(frozen=True, slots=True)
class Converted:
    """The model that was read, the files that were written, and the comparison with the original.

    The comparison of the written files with the reference is in ``written``.
    """

    taken: Taken
    written: Written
    compared: Compared


def convert(  # noqa: PLR0913 - the options of the command
    source: Path,
    output: Path,
    *,
    spec: str | None = None,
    config: Path | None = None,
    ignore: Sequence[str] = (),
    backend: str | None = None,
    form: str | None = None,
    options: SourceOptions = DEFAULTS,
    single_header: bool = False,
    force: bool = False,
    allow_outside: bool = False,
    importing: Importing = Backend.require,
) -> Converted:
    """Convert a trained model from one kind of file to another.

    Args:
        source: a file or folder that rnnspec wrote, or a file of another tool.
        output: the path to write; its ending decides the kind.
        spec: the path of the spec, if the source does not contain it.
        config: a file with the architecture, if the source has none.
        ignore: patterns of the arrays in a file of another tool that are left out.
        backend: the backend of a folder to write; by default the first that writes folders.
        form: the form of the source to write.
        options: the options of the source.
        single_header: whether the files of a backend are to be a single one.
        force: replace files that exist.
        allow_outside: let specs name files outside their folders.
        importing: called before a framework is needed.

    Raises:
        SpecError: a spec is invalid.
        ModelError: the language cannot express the model of another tool.
        UnsupportedError: the backend to write for cannot honour a key of the spec.
        UsageError: a file cannot be read, the spec is of another network, or a path fits no kind.
        BackendError: a framework is needed and not installed.
        ParityError: the model in the written files differs; nothing is written.
        OutputError: the files cannot be written.
    """
    named = spec is not None
    kind = kind_of(source, named=named, config=config, ignore=ignore, importing=importing)
    target = kind_named(output, backend, form_named(form), options, single=single_header)
    read_spec = None if spec is None else pipeline.read(spec, allow_outside=allow_outside)
    program = spec_for(kind, source, read_spec, allow_outside=allow_outside)
    files = [*kind.files(source), *([] if spec is None else [Path(spec)])]
    inputs = Inputs.of([*((path, f"the input {path}") for path in files), *program.named_files])
    # Before the frameworks are imported, which takes seconds.
    target.check_output(output, program, force=force, inputs=inputs)
    taken = read(kind, source, program, importing)
    compared = compare_file(source, taken, importing)
    written = target.write(output, program, taken.arrays, importing, force=force)
    return Converted(taken, written, compared)


def write(  # noqa: PLR0913 - the options of the command
    program: Program,
    arrays: Mapping[str, Array],
    output: Path,
    *,
    backend: str | None,
    form: str | None,
    options: SourceOptions,
    force: bool,
) -> Written:
    """Write a trained model in memory as ``convert`` writes one that it has read.

    Raises:
        RnnspecError: as for ``convert``.
    """
    target = kind_named(output, backend, form_named(form), options)
    inputs = Inputs.of(program.named_files)
    target.check_output(output, program, force=force, inputs=inputs)
    _check_finite(arrays, program.source)
    return target.write(output, program, arrays, Backend.require, force=force)


def spec_for(kind: Source, path: Path, named: Program | None, *, allow_outside: bool) -> Program:
    """Return the spec of a file: the named one, or the one that the file contains.

    Raises:
        SpecError: the spec in the file is invalid.
        UsageError: there is no spec, or the networks of the two specs differ.
    """
    text = kind.spec_text(path)
    if not text:
        if named is None:
            raise UsageError(
                "contains no spec; name the spec it was built from with --spec", str(path)
            )
        return named
    inside = pipeline.reads(text, f"{path} (the spec in it)", allow_outside=allow_outside)
    if named is None:
        return inside
    # The arrays fit both specs, but which of the two networks was trained cannot be known.
    if _comparable(inside) != _comparable(named):
        what = "; ".join(_changes(diff(inside, named))) or "other initial weights"
        raise UsageError(f"contains another network than {named.source}: {what}", str(path))
    return named


def _comparable(program: Program) -> object:
    # A description is only a comment in the source.
    return replace(program.network, description="")


def _changes(found: Diff) -> Iterator[str]:
    """Yield the first differences between the spec in a file and the named spec."""
    lines = [
        f"{each.key}: {each.before} in the file, {each.after} in the spec" for each in found.network
    ]
    for layer in found.layers:
        name = layer.before.name if layer.before else layer.after.name if layer.after else ""
        lines += [
            f"{name}.{each.key}: {each.before} in the file, {each.after} in the spec"
            for each in layer.changes
        ]
        if layer.state in ("added", "removed"):
            lines.append(
                f"{name}: only {'in the spec' if layer.state == 'added' else 'in the file'}"
            )
    yield from lines[:_MOST_CHANGES]


def read(kind: Source, path: Path, program: Program, importing: Importing) -> Taken:
    """Return the model in a file.

    Raises:
        UsageError: the file cannot be read, has another structure than the spec, or contains
            numbers that are not finite.
    """
    found = kind.read(path, program, importing)
    _check_finite(found.arrays, str(path))
    return found


def _check_finite(arrays: Mapping[str, Array], source: str) -> None:
    # The comparison after writing would refuse NaN and infinity too, but blame the conversion.
    for name, array in arrays.items():
        if not is_finite(array):
            raise UsageError(f"{name}: expected finite numbers, received others", source)
