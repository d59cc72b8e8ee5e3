"""The arrays of a model in the layout of its framework, in a live model or in its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import TYPE_CHECKING, Any, Protocol

from rnnspec.backends.contract import ArrayType
from rnnspec.errors import UsageError
from rnnspec.files.arrays import read_metadata, read_safetensors, sort_metadata
from rnnspec.files.model import SPEC_KEY
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from _typeshed import ReadableBuffer as Buffer

    from rnnspec.backends.base import Backend
    from rnnspec.backends.contract import Runtime
    from rnnspec.backends.slots import Array
    from rnnspec.ir.nodes import Network


class FrameworkArrays(Protocol):
    """Arrays by (layer, path), in the layout of the framework."""

    def array_type(self, layer: str, path: str) -> ArrayType:
        """Return the dtype and shape of the array at ``path`` of a layer.

        Raises:
            LookupError: there is no such array.
        """

    def other_shapes(self, known: Collection[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays that are not at a known (layer, path), by name."""

    def get(self, layer: str, path: str) -> Array:
        """Return a copy of the array at ``path`` of a layer."""


Gather = Callable[[FrameworkArrays], "Mapping[str, Array]"]
"""The gathering of canonical arrays from those of a framework."""


@dataclass(frozen=True, slots=True)
class ModelArrays:
    """The arrays of a live model."""

    runtime: Runtime
    model: Any

    def array_type(self, layer: str, path: str) -> ArrayType:
        """Return the dtype and shape of the array at ``path`` of a layer."""
        return self.runtime.array_type(self.model, layer, path)

    def other_shapes(self, known: Collection[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays that are not at a known (layer, path), by name."""
        return self.runtime.other_shapes(self.model, known)

    def get(self, layer: str, path: str) -> Array:
        """Return a copy of the array at ``path`` of a layer."""
        return self.runtime.get(self.model, layer, path)


@dataclass(frozen=True, slots=True)
class NamedArrays:
    """Arrays in a file, named ``layer.path``."""

    arrays: Mapping[str, Array]

    def array_type(self, layer: str, path: str) -> ArrayType:
        """Return the dtype and shape of the array at ``path`` of a layer."""
        array = self.arrays.get(f"{layer}.{path}")
        if array is None:
            raise LookupError(f"no array named {layer}.{path}")
        return ArrayType(array.dtype.name, array.shape)

    def other_shapes(self, known: Collection[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays that are not at a known (layer, path), by name."""
        names = {f"{layer}.{path}" for layer, path in known}
        return {name: array.shape for name, array in self.arrays.items() if name not in names}

    def get(self, layer: str, path: str) -> Array:
        """Return a copy of the array at ``path`` of a layer."""
        return self.arrays[f"{layer}.{path}"].copy()


class Saved(Protocol):
    """A model in the files of a backend, which can be compared with the source of a spec.

    In its methods, ``text`` is source of the spec, and ``fresh`` returns a live model made from it.
    """

    @property
    def tool(self) -> str:
        """The kind of file and what wrote it, in words."""

    @property
    def form(self) -> str:
        """The form of source that the files state, empty if they state none."""
        return ""

    @property
    def left_out(self) -> tuple[str, ...]:
        """Sentences on what is not carried over."""
        return ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of generated source that the files name."""
        return ()

    def gather(self, gather: Gather) -> Mapping[str, Array]:
        """Return the canonical arrays; ``gather`` finds them by the names of the framework."""

    def problem(self, text: str, fresh: Callable[[], Any]) -> str:  # noqa: ARG002
        """Return why this is not the model of the source, empty if it is."""
        return ""

    def unlike(self, text: str, fresh: Callable[[], Any]) -> tuple[str, ...]:  # noqa: ARG002
        """Return the reasons why the files shall not be run."""
        return ()


@dataclass(frozen=True, slots=True)
class SavedByName(Saved):
    """A file of arrays named ``layer.path``, with the source beside it."""

    file: Path
    title: str
    arrays: Mapping[str, Array]

    @property
    def tool(self) -> str:
        """The kind of file, and the title of the backend that wrote it."""
        return f"arrays of {self.title}, with the spec in the file"

    def gather(self, gather: Gather) -> Mapping[str, Array]:
        """Return the canonical arrays."""
        return gather(NamedArrays(self.arrays))

    def unlike(self, text: str, fresh: Callable[[], Any]) -> tuple[str, ...]:  # noqa: ARG002
        """Return why the source beside the arrays is not run, unless it is ours."""
        path, expected = self.file.with_suffix(".py"), text.encode()
        try:
            with opened(path) as (stream, size):
                same = size == len(expected) and stream.read() == expected
        except UsageError as error:
            return (f"the source beside the arrays, {path.name}: {error.message}",)
        other = f"{path.name} is not the source of the spec, and other code is not run"
        return () if same else (other,)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReader:
    """Functions of a backend that read what its files contain, as data.

    They import no framework and run nothing that is in the files.
    ``recognises`` returns true if a path looks like the output of the backend; only metadata is
    read. ``files`` returns the files that a path stands for, and raises UsageError if they cannot
    be determined. ``spec_text`` returns the text of the spec that the files contain, empty if they
    contain none, and raises UsageError if they cannot be read. ``saved`` returns the model in the
    files, which is to be that of a network; it raises BackendError if a package that reads them is
    not installed, ModelError if they have other arrays than the network, and UsageError if they
    cannot be read.
    """

    recognises: Callable[[Path], bool]
    files: Callable[[Path], tuple[Path, ...]]
    spec_text: Callable[[Path], str]
    saved: Callable[[Path, Network], Saved]


def reader(backend: Backend) -> FileReader:
    """Return the reader of the files of a backend that reads them.

    That of Keras is elsewhere: others write such files too.
    """
    reader: FileReader = import_module(f"{backend.package}.read").READER
    return reader


def folder_reader(title: str, recognises: Callable[[Path], bool]) -> FileReader:
    """Return the reader of a folder with ``NAME.safetensors`` and ``NAME.py``, which is not run.

    A backend with this title saves arrays in it as ``write_by_name`` does.
    """

    def files(path: Path) -> tuple[Path, ...]:
        weights = weights_in(path)
        return weights, weights.with_suffix(".py")

    def spec_text(path: Path) -> str:
        return read_metadata(weights_in(path)).get(SPEC_KEY, "")

    def saved(path: Path, _network: Network) -> Saved:
        file = weights_in(path)
        return SavedByName(file, title, read_safetensors(file))

    return FileReader(recognises=recognises, files=files, spec_text=spec_text, saved=saved)


FRAMEWORK_KEY = "framework"
"""The metadata of arrays in a folder, beside the spec: the backend that saved them."""


def framework_in(path: Path) -> str:
    """Return the backend that a file of arrays names, empty if it names none or is none."""
    try:
        return read_metadata(path).get(FRAMEWORK_KEY, "")
    except UsageError:
        return ""


def framework_of(path: Path) -> str:
    """Return the backend named in the folder ``path``, empty if there is none or no such folder."""
    if not path.is_dir():
        return ""
    try:
        return framework_in(weights_in(path))
    except UsageError:
        return ""


def weights_in(folder: Path) -> Path:
    """Return the path of the arrays in a folder of a model, or the path itself if it is a file.

    Raises:
        UsageError: it has not exactly one .safetensors file.
    """
    if folder.is_file():
        return folder
    paths = sorted(folder.glob("*.safetensors"))
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths[:5]) or "none"
        raise UsageError(f"expected one .safetensors file, received {names}", str(folder))
    return paths[0]


def write_by_name(  # noqa: PLR0913, PLR0917
    folder: Path, name: str, source: str, spec: str, framework: str, save: Callable[..., object]
) -> None:
    """Write ``NAME.py`` and ``NAME.safetensors``, whose metadata has the spec.

    ``save(path, metadata=...)`` writes the arrays in the order and alignment of safetensors.
    """
    (folder / f"{name}.py").write_text(source, encoding="utf-8", newline="\n")
    path = folder / f"{name}.safetensors"
    save(path, metadata={SPEC_KEY: spec, FRAMEWORK_KEY: framework})
    sort_metadata(path)


def load_entry(folder: Path, name: str, entry: str) -> Any:
    """Return ``entry`` of ``NAME.py``; the module does not stay imported."""
    # Not import_module, which would find another module of this name that is imported already.
    loader = _UncachedLoader(name, str(folder / f"{name}.py"))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return getattr(module, entry)


class _UncachedLoader(SourceFileLoader):
    """A loader that leaves no ``__pycache__`` beside the source."""

    def set_data(self, path: str, data: Buffer, *, _mode: int = 0o666) -> None:
        """Write nothing."""
