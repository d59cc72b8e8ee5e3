"""``rnnspec diff``: print the changes from one spec to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rnnspec.cli import completers
from rnnspec.cli.options import AllowOutside, Json
from rnnspec.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.comparison.diff import Change, Diff, LayerDiff
    from rnnspec.ir.nodes import Layer, Network
    from rnnspec.results.tables import Grid

# Beside the colours, which not everybody sees and which redirected output lacks.
_MARKS = {"same": " ", "changed": "~", "added": "+", "removed": "-"}
_COLOURS = {"same": None, "changed": "yellow", "added": "green", "removed": "red"}


def diff(
    before: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="Spec, REVISION:PATH in Git, or - for standard input.",
            autocompletion=completers.specs,
        ),
    ],
    after: Annotated[
        str,
        typer.Argument(
            metavar="B",
            help="Spec, REVISION:PATH in Git, or - for standard input.",
            autocompletion=completers.specs,
        ),
    ],
    json: Json = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 if the networks differ.")
    ] = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Print what changed from A to B, layer by layer.

    Comments and defaults that are written out make no difference. To compare a file with what Git
    has of it:

    rnnspec diff HEAD:net.yaml net.yaml
    """
    # Imported here because '--help' reads no spec.
    from rnnspec.cli.guard import print_json
    from rnnspec.cli.inputs import find_input, load_all
    from rnnspec.comparison.diff import diff as compare

    if before == after == "-":
        raise UsageError("expected '-' once at most: standard input contains one spec")
    inputs = [find_input(path, allow_outside=allow_outside) for path in (before, after)]
    old, new = load_all(inputs)
    result = compare(old, new)
    if json:
        print_json(result.as_dict())
    else:
        _print(result, f"{old.source} -> {new.source}")
    if exit_code and not result.same:
        raise typer.Exit(1)


def _print(result: Diff, title: str) -> None:
    from rnnspec.results import tables

    console = tables.plain_console()
    console.print(printable(title))
    for change in result.network:
        console.print(_in_words(change.key, change))
    for change in result.expect:
        console.print(_in_words(f"expect.{change.key}", change))
    if result.same:
        console.print("no change in the network")
        return
    if any(layer.state != "same" or layer.renamed for layer in result.layers):
        table = _table(result.layers)
        if table.fits(console):
            console.print(table)
        else:
            for layer in result.layers:
                for line in _lines(layer):
                    console.print(line, style=_COLOURS[layer.state])
    for line in _totals(result):
        console.print(line)


def _in_words(key: str, change: Change) -> str:
    return printable(f"{key}: {_value(change.before)} -> {_value(change.after)}")


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
    from rich.style import Style

    from rnnspec.results.tables import Grid

    table = Grid("  Layer (type)", "Output shape", "Parameters", "Changes", left=frozenset({0, 3}))
    for layer in layers:
        changes = "\n".join(_in_words(change.key, change) for change in layer.changes)
        table.add_row(*_cells(layer), changes, style=Style(color=_COLOURS[layer.state]))
    return table


def _lines(layer: LayerDiff) -> Iterator[str]:
    """Yield the cells of a layer below each other, for a terminal too narrow for the table."""
    title, shape, parameters = _cells(layer)
    yield title
    yield f"    output shape: {shape}"
    yield f"    parameters: {parameters}"
    for change in layer.changes:
        yield f"    {_in_words(change.key, change)}"


def _cells(layer: LayerDiff) -> tuple[str, str, str]:
    """Return the name and the type, the output shape and the number of parameters."""
    from rnnspec.ir.params import count
    from rnnspec.ir.text import type_name

    sides = [side for side in (layer.before, layer.after) if side is not None]
    name = sides[-1].name
    if layer.before and layer.renamed:
        name = f"{name}, before {layer.before.name}"
    return (
        f"{_MARKS[layer.state]} {name} ({_arrow(*map(type_name, sides))})",
        _arrow(*map(_shape, sides)),
        _arrow(*(f"{count(side):,}" for side in sides)),
    )


def _totals(result: Diff) -> Iterator[str]:
    yield f"Output shape: {_arrow(_shape(result.before), _shape(result.after))}"
    before, after = (counts.as_dict() for counts in result.parameters)
    for key, old in before.items():
        more = f" ({after[key] - old:+,})" if after[key] != old else ""
        label = key.replace("_", "-").capitalize()
        yield f"{label} parameters: {_arrow(f'{old:,}', f'{after[key]:,}')}{more}"


def _arrow(*sides: str) -> str:
    """Return ``before -> after``, or one side if both are equal or the other is absent."""
    return " -> ".join(dict.fromkeys(sides))


def _shape(of: Layer | Network) -> str:
    return str((None, *of.output))
