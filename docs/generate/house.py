"""The packages of rnnspec: their picture, and the table of them in docs/project/house.md.

``python -m docs.generate.house`` writes both again. The storeys are those of the import contract in
``pyproject.toml``, and what a package decides is the first sentence of its docstring.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from typing import Any

from docs.generate.examples import ROOT
from docs.generate.markdown import dark, replace_between, table
from rnnspec.drawing.options import Theme
from rnnspec.drawing.scene import (
    DARK,
    PALETTES,
    Box,
    Point,
    Polyline,
    Role,
    Scene,
    ShapeGroup,
    Text,
)
from rnnspec.drawing.scene import text_width as width_of
from rnnspec.drawing.writers.svg import svg

PAGE = ROOT / "docs" / "project" / "house.md"
PICTURE = ROOT / "docs" / "project" / "house.svg"
BEGIN, END = (
    "<!-- folders: written by docs/generate/house.py -->\n",
    "<!-- end of folders -->\n",
)
PACKAGE = ROOT / "rnnspec"

GROUPS: dict[Role, tuple[str, tuple[str, ...]]] = {
    "head": ("what people call and see", ("cli", "results")),
    "convolution": ("models of other tools", ("models", "importing")),
    "backward": ("what is said of a network", ("comparison", "lint", "drawing")),
    "forward": (
        "from a network to a model",
        ("pipeline", "vectors", "weights", "backends", "source"),
    ),
    "embedding": ("the language and the network", ("raising", "lowering", "spec", "ir")),
    "slab": (
        "what all of them use",
        ("machine", "files", "errors", "display", "pages", "version", "words"),
    ),
}
"""The rooms that belong together, by the role of their colour."""
PRODUCTS = {
    "cli": "arguments → text, exit code",
    "results": "result → text, HTML",
    "models": "spec → live model ↔ file",
    "importing": "foreign model → network, arrays",
    "comparison": "network, batch → output",
    "pipeline": "spec → network → source → model",
    "vectors": "file of words → embedding",
    "weights": "live model ↔ canonical arrays",
    "backends": "network → code",
    "source": "code → text → module",
    "raising": "network → spec",
    "lowering": "spec → network",
    "spec": "YAML → spec",
}
"""What goes in and what comes out, beside the storey of a room."""

_PITCH, _HEIGHT, _SIZE = 38.0, 26.0, 12.5
_GAP, _WALL = 8.0, 12.0


def contracts() -> list[dict[str, Any]]:
    """Return the import contracts, which ``make lint`` checks."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return list(config["tool"]["importlinter"]["contracts"])


def storeys() -> list[list[str]]:
    """Return the rooms of each storey, the highest first."""
    (layers,) = (one["layers"] for one in contracts() if one.get("containers") == ["rnnspec"])
    return [storey.split(" | ") for storey in layers]


def packages() -> list[str]:
    """Return the paths of all packages and modules of rnnspec that the table has, in its order.

    A package inside another one is behind it.
    """
    found = list[str]()
    for room in (room for storey in storeys() for room in storey):
        folder = PACKAGE / room
        if not folder.is_dir():
            found.append(f"rnnspec/{room}.py")
            continue
        inside = (path.parent.relative_to(ROOT) for path in folder.rglob("__init__.py"))
        found += sorted(f"{path.as_posix()}/" for path in inside)
    return found


def decision(path: str) -> str:
    """Return what a package or module decides: the first sentence of its docstring."""
    file = ROOT / path / "__init__.py" if path.endswith("/") else ROOT / path
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0]


def limits(path: str) -> str:
    """Return what a package or module may import: the storeys below it, but what is forbidden."""
    room = path.split("/")[1].removesuffix(".py")
    below = next(at for at, rooms in enumerate(reversed(storeys())) if room in rooms)
    words = f"storeys 1 to {below}" if below > 1 else "storey 1" if below else "no other room"
    never = [
        f"`{name.removeprefix('rnnspec.')}`"
        for one in contracts()
        if one["type"] == "forbidden" and f"rnnspec.{room}" in one["source_modules"]
        for name in one["forbidden_modules"]
    ]
    return words + (f", but never {', '.join(never)}" if never else "")


