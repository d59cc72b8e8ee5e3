"""Canonical files: safetensors with the canonical arrays, and the spec's text as metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from rnnspec.errors import OutputError, UsageError
from rnnspec.files.arrays import read_metadata, read_safetensors
from rnnspec.files.model import SPEC_KEY
from rnnspec.ir.params import named_params

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rnnspec.backends.slots import Array
    from rnnspec.ir.nodes import Network


def read_spec_text(path: Path) -> str:
    """Return the text of the spec in a file, empty if it contains none.

    Raises:
        UsageError: the file cannot be read.
    """
    return read_metadata(path).get(SPEC_KEY, "")


def read_arrays(path: Path, network: Network) -> dict[str, Array]:
    """Return the canonical arrays of a network, in its order.

    Raises:
        UsageError: the file cannot be read, or contains other arrays.
    """
    arrays = read_safetensors(path)
    shapes = {name: param.shape for name, _, param in named_params(network)}
    problems = [f"missing: {name}" for name in shapes if name not in arrays]
    problems += [f"unexpected: {name}" for name in arrays if name not in shapes]
    problems += [
        f"{name}: expected the shape {shape}, received {arrays[name].shape}"
        for name, shape in shapes.items()
        if name in arrays and arrays[name].shape != shape
    ]
    if problems:
        more = [f"{len(problems) - 10} more such problems"] if len(problems) > 10 else []
        listed = "; ".join((*problems[:10], *more))
        raise UsageError(f"these are not the arrays of the spec: {listed}", str(path))
    return {name: arrays[name] for name in shapes}


def write_arrays(folder: Path, name: str, arrays: Mapping[str, Array], spec: str) -> Path:
    """Write a canonical file ``name`` into a folder, and return its path.

    Raises:
        OutputError: the file cannot be written.
    """
    path = folder / name
    stored = {key: np.asarray(array, order="C") for key, array in arrays.items()}
    try:
        save_file(stored, path, metadata={SPEC_KEY: spec})
    except (OSError, SafetensorError) as error:  # either, if the disk is full
        raise OutputError(f"cannot be written: {error}", str(path)) from error
    return path
