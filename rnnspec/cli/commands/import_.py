"""``rnnspec import``: a trained model of another tool as a spec and its canonical arrays."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from rnnspec import files, pipeline
from rnnspec.backends import having, taken_names
from rnnspec.backends.needs import FILES
from rnnspec.cli.terminal.frameworks import import_required
from rnnspec.errors import UsageError, printable
from rnnspec.files import Inputs
from rnnspec.files.model import SUFFIX
from rnnspec.importing.origins import origin_of
from rnnspec.importing.run import network_name, take
from rnnspec.ir.params import counts
from rnnspec.spec.names import check_network_name

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.importing.original import Compared
    from rnnspec.importing.run import Taken

_SPECS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Options:
    """Where the spec and the arrays go, and what the file may lack; None is the default.

    ``ignore`` are patterns of the arrays in the file that are left out.
    """

    output: Path | None
    weights: Path | None
    spec: str | None
    config: Path | None
    ignore: list[str]


def run(source: Path, options: Options, *, force: bool) -> None:
    """Import a file, and print what was read, what became of it, and what was written.

    Raises:
        BackendError: a package that reads the file is not installed.
        ModelError: the language cannot express the model, or the spec is another one when run.
        OutputError: the files cannot be written.
        UsageError: the file cannot be read, or an output exists and ``force`` is not given.
    """
    # First: where the outputs go says nothing to someone who has named another file.
    origin_of(source)
    named = None if options.spec is None else pipeline.read(options.spec)
    target = _target(source, options)
    weights = options.weights or target.with_suffix(SUFFIX)
    if weights.suffix != SUFFIX:
        raise UsageError(f"expected a path that ends in {SUFFIX}", str(weights))
    inputs = _inputs(source, options)
    targets = [weights] if named else [target, weights]
    for each in targets:
        files.check_target(each, force=force, inputs=inputs)
    if len({each.absolute() for each in targets}) < len(targets):
        raise UsageError("this is where the spec goes; expected another path", str(weights))
    taken = take(
        source, _name(target), options.config, named, options.ignore, importing=import_required
    )
    compared = _compared(source, taken)
    _write(taken, target, weights, spec=named is None, force=force)
    spec = options.spec or str(target)
    _print(source, taken, compared, targets, options.ignore, spec=spec)


def _target(source: Path, options: Options) -> Path:
    from pathlib import Path

    if options.output is None:
        return Path(f"{network_name(source)}.yaml")
    if options.spec is not None:
        raise UsageError("expected either --output or --spec: the spec exists", options.spec)
    if options.output.suffix not in _SPECS:
        raise UsageError("expected a path that ends in .yaml", str(options.output))
    return options.output


def _name(target: Path) -> str:
    try:
        return check_network_name(target.stem, taken_names())
    except ValueError as error:
        raise UsageError(
            f"the network would have the name of this file: {error}", str(target)
        ) from None


def _inputs(source: Path, options: Options) -> Inputs:
    from pathlib import Path

    read = [source, options.config, options.spec and Path(options.spec)]
    return Inputs.of([(Path(each), f"the input {each}") for each in read if each])


def _compared(source: Path, taken: Taken) -> Compared:
    # Imported here: NumPy takes the time in which a file is tried, and a wrong file needs no more.
    from rnnspec.importing.original import compare_file

    return compare_file(source, taken, import_required)


def _write(taken: Taken, target: Path, weights: Path, *, spec: bool, force: bool) -> None:
    """Write both files, or none."""
    # Imported here, as NumPy takes time, which a file that is refused at once does not need.
    from rnnspec.weights.file import write_arrays

    with files.staged(weights.parent) as folder:
        made = write_arrays(folder, weights.name, taken.arrays, taken.text)
        moves = {made: weights}
        if spec:
            text = folder / "spec"
            with files.reported(target):
                text.write_text(taken.text, encoding="utf-8", newline="\n")
            moves[text] = target
        files.publish(moves, force=force)


def _print(  # noqa: PLR0913 - each is printed
    source: Path,
    taken: Taken,
    compared: Compared,
    targets: list[Path],
    patterns: list[str],
    *,
    spec: str,
) -> None:
    imported, lines = taken.imported, list[str]()
    lines.append(f"{source}: {imported.form}")
    wide = max((len(f"{each.layer} ({each.type})") for each in imported.layers), default=0)
    for each in imported.layers:
        layer = f"{each.layer} ({each.type})"
        lines.append(f"  {layer:{wide}} -> {each.became}")
    lines += [f"inferred: {each}" for each in imported.inferred]
    lines += [f"not carried over: {each}" for each in imported.left_out]
    lines.append(f"parameters: {counts(taken.program.network).total:,}")
    lines.append(str(compared))
    lines += [f"wrote {each}" for each in targets]
    if imported.guesses:
        lines.append("guessed, because a state dict does not say it; correct the spec:")
        lines += [f"  {section}: {what}" for section, what in imported.guesses]
        ignore = "".join(f" --ignore {quote(pattern)}" for pattern in patterns)
        command = f"rnnspec import {quote(str(source))} --spec {quote(spec)}{ignore} --force"
        lines.append(f"next: {command}")
    else:
        lines.append(f"next: rnnspec parity {quote(spec)}")
        # To another framework than the file's.
        other = next(each for each in having(FILES) if each.name != imported.opener)
        target = f"NAME{other.suffix}" if other.suffix else f"NAME -b {other.name}"
        lines.append(f"      rnnspec convert {quote(str(targets[-1]))} {target}")
    for line in lines:
        print(printable(line))
