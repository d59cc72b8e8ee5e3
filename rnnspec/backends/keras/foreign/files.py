"""Files of Keras: ``.h5`` and ``.hdf5`` with or without the architecture, and ``.keras``."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnspec.backends.imported import Account, Imported, said
from rnnspec.backends.keras.foreign.architecture.records import Foreign
from rnnspec.backends.keras.foreign.architecture.settings import Version
from rnnspec.backends.keras.foreign.described import Description, arrays_of, described
from rnnspec.backends.keras.foreign.openable import unknown_class
from rnnspec.backends.keras.foreign.stored import hdf5
from rnnspec.backends.keras.foreign.stored.sources import Named, Numbered
from rnnspec.errors import UsageError, brief
from rnnspec.files.model import SPEC_KEY
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from rnnspec.backends.keras.foreign.stored.arrays import Source
    from rnnspec.backends.keras.foreign.stored.hdf5 import Hdf5
    from rnnspec.backends.keras.foreign.stored.trial import Trial
    from rnnspec.ir.nodes import Network

SUFFIXES = (".h5", ".hdf5", ".keras")
_LONGEST_CONFIG = 2**26
_WEIGHTS = "model.weights.h5"
_PARTS = {"config.json", "metadata.json", _WEIGHTS}
_BLOCK = 2**20
_RATIO = 1_100  # more than deflate can compress


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open file: its form, the architecture if it has one, its version, and where arrays are.

    ``beside`` is true if there is more in it than Keras's own parts.
    """

    form: str
    file: Hdf5
    group: Any
    config: Any
    version: Version
    compiled: bool = False
    beside: bool = False

    def source(self, account: Account, layers: Sequence[Foreign], own: Sequence[Foreign]) -> Source:
        """Return the arrays: of all ``layers``, ``own`` have some."""
        if self.file.states(self.group, "layer_names", "layer_names0"):
            return Named(self.file, self.group, account, own)
        return Numbered(self.file, account, layers)


def recognises(path: Path) -> bool:
    """Return whether a path ends as Keras's files do."""
    return path.suffix.lower() in SUFFIXES


def read(
    path: Path,
    name: str,
    config: Path | None = None,
    known: Network | None = None,
    tried: Trial | None = None,
) -> Imported:
    """Return the model in a file, as ``name``.

    Args:
        path: the file.
        name: the name of the network.
        config: a file with the architecture, as ``model.to_json()`` writes it.
        known: the network whose arrays a file without architecture has.
        tried: the trial of an HDF5 file, if it has begun.

    Raises:
        BackendError: h5py is not installed.
        ModelError: the language lacks something in it, or arrays are not those of its layers.
        UsageError: the file cannot be read, or has no architecture and none was given.
    """
    account = Account(str(path))
    separate = None if config is None else read_json(config)
    with _opened(path, tried) as found:
        architecture = found.config if separate is None else separate
        if architecture is not None:
            if found.compiled:
                account.leave("optimizer, loss and metrics")
            _check_opening(account, found, separate)
            given = Description(found.form, found.version, architecture, name)
            return described(account, given, found.source)
        if known is not None:
            return arrays_of(account, found.form, found.version, known, found.source)
    wanted = "pass that of model.to_json() with --config, or the spec of the model with --spec"
    raise UsageError(f"contains arrays and no architecture; {wanted}", str(path))


def read_arrays(path: Path, known: Network) -> tuple[Imported, Any]:
    """Return the arrays of a known network in a ``.keras`` file, and the configuration beside them.

    Raises:
        BackendError: h5py is not installed.
        ModelError: they are not the arrays of the network.
        UsageError: the file cannot be read.
    """
    account = Account(str(path))
    with _opened(path, None) as found:
        if found.compiled:
            account.leave("optimizer, loss and metrics")
        return arrays_of(account, found.form, found.version, known, found.source), found.config


def spec_text(path: Path) -> str:
    """Return the text of the spec in a ``.keras`` file, empty if it has none or cannot be read."""
    try:
        with opened(path) as (stream, _), zipfile.ZipFile(stream) as archive:
            metadata = parsed(_member(archive, "metadata.json"), path)
    except Exception:  # noqa: BLE001 - what is wrong is said when the whole file is read
        return ""
    text = metadata.get(SPEC_KEY) if isinstance(metadata, dict) else None
    return text if isinstance(text, str) else ""


