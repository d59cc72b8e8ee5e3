"""The names that an equation of a cell may have at a cursor, and where equations are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from rnnspec.ir.notation import FUNCTIONS, OTHER_FUNCTIONS, RESERVED
from rnnspec.spec.yaml.text import Path
from rnnspec.spec.zoo import zoo_data, zoo_names

_NAME = re.compile(r"(?<![\w.])[A-Za-z]\w*")


def is_equation(path: Path) -> bool:
    """True if the text under a path is an expression."""
    match path:
        case ("cells", _, "output"):
            return True
        case ("cells", _, "equations", *_, str()):
            return path[-1] not in ("repeat", "own", "equations")
        case _:
            return False


def known_names(path: Path, data: Any) -> Iterator[tuple[str, str]]:
    """Yield each name that an expression may have, with its kind; functions have their call."""
    cell = data["cells"][path[1]]
    lines = list(_lines(cell.get("equations"), ("cells", path[1], "equations")))
    before = takewhile(lambda line: line[0] != path[: len(line[0])], lines)
    kinds = dict.fromkeys(state_names(cell), "state")
    for _, name, _ in before:
        kinds.setdefault(name, "line")
    for name, value in cell_settings(cell).items():
        kinds[name] = f"setting, {value} by default"
    kinds["x"] = "the input"
    assigned = {name for _, name, _ in lines}
    for name in parameter_names(cell):
        if name not in assigned:
            kinds.setdefault(name, "parameter")
    yield from kinds.items()
    yield from ((name, f"{name}(value)") for name in FUNCTIONS)
    yield from OTHER_FUNCTIONS.items()


def state_names(cell: Any) -> list[str]:
    """Return the names of the states of a cell."""
    names = cell.get("states")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def cell_settings(cell: Any) -> dict[str, Any]:
    """Return the settings of a cell with their defaults."""
    settings = cell.get("settings")
    return settings if isinstance(settings, dict) else {}


def parameter_names(cell: Any) -> list[str]:
    """Return the names in the equations of a cell that are parameters, in order."""
    lines = list(_lines(cell.get("equations"), ()))
    texts = [text for *_, text in lines] + [str(cell.get("output", ""))]
    others = {*RESERVED, *state_names(cell), *cell_settings(cell), *(name for _, name, _ in lines)}
    names = dict.fromkeys(name for text in texts for name in _NAME.findall(text))
    return [name for name in names if name not in others]


def declared_cells(data: Any) -> dict[str, dict[str, Any]]:
    """Return the cells of a spec by their names, as plain data, those of the zoo with all keys."""
    cells = data.get("cells") if isinstance(data, dict) else None
    found = {}
    for name, cell in cells.items() if isinstance(cells, dict) else ():
        if isinstance(cell, dict):
            zoo = cell.get("from")
            found[name] = zoo_data(zoo) if zoo in zoo_names() else cell
    return found


def _lines(equations: Any, path: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield the path, the name and the text of each line, those of repeated blocks once."""
    match equations:
        case list():
            for index, item in enumerate(equations):
                yield from _lines(item, (*path, index))
        case {"equations": dict() as lines}:
            yield from _lines(lines, (*path, "equations"))
        case dict():
            for name, text in equations.items():
                yield (*path, name), str(name), str(text)
        case _:
            return
