"""SVG 1.1 of presentation attributes only, which all viewers and editors draw alike.

The theme ``auto`` adds a style sheet, which browsers follow on dark pages.

PNG and PDF are made from it by CairoSVG, which comes with ``rnnspec[pictures]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rnnspec.drawing.scene import (
    FORMULA_SIZE,
    GAP,
    INDEX_SIZE,
    Box,
    Disc,
    FormulaBlock,
    Palette,
    Point,
    Polyline,
    Scene,
    Shape,
    Text,
)
from rnnspec.errors import BackendError
from rnnspec.version import ways_to_install

_SANS = "Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif"
_SERIF = "'STIX Two Text', 'Latin Modern Roman', 'Times New Roman', Times, serif"
"""The fonts of variables."""
_STROKE = 1.5
_CASING = 7
_SCALE = 2
"""Pixels of a PNG per pixel of the picture: sharp on the usual dense screens."""


def svg(scene: Scene) -> str:
    """Return a scene as the text of an SVG file."""
    x, y, width, height = map(number, (scene.x, scene.y, scene.width, scene.height))
    size = f'width="{width}" height="{height}"'
    view = f'viewBox="{x} {y} {width} {height}" {size} role="img" font-family="{_SANS}"'
    if scene.dark:
        view += ' data-theme="auto"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view}>',
        f"<title>{escape(scene.title)}</title>",
        f"<desc>{escape(scene.description)}</desc>",
    ]
    if scene.dark:
        lines.append(f"<style>{_dark_style(scene.palette, scene.dark)}</style>")
    if scene.has_ground:
        lines.append(f'<rect x="{x}" y="{y}" {size} fill="{scene.palette["ground"][0]}"/>')
    for part in scene.parts:
        data = "".join(f' {name}="{escape(value)}"' for name, value in part.data)
        inside = "".join(element for shape in part.shapes for element in _elements(scene, shape))
        lines.append(f"<g{data}>{inside}</g>")
    return "\n".join([*lines, "</svg>"]) + "\n"


def png(svg: str) -> bytes:
    """Return a picture as PNG, twice as large as its size in pixels.

    Raises:
        BackendError: CairoSVG is not installed.
    """
    content: bytes = _import_cairosvg().svg2png(bytestring=_for_cairosvg(svg), scale=_SCALE)
    return content


def pdf(svg: str) -> bytes:
    """Return a picture as PDF, without the date: the same picture gives the same bytes.

    Raises:
        BackendError: CairoSVG is not installed.
    """
    library = _import_cairosvg()
    import cairocffi

    def open_surface(*arguments: Any) -> Any:
        surface = cairocffi.PDFSurface(*arguments)
        surface.set_metadata(cairocffi.PDF_METADATA_CREATE_DATE, "")
        return surface

    surface: Any = type(
        "Surface", (library.surface.PDFSurface,), {"surface_class": staticmethod(open_surface)}
    )
    content: bytes = surface.convert(bytestring=_for_cairosvg(svg))
    return content


def number(value: float) -> str:
    """Return a coordinate with at most two decimals."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def escape(text: str) -> str:
    """Return text for an element or an attribute."""
    for raw, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(raw, entity)
    return text


def _elements(scene: Scene, shape: Shape) -> Iterator[str]:
    fill, stroke = scene.palette[shape.role]
    match shape:
        case Box():
            left, top, *_ = map(number, shape.area)
            size = f'width="{number(shape.width)}" height="{number(shape.height)}"'
            outline = _outline(fill, stroke, shape.dashed)
            yield f'<rect x="{left}" y="{top}" {size} rx="{number(shape.radius)}" {outline}/>'
        case Disc():
            at = f'cx="{number(shape.x)}" cy="{number(shape.y)}" r="{number(shape.radius)}"'
            solid = f'fill="{stroke}"'
            yield f"<circle {at} {solid if shape.solid else _outline(fill, stroke, shape.dashed)}/>"
        case Polyline():
            yield from _line(shape, stroke, scene.palette["ground"][0])
        case Text():
            yield _text(shape, stroke)
        case FormulaBlock():
            yield from _formula(shape, stroke)


