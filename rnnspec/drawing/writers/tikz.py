"""TikZ: a file of the class ``standalone`` that compiles alone, with any engine."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.drawing.scene import Box, Disc, Line, Point, Scene, Shape, Text
from rnnspec.drawing.widths import GAP
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
    lines = [
        f"% {_comment(scene.title)}",
        f"% {_comment(scene.description)}",
        r"\documentclass[border=0pt]{standalone}",
        r"\usepackage{tikz}",
        r"\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}",
        *(rf"\definecolor{{{name}}}{{HTML}}{{{colour}}}" for name, colour in _colours(scene)),
        r"\begin{document}",
        rf"\begin{{tikzpicture}}[x={_POINTS_PER_PIXEL}bp, y=-{_POINTS_PER_PIXEL}bp]",
        r"\sffamily",
        _frame(scene),
        *(command for part in scene.parts for shape in part.shapes for command in _draw(shape)),
        r"\end{tikzpicture}",
        r"\end{document}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return text for TeX: every character is printed, none is a command."""
    return "".join(_TEXT.get(letter, letter if letter.isascii() else "?") for letter in text)


def _comment(text: str) -> str:
    # TeX ends a comment at the end of the line, and reads no other character in it.
    return text.encode("ascii", "backslashreplace").decode()


def _colours(scene: Scene) -> Iterator[tuple[str, str]]:
    for role, (fill, stroke) in scene.palette.items():
        yield f"{role}fill", fill.removeprefix("#").upper()
        yield f"{role}line", stroke.removeprefix("#").upper()


def _frame(scene: Scene) -> str:
    corners = f"{_at((scene.x, scene.y))} rectangle {_at(_opposite(scene))}"
    # The box has to be there in either case: it is the size of the page.
    return rf"\{'fill[white]' if scene.white else 'path[use as bounding box]'} {corners};"


def _opposite(scene: Scene) -> Point:
    return scene.x + scene.width, scene.y + scene.height


def _draw(shape: Shape) -> Iterator[str]:
    match shape:
        case Box():
            yield _box(shape)
        case Disc():
            yield _disc(shape)
        case Line():
            yield from _line(shape)
        case Text():
            yield _text(shape)


def _box(box: Box) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    right, low = box.x + box.width / 2, box.y + box.height / 2
    corners = f"rounded corners={_length(box.radius)}"
    options = f"{_outline(box.role, dashed=box.dashed)}, {corners}"
    return rf"\draw[{options}] {_at((left, top))} rectangle {_at((right, low))};"


def _disc(disc: Disc) -> str:
    circle = f"{_at((disc.x, disc.y))} circle[radius={_length(disc.radius)}]"
    if disc.solid:
        return rf"\fill[{disc.role}line] {circle};"
    return rf"\draw[{_outline(disc.role, dashed=disc.dashed)}] {circle};"


def _outline(role: str, *, dashed: bool) -> str:
    fill = "dash pattern=on 3bp off 2.25bp" if dashed else f"fill={role}fill"
    return f"draw={role}line, {fill}, line width={_length(1.5)}"


def _line(line: Line) -> Iterator[str]:
    path = " -- ".join(map(_at, line.path))
    curves = f", rounded corners={_length(min(_radii(line), default=0))}" if line.path[2:] else ""
    if line.cased:
        yield rf"\draw[white, line width={_length(7)}{curves}] {path};"
    dashes = ", dash pattern=on 3.4bp off 2.6bp" if line.dashed else ""
    width = _length(line.width)
    yield rf"\draw[{line.role}line, line width={width}{dashes}{curves}] {path};"
    if line.head:
        yield rf"\fill[{line.role}line] {' -- '.join(map(_at, line.triangle))} -- cycle;"


def _radii(line: Line) -> Iterator[float]:
    for begin, corner, _ in line.bends:
        yield abs(begin[0] - corner[0]) + abs(begin[1] - corner[1])


def _text(text: Text) -> str:
    size = number(text.size * _POINTS_PER_PIXEL)
    font = rf"\fontsize{{{size}bp}}{{{size}bp}}\selectfont"
    options = f"anchor={_ANCHORS[text.anchor]}, inner sep=0pt, text={text.role}line"
    return rf"\node[{options}] at {_at((text.x, text.y))} {{{font} {_content(text)}}};"


def _content(text: Text) -> str:
    if text.variable:
        inside = "".join(_VARIABLES.get(letter, letter) for letter in text.content)
        return f"${inside}$" if text.italic else rf"$\mathrm{{{inside}}}$"
    content = escaped(text.content)
    if text.weight >= 600:
        content = rf"\textbf{{{content}}}"
    if text.more:
        content += rf"\hspace{{{_length(GAP)}}}{escaped(text.more)}"
    return content


def _at(point: Point) -> str:
    return f"({number(point[0])},{number(point[1])})"


def _length(pixels: float) -> str:
    return f"{number(pixels * _POINTS_PER_PIXEL)}bp"
