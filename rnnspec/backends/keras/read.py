"""Reading of ``.keras`` files: the configuration as JSON, the arrays through a model of the spec.

A model is never built from the configuration in the file, which can name code to run. It is
compared with the configuration of the model built from the spec, and that model loads the arrays.
"""

from __future__ import annotations

import json
import zipfile
from itertools import islice
from typing import TYPE_CHECKING, Any

from rnnspec.backends.kept import KeptInModel, Saved
from rnnspec.backends.keras.configs import ConfigError, differences
from rnnspec.errors import UsageError, brief
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


# Bounds the memory that a crafted archive can claim.
_LONGEST_CONFIG = 2**26
_MOST_DIFFERENCES = 10
_BLOCK = 2**20


def recognises(path: Path) -> bool:
    """Return whether the path has the suffix of Keras's files."""
    return path.suffix == ".keras"


def files(path: Path) -> tuple[Path, ...]:
    """Return the one file."""
    return (path,)


def spec_text(path: Path) -> str:  # noqa: ARG001 - Keras's format has no place for it
    """Return no text: a ``.keras`` file does not contain the spec."""
    return ""


def saved(path: Path, fresh: Callable[[], KeptInModel]) -> Saved:
    """Return the arrays in a file whose configuration is that of the spec."""
    # Shapes of arrays do not show activations, masks or dropout, so the configuration decides.
    config = _config(path)
    inside = fresh()
    try:
        found = differences(json.loads(inside.model.to_json()), config)
        listed = list(islice(found, _MOST_DIFFERENCES))
    except ConfigError as error:
        raise UsageError(str(error), str(path)) from None
    if listed:
        raise UsageError(f"this is not the model of the spec: {'; '.join(listed)}", str(path))
    try:
        inside.model.load_weights(path)
    except Exception as error:  # Keras, h5py and zipfile may raise anything
        raise UsageError(f"its arrays cannot be read: {brief(error)}", str(path)) from error
    return Saved(inside, _left_out(config))


def _left_out(config: Any) -> tuple[str, ...]:
    match config:
        case {"compile_config": {"optimizer": optimizer}} if optimizer is not None:
            return ("optimizer",)
        case _:
            return ()


def _config(path: Path) -> Any:
    with opened(path) as (stream, _):
        try:
            with zipfile.ZipFile(stream) as archive:
                text = _member(archive, "config.json")
                _check_sum(archive, "model.weights.h5")
            return json.loads(text)
        except KeyError as error:
            message = f"expected a .keras file, received another zip archive: {error}"
            raise UsageError(message, str(path)) from None
        # With broken headers, zipfile also raises the errors of seek, decode and inflate.
        except Exception as error:
            message = f"expected a .keras file, received another or a truncated one: {brief(error)}"
            raise UsageError(message, str(path)) from error


def _check_sum(archive: zipfile.ZipFile, name: str) -> None:
    """Read a member to its end, where zipfile compares its checksum.

    Keras reads only the parts that it needs, and HDF5 can crash the process on corrupt bytes.
    Source: https://github.com/h5py/h5py/issues/1183.
    """
    with archive.open(name) as stream:
        while stream.read(_BLOCK):
            pass


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    # The size is only a claim, but zipfile returns no more bytes than this.
    size = archive.getinfo(name).file_size
    if size > _LONGEST_CONFIG:
        raise ValueError(f"{name} has {size:,} bytes, at most {_LONGEST_CONFIG:,} are read")
    return archive.read(name)
