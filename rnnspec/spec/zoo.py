"""The cells that rnnspec has, each in a spec that uses it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
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


@dataclass(frozen=True, slots=True)
class Publication:
    """What a cell is called where it was published: "MGU, minimal gated unit", by whom, when."""

    title: str
    authors: str
    year: str
    address: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the title, the short one first; a third part tells a cell from others."""
        return tuple(self.title.split(", ")[:2])


@cache
def zoo_names() -> tuple[str, ...]:
    """Return the names of the cells, which are those of their files."""
    return tuple(sorted(path.stem for path in ZOO.glob("*.yaml")))


def head_comment(text: str) -> str:
    """Return the comment at the head of a spec: the source of its numbers, or what it shows."""
    lines = takewhile(lambda line: line.startswith("#"), text.splitlines())
    return " ".join(line.removeprefix("# ") for line in lines)


@cache
def zoo_publication(name: str) -> Publication:
    """Return where a cell was published, from the first sentence of its spec."""
    head = head_comment((ZOO / f"{name}.yaml").read_text("utf-8"))
    found = re.match(
        r"(?P<title>.+): (?P<authors>.+?),? (?P<address>https?://[^\s;]+?)[.;,]?(?: |$)", head
    )
    assert found is not None, f"{name} begins with its title, its authors and an address"
    years = re.findall(r"\b(?:19|20)\d\d\b", found["authors"])
    return Publication(found["title"], found["authors"], years[-1], found["address"])


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
