"""The kinds of file for trained models: a class for each recognises, reads and writes it."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Protocol

from rnnspec import files, pipeline, saving
from rnnspec.backends import Backend
from rnnspec.backends.contract import DEFAULTS, SourceOptions
from rnnspec.backends.imported import Imported
from rnnspec.backends.kept import reader
from rnnspec.comparison.verify import Proof
from rnnspec.errors import Difference, ParityError, printable
from rnnspec.files.model import SUFFIX
from rnnspec.importing.assemble import Taken
from rnnspec.importing.own import read_built
from rnnspec.weights import file as canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rnnspec.files import Inputs
    from rnnspec.ir.forms import Form
    from rnnspec.pipeline import Program
    from rnnspec.slots import Array

    Arrays = Mapping[str, Array]
    Importing = Callable[[Backend], None]


@dataclass(frozen=True, slots=True)
class Written:
    """The written files, the code that loads them, and what they are equal to.

    ``rounded`` is true if the arrays had a higher precision than float32.
    """

    paths: tuple[Path, ...]
    loading: tuple[str, ...]
    equal: str
    rounded: bool = False


class Source(Protocol):
    """A kind of file that a trained model is read from."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The forms of a path of this kind, for messages."""

    def recognises(self, path: Path) -> bool:
        """Return true if an input is of this kind, judged by its path."""

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the files of an input."""

    def spec_text(self, path: Path) -> str:
        """Return the text of the spec in an input, empty if it contains none."""

    def read(self, path: Path, program: Program, importing: Importing) -> Taken:
        """Return the model in an input. ``importing`` is called before a framework is needed.

        Raises:
            UsageError: the file cannot be read, or has another structure than the spec.
        """


class Kind(Source, Protocol):
    """A kind of file that a trained model is read from and written to."""

    def is_named(self, output: Path) -> bool:
        """Return whether an output of this path is to be of this kind."""

    def check_output(self, output: Path, program: Program, *, force: bool, inputs: Inputs) -> None:
        """Raise, before any slow work, if the result could not be written."""

    def write(
        self, output: Path, program: Program, arrays: Arrays, importing: Importing, *, force: bool
    ) -> Written:
        """Write the arrays as this kind, if the model loaded from it equals the reference.

        Raises:
            ParityError: the loaded model differs; nothing is written.
        """


@dataclass(frozen=True, slots=True)
class CanonicalFile:
    """``NAME.safetensors``: arrays by canonical name, and the spec in the metadata."""

    paths: tuple[str, ...] = (f"NAME{SUFFIX}",)

    def recognises(self, path: Path) -> bool:
        """Return true if an input is of this kind."""
        # A folder of a backend may have such a name too.
        return path.suffix == SUFFIX and not path.is_dir()

    def is_named(self, output: Path) -> bool:
        """Return true if the path of an output asks for this kind."""
        return output.suffix == SUFFIX

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the one file."""
        return (path,)

    def spec_text(self, path: Path) -> str:
        """Return the text of the spec in the metadata."""
        return canonical.read_spec_text(path)

    def read(self, path: Path, program: Program, importing: Importing) -> Taken:  # noqa: ARG002
        """Return the arrays in a file."""
        arrays = canonical.read_arrays(path, program.network)
        unlike = (
            "a .safetensors file of rnnspec has arrays and a spec, and nothing that can be run",
        )
        form = ".safetensors file of rnnspec"
        imported = Imported(network=program.network, arrays=arrays, form=form, unlike=unlike)
        return Taken(program.spec.document.text, program, arrays, imported)

    def check_output(
        self,
        output: Path,
        program: Program,  # noqa: ARG002 - the path alone decides
        *,
        force: bool,
        inputs: Inputs,
    ) -> None:
        """Raise if the file cannot be written."""
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
        """Write the arrays, and check that they are the same when read again."""
        with files.staged(output.parent) as folder:
            text = program.spec.document.text
            made = canonical.write_arrays(folder, output.name, arrays, text)
            again = canonical.read_arrays(made, program.network)
            _check_same(program.network.name, again, arrays)
            files.publish({made: output}, force=force)
        lines = (
            "# Arrays with the names and in the layout of rnnspec: not a PyTorch state dict.",
            f"# For one: rnnspec convert {quote(printable(str(output)))} FOLDER",
            "from safetensors.numpy import load_file",
            f"arrays = load_file({str(output)!r})",
        )
        equal = "what was read: every array has the same bits when read again"
        return Written((output,), lines, equal)


def _check_same(name: str, found: Arrays, wanted: Arrays) -> None:
    differing = [
        Difference(name, "file", each, "array", "the array of the input", "another one")
        for each, array in wanted.items()
        # By bytes, because -0.0 == 0.0.
        if found[each].tobytes() != array.tobytes()
    ]
    if differing:
        raise ParityError(tuple(differing))


@dataclass(frozen=True, slots=True)
class FrameworkFiles:
    """The files that ``rnnspec build`` writes for a backend: one, or several in a folder.

    ``written`` is the form of the source to write; any form is read.
    """

    backend: Backend
    written: Form | None = None
    options: SourceOptions = DEFAULTS

    @property
    def paths(self) -> tuple[str, ...]:
        """The forms of a path of this kind, for messages."""
        backend = self.backend
        if backend.suffix:
            return (f"NAME{backend.suffix}",)
        single = (f"NAME{backend.single_suffix}",) if backend.single_suffix else ()
        return (*single, f"a folder of {backend.title}")

    def recognises(self, path: Path) -> bool:
        """Return true if an input is of this kind."""
        return reader(self.backend).recognises(path)

    def is_named(self, output: Path) -> bool:
        """Return true if the path of an output asks for this kind."""
        if self.backend.suffix:
            return output.suffix == self.backend.suffix
        return saving.is_folder(output)

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the files of an input."""
        return reader(self.backend).files(path)

    def spec_text(self, path: Path) -> str:
        """Return the text of the spec in an input."""
        return reader(self.backend).spec_text(path)

    def read(self, path: Path, program: Program, importing: Importing) -> Taken:
        """Return the arrays in an input, in the form of source whose structure they have."""
        imported = read_built(path, self.backend, importing, program)
        return Taken(program.spec.document.text, program, imported.arrays, imported)

    def check_output(self, output: Path, program: Program, *, force: bool, inputs: Inputs) -> None:
        """Raise if the files cannot be written, or the backend refuses the network."""
        name = program.network.name
        # Before arrays are read, which may be too large for the backend's files.
        pipeline.arrange(program, self.backend, self.written)
        saving.check_output(output, self.backend, name, force=force, inputs=inputs)

    def write(
        self, output: Path, program: Program, arrays: Arrays, importing: Importing, *, force: bool
    ) -> Written:
        """Write a model with the arrays, and check the model that is loaded from its files."""
        generated = pipeline.generate(program, self.backend, self.written, self.options)
        importing(self.backend)
        model = pipeline.instantiate(generated, drawn=False)
        generated.store.write(model, arrays)
        proof = Proof(program, generated, arrays)
        text = program.spec.document.text
        saving.save(output, generated, text, model, force=force, verify=proof)
        paths, lines = saving.output_paths(output, generated), saving.loading(output, generated)
        rounded = any(array.dtype.itemsize > 4 for array in arrays.values())
        return Written(tuple(paths), tuple(lines), proof.equal, rounded)
