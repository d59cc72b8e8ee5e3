"""Origins of trained models: a class for each recognises and reads the files of one tool."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from rnnspec.backends import BACKENDS, Backend, get
from rnnspec.errors import (
    BackendError,
    ModelError,
    Problem,
    RnnspecError,
    UsageError,
    brief,
    few,
    listed,
)
from rnnspec.files.model import SPEC_KEY
from rnnspec.files.regular import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rnnspec.backends.imported import Imported
    from rnnspec.ir.nodes import Network
    from rnnspec.pipeline import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user says about a file: the name of the network, and what the file may lack.

    ``config`` is a file with the architecture, and ``spec`` a named spec. ``ignore`` are patterns
    of the arrays that are left out. ``importing`` is called before a framework is needed.
    """

    name: str
    config: Path | None = None
    spec: Program | None = None
    ignore: Sequence[str] = ()
    importing: Callable[[Backend], None] = Backend.require

    @property
    def known(self) -> Network | None:
        """The network of the named spec."""
        return None if self.spec is None else self.spec.network


class Origin(Protocol):
    """A tool whose trained models can be imported."""

    @property
    def form(self) -> str:
        """The forms of its files, for messages."""

    def recognises(self, path: Path) -> bool:
        """Return whether a file is of this tool, judged by its path."""

    def read(self, path: Path, request: Request) -> Imported:
        """Return the model in a file, read as data.

        Raises:
            BackendError: a package that reads it is not installed.
            ModelError: it has what the language cannot express.
            UsageError: it cannot be read.
        """


@dataclass(frozen=True, slots=True)
class KerasFiles:
    """``.h5``, ``.hdf5`` and ``.keras`` of Keras 2 and 3."""

    form: str = "a Keras file (.h5, .hdf5 or .keras)"

    def recognises(self, path: Path) -> bool:
        """Return whether a file is of Keras."""
        return path.suffix.lower() in (".h5", ".hdf5", ".keras")

    def read(self, path: Path, request: Request) -> Imported:
        """Return the model in a file."""
        if request.config is not None or request.ignore or path.suffix.lower() != ".keras":
            return self._foreign(path, request)
        from rnnspec.importing import own

        problem: RnnspecError | None = None
        if own.has_spec(path, get("keras")):
            try:
                return own.read_built(path, get("keras"), request.importing)
            except RnnspecError as error:
                problem = error
        try:
            imported = self._foreign(path, request)
        except ModelError as error:
            if isinstance(problem, BackendError):
                raise problem from None
            if problem is not None:
                raise ModelError((*error.problems, _unused_spec(path, problem))) from None
            if request.spec is not None:
                # Keras has saved a file of rnnspec again: it has operations of ours and no spec.
                with suppress(BackendError, ModelError, UsageError):
                    return own.read_built(path, get("keras"), request.importing, request.spec)
            raise
        if problem is None:
            return imported
        inferred = (*imported.inferred, _unused_spec(path, problem).message)
        return replace(imported, inferred=inferred)

    @staticmethod
    def _foreign(path: Path, request: Request) -> Imported:
        from rnnspec.importing.keras.model import read_file

        return read_file(path, request.name, request.config, request.known, request.ignore)


def _unused_spec(path: Path, error: RnnspecError) -> Problem:
    reason = brief(getattr(error, "message", error))
    return Problem(str(path), f"the spec in the file is not used: {reason}", code="E704")


@dataclass(frozen=True, slots=True)
class BuiltArrays:
    """``.safetensors`` files in the folders that rnnspec writes, with the spec in them."""

    form: str = "arrays that rnnspec built (.safetensors)"

    def recognises(self, path: Path) -> bool:
        """Return whether a file names the backend that saved it."""
        return path.suffix.lower() == ".safetensors" and _framework(path) is not None

    def read(self, path: Path, request: Request) -> Imported:
        """Return the model in a file."""
        from rnnspec.importing import own

        _check_alone(path, request)
        backend = _framework(path)
        assert backend is not None, "the file was recognised"
        return own.read_built(path, backend, request.importing)


