"""SVG 1.1 of presentation attributes alone, which every viewer and editor draws alike."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.drawing.scene import Box, Disc, Line, Part, Point, Scene, Shape, Text
from rnnspec.drawing.widths import GAP

_SANS = "Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif"
SERIF = "'STIX Two Text', 'Latin Modern Roman', 'Times New Roman', Times, serif"
"""The fonts of variables."""
_STROKE = 1.5
_CASING = 7


def svg(scene: Scene) -> str:
    """Return a scene as the text of an SVG file."""
    x, y, width, height = map(number, (scene.x, scene.y, scene.width, scene.height))
    size = f'width="{width}" height="{height}"'
    view = f'viewBox="{x} {y} {width} {height}" {size} role="img" font-family="{_SANS}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view}>',
        f"<title>{escaped(scene.title)}</title>",
        f"<desc>{escaped(scene.description)}</desc>",
    ]
    if scene.white:
        lines.append(f'<rect x="{x}" y="{y}" {size} fill="#ffffff"/>')
    for part in scene.parts:
        lines += _part(scene, part)
    return "\n".join([*lines, "</svg>"]) + "\n"


def number(value: float) -> str:
    """Return a coordinate with at most two decimals."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def escaped(text: str) -> str:
    """Return text for an element or an attribute."""
    for raw, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(raw, entity)
    return text


def _part(scene: Scene, part: Part) -> Iterator[str]:
    data = "".join(f' {name}="{escaped(value)}"' for name, value in part.data)
    inside = "".join(element for shape in part.shapes for element in _elements(scene, shape))
    yield f"<g{data}>{inside}</g>"


def _elements(scene: Scene, shape: Shape) -> Iterator[str]:
    fill, stroke = scene.palette[shape.role]
    match shape:
        case Box():
            yield _box(shape, fill, stroke)
        case Disc():
            yield _disc(shape, fill, stroke)
        case Line():
            yield from _line(shape, stroke)
        case Text():
            yield _text(shape, stroke)


def _box(box: Box, fill: str, stroke: str) -> str:
    left, top = number(box.x - box.width / 2), number(box.y - box.height / 2)
    size = f'width="{number(box.width)}" height="{number(box.height)}" rx="{number(box.radius)}"'
    return f'<rect x="{left}" y="{top}" {size} {_outline(fill, stroke, box.dashed)}/>'


def _disc(disc: Disc, fill: str, stroke: str) -> str:
    at = f'cx="{number(disc.x)}" cy="{number(disc.y)}" r="{number(disc.radius)}"'
    paint = f'fill="{stroke}"' if disc.solid else _outline(fill, stroke, disc.dashed)
    return f"<circle {at} {paint}/>"


def _outline(fill: str, stroke: str, dashed: bool) -> str:
    if dashed:  # A state that is held is seen through the node
        return f'fill="none" stroke="{stroke}" stroke-width="{_STROKE}" stroke-dasharray="4 3"'
    return f'fill="{fill}" stroke="{stroke}" stroke-width="{_STROKE}"'


def _line(line: Line, stroke: str) -> Iterator[str]:
    path = _path(line)
    dashes = ' stroke-dasharray="4.5 3.5"' if line.dashed else ""
    if line.cased:
        yield f'<path d="{path}" fill="none" stroke="#ffffff" stroke-width="{_CASING}"/>'
    yield f'<path d="{path}" fill="none" stroke="{stroke}" stroke-width="{line.width}"{dashes}/>'
    if line.head:
        corners = " L".join(map(_point, line.triangle))
        yield f'<path d="M{corners}Z" fill="{stroke}"/>'


def _path(line: Line) -> str:
    steps = [f"M{_point(line.path[0])}"]
    for begin, corner, end in line.bends:
        steps.append(f"L{_point(begin)} Q{_point(corner)} {_point(end)}")
    return " ".join([*steps, f"L{_point(line.path[-1])}"])


def _point(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _text(text: Text, colour: str) -> str:
    attributes = [f'x="{number(text.x)}" y="{number(text.y)}" font-size="{number(text.size)}"']
    if text.anchor != "start":
        attributes.append(f'text-anchor="{text.anchor}"')
    if text.variable:
        attributes.append(f'font-family="{SERIF}"')
    if text.italic:
        attributes.append('font-style="italic"')
    if text.weight != 400 and not text.more:
        attributes.append(f'font-weight="{text.weight}"')
    attributes.append(f'fill="{colour}"')
    content = escaped(text.content)
    if text.more:
        first = f'<tspan font-weight="{text.weight}">{content}</tspan>'
        content = f'{first}<tspan dx="{number(GAP)}">{escaped(text.more)}</tspan>'
    return f"<text {' '.join(attributes)}>{content}</text>"
