"""A model in C: its source with its arrays, compiled into a library that runs in this process."""

from __future__ import annotations

import ctypes
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.c import compiler
from rnnspec.errors import BackendError, UsageError, brief, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike

    from rnnspec.backends.c.source import CSource, InputParameter
    from rnnspec.backends.slots import Array

_SEE = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)

_NUMBERS = {"float": np.float32, "size_t": np.uintp, "unsigned char": np.uint8}
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
    ``blob`` is what the file beside it has, if it was read from files with one.
    """

    module: str
    source: CSource
    text: str
    arrays: dict[tuple[str, str], Array]
    changed: bool = True
    blob: bytes = b""

    def __reduce__(self) -> tuple[Any, ...]:
        # A library can be neither pickled nor copied.
        arrays = {place: array.copy() for place, array in self.arrays.items()}
        return CModel, (self.module, self.source, self.text, arrays)

    def __call__(
        self, inputs: ArrayLike | Mapping[str, ArrayLike] | None = None, **named: ArrayLike
    ) -> Array | dict[str, Array]:
        """Return the output for tokens (batch, steps) or values (batch, steps, features).

        Named inputs are keyword arguments, or a mapping. The output is a mapping by name if the
        spec has named heads.

        Raises:
            UsageError: the batch does not fit the network, or the model is in step form.
        """
        if self.source.stepped:
            raise UsageError(
                "a model in step form takes chunks: output, states = model.step(chunk, states)"
            )
        batch = named if inputs is None else inputs
        return _by_name(self.run(batch))

    def run(
        self,
        inputs: ArrayLike | Mapping[str, ArrayLike],
        seen: dict[str, list[Array]] | None = None,
    ) -> dict[str, Array]:
        """Return the outputs for a batch by the names of their pointers, a sequence at a time.

        ``seen`` is filled with what enters each layer, for each sequence.
        """
        batch, library = self._checked_inputs(inputs, self.source.inputs), self.library
        steps = self._steps(batch)
        rows = len(next(iter(batch.values())))
        outputs = {
            result.pointer: np.full((rows, *self._shape(index, steps)), np.nan, np.float32)
            for index, result in enumerate(self.source.outputs)
        }
        # Whatever reads memory before it is written becomes NaN.
        workspace = np.full(max(self.constants["WORKSPACE"], 1), np.nan, np.float32)
        watch = _SEE(partial(self._see, seen)) if seen is not None else _SEE()
        library.rnnspec_watch(watch)
        run = library[f"{self.source.entry}_run"]
        try:
            for index in range(rows):
                pointers = [_pointer(output[index : index + 1]) for output in outputs.values()]
                arguments = self._arguments(batch, steps, index)
                self._refuse(run(*arguments, *pointers, _pointer(workspace)))
        finally:
            library.rnnspec_watch(_SEE())
        return outputs

    def _shape(self, index: int, steps: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape of an output for one sequence."""
        result = self.source.outputs[index]
        sizes = [int(result.sizes[-1])]
        if result.is_sequence:
            counts = (ctypes.c_size_t(steps[length.symbol]) for length in self.source.lengths)
            sizes.insert(0, int(self.library.rnnspec_output_steps(index, *counts)))
        return tuple(sizes)

    def _arguments(
        self, batch: Mapping[str, Array], steps: Mapping[str, int], row: int
    ) -> Iterator[ctypes.c_void_p | ctypes.c_size_t | ctypes.c_int32]:
        """Yield what a function takes for one sequence of a batch."""
        for argument in self.source.inputs:
            array = batch[argument.name]
            yield ctypes.c_int32(array[row]) if argument.label else _pointer(array[row : row + 1])
            if argument.length and argument.length.inputs[-1] == argument.name:
                yield ctypes.c_size_t(steps[argument.length.symbol])

    def _steps(self, batch: Mapping[str, Array]) -> dict[str, int]:
        """Return the numbers of steps of a batch by their parameters.

        Raises:
            UsageError: there are too few or too many, or inputs that have the same differ.
        """
        steps = dict[str, int]()
        for length in self.source.lengths:
            of_inputs = {name: batch[name].shape[1] for name in length.inputs}
            number = next(iter(of_inputs.values()))
            if set(of_inputs.values()) != {number}:
                texts = [f"{count} of {name}" for name, count in of_inputs.items()]
                raise UsageError(f"expected the same number of steps, received {listed(texts)}")
            if not length.least <= number <= length.most:
                name = f"{length.inputs[0]}: " if self.source.named else ""
                raise UsageError(
                    f"{name}expected {length.least} to {length.most} steps, received {number}"
                )
            steps[length.symbol] = number
        return steps

    def begin(
        self, inputs: Mapping[str, ArrayLike] | None = None, **named: ArrayLike
    ) -> dict[str, Array]:
        """Return the states of sequences before their first steps, by name.

        Args:
            inputs: the inputs that do not come in chunks, by name.
            named: the same, as keyword arguments.

        Raises:
            UsageError: an input does not fit the network.
        """
        given = named if inputs is None else inputs
        batch, library = self._checked_inputs(given, self.source.inputs), self.library
        steps = self._steps(batch)
        workspace = np.full(max(self.source.workspace, 1), np.nan, np.float32)
        more = [_pointer(workspace)] if self.source.workspace else []
        structure = self._structures(len(next(iter(batch.values()))))
        for index in range(len(structure)):
            arguments = self._arguments(batch, steps, index)
            state = _pointer(structure[index : index + 1])
            self._refuse(library[f"{self.source.entry}_begin"](state, *arguments, *more))
        return self._states_after(structure)

    def step(
        self,
        chunk: ArrayLike | Mapping[str, ArrayLike],
        states: Mapping[str, ArrayLike] | None = None,
    ) -> tuple[Array | dict[str, Array], dict[str, Array]]:
        """Return the output for the steps so far, and the states for the next chunk, by name.

        Args:
            chunk: tokens (batch, steps) or values (batch, steps, features); of several streams, a
                mapping of them by name.
            states: those that the chunk before it gave, or at the start those of ``begin``, or None
                if the network has no other input.

        Raises:
            UsageError: the chunk or the states do not fit the network.
        """
        outputs, after = self.step_outputs(chunk, states)
        return _by_name(outputs), after

    def step_outputs(
        self,
        chunk: ArrayLike | Mapping[str, ArrayLike],
        states: Mapping[str, ArrayLike] | None,
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return the outputs of a chunk by the names of their pointers, and the states."""
        streams, library = self.source.streams, self.library
        if len(streams) == 1 and not isinstance(chunk, Mapping):
            chunk = {streams[0].name: chunk}
        batch = self._checked_inputs(chunk, streams)
        rows = [*zip(*batch.values(), strict=True)]
        counts = {name: array.shape[1] for name, array in batch.items()}
        steps = next(iter(counts.values()))
        if set(counts.values()) != {steps}:
            texts = [f"{count} of {name}" for name, count in counts.items()]
            raise UsageError(f"expected the same number of steps, received {listed(texts)}")
        structure = self._states_before(states, len(rows))
        before = int(structure["steps"][0]) if self.source.delay else 0
        if steps + before <= self.source.delay:
            least = self.source.delay + 1
            what = " in the first chunk" if self.source.delay else ""
            raise UsageError(f"expected {least} steps{what}, received {steps}")
        outputs = {
            result.pointer: np.zeros(
                (
                    len(rows),
                    *([steps - max(0, result.delay - before)] if result.is_sequence else []),
                    result.width,
                ),
                np.float32,
            )
            for result in self.source.outputs
        }
        for index, row in enumerate(rows):
            pointers = [_pointer(output[index : index + 1]) for output in outputs.values()]
            state, chunks = _pointer(structure[index : index + 1]), [*map(_pointer, row)]
            if steps == 1:
                self._refuse(library[f"{self.source.entry}_step"](state, *chunks, *pointers))
            else:
                chunk_call = library[f"{self.source.entry}_chunk"]
                self._refuse(chunk_call(state, *chunks, ctypes.c_size_t(steps), *pointers))
        return outputs, self._states_after(structure)

    def _structures(self, rows: int) -> Array:
        """Return the structure of states of each sequence, of which nothing is set."""
        members = [
            (member.name, _NUMBERS[member.number], (member.size,) if member.size else ())
            for member in self.source.members
        ]
        return np.zeros(rows, np.dtype(members, align=True))

    def _states_before(self, states: Mapping[str, ArrayLike] | None, rows: int) -> Array:
        """Return the structure of states of each sequence before a chunk."""
        structure, source = self._structures(rows), self.source
        if not states:
            if source.begins:
                message = "expected the states that model.begin returns for the other inputs"
                raise UsageError(message)
            for index in range(rows):
                self.library[f"{source.entry}_reset"](_pointer(structure[index : index + 1]))
            return structure
        names = [state.name for state in source.states]
        if set(states) != set(names):
            raise UsageError(
                f"states: expected {', '.join(names)}, received {brief(', '.join(states))}"
            )
        counts = dict[str, int]()
        for state in source.states:
            array = np.asarray(states[state.name])
            if state.steps:
                count = array.shape[1] if array.ndim > 1 else 0
                structure[state.steps] = counts.setdefault(state.steps, min(count, state.most))
            shapes = [
                (rows, *(counts[state.steps] if size is None else size for size in shape))
                for shape in (state.shape, state.first_shape)
            ]
            if array.shape not in shapes:
                raise UsageError(
                    f"{state.name}: expected the shape {shapes[0]}, received {array.shape}"
                )
            # What a window needs before it is full is at the end.
            end = prod(shapes[0][1:])
            structure[state.name][:, end - prod(array.shape[1:]) : end] = array.reshape(rows, -1)
            if source.delay and state.shape != state.first_shape:
                structure["steps"] = source.delay if array.shape == shapes[0] else 0
        return structure

    def _states_after(self, structure: Array) -> dict[str, Array]:
        states = {}
        for state in self.source.states:
            is_first = self.source.delay and not structure["steps"][0]
            first_shape = state.first_shape if is_first else state.shape
            whole, shape = (
                [int(structure[state.steps][0]) if size is None else size for size in of]
                for of in (state.shape, first_shape)
            )
            end = prod(whole)
            part = structure[state.name][:, end - prod(shape) : end].reshape(len(structure), *shape)
            states[state.name] = part != 0 if part.dtype == np.uint8 else part.copy()
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
        if self.blob:
            with tempfile.TemporaryDirectory(prefix="rnnspec-") as folder:
                path = Path(folder, f"{self.source.entry}.bin")
                path.write_bytes(self.blob)
                compiled = compiler.compile_library(_watched(self, path), once=True)
        else:
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
        entry, first = self.source.entry, "begin" if self.source.begins else "reset"
        in_steps = (f"{entry}_step", f"{entry}_chunk", f"{entry}_{first}")
        calls = in_steps if self.source.stepped else (f"{entry}_run",)
        for name in (*_OF_LIBRARY, *calls):
            if not hasattr(library, name):  # as with -fvisibility=hidden
                raise BackendError(
                    f"what {compiler.command()} compiles has no function {name}; expected a "
                    "library with every function that is not static"
                )
        library.rnnspec_array.restype = ctypes.c_void_p
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

    def _checked_inputs(
        self,
        inputs: ArrayLike | Mapping[str, ArrayLike],
        arguments: Sequence[InputParameter],
    ) -> dict[str, Array]:
        """Return a batch by the names of its inputs, in the types of the interface.

        Raises:
            UsageError: it does not fit.
        """
        if not isinstance(inputs, Mapping):
            if self.source.named:
                names = ", ".join(argument.name for argument in arguments)
                raise UsageError(f"expected inputs by name: {names}")
            return {arguments[0].name: self._checked(arguments[0], np.asarray(inputs))}
        known = [argument.name for argument in arguments]
        if set(inputs) != set(known):
            received = brief(", ".join(map(str, inputs)))
            raise UsageError(f"expected the inputs {', '.join(known)}, received {received}")
        batch = {
            argument.name: self._checked(argument, np.asarray(inputs[argument.name]))
            for argument in arguments
        }
        rows = {name: len(array) for name, array in batch.items()}
        if len(set(rows.values())) > 1:
            texts = [f"{count} of {name}" for name, count in rows.items()]
            raise UsageError(f"expected the same number of sequences, received {listed(texts)}")
        return batch

    def _checked(self, argument: InputParameter, batch: Array) -> Array:
        """Return the batch of an input in the type of the interface.

        Raises:
            UsageError: it does not fit.
        """
        name = f"{argument.name}: " if self.source.named else ""
        shape = ["batch"] + ["steps"] * (argument.length is not None)
        if argument.vocabulary is None:
            shape.append(str(argument.size))
        expected = f"({', '.join(shape)})" if len(shape) > 1 else "(batch,)"
        fits = batch.ndim == len(shape)
        if argument.vocabulary is not None:
            if not fits:
                raise UsageError(f"{name}expected {expected}, received {batch.shape}")
            if batch.dtype.kind not in "iu":
                what = "labels" if argument.label else "tokens"
                message = f"expected integers as {what}, received {brief(batch.dtype)}"
                raise UsageError(f"{name}{message}")
            # Wider numbers must not wrap around into tokens.
            return np.ascontiguousarray(np.clip(batch, -1, 2**31 - 1), np.int32)
        if not fits or batch.shape[-1] != argument.size:
            raise UsageError(f"{name}expected {expected}, received {batch.shape}")
        if batch.dtype.kind not in "biuf":
            message = f"expected numbers as features, received {brief(batch.dtype)}"
            raise UsageError(f"{name}{message}")
        return np.ascontiguousarray(batch, np.float32)

    def _refuse(self, status: int) -> None:
        """Raise UsageError for a status that is an error: of tokens, as steps are counted here."""
        if status not in (self.constants["OK"], self.constants.get("NO_OUTPUT")):
            source = self.source
            texts = [
                f"{'labels' if given.label else 'tokens'}{f' of {given.name}' * source.named} "
                f"from 0 to {given.vocabulary - 1}"
                for given in source.all_inputs
                if given.vocabulary is not None
            ]
            raise UsageError(f"expected {listed(texts)}")

    def recorded(self) -> dict[str, Array]:
        """Return the arrays of the self-test: random inputs, and what the model gives for them.

        Raises:
            UsageError: an output is not finite, so that no difference from it is small.
        """
        rng, source = np.random.default_rng(0), self.source
        batch = {argument.name: self._drawn(argument, rng) for argument in source.all_inputs}
        if source.streams:
            chunks = {stream.name: batch[stream.name] for stream in source.streams}
            others = {one.name: batch[one.name] for one in source.inputs}
            states = self.begin(others) if source.begins else None
            outputs = self.step_outputs(chunks, states)[0]
        else:
            outputs = self.run(batch)
        if not all(np.isfinite(output).all() for output in outputs.values()):
            message = "expected finite outputs for the self-test, received NaN or infinity"
            raise UsageError(f"{message}: the arrays are too large", source.entry)
        arrays = {one.symbol: batch[one.name] for one in source.all_inputs} | outputs
        return {test.symbol: arrays[test.pointer].reshape(-1) for test in source.tests}

    def _drawn(self, argument: InputParameter, rng: np.random.Generator) -> Array:
        """Return a random input of one sequence."""
        steps = [self.source.test_steps[argument.name]] if argument.length else []
        if argument.vocabulary is not None:
            return rng.integers(0, argument.vocabulary, (1, *steps), dtype=np.int32)
        drawn = rng.standard_normal((1, *steps, argument.size)).round(3)
        return drawn.astype(np.float32)


def _by_name(outputs: dict[str, Array]) -> Array | dict[str, Array]:
    """Return the only output, or a mapping of named ones."""
    if "y" in outputs:
        return outputs["y"]
    return {pointer.removeprefix("y_"): output for pointer, output in outputs.items()}


def _pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _watched(model: CModel, blob: Path | None = None) -> str:
    """Return the text of a model, whose arrays can be written, and which shows what layers get.

    ``blob`` is the file beside it: in the folder where the assembler runs may be another one.
    """
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
        r"^(\w+_ALIGNED )?static const (\w+ (\w+)\[)",
        lambda match: f"{match[1] or ''}static {match[2]}" if match[3] in arrays else match[0],
        watched,
        flags=re.MULTILINE,
    )
    if source.is_blob:
        watched = _with_writable_blob(watched, source, blob)
    cases = "".join(
        f"    case {index}:\n        return (void *){name};\n" for index, name in enumerate(symbols)
    )
    counts = ", ".join(["int output", *(f"size_t {length.symbol}" for length in source.lengths)])
    used = "".join(f"    (void){length.symbol};\n" for length in source.lengths)
    steps = "".join(
        f"    case {index}:\n        return {result.sizes[0]};\n"
        for index, result in enumerate(() if source.stepped else source.outputs)
    )
    # One version of each function: three take three times as long to compile.
    return f"""\
#define {upper}_IMPLEMENTATION
#define {upper}_DISPATCH 0
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

size_t rnnspec_output_steps({counts}) {{
{used}    switch (output) {{
{steps}    default:
        return 0;
    }}
}}
"""


def _with_writable_blob(text: str, source: CSource, blob: Path | None) -> str:
    """Return a text in which the arrays of its file can be written."""
    upper = source.entry.upper()
    # Arrays that can be written are in another section, or in the text until there is a file.
    start, end = text.index(f"\n#ifndef {upper}_BLOB\n"), text.index("\n__asm__(")
    section = f'#undef {upper}_SECTION\n#define {upper}_SECTION ".data\\n"\n'
    after = text.index("\nextern const float ")
    declared = text[after:].replace("extern const", "extern", 1)
    if blob:
        # A string of the assembler in one of C.
        path = str(blob)
        for _ in range(2):
            path = path.replace("\\", r"\\").replace('"', r"\"")
        define = f'\n#define {upper}_BLOB "{path}"'
        return f"{text[:start]}{define}{text[start:end]}\n{section}{text[end:after]}{declared}"
    array = f"\nstatic float {source.entry}_blob[{source.blob.size // 4}];"
    return f"{text[:start]}{array}{declared.partition(';')[2]}"
