"""Reading of a folder: the state dict in ``NAME.safetensors``; ``NAME.py`` is not executed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.kept import SavedByName, framework_of, saved_by_name, weights_in
from rnnspec.files.arrays import read_metadata

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.ir.nodes import Network


def recognises(path: Path) -> bool:
    """Return whether the path is a folder of PyTorch, or one that names no framework."""
    return path.is_dir() and framework_of(path) in ("", "torch")


def files(path: Path) -> tuple[Path, ...]:
    """Return the state dict and the module in a folder."""
    weights = weights_in(path)
    return weights, weights.with_suffix(".py")


def spec_text(path: Path) -> str:
    """Return the text of the spec in the metadata of the state dict."""
    return read_metadata(weights_in(path)).get("rnnspec", "")


def saved(path: Path, network: Network) -> SavedByName:  # noqa: ARG001 - the names say enough
    """Return the arrays, and the source beside them."""
    return saved_by_name(path, "PyTorch")
