"""Kinds of file that hold a trained model: a class for each recognises, reads and writes it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from rnnspec import files, pipeline, saving
from rnnspec.backends import BACKENDS, Backend
from rnnspec.backends.kept import KeptInModel, reader
from rnnspec.convert.verify import DTYPE, largest_difference
from rnnspec.errors import Difference, ParityError, UsageError, listed
from rnnspec.importing.origins import ORIGINS
from rnnspec.importing.run import take
from rnnspec.weights import file as canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from rnnspec.files import Inputs
    from rnnspec.pipeline import Program
    from rnnspec.slots import Array

    Arrays = Mapping[str, Array]
    Importing = Callable[[Backend], None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The canonical arrays in a file, and what else of its training is in it."""

    arrays: Arrays
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """The files that were written, how they are loaded, and what showed that they are equal.

    ``rounded`` is true if the arrays had more digits than float32 keeps.
    """

    paths: tuple[Path, ...]
    loading: tuple[str, ...]
    equal: str
    rounded: bool = False


class Source(Protocol):
    """A kind of file that a trained model is read from."""

    @property
    def form(self) -> str:
        """The form of its path, for messages."""

    def recognises(self, path: Path) -> bool:
        """Return whether an input is of this kind, judged by its path."""

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the files that the path of an input stands for."""

    def spec_text(self, path: Path) -> str:
        """Return the text of the spec in an input, empty if it contains none."""

    def read(self, path: Path, program: Program, importing: Importing) -> Loaded:
        """Return the arrays in an input. ``importing`` is called before a framework is needed.

        Raises:
            UsageError: the file cannot be read, or has another structure than the spec.
        """


class Kind(Source, Protocol):
    """A kind of file that a trained model is read from and written to."""

    def is_named(self, output: Path) -> bool:
        """Return whether an output of this path is to be of this kind."""

    def check_output(self, output: Path, program: Program, *, force: bool, inputs: Inputs) -> None:
        """Raise before the long work begins if the result could not be written."""

    def write(
        self, output: Path, program: Program, arrays: Arrays, importing: Importing, *, force: bool
    ) -> Written:
        """Write the arrays as this kind, if what is loaded from it is equal to the reference.

        Raises:
            ParityError: it differs; nothing is written.
        """


@dataclass(frozen=True, slots=True)
class CanonicalFile:
    """``NAME.safetensors``: arrays by canonical name, and the spec in the metadata."""

    form: str = f"NAME{canonical.SUFFIX}"

    def recognises(self, path: Path) -> bool:
        """Return whether an input is of this kind."""
        return path.suffix == canonical.SUFFIX and not path.is_dir()

    def is_named(self, output: Path) -> bool:
        """Return whether an output of this path is to be of this kind."""
        return output.suffix == canonical.SUFFIX

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the one file."""
        return (path,)

    def spec_text(self, path: Path) -> str:
        """Return the text of the spec in the metadata."""
        return canonical.read_spec_text(path)

    def read(self, path: Path, program: Program, importing: Importing) -> Loaded:  # noqa: ARG002
        """Return the arrays in a file."""
        return Loaded(canonical.read_arrays(path, program.network))

    def check_output(
        self,
        output: Path,
        program: Program,  # noqa: ARG002 - the path is that of the file itself
        *,
        force: bool,
        inputs: Inputs,
    ) -> None:
        """Raise if no file can be written."""
        files.check_target(output, force=force, inputs=inputs)

    def write(
        self,
        output: Path,
        program: Program,
        arrays: Arrays,
        importing: Importing,  # noqa: ARG002 - it needs no framework
        *,
        force: bool,
    ) -> Written:
        """Write the arrays, if they are the same when read again."""
        with files.staged(output.parent) as folder:
            text = program.spec.document.text
            made = canonical.write_arrays(folder, output.name, arrays, text)
            again = canonical.read_arrays(made, program.network)
            _check_same(program.network.name, again, arrays)
            files.publish({made: output}, force=force)
        lines = ("from safetensors.numpy import load_file", f"arrays = load_file({str(output)!r})")
        return Written((output,), lines, "every array, read again, is the one that was read")


def _check_same(name: str, found: Arrays, wanted: Arrays) -> None:
    differing = [
        Difference(name, "file", each, "array", "the array that was read", "another")
        for each, array in wanted.items()
        if found[each].tobytes() != array.tobytes()
    ]
    if differing:
        raise ParityError(tuple(differing))


