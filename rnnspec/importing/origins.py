"""Origins of trained models: which tool wrote a file, and how it is read."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

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
    def known_network(self) -> Network | None:
        """The network of the named spec."""
        return None if self.spec is None else self.spec.network


@dataclass(frozen=True, slots=True)
class Origin:
    """A tool whose trained models can be imported, and the forms of its files, for messages.

    ``recognises`` says whether a file is of this tool, judged by its path, and for safetensors by
    its header. ``read`` returns the model in a file, read as data. It raises BackendError if a
    package that reads it is not installed, ModelError for what the language cannot express, and
    UsageError for a file that cannot be read.
    """

    form: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, Request], Imported]


def _has_suffix(*suffixes: str) -> Callable[[Path], bool]:
    return lambda path: path.suffix.lower() in suffixes


def _read_keras(path: Path, request: Request) -> Imported:
    from rnnspec.importing import own
    from rnnspec.importing.keras.model import read_file

    read = partial(
        read_file, path, request.name, request.config, request.known_network, request.ignore
    )
    if request.config is not None or request.ignore or path.suffix.lower() != ".keras":
        return read()
    problem: RnnspecError | None = None
    if own.has_spec(path, get("keras")):
        try:
            return own.read_built(path, get("keras"), request.importing)
        except RnnspecError as error:
            problem = error
    try:
        imported = read()
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


def _unused_spec(path: Path, error: RnnspecError) -> Problem:
    reason = brief(getattr(error, "message", error))
    return Problem(str(path), f"the spec in the file is not used: {reason}", code="E704")


def _read_built(path: Path, request: Request) -> Imported:
    """Return the model in a file that rnnspec built, whose spec is in it."""
    from rnnspec.importing import own

    if request.config is not None or request.ignore:
        option = "--ignore" if request.config is None else "--config"
        raise UsageError(f"this file takes no {option}; its spec is in it", str(path))
    backend = _framework(path) or get({".onnx": "onnx", ".h": "c"}[path.suffix.lower()])
    return own.read_built(path, backend, request.importing)


def _read_onnx(path: Path, request: Request) -> Imported:
    """Return the model in an ONNX file: by the spec in it, or by its graph."""
    from rnnspec.backends.onnx.read import is_own, is_quantized
    from rnnspec.importing.onnx.model import read_file

    if request.config is not None or request.ignore:
        option = "--ignore" if request.config is None else "--config"
        raise UsageError(f"an ONNX file takes no {option}; its graph is in it", str(path))
    if not is_own(path):
        return read_file(path, request.name)
    try:
        return _read_built(path, request)
    except BackendError:
        raise
    except RnnspecError as error:
        if is_quantized(path):
            raise
        problem = error
    try:
        imported = read_file(path, request.name)
    except ModelError as error:
        raise ModelError((_unused_spec(path, problem), *error.problems)) from None
    except UsageError:
        raise problem from None
    inferred = (*imported.inferred, _unused_spec(path, problem).message)
    return replace(imported, inferred=inferred)


def _framework(path: Path) -> Backend | None:
    """Return the backend that a file of arrays names."""
    if path.suffix.lower() != ".safetensors":
        return None
    # Imported here because NumPy is needed for these files only.
    from rnnspec.backends.kept import framework_in

    return BACKENDS.get(framework_in(path))


def _is_state_dict(path: Path) -> bool:
    if path.suffix.lower() != ".safetensors":
        return path.suffix.lower() in (".pt", ".pth", ".ckpt", ".bin")
    from rnnspec.importing.torch.state_dict import is_state_dict

    return is_state_dict(path)


def _read_state_dict(path: Path, request: Request) -> Imported:
    from rnnspec.importing.torch.files import read

    if request.config is not None:
        raise UsageError("a state dict takes no --config; name its spec with --spec", str(path))
    imported = read(path, request.name, request.known_network, request.ignore)
    return replace(imported, unlike=("a state dict has arrays, and nothing that can be run",))


# The index, or one of the files that it lists.
_SHARD = re.compile(r"\.index\.json$|\.weights\.json$|-\d{5}-of-(?!00001)\d{5}\.")

ORIGINS = (
    Origin(
        "a Keras file (.h5, .hdf5 or .keras)", _has_suffix(".h5", ".hdf5", ".keras"), _read_keras
    ),
    Origin(
        "arrays that rnnspec built (.safetensors)",
        lambda path: _framework(path) is not None,
        _read_built,
    ),
    Origin(
        "a PyTorch state dict (.pt, .pth, .ckpt, .bin or .safetensors)",
        _is_state_dict,
        _read_state_dict,
    ),
    Origin("an ONNX file (.onnx)", _has_suffix(".onnx"), _read_onnx),
    Origin("C source of rnnspec (.h)", _has_suffix(".h"), _read_built),
)
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
    from rnnspec.files.arrays import read_names
    from rnnspec.importing.torch.state_dict import WANTED

    try:
        names, metadata = read_names(path)
    except UsageError as error:
        return error
    if SPEC_KEY in metadata:
        message = (
            "is a .safetensors file of rnnspec, with its spec in it; 'rnnspec convert' takes it as "
            "it is"
        )
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
