"""Conversion of a trained model from one kind of file to another."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rnnspec import pipeline
from rnnspec.backends import Backend, form_named
from rnnspec.backends.contract import DEFAULTS, SourceOptions
from rnnspec.backends.slots import is_finite
from rnnspec.errors import UsageError
from rnnspec.errors.arguments import check_flag, received
from rnnspec.files import Inputs
from rnnspec.importing.kinds import kind_of
from rnnspec.importing.original import Compared, compare_file
from rnnspec.importing.run import check_spec, take
from rnnspec.models.saving import output_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.assemble import ImportedModel
    from rnnspec.models.saving import Written
    from rnnspec.pipeline import Program


@dataclass(frozen=True, slots=True)
class Converted:
    """The model that was read, the files that were written, and the comparison with the original.

    The comparison of the written files with the reference is in ``written``.
    """

    model: ImportedModel
    written: Written
    compared: Compared


def convert(  # noqa: PLR0913 - the options of the command
    source: Path,
    output: Path,
    *,
    spec: str | None = None,
    config: Path | None = None,
    ignore: Sequence[str] = (),
    mapping: Path | None = None,
    backend: str | None = None,
    form: str | None = None,
    options: SourceOptions = DEFAULTS,
    force: bool = False,
    allow_outside: bool = False,
    importing: Callable[[Backend], None] = Backend.require,
) -> Converted:
    """Convert a trained model from one kind of file to another.

    Args:
        source: a file or folder that rnnspec wrote, or a file of another tool.
        output: the path to write; its ending decides the kind.
        spec: the path of the spec, if the source does not contain it.
        config: a file with the architecture, if the source has none.
        ignore: patterns of the arrays in a file of another tool that are left out.
        mapping: a file that says which array is which of the spec, written if there is none.
        backend: the backend of a folder to write; by default the first that writes folders.
        form: the form of the source to write.
        options: the options of the source and the files.
        force: replace files that exist.
        allow_outside: let specs name files outside their folders.
        importing: called before a framework is needed.

    Raises:
        SpecError: a spec is invalid.
        ModelError: the model of another tool is not supported.
        UnsupportedError: the backend to write for cannot honour a key of the spec.
        UsageError: a file cannot be read, the spec is of another network, or a path fits no kind.
        BackendError: a framework is needed and not installed.
        ParityError: the model in the written files differs; nothing is written.
        OutputError: the files cannot be written.
    """
    kind = kind_of(source)
    kind.check_options(source, config, ignore, mapping, has_spec=spec is not None)
    target = output_for(output, backend, form_named(form), options)
    named = None if spec is None else pipeline.read(spec, allow_outside=allow_outside)
    reading = partial(
        take, source, config=config, ignore=ignore, mapping=mapping, importing=importing
    )
    model = None
    if named is None and kind.spec_text is None:
        model = reading()
        if model.imported.guesses:
            message = (
                "a state dict does not say what its modules compute; write its spec with "
                "'rnnspec import', correct what was guessed, and name it with --spec"
            )
            raise UsageError(message, str(source))
        text = model.text
    else:
        text = kind.spec_text(source) if kind.spec_text else ""
    program = check_spec(source, text, named, allow_outside=allow_outside)
    read = [*kind.files(source), *(Path(path) for path in (config, spec, mapping) if path)]
    inputs = Inputs.of([*((path, f"the input {path}") for path in read), *program.named_files])
    # Before the frameworks are imported, which takes seconds.
    target.check(output, program, force=force, inputs=inputs)
    model = model or reading(spec=program)
    _check_finite(model.arrays, str(source))
    compared = compare_file(source, model, importing)
    written = target.write(output, program, model.arrays, importing, force=force)
    return Converted(model, written, compared)


def write(  # noqa: PLR0913 - the options of the command
    program: Program,
    reading: Callable[[], Mapping[str, Array]],
    path: str | os.PathLike[str],
    *,
    backend: str | None,
    form: str | None,
    options: SourceOptions,
    force: bool,
) -> Written:
    """Write a trained model in memory as ``convert`` writes one that it has read.

    ``reading`` returns its arrays, once all else is known to be right.

    Raises:
        RnnspecError: as for ``convert``.
    """
    check_flag("force", force)
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"path: expected the path of a file, received {received(path)}")
    output = Path(path)
    target = output_for(output, backend, form_named(form), options)
    inputs = Inputs.of(program.named_files)
    target.check(output, program, force=force, inputs=inputs)
    arrays = reading()
    _check_finite(arrays, program.source)
    return target.write(output, program, arrays, Backend.require, force=force)


def _check_finite(arrays: Mapping[str, Array], source: str) -> None:
    # The comparison after writing would refuse NaN and infinity too, but blame the conversion.
    for name, array in arrays.items():
        if not is_finite(array):
            raise UsageError(f"{name}: expected finite numbers, received others", source)
