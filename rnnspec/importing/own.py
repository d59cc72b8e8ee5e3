"""Files that rnnspec itself wrote for another runtime, with the spec in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec import pipeline
from rnnspec.backends.imported import Imported
from rnnspec.backends.onnx import read as onnx
from rnnspec.errors import UsageError, brief, listed

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.backends import Backend
    from rnnspec.ir.forms import Form


def read(path: Path, backend: Backend) -> Imported:
    """Return the model in an ONNX file.

    Raises:
        BackendError: the package ``onnx`` is not installed.
        SpecError: the spec in the file is invalid.
        UsageError: the file cannot be read, rnnspec did not write it, or its graph was changed.
    """
    file = onnx.own(path)
    program = pipeline.reads(file.spec, f"{path} (the spec in it)")
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
    return Imported(network=program.network, arrays=arrays, form=form, spec=file.spec)


def _form(file: onnx.OwnFile, backend: Backend) -> Form:
    for form in backend.forms:
        if form == file.form:
            return form
    known = listed(backend.forms, "or")
    message = f"expected a graph for {known}, received {brief(file.form)}"
    raise UsageError(message, str(file.path))
