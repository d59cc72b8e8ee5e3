"""Results as tables for people, and as JSON for programs."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console

from rnnspec.backends import BACKENDS
from rnnspec.cli.terminal import guard
from rnnspec.cli.terminal.grid import Grid
from rnnspec.comparison.report import ParityReport
from rnnspec.errors import printable, render_difference
from rnnspec.pipeline import summary
from rnnspec.summaries import TITLES, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rnnspec.backends.contract import Stock
    from rnnspec.comparison.random import Found, OnBackend
    from rnnspec.comparison.report import SpecParity
    from rnnspec.importing.live import Model
    from rnnspec.ir.params import Counts
    from rnnspec.summaries import LayerSummary

_WIDTH = 10_000
"""Wider than any table, so that rich cuts nothing; a narrow terminal wraps the lines."""


def print_json(data: dict[str, Any]) -> None:
    """Print plain data as JSON, with null for an infinite difference, which JSON cannot express."""
    guard.print_json(_finite(data))


def _finite(data: Any) -> Any:
    match data:
        case dict():
            return {key: _finite(value) for key, value in data.items()}
        case list():
            return [_finite(value) for value in data]
        # RFC 8259, section 6: JSON has no infinity. A program must be able to read the document.
        case float() if data in (float("inf"), float("-inf")):
            return None
        case _:
            return data


def print_summary(summary: Summary) -> None:
    """Print one row per layer, then the totals."""
    _show_summary(summary, plain_console())


def text(result: Model | ParityReport | Summary) -> str:
    """Return what a command prints of a result where standard output is no terminal."""
    stream = StringIO()
    console = plain_console(stream)
    if isinstance(result, ParityReport):
        _show_parity(result, console)
        for difference in result.differences:
            console.print(render_difference(difference))
    elif isinstance(result, Summary):
        _show_summary(result, console)
    else:
        _show_summary(summary(result.spec), console)
        for line in result.remarks:
            console.print(printable(line))
    return stream.getvalue().removesuffix("\n")


def _show_summary(summary: Summary, console: Console) -> None:
    console.print(f'Model: "{summary.name}"')
    console.print(_layer_table(summary.layers))
    _print_totals(console, summary.parameters)
    for remark in summary.remarks:
        console.print(remark)


def _layer_table(layers: Iterable[LayerSummary]) -> Grid:
    table = Grid(*TITLES)
    for layer in layers:
        table.add_row(*layer.cells)
    return table


def _print_totals(console: Console, counts: Counts) -> None:
    console.print(f"Total parameters: {counts.total:,}")
    console.print(f"Trainable parameters: {counts.trainable:,}")
    console.print(f"Non-trainable parameters: {counts.non_trainable:,}")


def print_parity(report: ParityReport) -> None:
    """Print a table for each spec, then the parameters that built-in layers would have."""
    _show_parity(report, plain_console())


def _show_parity(report: ParityReport, console: Console) -> None:
    for spec in report.specs:
        for table in _parity_tables(spec, report.tolerances, console):
            console.print(table)
        for line in (
            *_where_lines(spec, report.tolerances),
            *_known_lines(spec),
            *_stock_lines(spec),
            *_refused_lines(spec),
        ):
            console.print(line)
        console.print()
    console.print(report.verdict)


def print_random(found: Found, options: str) -> None:
    """Print the result for random specs.

    If one failed, the smallest failing spec is printed with the result as comments, so the output
    is a spec that reproduces the failure.
    """
    lines = [f"Largest difference in {name}: {most:.1e}" for name, most in found.largest.items()]
    for name, each in found.backends.items():
        if each.dtype != "float64":
            lines += _other_lines(name, each, found.compared)
    if found.refused:
        lines.append(f"refused: {found.refused}")
    if not found.spec:
        print(*lines, f"equal: {found.compared} random specs", sep="\n")
        return
    again = f"rnnspec parity FILE {options}"
    # No seed is needed to see it again, because the whole spec follows.
    lines += [f"equal so far: {found.compared}; this one is not; to see it again: {again}"]
    print(*(f"# {line}" for line in lines), sep="\n")
    print(found.spec, end="")


def _other_lines(name: str, part: OnBackend, compared: int) -> Iterable[str]:
    """Yield the lines about a backend that was compared in another dtype than float64."""
    for level, most in part.largest.items():
        yield f"Largest difference in {level} in {part.dtype} on {name}: {most:.1e}"
    if part.compared < compared:
        yield f"left out by {name}: {compared - part.compared}"


def _parity_tables(
    spec: SpecParity, tolerances: dict[str, float], console: Console
) -> Sequence[Grid]:
    """Return one table, or in a narrow terminal several, each with some of the backends."""
    tables, results = [_parity_table(spec, tolerances)], list(spec.backends.items())
    for size in range(len(results), 0, -1):
        if all(table.fits(console) for table in tables):
            break
        parts = (dict(results[at : at + size]) for at in range(0, len(results), size))
        tables = [_parity_table(replace(spec, backends=part), tolerances) for part in parts]
    return tables


def _parity_table(spec: SpecParity, tolerances: dict[str, float]) -> Grid:
    table = Grid(spec.name, "spec", *spec.backends)
    for layer, parameters in spec.layers.items():
        held = [account.layers[layer] for account in spec.backends.values()]
        table.add_row(layer, *_counts(parameters, *held))
    table.add_section()
    for key, wanted in spec.parameters.as_dict().items():
        held = [account.parameters.as_dict()[key] for account in spec.backends.values()]
        table.add_row(key.replace("_", "-"), *_counts(wanted, *held))
    table.add_section()
    for level in tolerances:
        found = [account.findings[level] for account in spec.backends.values()]
        bound = spec.bound(level)
        own = [f" of {each.allowed:.2g}" if bound is None else "" for each in found]
        cells = (f"{each.difference:.1e}{of}" for each, of in zip(found, own, strict=True))
        table.add_row(level, "within rounding" if bound is None else f"within {bound:.2g}", *cells)
    for name, owned in spec.own.items():
        cells = (f"{each.finding.difference:.1e}{'*' if each.known else ''}" for each in owned)
        table.add_row(f"own {name}", f"within {tolerances['training']:g}", *cells)
    return table


def _where_lines(spec: SpecParity, levels: Iterable[str]) -> Iterable[str]:
    for level in levels:
        found = [(a.findings[level], name) for name, a in spec.backends.items()]
        worst, name = max(found, key=lambda each: each[0].difference)
        yield f"Largest difference in {level}: {worst.difference:.1e}, {worst.where} on {name}"


def _counts(*numbers: int) -> list[str]:
    return [f"{number:,}" for number in numbers]


def _known_lines(spec: SpecParity) -> Iterator[str]:
    for optimizer, causes in spec.known.items():
        yield f"* {optimizer}"
        yield from (f"  {cause}" for cause in causes)


def _stock_lines(spec: SpecParity) -> Iterable[str]:
    for backend, layers in spec.stock.items():
        if not layers:
            continue
        total = spec.parameters.total + sum(_more(spec, stock) for stock in layers)
        layers_of = f"Built-in layers of {BACKENDS[backend].title}"
        if spec.backends[backend].form == "training":
            yield f"{layers_of} would have {total:,} parameters in total:"
        else:
            yield f"{layers_of} have {total:,} parameters; the counts above leave out the zeros:"
        # Most layers share a reason, which is printed once, above all of them.
        for type_, reason in sorted({(stock.type, stock.reason) for stock in layers}):
            yield f"  {type_} {reason}"
        for stock in layers:
            more = _more(spec, stock)
            yield f"  {stock.layer}: {stock.parameters:,} as {stock.type}, {more:,} more"


def _refused_lines(spec: SpecParity) -> Iterable[str]:
    for backend, (first, *others) in spec.refused.items():
        more = f" (and {len(others)} more)" if others else ""
        yield f"Left out {backend}: {first.layer}.{first.key}: {first.reason}{more}"


def _more(spec: SpecParity, stock: Stock) -> int:
    return stock.parameters - spec.layers[stock.layer]


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
