"""The reference of the library; mkdocstrings fills it from the docstrings."""

from __future__ import annotations

import griffe

import rnnspec
from docs.generate.reference.exits import exceptions

_HEAD = """# Every function

All of these are names of `rnnspec`, which imports no framework by itself.

## Functions
"""
_RESULTS = """## Results

Classes of what the functions return.
"""


def library_page() -> dict[str, str]:
    """Return the page of the public functions, the classes of their results, and the errors."""
    names = [name for name in rnnspec.__all__ if not name.startswith("_")]
    functions = [f"rnnspec.{name}" for name in names]
    parts = [_HEAD, *map(_documented, functions), _RESULTS]
    parts += [*map(_documented, _results(names)), "## Exceptions\n", exceptions()]
    return {"reference/api.md": "\n".join(parts)}


def _documented(path: str) -> str:
    return f"::: {path}\n    options:\n      heading_level: 3\n"


def _results(names: list[str]) -> list[str]:
    """Return the paths of the classes of rnnspec that the functions return."""
    package = griffe.load("rnnspec")
    returned = [package[name].final_target.returns for name in names]
    paths = {part.canonical_path for part in returned if isinstance(part, griffe.ExprName)}
    return sorted(path for path in paths if path.startswith("rnnspec."))
