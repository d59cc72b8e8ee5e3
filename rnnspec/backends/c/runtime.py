"""The C compiler of the machine as the framework of models in memory, and their files."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.c import compiler
from rnnspec.backends.c.arrays import takes_int8
from rnnspec.backends.c.filled import (
    array_bytes,
    arrays_in,
    fill,
    join,
    pack_blob,
    split,
    unpack_blob,
)
from rnnspec.backends.c.model import CModel
from rnnspec.backends.c.source import CSource
from rnnspec.backends.contract import ArrayType, Runtime, Trace
from rnnspec.ir.params import Counts, params

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from types import ModuleType

    from rnnspec.backends.slots import Array, Batch
    from rnnspec.ir.nodes import Layer
    from rnnspec.source.code import Source


class CRuntime(Runtime):
    """The C compiler of the machine."""

    def version(self) -> str:
        """Return the version of the compiler."""
        return f"C compiler {compiler.version()}"

    def instantiate(
        self,
        module: ModuleType,
        source: Source,
        dtype: str,
        *,
        drawn: bool,  # noqa: ARG002
    ) -> CModel:
        """Return the model of a text, with arrays that are all zero."""
        assert dtype == "float32"
        assert isinstance(source, CSource)
        arrays = {
            place: np.zeros(stored.shape, np.float32)
            for stored in source.arrays
            for place in stored.places
        }
        return CModel(module.__name__, source, module.TEXT, arrays)

    def layer_count(self, model: CModel, layer: Layer) -> int:
        """Return the size of the arrays of a layer."""
        return sum(array.size for (name, _), array in model.arrays.items() if name == layer.name)

    def counts(self, model: CModel) -> Counts:
        """Return the size of all arrays."""
        sizes = {True: 0, False: 0}
        for stored in model.source.arrays:
            sizes[stored.trainable] += len(stored.places) * prod(stored.shape)
        return Counts(trainable=sizes[True], non_trainable=sizes[False])

    def unwrap(self, model: Any) -> CModel | None:
        """Return the model, or None if it is not one of this backend."""
        return model if isinstance(model, CModel) else None

    def array_type(self, model: CModel, layer: str, path: str) -> ArrayType:
        """Return the dtype and shape of one array."""
        array = model.arrays[layer, path]
        return ArrayType(array.dtype.name, array.shape)

    def other_shapes(
        self, model: CModel, known: Collection[tuple[str, str]]
    ) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays that are not at a known (layer, path)."""
        return {
            f"{layer}.{path}": array.shape
            for (layer, path), array in model.arrays.items()
            if (layer, path) not in known
        }

    def get(self, model: CModel, layer: str, path: str) -> Array:
        """Return a copy of one array."""
        return model.arrays[layer, path].copy()

    def put(self, model: CModel, layer: str, path: str, array: Array) -> None:
        """Replace one array."""
        model.arrays[layer, path][...] = array
        model.changed = True

    def trace(self, model: CModel, layers: Sequence[str], inputs: Batch) -> Trace:
        """Run a batch, and record the input of each layer."""
        seen: dict[str, list[Array]] = {}
        outputs = model.run(inputs, seen)
        layer_inputs = {name: np.stack(rows) for name, rows in seen.items() if name in layers}
        return Trace(layer_inputs, _side_by_side(outputs))

    def begin(self, model: CModel, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the states before the first chunk."""
        return model.begin(inputs)

    def step(
        self, model: CModel, chunk: Batch, states: Mapping[str, Array] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Return the output for the steps so far, and the new states."""
        outputs, after = model.step_outputs(chunk, states)
        return _side_by_side(outputs), after

    def save(self, model: CModel, folder: Path, name: str, source: str, spec: str) -> None:
        """Write ``NAME.h`` and ``NAME.c``, and ``NAME.bin`` if the arrays are in it."""
        text = fill(source, model.source, model.arrays, model.recorded(), spec)
        for suffix, part in zip((".h", ".c"), split(text, name), strict=True):
            (folder / f"{name}{suffix}").write_text(part, encoding="utf-8", newline="\n")
        if model.source.is_blob:
            (folder / f"{name}.bin").write_bytes(pack_blob(model.source, model.arrays))

    def quantizes(self, layer: Layer) -> bool:
        """True if a layer has a kernel of its own, or a table."""
        return any(takes_int8(layer, param) for param in params(layer))

    def size(self, folder: Path, name: str) -> int:
        """Return the bytes of the arrays, which a program has in its read-only memory."""
        return array_bytes(_text_in(folder, name))

    def unite(self, folder: Path, name: str) -> None:
        """Put ``NAME.c`` into ``NAME.h``."""
        text = _text_in(folder, name)
        (folder / f"{name}.c").unlink()
        (folder / f"{name}.h").write_text(text, encoding="utf-8", newline="\n")

    def reload(self, folder: Path, name: str, source: Source) -> CModel:
        """Return the model in files of ``save``, with the numbers in their text."""
        assert isinstance(source, CSource)
        text = _text_in(folder, name)
        if not source.is_blob:
            return CModel("", source, text, arrays_in(text, source.arrays), changed=False)
        blob = (folder / f"{name}.bin").read_bytes()
        return CModel("", source, text, unpack_blob(blob, source.arrays), changed=False, blob=blob)


def _side_by_side(outputs: Mapping[str, Array]) -> Array:
    """Return the only output, or named ones, each as (batch, all of its numbers)."""
    if "y" in outputs:
        return outputs["y"]
    return np.concatenate([array.reshape(len(array), -1) for array in outputs.values()], axis=1)


def _text_in(folder: Path, name: str) -> str:
    """Return the whole text of a model in the files of a folder."""
    header, body = folder / f"{name}.h", folder / f"{name}.c"
    text = header.read_text("utf-8")
    return join(text, body.read_text("utf-8"), name) if body.exists() else text


RUNTIME = CRuntime()
