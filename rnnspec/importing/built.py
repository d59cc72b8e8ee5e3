"""Models that rnnspec itself made: in files with their spec, or live ones that have it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from rnnspec import pipeline
from rnnspec.backends import Backend
from rnnspec.backends.slots import is_finite
from rnnspec.errors import UsageError, listed
from rnnspec.importing.assemble import ImportedModel, write_spec
from rnnspec.importing.imported import Account, Imported
from rnnspec.ir.nodes import Embedding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rnnspec.backends.model_files import Saved
    from rnnspec.ir.nodes import Network
    from rnnspec.pipeline import Generated, Program

    Importing = Callable[[Backend], None]
    """Called before a framework is needed."""


def read_built(  # noqa: PLR0913, PLR0917 - what is in a file, and what the user says of it
    path: Path,
    backend: Backend,
    text: str,
    saved: Callable[[Path, Network], Saved],
    importing: Importing,
    named: Program | None = None,
) -> Imported:
    """Return the model in a file or folder that rnnspec built for a backend.

    Its spec has the ``text`` in the file, or it is the one that is ``named`` if there is none:
    another text of the same network would be other source. Either is only taken if what is
    ``saved``, arrays with the graph or configuration if the file has one, is that of the spec.

    Raises:
        BackendError: a package that reads or checks the file is not installed.
        ModelError: the arrays are those of another network.
        SpecError: the spec in the file is invalid.
        UsageError: the file cannot be read, has no spec, or has another model than the spec's.
    """
    program = named
    if text:
        # Files of vectors that the spec names are not read: their numbers are among the arrays.
        program = pipeline.reads(text, f"{path} (the spec in it)", allow_outside=True)
    elif program is None:
        raise UsageError("contains no spec; expected a file of 'rnnspec build'", str(path))
    # First: a model of the spec is built only if it is no larger than the arrays in the file.
    model = saved(path, program.network)
    imported = _fitting(model, str(path), backend, program, importing)
    for name, array in imported.arrays.items():
        if not is_finite(array):
            raise UsageError(f"{name}: expected finite numbers, received others", str(path))
    return replace(imported, spec=text)


def read_live(
    generated: Generated,
    model: Any,
    source: str,
    name: str,
    is_unchanged: Callable[[Any, Any], bool],
) -> ImportedModel | None:
    """Return a live model that ``rnnspec.build`` made by its spec, None if it was changed since.

    That of a model in step form is not read either.

    Args:
        generated: its source.
        model: the model, without a wrapper.
        source: what errors are about.
        name: the name of the network; by default that of the spec.
        is_unchanged: true if a model differs from a new one of its source in its numbers only.

    Raises:
        ModelError: an array has numbers that are not finite.
    """
    store = generated.store
    if generated.form == "step" or not store.fits(model):
        return None
    if not is_unchanged(model, pipeline.instantiate(generated, drawn=False)):
        return None
    arrays, account = store.read(model), Account(source)
    for array in (name for name, numbers in arrays.items() if not is_finite(numbers)):
        account.refuse(array, "expected finite numbers, received others", "E708")
    account.check()
    program = generated.program
    # The arrays of an embedding are in the model, wherever they came from.
    layers = tuple(
        replace(layer, pretrained=None) if isinstance(layer, Embedding) else layer
        for layer in program.network.layers
    )
    network = replace(program.network, name=name or program.network.name, layers=layers)
    read = Imported(network=network, arrays=arrays, form=generated.backend.title)
    if network != program.network:
        return write_spec(source, read)
    return ImportedModel(program.spec.document.text, program, arrays, read)


def _fitting(
    saved: Saved, source: str, backend: Backend, program: Program, importing: Importing
) -> Imported:
    """Return a saved model in the form of source whose model it is.

    If it may be of several, it is the first one that can be run.
    """
    forms = pipeline.forms_of(program, backend)
    if saved.form and saved.form not in forms:
        message = f"expected a model for {listed(forms, 'or')}, received one for {saved.form:.40}"
        raise UsageError(message, source)
    problems, closed = list[str](), list[Imported]()
    for form in [form for form in forms if saved.form in ("", form)]:
        generated = pipeline.generate(program, backend, form)
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
        raise UsageError(problems[0], source)
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
        text=generated.text,
        classes=saved.classes,
    )
