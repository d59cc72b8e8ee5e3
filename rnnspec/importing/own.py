"""Files that rnnspec itself wrote for a framework, with the spec in them or named by the user."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from rnnspec import pipeline
from rnnspec.backends.imported import Imported
from rnnspec.backends.kept import reader
from rnnspec.errors import UsageError, listed
from rnnspec.slots import is_finite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rnnspec.backends import Backend
    from rnnspec.backends.kept import Saved
    from rnnspec.pipeline import Generated, Program

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
    imported = _fitting(path, backend, program, importing)
    for name, array in imported.arrays.items():
        if not is_finite(array):
            raise UsageError(f"{name}: expected finite numbers, received others", str(path))
    return replace(imported, spec=text)


def _fitting(path: Path, backend: Backend, program: Program, importing: Importing) -> Imported:
    """Return the model in a file, in the form of source whose model it is.

    If it may be of several, it is the first one that can be run.
    """
    # First: a model of the spec is built only if it is no larger than the arrays in the file.
    saved = reader(backend).saved(path, program.network)
    forms = pipeline.forms_of(program, backend)
    if saved.form and saved.form not in forms:
        message = f"expected a model for {listed(forms, 'or')}, received one for {saved.form:.40}"
        raise UsageError(message, str(path))
    problems, closed = list[str](), list[Imported]()
    for form in [form for form in forms if saved.form in ("", form)]:
        generated = pipeline.generate(program, backend, form, saved.options)
        try:
            imported = _of_form(saved, generated, program, importing)
        # The store knows nothing of files.
        except UsageError as error:
            problems.append(error.message)
            continue
        if not imported.unlike:
            return imported
        closed.append(imported)
    if not closed:
        raise UsageError(problems[0], str(path))
    return closed[0]


def _of_form(
    saved: Saved, generated: Generated, program: Program, importing: Importing
) -> Imported:
    """Return a model as one of generated source.

    Raises:
        UsageError: it is another one.
    """

    @cache
    def fresh() -> Any:
        importing(generated.backend)
        return pipeline.instantiate(generated, drawn=False)

    arrays = saved.gather(generated.store.gather)
    if problem := saved.problem(generated.text, fresh):
        raise UsageError(problem)
    return Imported(
        network=program.network,
        arrays=arrays,
        form=saved.tool,
        left_out=saved.left_out,
        opener=generated.backend.name,
        unlike=saved.unlike(generated.text, fresh),
        source=generated.form,
        options=saved.options,
    )
