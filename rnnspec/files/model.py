"""Files that are a model: safetensors with the text of the spec in the metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".safetensors"
SPEC_KEY = "rnnspec"
"""The key of the spec's text in the metadata."""


def spec_in(path: Path) -> str:
    """Return the text of the spec in a file.

    Raises:
        UsageError: the file cannot be read, or contains no spec.
    """
    # Imported here because NumPy is needed for these files only.
    from rnnspec.files.arrays import read_metadata

    text = read_metadata(path).get(SPEC_KEY, "")
    if not text:
        message = "contains no spec; expected what 'rnnspec convert' or 'rnnspec import' writes"
        raise UsageError(message, str(path))
    return text
