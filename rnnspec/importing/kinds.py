"""The kinds of files for trained models: how each is recognised and read."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from rnnspec.backends import BACKENDS, Backend, get, having
from rnnspec.backends.needs import FILES
from rnnspec.errors import (
    BackendError,
    ModelError,
    Problem,
    RnnspecError,
    UsageError,
    brief,
    listed,
)
from rnnspec.files.model import SPEC_KEY, SUFFIX
from rnnspec.files.regular import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rnnspec.backends.model_files import FileReader
    from rnnspec.importing.imported import Imported
    from rnnspec.ir.nodes import Network
    from rnnspec.pipeline import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Settings of the user for a file: the name of the network, and what the file may lack.

    ``config`` is a file with the architecture, and ``spec`` a named spec. ``ignore`` are patterns
    of the arrays that are left out, and ``mapping`` is a file that says which array is which of the
    spec. ``importing`` is called before a framework is needed.
    """

    name: str
    config: Path | None = None
    spec: Program | None = None
    ignore: Sequence[str] = ()
    mapping: Path | None = None
    importing: Callable[[Backend], None] = Backend.require

    @property
    def known_network(self) -> Network | None:
        """The network of the named spec."""
        return None if self.spec is None else self.spec.network


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of file or folder for trained models.

    ``title`` names it, with the endings of its paths. ``recognises`` tells whether an input is of
    this kind, judged by its path, and for safetensors by its header. ``read`` returns the model in
    an input, read as data. It raises BackendError if a package that reads it is not installed,
    ModelError for what is not supported, and UsageError for a file that cannot be read.
    ``spec_text`` returns the text of the spec in an input, empty if it contains none; it is None if
    the spec is found by reading the model, and only such kinds can be imported. ``files`` returns
    the files of an input. ``options`` are those that it takes of ``--config``, ``--ignore`` and
    ``--map``, and ``instead`` is a sentence about the others.
    """

    title: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, Request], Imported]
    spec_text: Callable[[Path], str] | None = None
    files: Callable[[Path], tuple[Path, ...]] = lambda path: (path,)
    options: tuple[str, ...] = ()
    instead: str = ""

    def check_options(
        self,
        path: Path,
        config: Path | None,
        ignore: Sequence[str],
        mapping: Path | None,
        *,
        has_spec: bool,
    ) -> None:
        """Raise UsageError for an option that this kind does not take, or a map without a spec."""
        for option, value in (("--config", config), ("--ignore", ignore), ("--map", mapping)):
            if not value or option in self.options:
                continue
            takers = [kind.title.partition(" (")[0] for kind in kinds() if option in kind.options]
            message = self.instead or f"takes no {{}}: expected {listed(takers, 'or')}"
            raise UsageError(message.format(option), str(path))
        if mapping is not None and not has_spec:
            raise UsageError("--map needs --spec, whose arrays the file has", str(path))


def _has_suffix(*suffixes: str) -> Callable[[Path], bool]:
    return lambda path: path.suffix.lower() in suffixes


def _read_keras(path: Path, request: Request) -> Imported:
    from rnnspec.importing import built
    from rnnspec.importing.keras.files import is_of_keras, saved, spec_text
    from rnnspec.importing.keras.model import read_file

    known = request.spec is not None and path.suffix.lower() != ".keras"
    if known and (request.mapping is not None or not is_of_keras(path)):
        return _read_named(path, request)
    read = partial(
        read_file, path, request.name, request.config, request.known_network, request.ignore
    )
    if request.config is not None or request.ignore or path.suffix.lower() != ".keras":
        return read()
    text = spec_text(path)
    read_built = partial(built.read_built, path, get("keras"), text, saved, request.importing)
    if text:
        try:
            return read_built()
        except RnnspecError as error:
            return _without_spec(path, error, read)
    try:
        return read()
    except ModelError:
        if request.spec is not None:
            # Keras has saved a file of rnnspec again: it has operations of ours and no spec.
            with suppress(BackendError, ModelError, UsageError):
                return read_built(request.spec)
        raise


def _without_spec(path: Path, problem: RnnspecError, read: Callable[[], Imported]) -> Imported:
    """Read a model by itself, since a problem keeps the spec in its file from being used."""
    reason = brief(getattr(problem, "message", problem))
    unused = Problem(str(path), f"the spec in the file is not used: {reason}", code="E704")
    try:
        imported = read()
    except ModelError as error:
        if isinstance(problem, BackendError):
            raise problem from None
        raise ModelError((*error.problems, unused)) from None
    return replace(imported, inferred=(*imported.inferred, unused.message))


def _read_built(path: Path, request: Request, backend: Backend | None = None) -> Imported:
    """Return the model in files that rnnspec built, for a backend or for the one that they name."""
    from rnnspec.importing import built

    backend = backend or _framework(path)
    assert backend is not None, "the file was recognised"
    reader = _reader(backend)
    text = reader.spec_text(path)
    return built.read_built(path, backend, text, reader.saved, request.importing, request.spec)


def _read_onnx(path: Path, request: Request) -> Imported:
    """Return the model in an ONNX file: by the spec in it, or by its graph."""
    from rnnspec.backends.onnx.read import is_own, is_quantized
    from rnnspec.importing.onnx.model import read_file

    if not is_own(path):
        return read_file(path, request.name)
    try:
        return _read_built(path, request, get("onnx"))
    except BackendError:
        raise
    except RnnspecError as error:
        if is_quantized(path):
            raise
        problem = error
    try:
        return _without_spec(path, problem, partial(read_file, path, request.name))
    except UsageError:
        raise problem from None


def _framework(path: Path) -> Backend | None:
    """Return the backend that a file of arrays names."""
    if path.suffix.lower() != ".safetensors":
        return None
    # Imported here because NumPy is needed for these files only.
    from rnnspec.backends.model_files import framework_in

    return BACKENDS.get(framework_in(path))


def _is_state_dict(path: Path) -> bool:
    if path.suffix.lower() != ".safetensors":
        return path.suffix.lower() in (".pt", ".pth", ".ckpt", ".bin")
    from rnnspec.importing.torch.state_dict import is_state_dict

    return is_state_dict(path)


def _read_named(path: Path, request: Request) -> Imported:
    """Return the model whose arrays are in a file by their names: a state dict or any others."""
    from rnnspec.importing.torch.files import read

    return read(path, request.name, request.spec, request.ignore, request.mapping)


def _read_arrays(path: Path, request: Request) -> Imported:
    if request.spec is None:
        message = "contains no spec; name the spec whose arrays it has with --spec"
        raise UsageError(message, str(path))
    return _read_named(path, request)


def _is_arrays(path: Path) -> bool:
    """True if a file has arrays by their names and no spec."""
    if path.suffix.lower() == ".npz":
        return True
    from rnnspec.files.arrays import read_names

    with suppress(UsageError):
        return path.suffix.lower() == SUFFIX and SPEC_KEY not in read_names(path)[1]
    return False


def _canonical_text(path: Path) -> str:
    from rnnspec.weights.file import read_spec_text

    return read_spec_text(path)


def _read_canonical(path: Path, request: Request) -> Imported:
    from rnnspec.importing.imported import Imported
    from rnnspec.weights.file import read_arrays

    network = request.known_network
    assert network is not None, "the spec is read before the arrays"
    unlike = ("a .safetensors file of rnnspec has arrays and a spec, and nothing that can be run",)
    arrays = read_arrays(path, network)
    form = ".safetensors file of rnnspec"
    return Imported(network=network, arrays=arrays, form=form, unlike=unlike)


_SPEC_INSIDE = "this file takes no {}; its spec is in it"

_KERAS = Kind(
    title="a Keras file (.h5, .hdf5 or .keras)",
    recognises=_has_suffix(".h5", ".hdf5", ".keras"),
    read=_read_keras,
    options=("--config", "--ignore", "--map"),
)
_BUILT_ARRAYS = Kind(
    title="arrays that rnnspec built (.safetensors)",
    recognises=lambda path: _framework(path) is not None,
    read=_read_built,
    instead=_SPEC_INSIDE,
)
_STATE_DICT = Kind(
    title="a PyTorch state dict (.pt, .pth, .ckpt, .bin or .safetensors)",
    recognises=_is_state_dict,
    read=_read_named,
    options=("--ignore", "--map"),
    instead="a state dict takes no {}; name its spec with --spec",
)
_ARRAYS = Kind(
    title="arrays by their names (.npz, .safetensors or .h5)",
    recognises=_is_arrays,
    read=_read_arrays,
    options=("--ignore", "--map"),
    instead="a file of arrays takes no {}; name its spec with --spec",
)
_ONNX = Kind(
    title="an ONNX file (.onnx)",
    recognises=_has_suffix(".onnx"),
    read=_read_onnx,
    instead="an ONNX file takes no {}; its graph is in it",
)
_CANONICAL = Kind(
    title="a .safetensors file of rnnspec",
    # A folder of a backend may have such a name too.
    recognises=lambda path: path.suffix == SUFFIX and not path.is_dir(),
    read=_read_canonical,
    spec_text=_canonical_text,
)


_IN_FORMATS = ("keras", "onnx")
"""The backends whose files are those of the tool, which writes such files too."""


def _reader(backend: Backend) -> FileReader:
    # Imported here because NumPy is needed for files that exist only.
    from rnnspec.backends.model_files import reader

    return reader(backend)


def _built_by(backend: Backend) -> Kind:
    """Return the kind of what a backend writes, a single file or a folder."""
    return Kind(
        title=f"{f'a {backend.suffix} file' if backend.suffix else 'a folder'} of {backend.title}",
        recognises=lambda path: _reader(backend).recognises(path),
        read=partial(_read_built, backend=backend),
        spec_text=lambda path: _reader(backend).spec_text(path),
        files=lambda path: _reader(backend).files(path),
    )


def kinds(*, importable: bool = False) -> tuple[Kind, ...]:
    """Return all kinds, or those that can be imported, in the order in which a path is tried."""
    formats = (_KERAS, _BUILT_ARRAYS, _STATE_DICT, _ARRAYS, _ONNX, _CANONICAL)
    others = [backend for backend in having(FILES) if backend.reads_files]
    known = (*formats, *(_built_by(other) for other in others if other.name not in _IN_FORMATS))
    return tuple(kind for kind in known if kind.spec_text is None or not importable)


def titles(*, importable: bool = False) -> str:
    """Return the titles of all kinds, or of those that can be imported, for a message."""
    return listed([kind.title for kind in kinds(importable=importable)], "or")


# The index, or one of the files that it lists.
_SHARD = re.compile(r"\.index\.json$|\.weights\.json$|-\d{5}-of-(?!00001)\d{5}\.")


def kind_of(path: Path, *, importable: bool = False) -> Kind:
    """Return the kind of an input, which must be one that can be imported if ``importable``.

    Raises:
        UsageError: there is no such path, it is of no such kind, or it is one of several files that
            have the arrays of a model (shards).
    """
    if not os.path.exists(path):  # noqa: PTH110 - the method raises for a folder that is closed
        raise missing(str(path), "no such file" if importable else "no such file or folder")
    if _SHARD.search(path.name):
        message = (
            "the arrays are in several files (shards); load the model and save it in one: "
            "torch.save(model.state_dict(), PATH), or in Keras model.save(PATH)"
        )
        raise UsageError(message, str(path))
    for kind in kinds(importable=importable):
        if kind.recognises(path):
            return kind
    if importable and path.suffix.lower() == SUFFIX:
        raise _has_its_spec(path)
    message = f"expected {titles(importable=importable)}"
    if path.suffix.lower() in (".yaml", ".yml") and not path.is_dir():
        message += ", received a spec; 'rnnspec build SPEC -o OUT' makes a model of it"
    elif path.suffix == ".h" or (path.is_dir() and any(path.glob("*.h"))):
        message += ", received C source, which is not read; name the model that it was written from"
    raise UsageError(message, str(path))


def _has_its_spec(path: Path) -> UsageError:
    """Return why a file of safetensors is none that can be imported."""
    from rnnspec.files.arrays import read_names

    try:
        read_names(path)
    except UsageError as error:
        return error
    message = (
        "is a .safetensors file of rnnspec, with its spec in it; 'rnnspec convert' takes it as "
        "it is"
    )
    return UsageError(message, str(path))
