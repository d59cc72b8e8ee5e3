"""Results as text: tables, and the lines about them."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from itertools import zip_longest
from shutil import get_terminal_size
from typing import IO, TYPE_CHECKING

from rich.box import ASCII, SQUARE
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style

from rnnspec.backends import BACKENDS
from rnnspec.comparison.report import ParityReport
from rnnspec.errors import printable, render_difference
from rnnspec.results.summaries import TITLES, Summary, summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.box import Box
    from rich.console import ConsoleOptions

    from rnnspec.comparison.report import SpecParity
    from rnnspec.models.foreign import Model

_WIDTH = 10_000
"""Wider than any table, so that rich cuts nothing; a narrow terminal wraps the lines."""


def print_result(result: ParityReport | Summary) -> None:
    """Print a result to standard output, with styles on a terminal."""
    console = plain_console()
    for part in _parts(result, console):
        console.print(part)


def text(result: Model | ParityReport | Summary) -> str:
    """Return a result as a command prints it if standard output is no terminal."""
    stream = StringIO()
    console = plain_console(stream)
    if isinstance(result, ParityReport):
        parts = [*_parts(result, console), *map(render_difference, result.differences)]
    elif isinstance(result, Summary):
        parts = [*_parts(result, console)]
    else:
        parts = [*_parts(summary(result.spec), console), *map(printable, result.remarks)]
    for part in parts:
        console.print(part)
    return stream.getvalue().removesuffix("\n")


def plain_console(stream: IO[str] | None = None) -> Console:
    """Return a console for standard output that ignores markup and cuts nothing.

    What it prints to ``stream`` is not coloured.
    """
    plain = None if stream is None else False
    return Console(
        file=stream,
        force_terminal=plain,
        force_jupyter=False,  # rich would print beside the stream
        width=_WIDTH,
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


class Grid:
    """A table as wide as its cells; a cell may have several lines and is never cut.

    It is laid out here, because rich takes ten seconds for thousands of layers. The columns in
    ``left`` are aligned to the left, the others to the right.
    """

    def __init__(self, *titles: str, left: frozenset[int] = frozenset({0})) -> None:
        self._left = left
        self._rows: list[tuple[list[list[str]], Style]] = []
        self._ruled: set[int] = set()
        self._widths = [0] * len(titles)
        self.add_row(*titles, style=Style(bold=True))

    def add_row(self, *cells: str, style: Style | None = None) -> None:
        """Add a row, with a cell for each column."""
        split = [cell.split("\n") for cell in cells]
        for column, lines in enumerate(split):
            self._widths[column] = max(self._widths[column], *map(_width, lines))
        self._rows.append((split, style or Style.null()))

    @property
    def width(self) -> int:
        """The number of columns of a terminal that it takes."""
        return sum(self._widths) + 3 * len(self._widths) + 1

    def fits(self, console: Console) -> bool:
        """Return false if ``console`` is a terminal that would break the lines of the table."""
        return not console.file.isatty() or self.width <= get_terminal_size().columns

    def add_section(self) -> None:
        """Draw a line between the rows so far and those that follow."""
        self._ruled.add(len(self._rows))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Yield finished segments, which rich writes without further layout."""
        # Redirected output may end up in a file or a log of another encoding.
        box = (SQUARE if console.file.isatty() else ASCII).substitute(options)
        widths = [width + 2 for width in self._widths]
        yield Segment(f"{box.get_top(widths)}\n")
        for number, (cells, style) in enumerate(self._rows):
            if number == 1:
                yield Segment(f"{box.get_row(widths, 'head')}\n")
            elif number in self._ruled:
                yield Segment(f"{box.get_row(widths, 'row')}\n")
            for line in zip_longest(*cells, fillvalue=""):
                yield from self._line(line, style, box)
        yield Segment(f"{box.get_bottom(widths)}\n")

    def _line(self, cells: Sequence[str], style: Style, box: Box) -> Iterator[Segment]:
        bars = (box.mid_left, *(box.mid_vertical for _ in cells[1:]))
        for bar, (column, cell) in zip(bars, enumerate(cells), strict=True):
            space = " " * (self._widths[column] - _width(cell))
            yield Segment(bar)
            yield Segment(f" {cell}{space} " if column in self._left else f" {space}{cell} ", style)
        yield Segment(f"{box.mid_right}\n")


