"""``rnnspec diff``: print the changes from one spec to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from rich.style import Style

from rnnspec.cli.inputs import Input, find_inputs
from rnnspec.cli.specs import load_all
from rnnspec.cli.terminal import tables
from rnnspec.cli.terminal.grid import Grid
from rnnspec.diff import Change, Diff, LayerDiff, diff
from rnnspec.errors import UsageError, printable
from rnnspec.ir.params import count
from rnnspec.ir.text import type_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.nodes import Layer, Network

# Beside the colours, which not everybody sees and which redirected output lacks.
_MARKS = {"same": " ", "changed": "~", "added": "+", "removed": "-"}
_STYLES = {
    "same": Style.null(),
    "changed": Style(color="yellow"),
    "added": Style(color="green"),
    "removed": Style(color="red"),
}


def run(before: str, after: str, *, json: bool, exit_code: bool, allow_outside: bool) -> None:
    """Print the changes; with ``exit_code``, exit with 1 if there are any."""
    if before == after == "-":
        raise UsageError("expected '-' once at most: standard input contains one spec")
    old, new = load_all([_input(path, allow_outside=allow_outside) for path in (before, after)])
    result = diff(old, new)
    if json:
        tables.print_json(result.as_dict())
    else:
        _print(result, f"{old.source} -> {new.source}")
    if exit_code and not result.same:
        raise typer.Exit(1)


def _input(path: str, *, allow_outside: bool) -> Input:
    if path == "-":
        return find_inputs([path], allow_outside=allow_outside)[0]
    # Not find_inputs(): a folder or a pattern could stand for several specs.
    return Input(path, named=True, allow_outside=allow_outside)


def _print(result: Diff, title: str) -> None:
    console = tables.plain_console()
    console.print(printable(title))
    for change in (*result.network, *_promises(result)):
        console.print(_words(change))
    if result.same:
        console.print("no change in the network")
        return
    if any(layer.state != "same" or layer.renamed for layer in result.layers):
        table = _table(result.layers)
        if table.fits(console):
            console.print(table)
        else:
            for line, style in _lines(result.layers):
                console.print(line, style=style)
    for line in _totals(result):
        console.print(line)


def _promises(result: Diff) -> Iterator[Change]:
    for change in result.expect:
        yield Change(f"expect.{change.key}", change.before, change.after)


def _words(change: Change) -> str:
    return printable(f"{change.key}: {_value(change.before)} -> {_value(change.after)}")


def _value(value: Any) -> str:
    """Return a value as it is written in a spec."""
    match value:
        case None:
            return "unset"
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value:,}"
        case dict():
            return ", ".join(f"{{{key}: {part!r}}}" for key, part in value.items())
        case _:
            return str(value)


def _table(layers: tuple[LayerDiff, ...]) -> Grid:
    table = Grid("  Layer (type)", "Output shape", "Parameters", "Changes", left=frozenset({0, 3}))
    for layer in layers:
        both = [each for each in (layer.before, layer.after) if each is not None]
        table.add_row(
            f"{_MARKS[layer.state]} {_name(layer)} ({_arrow(*map(type_name, both))})",
            _arrow(*map(_shape, both)),
            _arrow(*(f"{count(each):,}" for each in both)),
            "\n".join(map(_words, layer.changes)),
            style=_STYLES[layer.state],
        )
    return table


def _lines(layers: tuple[LayerDiff, ...]) -> Iterator[tuple[str, Style]]:
    """Yield what the table has, one below the other, for a terminal that is too narrow for it."""
    for layer in layers:
        both = [each for each in (layer.before, layer.after) if each is not None]
        style = _STYLES[layer.state]
        title = f"{_MARKS[layer.state]} {_name(layer)} ({_arrow(*map(type_name, both))})"
        yield title, style
        yield f"    output shape: {_arrow(*map(_shape, both))}", style
        yield f"    parameters: {_arrow(*(f'{count(each):,}' for each in both))}", style
        for change in layer.changes:
            yield f"    {_words(change)}", style


def _name(layer: LayerDiff) -> str:
    if layer.before and layer.renamed and layer.after:
        return f"{layer.after.name}, before {layer.before.name}"
    present = layer.after or layer.before
    return present.name if present else ""


def _totals(result: Diff) -> Iterator[str]:
    yield f"Output shape: {_arrow(_shape(result.before), _shape(result.after))}"
    before, after = (each.as_dict() for each in result.parameters)
    for key, old in before.items():
        more = f" ({after[key] - old:+,})" if after[key] != old else ""
        label = key.replace("_", "-").capitalize()
        yield f"{label} parameters: {_arrow(f'{old:,}', f'{after[key]:,}')}{more}"


def _arrow(*sides: str) -> str:
    """Return ``before -> after``, or one side if both are equal or the other is absent."""
    return " -> ".join(dict.fromkeys(sides))


def _shape(of: Layer | Network) -> str:
    return str((None, *of.output))