def scene(theme: Theme) -> Scene:
    """Return the picture of the storeys, the highest above."""
    every = storeys()
    wall = max(_row_width(rooms) + _words_width(rooms) for rooms in every) + 2 * _WALL
    roles = {room: role for role, (_, rooms) in GROUPS.items() for room in rooms}
    parts = [ShapeGroup((), (_roof(wall),))]
    for at, rooms in enumerate(every):
        y, below = at * _PITCH, at * _PITCH + _PITCH / 2
        parts.append(ShapeGroup((), (_rule((0.0, below), (wall, below)),)))
        storey, base = str(len(every) - at), y + 4.5
        number = Text(x=-10, y=base, content=storey, size=12, role="grey", anchor="end")
        said = Text(
            x=wall - _WALL, y=base, content=_words(rooms), size=12, role="grey", anchor="end"
        )
        parts.append(ShapeGroup((), (number, said) if said.content else (number,)))
        x = _WALL
        for room in rooms:
            width = _room_width(room)
            middle, role = x + width / 2, roles[room]
            box = Box(x=middle, y=y, width=width, height=_HEIGHT, radius=6, role=role)
            name = Text(x=middle, y=base, content=room, size=_SIZE, anchor="middle", weight=600)
            parts.append(ShapeGroup((("data-room", room),), (box, name)))
            x += width + _GAP
    bottom = len(every) * _PITCH - _PITCH / 2
    sides = [_rule((x, -_PITCH / 2), (x, bottom), width=2) for x in (0.0, wall)]
    parts += [ShapeGroup((), tuple(sides)), ShapeGroup((), tuple(_legend(wall, bottom + 26)))]
    return Scene(
        x=-32,
        y=-_PITCH / 2 - 62,
        width=wall + 64,
        height=bottom + _PITCH / 2 + 62 + 74,
        title="The house of rnnspec",
        description="The packages of rnnspec, in storeys. From the top: "
        + "; ".join(", ".join(rooms) for rooms in every)
        + ".",
        palette=PALETTES[theme],
        dark=DARK if theme == "auto" else None,
        has_ground=theme != "dark",
        parts=tuple(parts),
    )


def _words(rooms: list[str]) -> str:
    """Return what goes into the rooms of a storey, and what comes out."""
    known = [room for room in rooms if room in PRODUCTS]
    return "; ".join(
        f"{room}: {PRODUCTS[room]}" if len(rooms) > 1 else PRODUCTS[room] for room in known
    )


def _words_width(rooms: list[str]) -> float:
    words = _words(rooms)
    return width_of(words, 12) + 2 * _GAP if words else 0.0


def _rule(start: Point, end: Point, *, width: float = 1.4) -> Polyline:
    return Polyline(points=(start, end), role="rule", head=False, width=width)


def _room_width(room: str) -> float:
    return width_of(room, _SIZE, bold=True) + 18


def _row_width(rooms: list[str]) -> float:
    return sum(map(_room_width, rooms)) + _GAP * (len(rooms) - 1)


def _roof(wall: float) -> Polyline:
    base = -_PITCH / 2
    points = ((-12.0, base), (wall / 2, base - 50), (wall + 12, base), (-12.0, base))
    return Polyline(points=points, role="rule", head=False, width=2)


def _legend(wall: float, top: float) -> Iterator[Box | Text]:
    """Yield a small room and its words for each group, in two rows."""
    for at, (role, (words, _)) in enumerate(GROUPS.items()):
        x, y = (at % 3) * wall / 3, top + (at // 3) * 26
        yield Box(x=x + 9, y=y, width=18, height=14, radius=3, role=role)
        yield Text(x=x + 26, y=y + 4.5, content=words, size=12, role="grey")


def page() -> str:
    """Return the page with its table written again."""
    rows = []
    numbers = {room: at for at, rooms in enumerate(reversed(storeys()), 1) for room in rooms}
    for path in packages():
        parts = path.strip("/").split("/")
        storey = str(numbers[parts[1].removesuffix(".py")]) if len(parts) == 2 else ""
        may = limits(path) if storey else ""
        rows.append((f"`{path}`", storey, decision(path).replace("``", "`"), may))
    folders = table(("folder", "storey", "what it decides", "what it may import"), rows)
    also = "".join(
        f"- {one['name']}\n" for one in contracts() if one.get("containers") != ["rnnspec"]
    )
    text = f"{folders}\nBesides, `make lint` holds these contracts:\n\n{also}"
    return replace_between(PAGE.read_text(encoding="utf-8"), BEGIN, END, text)


def house_pictures() -> dict[str, str]:
    """Return the picture for each scheme of the site, by its place."""
    place = PICTURE.relative_to(ROOT / "docs").as_posix()
    return {place: svg(scene("colour")), dark(place): svg(scene("dark"))}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    PICTURE.write_text(svg(scene("auto")), encoding="utf-8")