def _width(text: str) -> int:
    # cell_len knows wide characters, but is slow, and most cells are ASCII.
    return len(text) if text.isascii() else cell_len(text)


def _parts(result: ParityReport | Summary, console: Console) -> Iterator[str | Grid]:
    return _summary(result) if isinstance(result, Summary) else _parity(result, console)


def _summary(summary: Summary) -> Iterator[str | Grid]:
    """Yield one row per layer, then the totals."""
    yield f'Model: "{summary.name}"'
    table = Grid(*TITLES)
    for layer in summary.layers:
        for row in layer.cells:
            table.add_row(*row)
    yield table
    counts = summary.parameters
    yield f"Total parameters: {counts.total:,}"
    yield f"Trainable parameters: {counts.trainable:,}"
    yield f"Non-trainable parameters: {counts.non_trainable:,}"
    yield from summary.remarks


def _parity(report: ParityReport, console: Console) -> Iterator[str | Grid]:
    """Yield a table for each spec, then the parameters that built-in layers would have."""
    for spec in report.specs:
        yield from _parity_tables(spec, report.tolerances, console)
        for level in report.tolerances:
            findings = [(result.findings[level], name) for name, result in spec.backends.items()]
            worst, name = max(findings, key=lambda pair: pair[0].difference)
            yield f"Largest difference in {level}: {worst.difference:.1e}, {worst.where} on {name}"
        for optimizer, causes in spec.known.items():
            yield f"* {optimizer}"
            yield from (f"  {cause}" for cause in causes)
        yield from _stock_lines(spec)
        yield from spec.left_out
        yield ""
    yield from report.left_out
    yield report.verdict


def _parity_tables(
    spec: SpecParity, tolerances: dict[str, float], console: Console
) -> Sequence[Grid]:
    """Return one table, or in a narrow terminal several, each with some of the backends."""
    tables, results = [_parity_table(spec, tolerances)], list(spec.backends.items())
    for size in range(len(results), 0, -1):
        if all(table.fits(console) for table in tables):
            break
        groups = (dict(results[at : at + size]) for at in range(0, len(results), size))
        tables = [_parity_table(replace(spec, backends=group), tolerances) for group in groups]
    return tables


def _parity_table(spec: SpecParity, tolerances: dict[str, float]) -> Grid:
    table, results = Grid(spec.name, "spec", *spec.backends), spec.backends.values()
    for layer, parameters in spec.layers.items():
        counts = (parameters, *(result.layers[layer] for result in results))
        table.add_row(layer, *(f"{count:,}" for count in counts))
    table.add_section()
    for key, parameters in spec.parameters.as_dict().items():
        counts = (parameters, *(result.parameters.as_dict()[key] for result in results))
        table.add_row(key.replace("_", "-"), *(f"{count:,}" for count in counts))
    table.add_section()
    for level in tolerances:
        findings = [result.findings[level] for result in results]
        bound = spec.bound(level)
        bounds = (f" of {finding.allowed:.2g}" if bound is None else "" for finding in findings)
        pairs = zip(findings, bounds, strict=True)
        cells = (f"{finding.difference:.1e}{of}" for finding, of in pairs)
        table.add_row(level, "within rounding" if bound is None else f"within {bound:.2g}", *cells)
    for name, optimizers in spec.own.items():
        cells = (f"{own.finding.difference:.1e}{'*' if own.known else ''}" for own in optimizers)
        table.add_row(f"own {name}", f"within {tolerances['training']:g}", *cells)
    return table


def _stock_lines(spec: SpecParity) -> Iterator[str]:
    """Yield the parameters that each framework's built-in layers would have, and why."""
    for backend, layers in spec.stock.items():
        if not layers:
            continue
        more = [stock.parameters - spec.layers[stock.layer] for stock in layers]
        total = spec.parameters.total + sum(more)
        layers_of = f"Built-in layers of {BACKENDS[backend].title}"
        if spec.backends[backend].form == "training":
            yield f"{layers_of} would have {total:,} parameters in total:"
        else:
            yield f"{layers_of} have {total:,} parameters; the counts above leave out the zeros:"
        # Most layers share a reason, which is printed once, above all of them.
        for type_, adds, reason in sorted(
            {(layer.type, layer.adds, layer.reason) for layer in layers}
        ):
            yield f"  {type_} adds {adds}, {reason}"
        for stock, number in zip(layers, more, strict=True):
            yield f"  {stock.layer}: {stock.parameters:,} as {stock.type}, {number:,} more"