def _dark_style(light: Palette, dark: Palette) -> str:
    """Return rules that replace each colour of this picture for readers of dark pages.

    They win over attributes, and viewers that know no style sheets show the light colours.
    """
    fills = {light[role][0]: dark[role][0] for role in light}
    strokes = {light[role][1]: dark[role][1] for role in light}
    rules = [
        f'[data-theme] [{name}="{before}"]{{{name}:{after}}}'
        # A text and the head of an arrow are filled with the colour of lines.
        for name, colours in (("fill", {**strokes, **fills}), ("stroke", strokes))
        for before, after in colours.items()
    ]
    return f"@media (prefers-color-scheme:dark){{{''.join(rules)}}}"


def _outline(fill: str, stroke: str, dashed: bool) -> str:
    if dashed:  # A state that is held is seen through the node
        return f'fill="none" stroke="{stroke}" stroke-width="{_STROKE}" stroke-dasharray="4 3"'
    return f'fill="{fill}" stroke="{stroke}" stroke-width="{_STROKE}"'


def _line(line: Polyline, stroke: str, ground: str) -> Iterator[str]:
    first, *_, last = map(_point, line.path)
    curves = [f"L{_point(a)} Q{_point(corner)} {_point(b)}" for a, corner, b in line.bends]
    path = " ".join([f"M{first}", *curves, f"L{last}"])
    dashes = ' stroke-dasharray="4.5 3.5"' if line.dashed else ""
    if line.cased:
        yield f'<path d="{path}" fill="none" stroke="{ground}" stroke-width="{_CASING}"/>'
    yield f'<path d="{path}" fill="none" stroke="{stroke}" stroke-width="{line.width}"{dashes}/>'
    if line.head:
        corners = " L".join(map(_point, line.triangle))
        yield f'<path d="M{corners}Z" fill="{stroke}"/>'


def _point(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _text(text: Text, colour: str) -> str:
    attributes = [f'x="{number(text.x)}" y="{number(text.y)}" font-size="{number(text.size)}"']
    if text.anchor != "start":
        attributes.append(f'text-anchor="{text.anchor}"')
    if text.variable:
        attributes.append(f'font-family="{_SERIF}"')
    if text.italic:
        attributes.append('font-style="italic"')
    if text.weight != 400 and not text.more:
        attributes.append(f'font-weight="{text.weight}"')
    attributes.append(f'fill="{colour}"')
    content = escape(text.content)
    if text.more:
        first = f'<tspan font-weight="{text.weight}">{content}</tspan>'
        content = f'{first}<tspan dx="{number(GAP)}">{escape(text.more)}</tspan>'
    return f"<text {' '.join(attributes)}>{content}</text>"


def _formula(formula: FormulaBlock, colour: str) -> Iterator[str]:
    font = f'font-size="{number(FORMULA_SIZE)}" font-family="{_SERIF}" fill="{colour}"'
    for x, y, runs in formula.lines:
        pieces, height = [], 0.0
        for run in runs:
            # A shift holds for all that follows it.
            rise = {-1: 0.22, 0: 0.0, 1: -0.36}[run.level] * FORMULA_SIZE
            attributes = f' dy="{number(rise - height)}"' if rise != height else ""
            height = rise
            if run.level:
                attributes += f' font-size="{number(FORMULA_SIZE * INDEX_SIZE)}"'
            if run.italic:
                attributes += ' font-style="italic"'
            text = escape(run.text)
            pieces.append(f"<tspan{attributes}>{text}</tspan>" if attributes else text)
        yield f'<text x="{number(x)}" y="{number(y)}" {font}>{"".join(pieces)}</text>'


def _for_cairosvg(svg: str) -> bytes:
    # CairoSVG reads only the first font of a list; this one always exists.
    return svg.replace(_SERIF, "serif").encode()


def _import_cairosvg() -> Any:
    try:
        import cairosvg
    # OSError: CairoSVG is there, the library cairo is not.
    except (ImportError, OSError) as error:
        message = f"PNG and PDF need CairoSVG: {ways_to_install('pictures', 'cairosvg')}"
        raise BackendError(
            f"{message} ({error})" if isinstance(error, OSError) else message
        ) from None
    return cairosvg
