"""The cells that rnnspec has, each in a spec that uses it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnspec.spec import models
from rnnspec.spec.yaml.document import glimpse

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGE = Path(__file__).parents[1]
_INSTALLED = _PACKAGE / "zoo"
ZOO = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "specs" / "cells"
"""The folder of the specs: a wheel has it inside the package, a checkout beside it."""


@cache
def zoo_names() -> tuple[str, ...]:
    """Return the names of the cells, which are those of their files."""
    return tuple(sorted(path.stem for path in ZOO.glob("*.yaml")))


@cache
def zoo_data(name: str) -> dict[str, Any]:
    """Return the plain data of a cell.

    Raises:
        KeyError: there is no such cell.
    """
    if name not in zoo_names():
        raise KeyError(name)
    data = glimpse((ZOO / f"{name}.yaml").read_bytes())
    cell: dict[str, Any] = data["cells"][name]
    return cell


@cache
def zoo_cell(name: str) -> models.Cell:
    """Return a cell.

    Raises:
        KeyError: there is no such cell.
    """
    return models.Cell.model_validate(zoo_data(name))


def settings_of_cells(data: Any) -> Mapping[str, frozenset[str]]:
    """Return the names of the settings of each cell in the plain data of a spec, valid or not."""
    cells = data.get("cells")

    def names(cell: Any) -> frozenset[str]:
        if isinstance(cell, dict) and cell.get("from") in zoo_names():
            cell = zoo_data(cell["from"])
        settings = cell.get("settings") if isinstance(cell, dict) else None
        # A setting by the name of a key is refused, and the key of a layer stays what it is.
        return frozenset(settings if isinstance(settings, dict) else ()) - models.LAYER_KEYS

    return {name: names(cell) for name, cell in cells.items()} if isinstance(cells, dict) else {}
