"""Save models, completely or not at all, and return the code that loads them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from functools import partial
from shlex import quote
from typing import TYPE_CHECKING, Any, NoReturn

from rnnspec import files
from rnnspec.backends import BACKENDS, get, having, lack, needs, option_needs, options_in
from rnnspec.backends.contract import DEFAULTS
from rnnspec.backends.needs import FILES
from rnnspec.errors import Difference, OutputError, ParityError, UsageError, listed, printable
from rnnspec.files.model import SUFFIX
from rnnspec.files.regular import opened
from rnnspec.ir.text import MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from rnnspec.backends import Backend
    from rnnspec.backends.contract import SourceOptions
    from rnnspec.backends.slots import Array
    from rnnspec.files import Inputs
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Network
    from rnnspec.pipeline import Generated, Program

    Arrays = Mapping[str, Array]


BEGIN = "_begin"
"""What follows the name of a model in step form in that of the model of its first states."""


def file_names(backend: Backend, name: str) -> tuple[str, ...]:
    """Return the names of the files of a network."""
    return tuple(file.format(name=name) for file in backend.files)


def output_paths(output: Path, generated: Generated) -> list[Path]:
    """Return the paths of the files that ``save`` writes."""
    backend = generated.backend
    if backend.suffix:
        beside = _files_beside(output, backend, generated.network, generated.form)
        return [*beside.values(), output]
    return [output / name for name in file_names(backend, generated.network.name)]


def _files_beside(output: Path, backend: Backend, network: Network, form: Form) -> dict[str, Path]:
    """Return the paths of the files beside a single one, by the names that ``write`` gives them.

    These are the source with the classes that the file names, and the model of the first states.
    """
    paths: dict[str, Path] = {}
    if backend.emitter.needs_source(network):
        source = f"{network.name}{backend.ending}"
        paths[source] = output.with_name(source)
    if form == "step" and backend.emitter.begins(network):
        end = f"{BEGIN}{backend.suffix}"
        paths[f"{network.name}{end}"] = output.with_name(f"{output.stem}{end}")
    return paths


def loading(output: Path, generated: Generated) -> list[str]:
    """Return the lines of Python that load the files from ``save``."""
    # ``path`` is the last file, the one with the weights.
    path = output_paths(output, generated)[-1]
    words = {
        "name": generated.network.name,
        "entry": generated.entry,
        "macro": generated.entry.upper(),
        "file": printable(path.name),
        "arguments": dict(generated.backend.arguments).get(generated.form, ""),
        "path": str(path),
        "folder": str(path.parent),
    }
    lines = (*generated.before_loading, *generated.backend.loading)
    if generated.form == "step" and generated.backend.emitter.begins(generated.network):
        words["begin"] = str(path.with_stem(f"{path.stem}{BEGIN}"))
        lines = (*lines, generated.backend.loading_begin)
    if generated.backend.suffix and generated.backend.emitter.needs_source(generated.network):
        lines = ("import sys", "sys.path.append({folder!r})", "import {name}", *lines)
    return [line.format_map(words) for line in lines]


def check_output(  # noqa: PLR0913 - what would be written, and where
    output: Path,
    backend: Backend,
    network: Network,
    form: Form | None = None,
    *,
    force: bool,
    inputs: Inputs,
) -> None:
    """Raise, before any slow work, if the result could not be written.

    Raises:
        UsageError: the path does not fit the backend, is one of ``inputs``, or exists and
            ``force`` is not given, or there is a file beside it that ``force`` is not about.
        OutputError: the path is not writable.
    """
    check = partial(files.check_target, force=force, inputs=inputs)
    names = file_names(backend, network.name)
    if backend.suffix:
        if output.suffix != backend.suffix:
            message = f"expected a path that ends in {backend.suffix}{_instead(output)}"
            raise UsageError(message, str(output))
        beside = _files_beside(output, backend, network, backend.form(form))
        for path in (*beside.values(), output):
            check(path)
        sources = [path for path in beside.values() if path.suffix == backend.ending]
        for path in filter(os.path.lexists, sources):
            # Nobody named this path: --force is about the output.
            with opened(path) as (stream, _):
                written = MARK.encode() in stream.readline(1000)
            if not written:
                message = "expected source that rnnspec wrote, received another file; not replaced"
                raise UsageError(f"{message}: move it, or write to another folder", str(path))
    elif not is_folder(output) and not os.path.lexists(output):
        hint = _instead(output) or f"; write {str(output.with_suffix(''))!r}"
        message = (
            f"expected the path of a folder, for {listed(names)}, received one that ends in "
            f"{output.suffix}{hint}"
        )
        raise UsageError(message, str(output))
    elif files.check_target_folder(output):
        for file in names:
            check(output / file)


def is_folder(output: Path) -> bool:
    """True if a path is a folder, or may be the name of a new one: it has no ending."""
    # Path.is_dir raises if a name is too long. A name such as model-1.0 has no ending.
    return os.path.isdir(output) or not re.match(r"\.[^\W\d]", output.suffix)  # noqa: PTH112


def _instead(output: Path) -> str:
    """Return who writes files with the ending of ``output``, empty if nobody does."""
    suffix = output.suffix
    writers = [f"backend {name}" for name, backend in BACKENDS.items() if backend.suffix == suffix]
    if suffix == SUFFIX:
        writers.append("'rnnspec convert'")
    return f"; {listed(writers)} writes {suffix}" if suffix and writers else ""


def save(  # noqa: PLR0913 - each is needed for the files
    output: Path,
    generated: Generated,
    spec: str,
    model: Any,
    *,
    force: bool,
    verify: Callable[[Path], None] = lambda _: None,
) -> None:
    """Write the files of a model to a temporary folder, call ``verify`` on it, and move them.

    Raises:
        UsageError: a file exists by now, and ``force`` is not given.
        OutputError: the files cannot be written.
    """
    # Imported here, as whatever needs NumPy: '--help' names the kinds of files.
    from safetensors import SafetensorError

    backend, name = generated.backend, generated.network.name
    # On the file system of the output: a move from another one would be a copy, so not atomic.
    with files.staged(output if output.is_dir() else output.parent) as folder:
        staged = folder / name
        staged.mkdir()
        try:
            write(generated, model, staged, spec)
        except (OSError, SafetensorError) as error:  # either, if the disk is full
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise OutputError(f"cannot be written: {reason}", str(output)) from error
        verify(staged)
        if backend.suffix:
            beside = _files_beside(output, backend, generated.network, generated.form)
            paths = {**beside, f"{name}{backend.suffix}": output}
            files.publish({staged / file: path for file, path in paths.items()}, force=force)
        else:
            files.publish_folder(staged, output, force=force)


def write(generated: Generated, model: Any, folder: Path, spec: str) -> None:
    """Write the files of a model into a folder."""
    backend, name = generated.backend, generated.network.name
    backend.runtime.save(model, folder, name, generated.text, spec)
    if backend.suffix and backend.emitter.needs_source(generated.network):
        source = folder / f"{name}{backend.ending}"
        source.write_text(generated.text, encoding="utf-8", newline="\n")
    if any(option.suffix and option.name in generated.options for option in backend.options):
        backend.runtime.unite(folder, name)


@dataclass(frozen=True, slots=True)
class Written:
    """The written files, the code that loads them, and what they are equal to.

    ``rounded`` is true if the arrays had a higher precision than float32.
    """

    paths: tuple[Path, ...]
    loading: tuple[str, ...]
    equal: str
    rounded: bool = False


@dataclass(frozen=True, slots=True)
class CanonicalFile:
    """``NAME.safetensors``: arrays by canonical name, and the spec in the metadata."""

    paths: tuple[str, ...] = (f"NAME{SUFFIX}",)
    """The forms of its path, for messages."""

    def is_named(self, output: Path) -> bool:
        """True if a path asks for this kind."""
        return output.suffix == SUFFIX

    def with_source(self, form: Form | None, options: SourceOptions) -> NoReturn:
        """Raise UsageError: it has no source."""
        asked = f"the form {form}" if form is not None else listed([*options])
        raise UsageError(f"a .safetensors file of rnnspec has no source; it cannot honour {asked}")

    def check(
        self,
        output: Path,
        program: Program,  # noqa: ARG002 - the path alone decides
        *,
        force: bool,
        inputs: Inputs,
    ) -> None:
        """Raise, before any slow work, if the file cannot be written."""
        files.check_target(output, force=force, inputs=inputs)

    def write(
        self,
        output: Path,
        program: Program,
        arrays: Arrays,
        importing: Callable[[Backend], None],  # noqa: ARG002 - it needs no framework
        *,
        force: bool,
    ) -> Written:
        """Write the arrays, and check that they are the same when read again."""
        from rnnspec.weights.file import read_arrays, write_arrays

        with files.staged(output.parent) as folder:
            staged = write_arrays(folder, output.name, arrays, program.spec.document.text)
            again = read_arrays(staged, program.network)
            _check_same(program.network.name, again, arrays)
            files.publish({staged: output}, force=force)
        lines = (
            "# Arrays with the names and in the layout of rnnspec: not a PyTorch state dict.",
            f"# For one: rnnspec convert {quote(printable(str(output)))} FOLDER",
            "from safetensors.numpy import load_file",
            f"arrays = load_file({str(output)!r})",
        )
        equal = "what was read: every array has the same bits when read again"
        return Written((output,), lines, equal)


def _check_same(network: str, again: Arrays, arrays: Arrays) -> None:
    differing = [
        Difference(network, "file", name, "array", "the array of the input", "another one")
        for name, array in arrays.items()
        # By bytes, because -0.0 == 0.0.
        if again[name].tobytes() != array.tobytes()
    ]
    if differing:
        raise ParityError(tuple(differing))


@dataclass(frozen=True, slots=True)
class BackendFiles:
    """The files that ``rnnspec build`` writes for a backend: one, or several in a folder.

    ``form`` is that of the source, by default the first one of the backend.
    """

    backend: Backend
    form: Form | None = None
    options: SourceOptions = field(default_factory=dict)

    @property
    def paths(self) -> tuple[str, ...]:
        """The forms of its path, for messages."""
        backend = self.backend
        if backend.suffix:
            return (f"NAME{backend.suffix}",)
        single = [f"NAME{option.suffix}" for option in backend.options if option.suffix]
        return (*single, f"a folder of {backend.title}")

    def is_named(self, output: Path) -> bool:
        """True if a path asks for this kind."""
        if self.backend.suffix:
            return output.suffix == self.backend.suffix
        return is_folder(output)

    def with_source(self, form: Form | None, options: SourceOptions) -> BackendFiles:
        """Return the same with source in another form.

        Raises:
            UsageError: the backend has no source of this form.
        """
        if missing := lack(self.backend, *needs.source(form)):
            raise UsageError(missing)
        return replace(self, form=form, options=options)

    def check(self, output: Path, program: Program, *, force: bool, inputs: Inputs) -> None:
        """Raise, before any slow work, if files cannot be written or the network is refused."""
        from rnnspec import pipeline

        # Before arrays are read, which may be too large for the backend's files.
        pipeline.arrange(program, self.backend, self.form, self.options)
        network, backend, _ = program.network, *self._completed(program.network)
        check_output(output, backend, network, self.form, force=force, inputs=inputs)

    def _completed(self, network: Network) -> tuple[Backend, SourceOptions]:
        """Return the backend with the options that the network decides, and all options."""
        if lack(self.backend, *needs.source(self.form)):
            return self.backend, self.options
        options = self.backend.emitter.complete(network, self.options)
        return self.backend.with_options(options), options

    def write(
        self,
        output: Path,
        program: Program,
        arrays: Arrays,
        importing: Callable[[Backend], None],
        *,
        force: bool,
    ) -> Written:
        """Write a model with the arrays, if the model loaded from its files equals the reference.

        ``importing`` is called before a framework is needed.

        Raises:
            ParityError: the loaded model differs; nothing is written.
        """
        from rnnspec import pipeline
        from rnnspec.comparison.verify import Proof

        backend, options = self._completed(program.network)
        generated = pipeline.generate(program, backend, self.form, options)
        importing(self.backend)
        model = pipeline.instantiate(generated, drawn=False)
        generated.store.write(model, arrays)
        proof = Proof(program, generated, arrays)
        save(output, generated, program.spec.document.text, model, force=force, verify=proof)
        paths, lines = output_paths(output, generated), loading(output, generated)
        rounded = any(array.dtype.itemsize > 4 for array in arrays.values())
        return Written(tuple(paths), tuple(lines), proof.equal, rounded)


OutputKind = CanonicalFile | BackendFiles
"""A kind of file or folder that a trained model is written as."""


def _outputs() -> Iterator[OutputKind]:
    """Yield all kinds of outputs, in the order in which a path is tried."""
    writers = having(FILES)
    read = [writer for writer in writers if writer.reads_files]
    yield from (BackendFiles(backend) for backend in read if backend.suffix)
    yield CanonicalFile()
    yield from (BackendFiles(backend) for backend in read if not backend.suffix)
    for backend in writers:
        if not backend.reads_files:
            for option in filter(lambda option: option.suffix, backend.options):
                options = {option.name: True}
                yield BackendFiles(backend.with_options(options), options=options)
            yield BackendFiles(backend)


def output_for(
    path: Path,
    backend: str | None = None,
    form: Form | None = None,
    options: SourceOptions = DEFAULTS,
) -> OutputKind:
    """Return the kind of an output by its path, or that of a named backend.

    A folder without a named backend is of the first one that writes folders. If an option or the
    ending asks for it, it is a single file. An output with source has it in a form.

    Raises:
        UsageError: nothing writes such a path, or the backend does not, or it has no source of this
            form.
    """
    options = {**options, **options_in(path)}
    known: list[OutputKind]
    if backend is not None:
        chosen = get(backend, FILES, *option_needs(options))
        known = [BackendFiles(chosen.with_options(options))]
    else:
        pairs = [(writer, writer.with_options(options)) for writer in having(FILES)]
        known = [BackendFiles(other) for writer, other in pairs if other != writer]
        known = known or list(_outputs())
    output = next((candidate for candidate in known if candidate.is_named(path)), None)
    if output is None:
        paths = dict.fromkeys(form for candidate in known for form in candidate.paths)
        raise UsageError(f"expected {listed(list(paths), 'or')}", str(path))
    if form is None and options == DEFAULTS:
        return output
    return output.with_source(form, options)