@dataclass(frozen=True, slots=True)
class FrameworkFiles:
    """The files that ``rnnspec build`` writes for a backend: one, or several in a folder."""

    backend: Backend

    @property
    def form(self) -> str:
        """The form of its path, for messages."""
        suffix = self.backend.suffix
        return f"NAME{suffix}" if suffix else f"a folder of {self.backend.title}"

    def recognises(self, path: Path) -> bool:
        """Return whether an input is of this kind."""
        return reader(self.backend).recognises(path)

    def is_named(self, output: Path) -> bool:
        """Return whether an output of this path is to be of this kind."""
        if self.backend.suffix:
            return output.suffix == self.backend.suffix
        return output.is_dir() or not output.suffix

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the files that the path of an input stands for."""
        return reader(self.backend).files(path)

    def spec_text(self, path: Path) -> str:
        """Return the text of the spec in an input."""
        return reader(self.backend).spec_text(path)

    def read(self, path: Path, program: Program, importing: Importing) -> Loaded:
        """Return the arrays in an input."""
        generated = pipeline.generate(program, self.backend)

        def fresh() -> KeptInModel:
            importing(self.backend)
            return KeptInModel(self.backend.runtime, pipeline.instantiate(generated))

        saved = reader(self.backend).saved(path, fresh)
        try:
            return Loaded(generated.store.gather(saved.kept), saved.left_out)
        except UsageError as error:
            raise UsageError(error.message, str(path)) from None

    def check_output(self, output: Path, program: Program, *, force: bool, inputs: Inputs) -> None:
        """Raise if the files cannot be written."""
        name = program.network.name
        saving.check_output(output, self.backend, name, force=force, inputs=inputs)

    def write(
        self, output: Path, program: Program, arrays: Arrays, importing: Importing, *, force: bool
    ) -> Written:
        """Write a model with the arrays, if what is loaded from its files equals the reference."""
        generated = pipeline.generate(program, self.backend)
        importing(self.backend)
        model = pipeline.instantiate(generated)
        generated.store.write(model, arrays)
        largest = list[float]()

        def check(folder: Path) -> None:
            name = generated.network.name
            again = self.backend.saving.reload(folder, name, generated.entry)
            largest.append(largest_difference(program, generated, again, arrays))

        text = program.spec.document.text
        saving.save(output, generated, text, model, force=force, verify=check)
        paths, lines = saving.written(output, generated), saving.loading(output, generated)
        rounded = any(array.dtype.itemsize > 4 for array in arrays.values())
        equal = f"largest difference {largest[0]:.1e} in forward ({DTYPE})"
        return Written(tuple(paths), tuple(lines), equal, rounded)


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A model that another tool made, whose spec is found by importing it, unless it is named."""

    named: bool

    @property
    def form(self) -> str:
        """The forms of its path, for messages."""
        return " or ".join(origin.form for origin in ORIGINS)

    def recognises(self, path: Path) -> bool:
        """Return whether an input is of this kind."""
        return any(origin.recognises(path) for origin in ORIGINS)

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the one file."""
        return (path,)

    def spec_text(self, path: Path) -> str:
        """Return the text of the spec that describes the model, empty if the user names one."""
        return "" if self.named else take(path).text

    def read(self, path: Path, program: Program, importing: Importing) -> Loaded:  # noqa: ARG002
        """Return the arrays in an input."""
        taken = take(path, spec=program)
        return Loaded(taken.arrays, taken.imported.left_out)


Found = TypeVar("Found", bound=Source)

KINDS: tuple[Kind, ...] = (
    CanonicalFile(),
    *(FrameworkFiles(backend) for backend in BACKENDS.values() if backend.files),
)
"""Every kind, in the order in which a path is tried."""


def kind_of(path: Path, *, named: bool = False) -> Source:
    """Return the kind of an input, of which the user names the spec or not.

    Raises:
        UsageError: there is no such file, or no kind has such a path.
    """
    if not os.path.exists(path):  # noqa: PTH110 - the method raises for a folder that is closed
        raise UsageError("no such file or folder", str(path))
    foreign = ForeignFile(named)
    # With a spec, a file of a backend is held to what the spec makes, setting by setting.
    sources: tuple[Source, ...] = (*KINDS, foreign) if named else (foreign, *KINDS)
    found = [kind for kind in sources if kind.recognises(path)]
    return _first(path, found, (*KINDS, foreign))


def kind_named(output: Path) -> Kind:
    """Return the kind of an output, by the ending of its path.

    Raises:
        UsageError: no kind has such a path.
    """
    return _first(output, [kind for kind in KINDS if kind.is_named(output)], KINDS)


def _first(path: Path, found: list[Found], known: Sequence[Source]) -> Found:
    if not found:
        raise UsageError(f"expected {listed([kind.form for kind in known], 'or')}", str(path))
    return found[0]
