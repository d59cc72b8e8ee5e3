"""A trained model of another tool, from its file to the files of a spec and of its arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec import files, pipeline
from rnnspec.backends import Backend, taken_names
from rnnspec.errors import UsageError
from rnnspec.files import Inputs
from rnnspec.files.model import SUFFIX
from rnnspec.importing.kinds import kind_of
from rnnspec.importing.run import network_name, take
from rnnspec.spec.names import check_network_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnnspec.importing.original import Compared
    from rnnspec.importing.run import Taken

_SPECS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """The model that was read, the comparison with its file, and the written files.

    ``spec`` is the path of the spec, written or named, and ``paths`` are those of the files.
    """

    taken: Taken
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
        force: replace files that exist.
        importing: called before a framework is needed.

    Raises:
        BackendError: a package that reads the file is not installed.
        ModelError: the language cannot express the model, or the spec gives other results.
        OutputError: the files cannot be written.
        SpecError: the named spec is invalid.
        UsageError: the file cannot be read, or an output exists and ``force`` is not given.
    """
    # First: where the outputs go says nothing to someone who has named another file.
    kind_of(source, importable=True)
    named = None if spec is None else pipeline.read(spec)
    target = _spec_path(source, output, spec)
    weights = weights or target.with_suffix(SUFFIX)
    if weights.suffix != SUFFIX:
        raise UsageError(f"expected a path that ends in {SUFFIX}", str(weights))
    read = [source, config, spec and Path(spec)]
    inputs = Inputs.of([(Path(path), f"the input {path}") for path in read if path])
    targets = (weights,) if named else (target, weights)
    for path in targets:
        files.check_target(path, force=force, inputs=inputs)
    if len({path.absolute() for path in targets}) < len(targets):
        raise UsageError("this is where the spec goes; expected another path", str(weights))
    try:
        name = check_network_name(target.stem, taken_names())
    except ValueError as error:
        raise UsageError(
            f"the network would have the name of this file: {error}", str(target)
        ) from None
    taken = take(source, name, config, named, ignore, importing=importing)
    # Imported here: NumPy takes the time in which a file is tried, and a wrong file needs no more.
    from rnnspec.importing.original import compare_file

    compared = compare_file(source, taken, importing)
    _write(taken, None if named else target, weights, force=force)
    return ImportedFile(taken, compared, spec or str(target), targets)


def _spec_path(source: Path, output: Path | None, spec: str | None) -> Path:
    if output is None:
        return Path(f"{network_name(source)}.yaml")
    if spec is not None:
        raise UsageError("expected either --output or --spec: the spec exists", spec)
    if output.suffix not in _SPECS:
        raise UsageError("expected a path that ends in .yaml", str(output))
    return output


def _write(taken: Taken, spec: Path | None, weights: Path, *, force: bool) -> None:
    """Write both files, or none."""
    # Imported here, as NumPy takes time, which a file that is refused at once does not need.
    from rnnspec.weights.file import write_arrays

    with files.staged(weights.parent) as folder:
        moves = {write_arrays(folder, weights.name, taken.arrays, taken.text): weights}
        if spec is not None:
            text = folder / "spec"
            with files.reported(spec):
                text.write_text(taken.text, encoding="utf-8", newline="\n")
            moves[text] = spec
        files.publish(moves, force=force)
