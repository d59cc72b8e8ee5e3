"""Reading of a folder: the state dict in ``NAME.safetensors``; ``NAME.py`` is not executed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.kept import KeptByName, Saved, framework_of, weights_in
from rnnspec.files.headers import read_metadata, read_safetensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rnnspec.backends.kept import KeptInModel


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


def saved(path: Path, fresh: Callable[[], KeptInModel]) -> Saved:  # noqa: ARG001
    """Return the arrays of the state dict."""
    arrays = read_safetensors(weights_in(path))
    return Saved(KeptByName(arrays))