def _check_opening(account: Account, found: _Opened, separate: Any) -> None:
    """Record why Keras shall not open the file, if there is a reason."""
    if separate is not None:
        account.differ("the architecture is in another file")
    elif found.beside:
        account.differ("the file has more parts than are read here")
    elif unknown := unknown_class(found.config):
        account.differ(f"the file names {said(unknown)}, which is not opened here")


def read_json(path: Path) -> Any:
    """Return the value in a JSON file.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    with opened(path) as (stream, size):
        if size > _LONGEST_CONFIG:
            message = f"expected at most {_LONGEST_CONFIG:,} bytes, received {size:,}"
            raise UsageError(message, str(path))
        return parsed(stream.read(), path)


def parsed(text: str | bytes, path: Path, what: str = "the architecture") -> Any:
    """Return the value of a JSON text.

    Raises:
        UsageError: it is none, too deep, or has a key twice.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique)
        # Some tools wrap the text of to_json() in a string.
        return json.loads(value, object_pairs_hook=_unique) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        message = f"expected {what} as JSON, received other text: {brief(error)}"
        raise UsageError(message, str(path)) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a key twice")
    return found


@contextmanager
def _opened(path: Path, tried: Trial | None) -> Iterator[_Opened]:
    with opened(path) as (stream, _):
        if zipfile.is_zipfile(stream):
            with _archive(path, stream) as found:
                yield found
            return
    with hdf5.opened(path, tried) as file:
        yield _in_hdf5(file)


def _in_hdf5(file: Hdf5) -> _Opened:
    text = file.attribute(file.root, "model_config")
    group = file.inside(file.root, "model_weights") or file.root
    version = file.attribute(file.root, "keras_version") or file.attribute(group, "keras_version")
    compiled = file.states(file.root, "training_config")
    compiled = compiled or file.inside(file.root, "optimizer_weights") is not None
    if text is None:
        return _Opened("weights", file, group, None, Version.of(version), compiled)
    if not isinstance(text, str):
        raise file.wrong("attribute model_config: expected text")
    config = parsed(text, file.path)
    return _Opened("HDF5 file", file, group, config, Version.of(version), compiled)


@contextmanager
def _archive(path: Path, stream: BinaryIO) -> Iterator[_Opened]:
    """Yield the parts of a ``.keras`` file, its weights unpacked where nothing else is."""
    with tempfile.TemporaryDirectory(prefix="rnnspec-") as folder:
        weights = Path(folder) / _WEIGHTS
        try:
            with zipfile.ZipFile(stream) as archive:
                config = parsed(_member(archive, "config.json"), path)
                metadata = parsed(_member(archive, "metadata.json"), path, "the metadata")
                _unpack(archive, weights)
                beside = not _PARTS.issuperset(archive.namelist())
        except UsageError:
            raise
        except KeyError as error:
            message = f"expected a .keras file, received an archive without its parts: {error}"
            raise UsageError(message, str(path)) from None
        # Besides BadZipFile, zipfile lets out what broken headers make of seek, decode and inflate.
        except Exception as error:
            message = f"expected a .keras file, received another or a part of one: {brief(error)}"
            raise UsageError(message, str(path)) from error
        version = metadata.get("keras_version") if isinstance(metadata, dict) else None
        compiled = isinstance(config, dict) and bool(config.get("compile_config"))
        with hdf5.opened(path, None, weights) as file:
            yield _Opened(
                ".keras file", file, file.root, config, Version.of(version), compiled, beside
            )


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > _LONGEST_CONFIG:
        raise ValueError(f"{name} has {size:,} bytes, at most {_LONGEST_CONFIG:,} are read")
    return archive.read(name)


def _unpack(archive: zipfile.ZipFile, target: Path) -> None:
    info = archive.getinfo(_WEIGHTS)
    if info.file_size > _RATIO * max(info.compress_size, 2**20):
        raise ValueError(f"{_WEIGHTS} claims {info.file_size:,} bytes")
    # Read to the end, where zipfile compares the checksum: HDF5 may end the process over bytes
    # that are broken.
    with archive.open(info) as packed, target.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked, _BLOCK)
