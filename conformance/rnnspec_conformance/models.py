"""The models of a case: one for each backend that writes files, and a canonical file."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec import pipeline
from rnnspec.backends import get, having, needs
from rnnspec.errors import Difference, ParityError, UnsupportedError
from rnnspec.files.model import SUFFIX
from rnnspec.models import saving
from rnnspec.weights.file import write_arrays

if TYPE_CHECKING:
    from rnnspec.backends import Backend
    from rnnspec.backends.slots import Array
    from rnnspec.ir.nodes import Network
    from rnnspec.pipeline import Generated
    from rnnspec_conformance.layout import Call
    from rnnspec_conformance.scenario import Drawn, Scenario

CANONICAL = "canonical"
"""The format of canonical files, which belongs to no backend."""


def formats() -> list[str]:
    """Return the names of the formats that a suite can have."""
    return [*(backend.name for backend in having(needs.FILES)), CANONICAL]


def model_name(form: str, network: Network) -> str:
    """Return the name of the file or folder of a network's model in a format."""
    if form == CANONICAL:
        return f"model{SUFFIX}"
    backend = get(form)
    if backend.suffix and not backend.emitter.needs_source(network):
        return f"model{backend.suffix}"
    return backend.name


def write_models(
    folder: Path, scenario: Scenario, drawn: Drawn, formats: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Write the model in each format, and return their names, and the reasons of refusals.

    Raises:
        ParityError: a model computes something else than the reference.
    """
    models, refused = dict[str, str](), dict[str, str]()
    for name in formats:
        if name == CANONICAL:
            arrays = {key: array.astype(np.float32) for key, array in drawn.arrays.items()}
            file = model_name(name, drawn.program.network)
            models[name] = write_arrays(folder, file, arrays, scenario.text).name
            continue
        backend = get(name)
        if backend.suffix != ".onnx" and (reason := _onnx_only_reason(scenario, drawn)):
            refused[name] = f"the suite has {reason} as an ONNX file only"
            continue
        try:
            models[name] = _write_model(folder, scenario, drawn, backend)
        except UnsupportedError as error:
            reasons = (f"{one.key} of {one.layer}: {one.reason}" for one in error.refusals)
            refused[name] = "; ".join(reasons)
    return models, refused


def _onnx_only_reason(scenario: Scenario, drawn: Drawn) -> str:
    """Return what only an ONNX file can have of a case, or nothing."""
    if not drawn.program.network.takes_one_array:
        return "what is run before the first chunk"
    return f"a file without {scenario.omission}" if scenario.omission else ""


def _write_model(folder: Path, scenario: Scenario, drawn: Drawn, backend: Backend) -> str:
    form = scenario.form if scenario.form in backend.forms else None
    generated = pipeline.generate(drawn.program, backend, form)
    backend.require()
    backend.runtime.forget()
    model = pipeline.instantiate(generated, drawn=False)
    generated.store.write(model, drawn.arrays)
    if scenario.halved:
        _halve_biases(generated, model)
    name = model_name(backend.name, drawn.program.network)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        written = Path(temporary)
        saving.write(generated, model, written, scenario.text)
        if backend.suffix == ".onnx":
            from rnnspec_conformance.encoding import encode

            for path in written.glob("*.onnx"):
                encode(path, scenario.omission)
        _check(generated, written, scenario, drawn)
        if Path(name).suffix:
            # In step form, there may be another one, which is run before the first chunk.
            ends = "_begin" if scenario.begins else ""
            (written / f"{generated.network.name}{ends}{backend.suffix}").rename(folder / name)
        else:
            shutil.copytree(written, folder / name)
    if backend.suffix == ".onnx":
        from rnnspec.backends.onnx.runtime import write_test_data

        for at, call in enumerate(drawn.calls):
            data = folder / f"test_data_set_{at}"
            write_test_data(folder / name, data, call.inputs, call.outputs)
        # ONNX's loader takes its tolerances from here.
        limits = {"atol": drawn.tolerance, "rtol": 0.0}
        (folder / "data.json").write_text(f"{json.dumps(limits)}\n", encoding="utf-8", newline="\n")
    return name


def _halve_biases(generated: Generated, model: Any) -> None:
    """Put half of each bias into the array that is added to it, where there is one."""
    runtime = generated.backend.runtime
    paths = [(layer, path) for _, layer, _, slot in generated.store.places for path in slot.paths]
    for _, layer, _, slot in generated.store.places:
        # The second half of ONNX's bias is added to the first one, and is no array of its own.
        second = slot.addend or {"Wb": "Rb"}.get(slot.path)
        if second is not None and (slot.addend or (layer, second) not in paths):
            # Halves are exact.
            half = runtime.get(model, layer, slot.path) / 2
            runtime.put(model, layer, slot.path, half)
            runtime.put(model, layer, second, half)


def _check(generated: Generated, folder: Path, scenario: Scenario, drawn: Drawn) -> None:
    """Compare the model in written files with the arrays and the outputs of its case."""
    backend = generated.backend
    model = backend.runtime.reload(folder, generated.network.name, generated.source)
    # A second bias is no array of a canonical network.
    arrays = {} if scenario.halved else generated.store.read(model)
    for name, array in arrays.items():
        if not np.array_equal(array, drawn.arrays[name].astype(array.dtype)):
            _raise(scenario, backend, name, "the array of the case", "another one")
    for call in drawn.calls:
        outputs = _run(generated, model, call, drawn)
        for name, output, expected in zip(drawn.outputs, outputs, call.outputs, strict=True):
            shape = np.shape(output)
            far = float(np.max(np.abs(output - expected))) if shape == expected.shape else np.inf
            # Written this way, the test also refuses NaN.
            if not far <= drawn.tolerance:
                bound = f"within {drawn.tolerance:.2g} of the reference"
                _raise(scenario, backend, name, bound, f"a difference of {far:.3g}")


def _run(generated: Generated, model: Any, call: Call, drawn: Drawn) -> list[Array]:
    runtime = generated.backend.runtime
    if not drawn.program.network.takes_one_array:
        given = dict(zip(drawn.inputs, call.inputs, strict=True))
        (stream,) = drawn.program.network.streams
        chunk = given.pop(stream, None)
        if chunk is None:
            states = runtime.begin(model, given)
            return [states[name] for name in drawn.outputs]
        output, after = runtime.step(model, chunk, given)
        return [output, *(after[name] for name in drawn.outputs[1:])]
    inputs = call.inputs[0]
    if inputs.dtype.kind in "iu":
        inputs = inputs.astype(np.int32)
    if generated.form != "step":
        layers = [layer.name for layer in generated.network.layers]
        output = runtime.trace(model, layers, inputs).output
        return _split(output, [expected.shape for expected in call.outputs])
    # In the shapes of the framework, which begin as zeros.
    _, shaped = runtime.step(model, inputs, None)
    flat = dict(zip(drawn.inputs[1:], call.inputs[1:], strict=True))
    states = {name: flat[name].reshape(state.shape) for name, state in shaped.items()}
    output, after = runtime.step(model, inputs, states)
    shapes = {
        name: expected.shape for name, expected in zip(drawn.outputs, call.outputs, strict=True)
    }
    return [output, *(after[name].reshape(shapes[name]) for name in drawn.outputs[1:])]


def _split(output: Array, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Return the outputs that a trace has side by side, or its only one."""
    if len(shapes) == 1:
        return [output]
    ends = np.cumsum([int(np.prod(shape[1:])) for shape in shapes])
    return [
        part.reshape(shape)
        for part, shape in zip(np.split(output, ends[:-1], axis=1), shapes, strict=True)
    ]


def _raise(scenario: Scenario, backend: Backend, name: str, expected: str, received: str) -> None:
    difference = Difference(scenario.name, backend.name, name, "output", expected, received)
    raise ParityError((difference,))
