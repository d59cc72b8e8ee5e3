"""Files of Keras: ``.h5`` and ``.hdf5`` with or without the architecture, and ``.keras``."""

from __future__ import annotations

import json
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rnnspec.backends.imported import Account, Imported, said
from rnnspec.backends.keras.foreign.architecture.records import Foreign
from rnnspec.backends.keras.foreign.architecture.settings import Version
from rnnspec.backends.keras.foreign.described import Description, arrays_of, described
from rnnspec.backends.keras.foreign.openable import unknown_class
from rnnspec.backends.keras.foreign.stored.hdf5 import Hdf5
from rnnspec.backends.keras.foreign.stored.sources import Named, Numbered
from rnnspec.backends.keras.foreign.stored.stream import RATIO, ROOM
from rnnspec.errors import UsageError, brief, listed
from rnnspec.files.model import SPEC_KEY
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from rnnspec.backends.keras.foreign.stored.arrays import Source
    from rnnspec.backends.keras.foreign.stored.objects import Group
    from rnnspec.ir.nodes import Network

SUFFIXES = (".h5", ".hdf5", ".keras")
_LONGEST_CONFIG = 2**23  # as objects, JSON may take 30 times as much
_BLOCK = 2**20
_WEIGHTS = "model.weights.h5"
_PARTS = {"config.json", "metadata.json", _WEIGHTS}


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open file: its form, the architecture if it has one, its version, and where arrays are.

    ``beside`` is true if there is more in it than Keras's own parts.
    """

    form: str
    file: Hdf5
    group: Group
    config: Any
    version: Version
    compiled: bool = False
    beside: bool = False

    def is_of_keras(self) -> bool:
        """Return whether a file of arrays has the marks that Keras leaves."""
        marks = ("layer_names", "layer_names0", "keras_version", "backend")
        if self.file.states(self.group, *marks):
            return True
        # Keras 3 numbers the arrays of each object in the folder vars.
        return any("vars" in path.split("/") for path, _ in self.file.arrays(self.group, ""))

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
    ignore: Sequence[str] = (),
) -> Imported:
    """Return the model in a file, as ``name``.

    Args:
        path: the file.
        name: the name of the network.
        config: a file with the architecture, as ``model.to_json()`` writes it.
        known: the network whose arrays a file without architecture has.
        ignore: patterns of the arrays that are left out.

    Raises:
        BackendError: pyfive is not installed.
        ModelError: the language lacks something in it, or arrays are not those of its layers.
        UsageError: the file cannot be read, or has no architecture and none was given.
    """
    account = Account(str(path), ignore)
    separate = None if config is None else read_json(config)
    with _opened(path) as found:
        architecture = found.config if separate is None else separate
        if architecture is not None:
            if found.compiled:
                account.leave("optimizer, loss and metrics")
            _check_opening(account, found, separate)
            given = Description(found.form, found.version, architecture, name)
            return described(account, given, found.source)
        if not found.is_of_keras():
            names = [said(path) for path, _ in islice(found.file.arrays(found.group, ""), 4)]
            what = f"another program's, with {listed(names)}" if names else "one without arrays"
            raise UsageError(f"expected an HDF5 file of Keras, received {what}", str(path))
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
    with _opened(path) as found:
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


def parsed(text: str | bytes | bytearray, path: Path, what: str = "the architecture") -> Any:
    """Return the value of a JSON text.

    Raises:
        UsageError: it is none, too deep, or has a key twice.
    """
    if len(text) > _LONGEST_CONFIG:
        raise UsageError(
            f"{what} has {len(text):,} bytes, at most {_LONGEST_CONFIG:,} are read", str(path)
        )
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
def _opened(path: Path) -> Iterator[_Opened]:
    with opened(path) as (stream, size):
        if zipfile.is_zipfile(stream):
            yield _in_archive(path, stream, size)
        else:
            yield _in_hdf5(Hdf5(path, stream, size, size))


def _in_hdf5(file: Hdf5) -> _Opened:
    text = file.attribute(file.root, "model_config")
    group = file.group(file.root, "model_weights") or file.root
    version = file.attribute(file.root, "keras_version") or file.attribute(group, "keras_version")
    compiled = file.states(file.root, "training_config")
    compiled = compiled or file.inside(file.root, "optimizer_weights") is not None
    if text is None:
        return _Opened("weights", file, group, None, Version.of(version), compiled)
    if not isinstance(text, str):
        raise file.wrong("attribute model_config: expected text")
    config = parsed(text, file.path)
    return _Opened("HDF5 file", file, group, config, Version.of(version), compiled)


def _in_archive(path: Path, stream: BinaryIO, size: int) -> _Opened:
    try:
        with zipfile.ZipFile(stream) as archive:
            config = parsed(_member(archive, "config.json"), path)
            metadata = parsed(_member(archive, "metadata.json"), path, "the metadata")
            weights = _member(archive, _WEIGHTS, RATIO * size + ROOM)
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
    file = Hdf5(path, weights, len(weights), size)
    return _Opened(".keras file", file, file.root, config, Version.of(version), compiled, beside)


def _member(archive: zipfile.ZipFile, name: str, most: int = _LONGEST_CONFIG) -> bytearray:
    """Return the bytes of a member, of which there are as many as it declares.

    ZipFile.read unpacks all there is, whatever size is declared, and so does any read of what is
    packed with bzip2 or LZMA.
    """
    member = archive.getinfo(name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name}: expected deflate or no compression, received another")
    if member.file_size > most:
        raise ValueError(f"{name} has {member.file_size:,} bytes, at most {most:,} are read")
    data = bytearray()
    with archive.open(member) as stream:
        # To the end, where zipfile compares the checksum.
        while block := stream.read(_BLOCK):
            data += block
    if len(data) != member.file_size:
        raise ValueError(f"{name}: expected {member.file_size:,} bytes, received {len(data):,}")
    return data
