"""The code that commands print under "To load it"."""

from __future__ import annotations

import sys
from typing import Any


def load(printed: str, name: str) -> Any:
    """Return the model that the printed code loads; its module ``name`` does not stay imported."""
    _, _, code = printed.partition("To load it, without rnnspec:\n")
    names: dict[str, Any] = {}
    before = list(sys.path)
    try:
        exec("\n".join(line.strip() for line in code.splitlines()), names)
    finally:
        # Another test may write a module of this name into a folder of this name.
        for folder in set(sys.path) - set(before):
            sys.path_importer_cache.pop(folder, None)
        sys.path[:] = before
        sys.modules.pop(name, None)
    return names["model"]
