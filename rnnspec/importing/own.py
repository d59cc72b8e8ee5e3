"""Files that rnnspec itself wrote for a framework, with the spec in them or named by the user."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rnnspec import pipeline
from rnnspec.backends.imported import Imported
from rnnspec.backends.kept import KeptByName, reader, weights_in
from rnnspec.backends.onnx import read as onnx
from rnnspec.errors import UsageError, brief, listed
from rnnspec.files.headers import read_safetensors
from rnnspec.files.regular import opened
from rnnspec.slots import is_finite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rnnspec.backends import Backend
    from rnnspec.backends.kept import Kept
    from rnnspec.ir.forms import Form
    from rnnspec.pipeline import Generated, Program
    from rnnspec.slots import Array

    Importing = Callable[[Backend], None]
    """Called before a framework is needed."""


def has_spec(path: Path, backend: Backend) -> bool:
    """Return whether the text of a spec is in a file of a backend."""
    return bool(reader(backend).spec_text(path))


def read_built(
    path: Path, backend: Backend, importing: Importing, named: Program | None = None
) -> Imported:
    """Return the model in a file or folder that rnnspec built for a backend.

    Its spec is the one that is ``named``, or the one in the file. Either is only taken if the
    arrays, and the graph or configuration if the file has one, are those of the spec.

    Raises:
        BackendError: a package that reads or checks the file is not installed.
        ModelError: the arrays are those of another network.
        SpecError: the spec in the file is invalid.
        UsageError: the file cannot be read, has no spec, or has another model than the spec's.
    """
    text = "" if named is not None else reader(backend).spec_text(path)
    if named is None and not text:
        raise UsageError("contains no spec; expected a file of 'rnnspec build'", str(path))
    # Files of vectors that the spec names are not read: their numbers are among the arrays.
    inside = f"{path} (the spec in it)"
    program = named or pipeline.reads(text, inside, allow_outside=True)
    match backend.name:
        case "keras":
            imported = _in_keras(path, backend, program, importing)
        case "onnx":
            imported = _in_graph(path, backend, program)
        case _:
            imported = _in_arrays(path, backend, program)
    for name, array in imported.arrays.items():
        if not is_finite(array):
            raise UsageError(f"{name}: expected finite numbers, received others", str(path))
    return replace(imported, spec=text, opener=backend.name)


def _in_arrays(path: Path, backend: Backend, program: Program) -> Imported:
    file = weights_in(path)
    kept = KeptByName(read_safetensors(file))
    form, arrays = _gathered(program, backend, kept, path)
    source, unlike = _source_beside(file, backend, program)
    return Imported(
        network=program.network,
        arrays=arrays,
        form=f"arrays of {backend.title}, with the spec in the file",
        source=source or form,
        unlike=unlike,
    )


def _gathered(
    program: Program, backend: Backend, kept: Kept, path: Path
) -> tuple[Form, dict[str, Array]]:
    """Return the form of source whose structure the arrays have, and the canonical arrays."""
    errors = list[UsageError]()
    for generated in _sources(program, backend):
        try:
            return generated.form, generated.store.gather(kept)
        except UsageError as error:
            errors.append(error)
    # The store knows nothing of files.
    raise UsageError(errors[0].message, str(path))


def _sources(program: Program, backend: Backend) -> Iterator[Generated]:
    forms = pipeline.forms_of(program, backend)
    return (pipeline.generate(program, backend, form) for form in forms)


def _source_beside(
    file: Path, backend: Backend, program: Program
) -> tuple[Form | None, tuple[str, ...]]:
    """Return the form of the source beside arrays, or why that is not the source of the spec.

    It is compared as text: running it would run whatever is in it.
    """
    path = file.with_suffix(backend.ending)
    try:
        with opened(path) as (stream, size):
            for generated in _sources(program, backend):
                text = generated.text.encode()
                if len(text) == size and text == stream.read():
                    return generated.form, ()
                stream.seek(0)
    except UsageError as error:
        return None, (f"the source beside the arrays, {path.name}: {error.message}",)
    return None, (f"{path.name} is not the source of the spec, and other code is not run",)


def _in_graph(path: Path, backend: Backend, program: Program) -> Imported:
    file = onnx.own(path)
    generated = pipeline.generate(program, backend, _form(file, backend))
    if not file.has_graph(generated.text):
        message = (
            "its graph is not that of the spec in it: it was changed, or another version of "
            "rnnspec wrote it"
        )
        raise UsageError(message, str(path))
    try:
        arrays = generated.store.gather(file.kept)
    except UsageError as error:
        # The store knows nothing of files.
        raise UsageError(error.message, str(path)) from None
    form = f"ONNX file of {file.writer}"
    return Imported(network=program.network, arrays=arrays, form=form, source=generated.form)


def _form(file: onnx.OwnFile, backend: Backend) -> Form:
    for form in backend.forms:
        if form == file.form:
            return form
    known = listed(backend.forms, "or")
    message = f"expected a graph for {known}, received {brief(file.form)}"
    raise UsageError(message, str(file.path))


def _in_keras(path: Path, backend: Backend, program: Program, importing: Importing) -> Imported:
    from rnnspec.backends.keras import read
    from rnnspec.backends.keras.foreign import files

    # First: a model of the spec is built only if it is no larger than the arrays in the file.
    imported, config = files.read_arrays(path, program.network)
    importing(backend)
    problems = list[str]()
    for generated in _sources(program, backend):
        model = pipeline.instantiate(generated, drawn=False)
        problem = read.differing(model, config)
        if not problem:
            unlike = read.unopenable(model, config)
            return replace(imported, inferred=(), unlike=unlike, source=generated.form)
        problems.append(problem)
    raise UsageError(f"this is not the model of the spec: {problems[0]}", str(path))
