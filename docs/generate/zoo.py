"""The page of the published cells: the equations of each, its picture, its paper and its size."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

import rnnspec
from docs.generate.markdown import dark, figure, table
from rnnspec.drawing.writers.mathml import mathml
from rnnspec.ir.nodes import Recurrent
from rnnspec.ir.params import count
from rnnspec.lowering.cells import read
from rnnspec.pipeline import program
from rnnspec.results.elements import element, render
from rnnspec.results.html import mathematics
from rnnspec.spec.models import Cell, EquationBlock, Spec
from rnnspec.spec.zoo import head_comment, zoo_publication

LINES: dict[str, list[int]] = tomllib.loads(
    Path(__file__).with_name("torchrecurrent.toml").read_text("utf-8")
)
"""The lines of a file of torchrecurrent, and the number of cells in it, by a cell that it has."""
_HEAD = ("cell", "name", "paper", "year", "lines", "parameters", "lines in torchrecurrent")

_ABOUT = """# Cells

Recurrent cells that were published, each as its [equations](../concepts/cells.md) in a spec.
`rnnspec init --cell NAME` writes one of these specs, and `cells: {NAME: {from: NAME}}` takes the
cell into another spec. The lines are those of its equations, which every backend is generated from;
beside them are the lines of the file that has the cell for PyTorch in
[torchrecurrent](https://pypi.org/project/torchrecurrent/) 0.2.5. The parameters are those of the
layer in the spec, of 64 units over 32 features in most of them.
"""


def zoo_pages(folder: Path) -> dict[str, str]:
    """Return the page of the cells in ``folder``, and their pictures."""
    specs = {path: rnnspec.load(path) for path in sorted(folder.glob("*.yaml"))}
    rows = (_row(path, spec) for path, spec in specs.items())
    entries = (_entry(path, spec) for path, spec in specs.items())
    page = f"{_ABOUT}\n{_listed(rows)}\n{''.join(entries)}"
    pictures = {place: text for path, spec in specs.items() for place, text in _draw(path, spec)}
    return {"gallery/cells.md": page, **pictures}


def _listed(rows: Iterable[tuple[str, ...]]) -> str:
    """Return the table of the cells, which ``site.js`` can search."""
    data = 'data-noun="cells" data-example="light GRU 2018"'
    return f'<div class="searchable" {data} markdown>\n\n{table(_HEAD, rows)}\n</div>\n'


def _row(path: Path, spec: Spec) -> tuple[str, ...]:
    publication = zoo_publication(path.stem)
    (layer,) = (node for node in program(spec).network.layers if isinstance(node, Recurrent))
    lines, cells = LINES.get(path.stem, (0, 0))
    there = f"{lines:,}" + (f" for {cells} cells" if cells > 1 else "") if lines else ""
    name = f"[{path.stem}](#{path.stem})"
    paper = f"[{publication.authors}]({publication.address})"
    size = f"{_line_count(_cell(path, spec))}", f"{count(layer):,}", there
    return name, publication.title, paper, publication.year, *size


def _cell(path: Path, spec: Spec) -> Cell:
    cell = (spec.cells or {})[path.stem]
    assert isinstance(cell, Cell), "a cell of the zoo has its equations"
    return cell


def _line_count(cell: Cell) -> int:
    declared = cell.equations
    blocks = declared if isinstance(declared, tuple) else (declared,)
    inside = (item.equations if isinstance(item, EquationBlock) else item for item in blocks)
    return sum(map(len, inside)) + (cell.output is not None)


def _entry(path: Path, spec: Spec) -> str:
    comment = escape(head_comment(path.read_text("utf-8")), quote=False)
    source = re.sub(r"(https?://[^\s,;]+[^\s,;.:])", r"<\1>", comment)
    cell = _cell(path, spec)
    # A cell that is a layer of the language has equations, too.
    formula = mathematics(mathml(read(cell, cell.settings).equations))
    equations = render(element("div", formula, style="overflow-x: auto"))
    picture = figure(f"The cell {path.stem}, at each step.", f"cells/{path.stem}.svg")
    parts = (f"## {path.stem} {{ #{path.stem} }}", spec.description, source, equations, picture)
    return "\n\n".join(parts) + "\n\n"


def _draw(path: Path, spec: Spec) -> Iterator[tuple[str, str]]:
    """Yield the pictures of a spec by their places, for light and for dark pages."""
    for theme, place in (("colour", str), ("dark", dark)):
        picture = rnnspec.draw(spec, theme=theme, labels="none", steps=3)
        yield place(f"gallery/cells/{path.stem}.svg"), str(picture)
