"""Models that rnnspec itself made: in files with their spec, or live ones of Keras."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from rnnspec import pipeline
from rnnspec.backends import Backend
from rnnspec.errors import UsageError, listed
from rnnspec.importing.imported import Imported
from rnnspec.ir.nodes import Embedding
from rnnspec.raising import raise_spec
from rnnspec.slots import is_finite
from rnnspec.spec.write import dump

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


def read_live(model: Any, name: str, tool: str) -> Imported | None:
    """Return a live Keras model that ``rnnspec.build`` made, as ``name``, by its source.

    Returns None if it made another model or this one was changed, and for a model of the step form.
    """
    from rnnspec.importing.keras.files import SavedFile

    if (generated := pipeline.origin(model)) is None:
        return None
    store = generated.store
    # The arrays of an embedding are in the model, wherever they came from.
    layers = tuple(
        replace(layer, pretrained=None) if isinstance(layer, Embedding) else layer
        for layer in store.network.layers
    )
    network = replace(store.network, name=name, description="", layers=layers)
    program = pipeline.reads(dump(raise_spec(network, "model")), "model")
    read = Imported(network=program.network, arrays=store.read(model), form=tool)
    saved = SavedFile(read, json.loads(model.to_json()))
    try:
        imported = _fitting(saved, "model", store.backend, program, Backend.require)
    except UsageError:
        return None
    return None if imported.source == "step" else imported


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
