"""A trained model, from its file to a spec and canonical arrays, and to the files of both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec import files, pipeline
from rnnspec.backends import Backend, reserved_names
from rnnspec.comparison.diff import diff
from rnnspec.errors import UsageError
from rnnspec.files import Inputs
from rnnspec.files.model import SUFFIX
from rnnspec.importing.assemble import (
    ImportedModel,
    check_same,
    name_network,
    rename_as,
    write_spec,
)
from rnnspec.importing.kinds import Request, kind_of
from rnnspec.spec.names import check_network_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rnnspec.comparison.diff import Diff
    from rnnspec.importing.original import Compared
    from rnnspec.pipeline import Program

_MOST_CHANGES = 5


def network_name(path: Path) -> str:
    """Return the name of the network in a file: that of the file, in letters that a name has."""
    return name_network(path.name.partition(".")[0])


def take(  # noqa: PLR0913 - each is something to say about a file
    path: Path,
    name: str = "",
    config: Path | None = None,
    spec: Program | None = None,
    ignore: Sequence[str] = (),
    *,
    mapping: Path | None = None,
    importing: Callable[[Backend], None] = Backend.require,
) -> ImportedModel:
    """Return the model in a file or folder.

    Args:
        path: the file.
        name: the name of the network; by default that of the file.
        config: a file with the architecture, if the file has none.
        spec: the spec of the model: of a file without architecture, or to be compared with.
        ignore: patterns of the names of arrays in the file that are left out.
        mapping: a file that says which array is which of the spec, written if there is none.
        importing: called before a framework is needed, to check a spec in the file.

    Raises:
        BackendError: a package that reads the file is not installed.
        ModelError: the model is not supported, or the spec is of another one.
        UsageError: the file cannot be read.
    """
    kind = kind_of(path)
    kind.check_options(path, config, ignore, mapping, has_spec=spec is not None)
    if spec is None and kind.spec_text is not None:
        spec = check_spec(path, kind.spec_text(path), None, allow_outside=True)
    chosen = name or network_name(path)
    request = Request(
        name=chosen, config=config, spec=spec, ignore=ignore, mapping=mapping, importing=importing
    )
    imported = kind.read(path, request)
    if spec is not None:
        # The layers have the names of the spec, if they are the same.
        named = rename_as(imported, spec.network)
        check_same(str(path), spec.network, named.network)
        return ImportedModel(spec.spec.document.text, spec, named.arrays, imported)
    if imported.spec:
        program = pipeline.reads(imported.spec, str(path), allow_outside=True)
        return ImportedModel(imported.spec, program, imported.arrays, imported)
    return write_spec(str(path), imported)


def check_spec(path: Path, text: str, named: Program | None, *, allow_outside: bool) -> Program:
    """Return the spec of a file: the named one, or the one whose text the file contains.

    Raises:
        SpecError: the spec in the file is invalid.
        UsageError: there is no spec, or the networks of the two specs differ.
    """
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
    differences = diff(inside, named)
    if not differences.same:
        what = "; ".join(_changes(differences)) or "other initial weights"
        raise UsageError(f"contains another network than {named.source}: {what}", str(path))
    return named


def _changes(differences: Diff) -> Iterator[str]:
    """Yield the first differences between the spec in a file and the named spec."""
    lines = [
        f"{change.key}: {change.before} in the file, {change.after} in the spec"
        for change in differences.network
    ]
    for layer in differences.layers:
        name = layer.before.name if layer.before else layer.after.name if layer.after else ""
        lines += [
            f"{name}.{change.key}: {change.before} in the file, {change.after} in the spec"
            for change in layer.changes
        ]
        if layer.state in ("added", "removed"):
            lines.append(
                f"{name}: only {'in the spec' if layer.state == 'added' else 'in the file'}"
            )
    yield from lines[:_MOST_CHANGES]


_SPECS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """The model that was read, the comparison with its file, and the written files.

    ``spec`` is the path of the spec, written or named, and ``paths`` are those of the files.
    """

    model: ImportedModel
    compared: Compared
    spec: str
    paths: tuple[Path, ...]


def import_file(  # noqa: PLR0913 - the options of the command
    source: Path,
    output: Path | None = None,
    weights: Path | None = None,
    *,
    spec: str | None = None,
    config: Path | None = None,
    ignore: Sequence[str] = (),
    mapping: Path | None = None,
    force: bool = False,
    importing: Callable[[Backend], None] = Backend.require,
) -> ImportedFile:
    """Import a file, and write its spec and its canonical arrays.

    Args:
        source: the file of another tool.
        output: the spec to write; by default named after the file, in the working folder.
        weights: the arrays to write; by default beside the spec.
        spec: the path of the spec, if it exists; then only arrays are written.
        config: a file with the architecture, if the file has none.
        ignore: patterns of the arrays in the file that are left out.
        mapping: a file that says which array is which of the spec, written if there is none.
        force: replace files that exist.
        importing: called before a framework is needed.

    Raises:
        BackendError: a package that reads the file is not installed.
        ModelError: the model is not supported, or the spec gives other results.
        OutputError: the files cannot be written.
        SpecError: the named spec is invalid.
        UsageError: the file cannot be read, or an output exists and ``force`` is not given.
    """
    # First: where the outputs go says nothing to someone who has named another file.
    kind = kind_of(source, importable=True)
    kind.check_options(source, config, ignore, mapping, has_spec=spec is not None)
    named = None if spec is None else pipeline.read(spec)
    target = _spec_path(source, output, spec)
    weights = weights or target.with_suffix(SUFFIX)
    if weights.suffix != SUFFIX:
        raise UsageError(f"expected a path that ends in {SUFFIX}", str(weights))
    known = mapping is not None and mapping.exists()
    read = [source, config, spec and Path(spec), mapping if known else None]
    inputs = Inputs.of([(Path(path), f"the input {path}") for path in read if path])
    targets = (weights,) if named else (target, weights)
    for path in targets:
        files.check_target(path, force=force, inputs=inputs)
    written = [*([] if mapping is None or known else [mapping]), *targets]
    if len({path.absolute() for path in written}) < len(written):
        other = "mapping" if named else "spec"
        raise UsageError(f"this is where the {other} goes; expected another path", str(weights))
    try:
        name = check_network_name(target.stem, reserved_names())
    except ValueError as error:
        raise UsageError(
            f"the network would have the name of this file: {error}", str(target)
        ) from None
    model = take(source, name, config, named, ignore, mapping=mapping, importing=importing)
    # Imported here: NumPy takes the time in which a file is tried, and a wrong file needs no more.
    from rnnspec.importing.original import compare_file

    compared = compare_file(source, model, importing)
    _write(model, None if named else target, weights, force=force)
    return ImportedFile(model, compared, spec or str(target), tuple(written))


def _spec_path(source: Path, output: Path | None, spec: str | None) -> Path:
    if output is None:
        return Path(f"{network_name(source)}.yaml")
    if spec is not None:
        raise UsageError("expected either --output or --spec: the spec exists", spec)
    if output.suffix not in _SPECS:
        raise UsageError("expected a path that ends in .yaml", str(output))
    return output


def _write(model: ImportedModel, spec: Path | None, weights: Path, *, force: bool) -> None:
    """Write both files, or none."""
    # Imported here, as NumPy takes time, which a file that is refused at once does not need.
    from rnnspec.weights.file import write_arrays

    with files.staged(weights.parent) as folder:
        moves = {write_arrays(folder, weights.name, model.arrays, model.text): weights}
        if spec is not None:
            text = folder / "spec"
            with files.reported(spec):
                text.write_text(model.text, encoding="utf-8", newline="\n")
            moves[text] = spec
        files.publish(moves, force=force)
