"""The arrays of a model in the layout of its framework, in a live model or in its files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from rnnspec.backends.contract import Held
from rnnspec.errors import UsageError
from rnnspec.files.arrays import read_metadata, read_safetensors
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from rnnspec.backends.base import Backend
    from rnnspec.backends.contract import Runtime
    from rnnspec.ir.nodes import Network
    from rnnspec.slots import Array


class Kept(Protocol):
    """Arrays by (layer, path), in the layout of the framework."""

    def held(self, layer: str, path: str) -> Held:
        """Return the dtype and shape of the array at ``path`` of a layer.

        Raises:
            LookupError: there is no such array.
        """

    def others(self, known: Collection[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays that are not at a known (layer, path), by name."""

    def get(self, layer: str, path: str) -> Array:
        """Return a copy of the array at ``path`` of a layer."""


@dataclass(frozen=True, slots=True)
class KeptInModel:
    """The arrays of a live model."""

    runtime: Runtime
    model: Any

    def held(self, layer: str, path: str) -> Held:
        """Return the dtype and shape of the array at ``path`` of a layer."""
        return self.runtime.held(self.model, layer, path)

    def others(self, known: Collection[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays that are not at a known (layer, path), by name."""
        return self.runtime.others(self.model, known)

    def get(self, layer: str, path: str) -> Array:
        """Return a copy of the array at ``path`` of a layer."""
        return self.runtime.get(self.model, layer, path)


@dataclass(frozen=True, slots=True)
class KeptByName:
    """Arrays in a file, named ``layer.path``."""

    arrays: Mapping[str, Array]

    def held(self, layer: str, path: str) -> Held:
        """Return the dtype and shape of the array at ``path`` of a layer."""
        array = self.arrays.get(f"{layer}.{path}")
        if array is None:
            raise LookupError(f"no array named {layer}.{path}")
        return Held(array.dtype.name, array.shape)

    def others(self, known: Collection[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays that are not at a known (layer, path), by name."""
        names = {f"{layer}.{path}" for layer, path in known}
        return {name: each.shape for name, each in self.arrays.items() if name not in names}

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

    @property
    def left_out(self) -> tuple[str, ...]:
        """Sentences on what is not carried over."""

    def gather(self, gather: Callable[[Kept], Mapping[str, Array]]) -> Mapping[str, Array]:
        """Return the canonical arrays; ``gather`` finds them by the names of the framework."""

    def problem(self, text: str, fresh: Callable[[], Any]) -> str:
        """Return why this is not the model of the source, empty if it is."""

    def unlike(self, text: str, fresh: Callable[[], Any]) -> tuple[str, ...]:
        """Return the reasons why the files shall not be run."""


@dataclass(frozen=True, slots=True)
class SavedByName:
    """A file of arrays named ``layer.path``, with the source beside it."""

    file: Path
    tool: str
    arrays: Mapping[str, Array]
    form: str = ""
    left_out: tuple[str, ...] = ()

    def gather(self, gather: Callable[[Kept], Mapping[str, Array]]) -> Mapping[str, Array]:
        """Return the canonical arrays."""
        return gather(KeptByName(self.arrays))

    def problem(self, text: str, fresh: Callable[[], Any]) -> str:  # noqa: ARG002
        """Return no problem: the arrays say all that there is."""
        return ""

    def unlike(self, text: str, fresh: Callable[[], Any]) -> tuple[str, ...]:  # noqa: ARG002
        """Return why the source beside the arrays is not run, unless it is ours."""
        path, wanted = self.file.with_suffix(".py"), text.encode()
        try:
            with opened(path) as (stream, size):
                same = size == len(wanted) and stream.read() == wanted
        except UsageError as error:
            return (f"the source beside the arrays, {path.name}: {error.message}",)
        other = f"{path.name} is not the source of the spec, and other code is not run"
        return () if same else (other,)


def saved_by_name(path: Path, title: str) -> SavedByName:
    """Return the arrays in a folder or a file of them, which a backend of this title saved.

    Raises:
        UsageError: they cannot be read.
    """
    file = weights_in(path)
    tool = f"arrays of {title}, with the spec in the file"
    return SavedByName(file, tool, read_safetensors(file))


class Reader(Protocol):
    """The module ``read`` of a backend that writes files: reads what they contain, as data.

    It imports no framework and runs nothing that is in the files.
    """

    def recognises(self, path: Path) -> bool:
        """Return true if ``path`` looks like the output of the backend; only metadata is read."""

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the files that ``path`` stands for.

        Raises:
            UsageError: the files cannot be determined.
        """

    def spec_text(self, path: Path) -> str:
        """Return the text of the spec that the files contain, empty if they contain none.

        Raises:
            UsageError: they cannot be read.
        """

    def saved(self, path: Path, network: Network) -> Saved:
        """Return the model in the files, which is to be that of ``network``.

        Raises:
            BackendError: a package that reads them is not installed.
            ModelError: they have other arrays than the network.
            UsageError: they cannot be read.
        """


def reader(backend: Backend) -> Reader:
    """Return the module that reads the files of a backend that has ``files``."""
    return cast("Reader", import_module(f"{backend.package}.read"))


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
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found[:5]) or "none"
        raise UsageError(f"expected one .safetensors file, received {names}", str(folder))
    return found[0]
