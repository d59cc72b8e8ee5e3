"""Models in memory: C source with its arrays, compiled into a library that runs in this process."""

from __future__ import annotations

import ctypes
import re
import tempfile
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.c import compiler
from rnnspec.backends.c.arrays import takes_int8
from rnnspec.backends.c.emit import CSource
from rnnspec.backends.c.filled import array_bytes, arrays_in, fill, join, split
from rnnspec.backends.contract import ArrayType, Runtime, Trace
from rnnspec.errors import BackendError, UsageError, brief
from rnnspec.ir.params import Counts, params

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import ModuleType

    from numpy.typing import ArrayLike

    from rnnspec.ir.nodes import Layer
    from rnnspec.slots import Array
    from rnnspec.source.code import Source

_SEE = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)


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

    def trace(self, model: CModel, layers: Sequence[str], inputs: Array) -> Trace:
        """Run a batch, and record the input of each layer."""
        seen: dict[str, list[Array]] = {}
        outputs = model.run(inputs, seen)
        named = [array.reshape(len(array), -1) for array in outputs.values()]
        output = outputs["y"] if "y" in outputs else np.concatenate(named, axis=1)
        layer_inputs = {name: np.stack(rows) for name, rows in seen.items() if name in layers}
        return Trace(layer_inputs, output)

    def step(
        self, model: CModel, chunk: Array, states: Mapping[str, Array] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Return the output for the steps so far, and the new states."""
        return model.step(chunk, states)

    def save(self, model: CModel, folder: Path, name: str, source: str, spec: str) -> None:
        """Write ``NAME.h`` and ``NAME.c``."""
        text = fill(source, model.source, model.arrays, model.recorded(), spec)
        for suffix, part in zip((".h", ".c"), split(text, name), strict=True):
            (folder / f"{name}{suffix}").write_text(part, encoding="utf-8", newline="\n")

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
        return CModel("", source, text, arrays_in(text, source.arrays), changed=False)


def _text_in(folder: Path, name: str) -> str:
    """Return the whole text of a model in the files of a folder."""
    header, body = folder / f"{name}.h", folder / f"{name}.c"
    text = header.read_text("utf-8")
    return join(text, body.read_text("utf-8"), name) if body.exists() else text


_OF_LIBRARY = ("rnnspec_array", "rnnspec_output_steps", "rnnspec_watch")
"""The functions that a library has beside those of the network."""
_PRELUDE = """\
#include <stddef.h>

static void (*rnnspec_watcher)(int, const void *, size_t);

static void rnnspec_see(int index, const void *x, size_t count) {
    if (rnnspec_watcher) {
        rnnspec_watcher(index, x, count);
    }
}

"""


@dataclass(eq=False)
class CModel:
    """C source with its arrays. Call it with a batch: it returns the output.

    ``text`` is that of the source, with zeros in place of the arrays, or the numbers of a file.
    """

    module: str
    source: CSource
    text: str
    arrays: dict[tuple[str, str], Array]
    changed: bool = True

    def __reduce__(self) -> tuple[Any, ...]:
        # A library can be neither pickled nor copied.
        arrays = {place: array.copy() for place, array in self.arrays.items()}
        return CModel, (self.module, self.source, self.text, arrays)

    def __call__(self, inputs: ArrayLike) -> Array | dict[str, Array]:
        """Return the output for tokens (batch, steps) or values (batch, steps, features).

        It is a mapping by name if the spec has named heads.

        Raises:
            UsageError: the batch does not fit the network, or the model is in step form.
        """
        if self.source.stepped:
            raise UsageError(
                "a model in step form takes chunks: output, states = model.step(chunk, states)"
            )
        outputs = self.run(np.asarray(inputs))
        return (
            {n.removeprefix("y_"): y for n, y in outputs.items()}
            if "y" not in outputs
            else outputs["y"]
        )

    def run(self, inputs: Array, seen: dict[str, list[Array]] | None = None) -> dict[str, Array]:
        """Return the outputs for a batch by the names of their pointers, a sequence at a time.

        ``seen`` is filled with what enters each layer, for each sequence.
        """
        batch, library = self._checked(inputs), self.library
        steps, constants = batch.shape[1], self.constants
        if not constants["MIN_STEPS"] <= steps <= constants["MAX_STEPS"]:
            self._refuse(constants["BAD_LENGTH"], steps)
        windows = int(library.rnnspec_output_steps(steps)) if steps else 0
        outputs = {
            result.pointer: np.full(
                (len(batch), *(int(size) if size.isdigit() else windows for size in result.sizes)),
                np.nan,
                np.float32,
            )
            for result in self.source.outputs
        }
        # Whatever reads memory before it is written becomes NaN.
        workspace = np.full(max(self.constants["WORKSPACE"], 1), np.nan, np.float32)
        watch = _SEE(partial(self._see, seen)) if seen is not None else _SEE()
        library.rnnspec_watch(watch)
        run = library[f"{self.source.entry}_run"]
        try:
            for index, row in enumerate(batch):
                pointers = [_pointer(output[index : index + 1]) for output in outputs.values()]
                self._refuse(
                    run(_pointer(row), ctypes.c_size_t(steps), *pointers, _pointer(workspace)),
                    steps,
                )
        finally:
            library.rnnspec_watch(_SEE())
        return outputs

    def step(
        self, chunk: ArrayLike, states: Mapping[str, ArrayLike] | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """Return the output for the steps so far, and the states for the next chunk, by name.

        Args:
            chunk: tokens (batch, steps) or values (batch, steps, features).
            states: those that the chunk before it gave, or None at the start.

        Raises:
            UsageError: the chunk or the states do not fit the network.
        """
        batch, library = self._checked(np.asarray(chunk)), self.library
        structure = self._states_before(states, len(batch))
        steps, width = batch.shape[1], self.constants["OUTPUTS"]
        if not steps:
            self._refuse(self.constants["BAD_LENGTH"], steps)
        shape = (len(batch), steps, width) if self.source.output_stride else (len(batch), width)
        output = np.zeros(shape, np.float32)
        for index, row in enumerate(batch):
            status = library[f"{self.source.entry}_chunk"](
                _pointer(structure[index : index + 1]),
                _pointer(row),
                ctypes.c_size_t(steps),
                _pointer(output[index : index + 1]),
            )
            self._refuse(status, steps)
        return output, self._states_after(structure)

    def _states_before(self, states: Mapping[str, ArrayLike] | None, rows: int) -> Array:
        """Return the structure of states of each row."""
        structure = np.zeros((rows, sum(state.size for state in self.source.states)), np.float32)
        if not states:
            return structure
        names = [state.name for state in self.source.states]
        if set(states) != set(names):
            raise UsageError(
                f"states: expected {', '.join(names)}, received {brief(', '.join(states))}"
            )
        at = 0
        for state in self.source.states:
            array, shape = np.asarray(states[state.name], np.float32), (rows, *state.shape)
            if array.shape != shape:
                raise UsageError(
                    f"{state.name}: expected the shape {shape}, received {array.shape}"
                )
            structure[:, at : at + prod(state.shape)] = array.reshape(rows, -1)
            at += state.size
        return structure

    def _states_after(self, structure: Array) -> dict[str, Array]:
        states, at = {}, 0
        for state in self.source.states:
            part = structure[:, at : at + prod(state.shape)]
            states[state.name] = part.reshape(-1, *state.shape).copy()
            at += state.size
        return states

    @cached_property
    def constants(self) -> dict[str, int]:
        """The constants of the interface."""
        return {constant.name: constant.value for constant in self.source.constants}

    def _see(self, seen: dict[str, list[Array]], index: int, pointer: int, count: int) -> None:
        layer = self.source.seen[index]
        floats = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float))
        array = np.ctypeslib.as_array(floats, (count,)).copy()
        shape = [int(size) if size.isdigit() else -1 for size in layer.sizes]
        seen.setdefault(layer.layer, []).append(array.reshape(shape))

    @cached_property
    def _loaded(self) -> ctypes.CDLL:
        compiled = compiler.compile_library(_watched(self))
        # Each model has a file of its own, as the loader gives the same library for the same file.
        with tempfile.TemporaryDirectory(prefix="rnnspec-") as folder:
            path = Path(folder, "model.so")
            path.write_bytes(compiled)
            try:
                library = ctypes.CDLL(str(path))
            except OSError as error:  # of another processor
                raise BackendError(
                    f"what {compiler.command()} compiles cannot be loaded here: {error}"
                ) from None
        calls = (
            (f"{self.source.entry}_chunk",)
            if self.source.stepped
            else (f"{self.source.entry}_run",)
        )
        for name in (*_OF_LIBRARY, *calls):
            if not hasattr(library, name):  # as with -fvisibility=hidden
                raise BackendError(
                    f"what {compiler.command()} compiles has no function {name}; expected a "
                    "library with every function that is not static"
                )
        library.rnnspec_array.restype = ctypes.c_void_p
        library.rnnspec_output_steps.argtypes = [ctypes.c_size_t]
        library.rnnspec_output_steps.restype = ctypes.c_size_t
        library.rnnspec_watch.argtypes = [_SEE]
        return library

    def _put(self, index: int, array: Array) -> None:
        """Replace the memory of an array in the library."""
        ctypes.memmove(self._loaded.rnnspec_array(index), array.ctypes.data, array.nbytes)

    @property
    def library(self) -> ctypes.CDLL:
        """The compiled library, with the arrays of the model."""
        if self.changed:
            index = 0
            for stored in self.source.arrays:
                for array in stored.stored(self.arrays).values():
                    self._put(index, np.ascontiguousarray(array))
                    index += 1
            self.changed = False
        return self._loaded

    def _checked(self, batch: Array) -> Array:
        """Return a batch in the type of the interface.

        Raises:
            UsageError: it does not fit.
        """
        features = self.constants.get("FEATURES")
        if features is None:
            if batch.ndim != 2:
                raise UsageError(f"expected (batch, steps), received {batch.shape}")
            if batch.dtype.kind not in "iu":
                raise UsageError(f"expected integers as tokens, received {brief(batch.dtype)}")
            # Wider numbers must not wrap around into tokens.
            return np.ascontiguousarray(np.clip(batch, -1, 2**31 - 1), np.int32)
        if batch.ndim != 3 or batch.shape[2] != features:
            raise UsageError(f"expected (batch, steps, {features}), received {batch.shape}")
        if batch.dtype.kind not in "biuf":
            raise UsageError(f"expected numbers as features, received {brief(batch.dtype)}")
        return np.ascontiguousarray(batch, np.float32)

    def _refuse(self, status: int, steps: int) -> None:
        constants = self.constants
        if status == constants["BAD_LENGTH"]:
            least, most = constants.get("MIN_STEPS", 1), constants.get("MAX_STEPS")
            upto = f" to {most}" if most else ""
            raise UsageError(f"expected {least}{upto} steps, received {steps}")
        if status:
            raise UsageError(f"expected tokens from 0 to {constants['VOCABULARY'] - 1}")

    def recorded(self) -> dict[str, Array]:
        """Return the arrays of the self-test: a random input, and what the model gives for it."""
        rng, features = np.random.default_rng(0), self.constants.get("FEATURES")
        steps = self.source.test_steps
        x: Array
        if features is None:
            x = rng.integers(0, self.constants["VOCABULARY"], (1, steps), dtype=np.int32)
        else:
            x = rng.standard_normal((1, steps, features)).round(3).astype(np.float32)
        outputs = {"y": self.step(x)[0]} if self.source.stepped else self.run(x)
        arrays = {"x": x, **outputs}
        return {test.symbol: arrays[test.pointer].reshape(-1) for test in self.source.tests}


def _pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _watched(model: CModel) -> str:
    """Return the text of a model, whose arrays can be written, and which shows what layers get."""
    source, upper, parts, at = model.source, model.source.entry.upper(), list[str](), 0
    # In step form, no input of a layer is asked for.
    for index, layer in enumerate(() if source.stepped else source.seen):
        end = model.text.index(f"\n    {layer.comment}\n", at) + 1
        count = " * ".join(f"(size_t)({size})" for size in layer.sizes)
        parts += [model.text[at:end], f"    rnnspec_see({index}, {layer.pointer}, {count});\n"]
        at = end
    watched = "".join((*parts, model.text[at:]))
    symbols = [symbol for stored in source.arrays for symbol in stored.sizes]
    arrays = set(symbols)
    watched = re.sub(
        r"^static const (\w+ (\w+)\[)",
        lambda match: f"static {match[1]}" if match[2] in arrays else match[0],
        watched,
        flags=re.MULTILINE,
    )
    cases = "".join(
        f"    case {index}:\n        return {name};\n" for index, name in enumerate(symbols)
    )
    steps = f"{upper}_OUTPUT_STEPS(steps)" if source.output_steps else "steps"
    return f"""\
#define {upper}_IMPLEMENTATION
{_PRELUDE}{watched}
void rnnspec_watch(void (*watcher)(int, const void *, size_t)) {{
    rnnspec_watcher = watcher;
}}

void *rnnspec_array(int index) {{
    switch (index) {{
{cases}    default:
        return NULL;
    }}
}}

size_t rnnspec_output_steps(size_t steps) {{
    return {steps};
}}
"""


RUNTIME = CRuntime()
