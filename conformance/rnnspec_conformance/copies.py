"""A tool's part of a case: a private copy of what was checked.

Others write suites too, so nothing in one is run: source is generated from the spec, and a suite
whose source is another is refused; a file of Keras may name Keras's own classes and those of the
source beside it only. All other
files are data, and are copied, so that a tool reads what was checked and nothing beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.errors import UsageError, brief
from rnnspec.files.regular import opened
from rnnspec.importing.keras.files import open_model, unknown_class
from rnnspec.importing.keras.model import LAYERS
from rnnspec.models import saving
from rnnspec_conformance.layout import CASE, check_size, data_set
from rnnspec_conformance.models import model_name
from rnnspec_conformance.scenario import NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends import Backend
    from rnnspec.backends.slots import Array
    from rnnspec.pipeline import Program
    from rnnspec_conformance.layout import Case

_OPERATIONS = frozenset({"Cast", "Einsum", "Greater", "Maximum", "TrueDivide", "Where"})
"""Operations of Keras in the models of cases, beyond the layers that can be imported."""


def copy_case(case: Case, form: str, parent: Path) -> None:
    """Write a case to a folder of its name in ``parent``, with its model in a format.

    Raises:
        SpecError: the spec of the case is invalid.
        UsageError: a file of the case cannot be read, or has other contents than a case may have.
    """
    spec = case.folder / "spec.yaml"
    program = pipeline.reads(_read(spec, case), str(spec))
    if program.network.name != NAME:
        raise UsageError(
            f"expected the name {NAME!r}, received {program.network.name!r}", str(spec)
        )
    if case.models[form] != (name := model_name(form, program.network)):
        message = f"models.{form}: expected {name!r}, received {case.models[form]!r}"
        raise UsageError(message, str(case.folder / CASE))
    folder = parent / case.name
    folder.mkdir()
    (folder / spec.name).write_bytes(program.spec.document.text.encode())
    record = {
        "name": case.name,
        "calls": len(case.calls),
        "inputs": case.inputs,
        "outputs": case.outputs,
        "models": {form: name},
    }
    (folder / CASE).write_text(json.dumps(record), encoding="utf-8")
    for number, call in enumerate(case.calls):
        _copy_arrays(case, data_set(folder, number), "input", call.inputs)
        _copy_arrays(case, data_set(folder, number), "output", call.outputs)
    for path, content in _read_model(case, form, program):
        target = folder / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)


def _copy_arrays(case: Case, folder: Path, kind: str, arrays: Sequence[Array]) -> None:
    folder.mkdir(exist_ok=True)
    for number, array in enumerate(arrays):
        np.save(folder / f"{kind}_{number}.npy", array, allow_pickle=False)
        path = case.folder / folder.name / f"{kind}_{number}.pb"
        if path.exists():
            (folder / path.name).write_bytes(_read(path, case))


def _read_model(case: Case, form: str, program: Program) -> Iterator[tuple[Path, bytes]]:
    """Yield the path of each file of a model in the folder of its case, and its content."""
    model = Path(case.models[form])
    if model.suffix:
        yield model, _read(case.folder / model, case)
        if model.suffix == ".keras":
            _check_keras(case.folder / model, frozenset())
        return
    backend = get(form)
    names = saving.file_names(backend, NAME)
    if backend.suffix:
        names = (f"{NAME}{backend.ending}", *names)
    own = frozenset[str]()
    for name in names:
        path = case.folder / model / name
        content = _read(path, case)
        # C has its arrays in its source, and no tool here compiles it.
        if name.endswith(".py"):
            content = _generate(path, content, program, backend, steps=len(case.inputs) > 1)
            classes = re.findall(r"^class (\w+)", content.decode(), re.MULTILINE)
            own = frozenset(f"{NAME}>{name}" for name in classes)
        if path.suffix == ".keras":
            _check_keras(path, own)
        yield model / name, content


def _generate(
    path: Path, content: bytes, program: Program, backend: Backend, *, steps: bool
) -> bytes:
    """Return the source of a network in the form that a suite has."""
    forms = [form for form in backend.forms if (form == "step") == steps]
    for form in forms:
        if not refusals(backend, program.network, form):
            text = pipeline.generate(program, backend, form).text.encode()
            if text == content:
                return text
    raise UsageError(
        "not the source that rnnspec generates from spec.yaml beside it, and nothing else is run: "
        "it was changed, or another version of rnnspec wrote it",
        str(path),
    )


def _check_keras(path: Path, own: Collection[str]) -> None:
    """Raise unless Keras can open a file with no code but its own and that of classes ``own``."""
    with open_model(path) as stored:
        if stored.form != ".keras file" or stored.compiled or stored.beside:
            message = "expected a .keras file without training, and with Keras's own parts only"
            raise UsageError(message, str(path))
        if name := unknown_class(stored.config, {*LAYERS, *_OPERATIONS}, own):
            raise UsageError(f"names {brief(repr(name))}, which is not opened here", str(path))


def _read(path: Path, case: Case) -> bytes:
    with opened(path, case.folder) as (stream, size):
        check_size(path, size)
        return stream.read()