def _framework(path: Path) -> Backend | None:
    # Imported here because NumPy is needed for these files only.
    from rnnspec.backends.kept import framework_in

    return BACKENDS.get(framework_in(path))


@dataclass(frozen=True, slots=True)
class TorchFiles:
    """State dicts of PyTorch, in files of ``torch.save`` or of safetensors."""

    form: str = "a PyTorch state dict (.pt, .pth, .ckpt, .bin or .safetensors)"

    def recognises(self, path: Path) -> bool:
        """Return whether a file may be one of PyTorch; of safetensors, by its arrays' names."""
        if path.suffix.lower() == ".safetensors":
            from rnnspec.importing.torch.state_dict import is_state_dict

            return is_state_dict(path)
        return path.suffix.lower() in (".pt", ".pth", ".ckpt", ".bin")

    def read(self, path: Path, request: Request) -> Imported:
        """Return the model whose state dict is in a file."""
        from rnnspec.importing.torch import files

        if request.config is not None:
            raise UsageError("a state dict takes no --config; name its spec with --spec", str(path))
        imported = files.read(path, request.name, request.known, request.ignore)
        return replace(imported, unlike=("a state dict has arrays, and nothing that can be run",))


@dataclass(frozen=True, slots=True)
class OnnxFiles:
    """``.onnx`` files that rnnspec wrote, with the spec in them."""

    form: str = "an ONNX file of rnnspec (.onnx)"

    def recognises(self, path: Path) -> bool:
        """Return whether a file is of ONNX."""
        return path.suffix.lower() == ".onnx"

    def read(self, path: Path, request: Request) -> Imported:
        """Return the model in a file."""
        from rnnspec.importing import own

        _check_alone(path, request)
        return own.read_built(path, get("onnx"), request.importing)


def _check_alone(path: Path, request: Request) -> None:
    """Raise UsageError if the user says more about a file that has its spec in it."""
    if request.config is not None or request.ignore:
        option = "--ignore" if request.config is None else "--config"
        raise UsageError(f"this file takes no {option}; its spec is in it", str(path))


# The index, or one of the files that it lists.
_SHARD = re.compile(r"\.index\.json$|\.weights\.json$|-\d{5}-of-(?!00001)\d{5}\.")

ORIGINS: tuple[Origin, ...] = (KerasFiles(), BuiltArrays(), TorchFiles(), OnnxFiles())
"""Every origin, in the order in which a path is tried."""


def check_whole(path: Path) -> None:
    """Raise UsageError if a file is one of several that have the arrays of a model (shards)."""
    if _SHARD.search(path.name):
        message = (
            "the arrays are in several files (shards); load the model and save it in one: "
            "torch.save(model.state_dict(), PATH), or in Keras model.save(PATH)"
        )
        raise UsageError(message, str(path))


def _no_state_dict(path: Path) -> UsageError:
    """Return why a file of safetensors is none that can be imported."""
    from rnnspec.files.headers import read_names
    from rnnspec.importing.torch.state_dict import WANTED

    try:
        names, metadata = read_names(path)
    except UsageError as error:
        return error
    if SPEC_KEY in metadata:
        message = "is a canonical file, with its spec in it; 'rnnspec convert' takes it as it is"
        return UsageError(message, str(path))
    return UsageError(f"{WANTED}, received {few(names) or 'no arrays'}", str(path))


def origin_of(path: Path) -> Origin:
    """Return the origin of a file.

    Raises:
        UsageError: there is no such file, or no origin has such a path.
    """
    if not os.path.exists(path):  # noqa: PTH110 - the method raises for a folder that is closed
        raise missing(str(path))
    check_whole(path)
    for origin in ORIGINS:
        if origin.recognises(path):
            return origin
    if path.suffix.lower() == ".safetensors":
        raise _no_state_dict(path)
    forms = listed([origin.form for origin in ORIGINS], "or")
    raise UsageError(f"expected {forms}", str(path))
