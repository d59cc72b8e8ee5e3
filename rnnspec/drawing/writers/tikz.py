"""TikZ: a file of the class ``standalone``, which any engine compiles on its own."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.drawing.scene import (
    FORMULA_PITCH,
    FORMULA_SIZE,
    GAP,
    Box,
    Disc,
    FormulaBlock,
    Point,
    Polyline,
    Scene,
    Shape,
    Text,
)
from rnnspec.drawing.writers.svg import number

_POINTS_PER_PIXEL = 0.75
_TEXT = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "…": r"\ldots{}",
}
_VARIABLES = {"ŷ": r"\hat{y}"}
_ANCHORS = {"start": "base west", "middle": "base", "end": "base east"}


def tikz(scene: Scene) -> str:
    """Return a scene as the text of a TeX file."""
    colours = {
        f"{role}{end}": colour.removeprefix("#").upper()
        for role, paint in scene.palette.items()
        for end, colour in zip(("fill", "line"), paint, strict=True)
    }
    corner, opposite = (scene.x, scene.y), (scene.x + scene.width, scene.y + scene.height)
    # The box has to be there in either case: it is the size of the page.
    frame = "fill[groundfill]" if scene.has_ground else "path[use as bounding box]"
    has_formula = any(
        isinstance(shape, FormulaBlock) for part in scene.parts for shape in part.shapes
    )
    lines = [
        f"% {_comment(scene.title)}",
        f"% {_comment(scene.description)}",
        r"\documentclass[border=0pt]{standalone}",
        *([r"\usepackage{amsmath}"] if has_formula else []),
        r"\usepackage{tikz}",
        r"\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}",
        *(rf"\definecolor{{{name}}}{{HTML}}{{{colour}}}" for name, colour in colours.items()),
        r"\begin{document}",
        rf"\begin{{tikzpicture}}[x={_POINTS_PER_PIXEL}bp, y=-{_POINTS_PER_PIXEL}bp]",
        r"\sffamily",
        rf"\{frame} {_at(corner)} rectangle {_at(opposite)};",
        *(command for part in scene.parts for shape in part.shapes for command in _draw(shape)),
        r"\end{tikzpicture}",
        r"\end{document}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return text for TeX: every character is printed, none is a command."""
    return "".join(_TEXT.get(letter, letter if letter.isascii() else "?") for letter in text)


def _comment(text: str) -> str:
    # TeX ends a comment at the end of the line, and reads no other character in it.
    return " ".join(text.split())


def _draw(shape: Shape) -> Iterator[str]:
    match shape:
        case Box():
            left, top, right, low = shape.area
            options = f"{_outline(shape)}, rounded corners={_length(shape.radius)}"
            yield rf"\draw[{options}] {_at((left, top))} rectangle {_at((right, low))};"
        case Disc():
            command = rf"\fill[{shape.role}line" if shape.solid else rf"\draw[{_outline(shape)}"
            circle = f"circle[radius={_length(shape.radius)}]"
            yield f"{command}] {_at((shape.x, shape.y))} {circle};"
        case Polyline():
            yield from _line(shape)
        case Text():
            size = number(shape.size * _POINTS_PER_PIXEL)
            font = rf"\fontsize{{{size}bp}}{{{size}bp}}\selectfont"
            options = f"anchor={_ANCHORS[shape.anchor]}, inner sep=0pt, text={shape.role}line"
            at = _at((shape.x, shape.y))
            yield rf"\node[{options}] at {at} {{{font} {_content(shape)}}};"
        case FormulaBlock():
            yield from _formula(shape)


def _outline(shape: Box | Disc) -> str:
    fill = "dash pattern=on 3bp off 2.25bp" if shape.dashed else f"fill={shape.role}fill"
    return f"draw={shape.role}line, {fill}, line width={_length(1.5)}"


def _line(line: Polyline) -> Iterator[str]:
    path = " -- ".join(map(_at, line.path))
    # TikZ has one radius for a whole path.
    radii = [abs(a[0] - corner[0]) + abs(a[1] - corner[1]) for a, corner, _ in line.bends]
    curves = f", rounded corners={_length(min(radii))}" if radii else ""
    if line.cased:
        yield rf"\draw[groundfill, line width={_length(7)}{curves}] {path};"
    dashes = ", dash pattern=on 3.4bp off 2.6bp" if line.dashed else ""
    width = _length(line.width)
    yield rf"\draw[{line.role}line, line width={width}{dashes}{curves}] {path};"
    if line.head:
        yield rf"\fill[{line.role}line] {' -- '.join(map(_at, line.triangle))} -- cycle;"


def _content(text: Text) -> str:
    if text.variable:
        inside = "".join(_VARIABLES.get(letter, letter) for letter in text.content)
        return f"${inside}$" if text.italic else rf"$\mathrm{{{inside}}}$"
    content = escape(text.content)
    if text.weight >= 600:
        content = rf"\textbf{{{content}}}"
    if text.more:
        content += rf"\hspace{{{_length(GAP)}}}{escape(text.more)}"
    return content


def _formula(formula: FormulaBlock) -> Iterator[str]:
    size, line = _length(FORMULA_SIZE), _length(FORMULA_PITCH)
    options = f"anchor=north west, inner sep=0pt, text={formula.role}line"
    at = _at((formula.x, formula.y))
    font = rf"\fontsize{{{size}}}{{{line}}}\selectfont\setlength{{\jot}}{{0pt}}"
    yield rf"\node[{options}] at {at} {{{font}$\begin{{aligned}}"
    yield " \\\\\n".join(f"  {row.latex}" for row in formula.rows)
    yield r"\end{aligned}$};"


def _at(point: Point) -> str:
    return f"({number(point[0])},{number(point[1])})"


def _length(pixels: float) -> str:
    return f"{number(pixels * _POINTS_PER_PIXEL)}bp"
