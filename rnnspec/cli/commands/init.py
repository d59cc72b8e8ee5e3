"""``rnnspec init``: write a commented spec to start from, and the schema for editors."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from rnnspec.backends import reserved_names
from rnnspec.backends.base import TEMPLATES
from rnnspec.cli import completers
from rnnspec.cli.messages import tell
from rnnspec.cli.options import Force
from rnnspec.errors import OutputError, UsageError, printable
from rnnspec.errors.arguments import one_of
from rnnspec.files import Inputs, write_file

SCHEMA_FILE = "rnnspec.schema.json"
MODELINE = f"# yaml-language-server: $schema=./{SCHEMA_FILE}\n"

_NETWORKS = TEMPLATES / "init"
_USUAL = "classifier"


def init(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Name of the network; by default its kind."),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            "-n",
            metavar="KIND",
            help="Kind of network to start from.",
            show_default=_USUAL,
            autocompletion=completers.networks,
        ),
    ] = None,
    cell: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Start from a small network with a published cell, by its equations.",
            autocompletion=completers.cells,
        ),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="List the kinds of network and the cells, and exit.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write; by default NAME.yaml."),
    ] = None,
    force: Force = False,
) -> None:
    """Write a commented spec, and a schema for editors."""
    if listing:
        _print_names()
        return
    if cell is None:
        kind = one_of("network", network or _USUAL, completers.network_names())
        text = _text(kind)
    elif network is None:
        kind = _cell_named(cell)
        text = _text_of_cell(kind)
    else:
        raise UsageError("--cell and --network both name what to start from; expected one of them")
    name = kind if name is None else name
    text = _rename_network(text, kind, name)
    target = output or Path(f"{name}.yaml")
    schema = target.parent / SCHEMA_FILE
    inputs = Inputs.of([(schema, "the file of the schema")])
    inputs.check(target)
    if target.suffix not in ("", ".yaml", ".yml"):
        raise UsageError("expected a path that ends in .yaml", str(target))
    write_file(target, MODELINE + text, force=force, inputs=inputs)
    print(printable(f"wrote {target}"))
    _write_schema(schema)
    print(printable(f"next: rnnspec summary {quote(str(target))}"))


def _print_names() -> None:
    """Print the kinds of network and the cells, each with what it is."""
    from rnnspec.spec.zoo import zoo_publication

    networks = {
        kind: _text(kind).partition("\n")[0].removeprefix("# ")
        for kind in completers.network_names()
    }
    published = {cell: zoo_publication(cell) for cell in completers.cell_names()}
    cells = {cell: f"{of.title} ({of.authors})" for cell, of in published.items()}
    for title, names in (("Networks (--network)", networks), ("Cells (--cell)", cells)):
        print(f"{title}:")
        width = max(map(len, names))
        for name, about in names.items():
            print(f"  {name:{width}}  {about}")


def _cell_named(name: str) -> str:
    """Return the cell of a name, its own or one by which its paper or another library calls it."""
    names = completers.cell_names()
    if name not in names:
        # Imported here because a cell's own name does not need it.
        from rnnspec.spec.messages.foreign_values import cell_for

        name = cell_for(name) or name
    return one_of("cell", name, names)


def _rename_network(text: str, network: str, name: str) -> str:
    """Return the text of a network under another name."""
    from rnnspec.spec.names import check_network_name

    try:
        check_network_name(name, reserved_names())
    except ValueError as error:
        raise UsageError(str(error)) from None
    return text.replace(f"\nname: {network}\n", f"\nname: {name}\n", 1)


def _text(network: str) -> str:
    return (_NETWORKS / f"{network}.yaml").read_text("utf-8")


def _text_of_cell(cell: str) -> str:
    from rnnspec.spec.zoo import ZOO

    return (ZOO / f"{cell}.yaml").read_text("utf-8")


def _write_schema(target: Path) -> None:
    """Write the schema unless its file exists, and print the result.

    If it cannot be written, a message says so, and the spec is kept.
    """
    # Imported here, because it builds all models.
    from rnnspec.spec import json_schema

    text = json_schema.text(reserved_names())
    try:
        write_file(target, text, force=False)
    except UsageError:  # the file exists, perhaps created a moment ago
        _compare_schema(target, text.encode())
    except OutputError as error:
        _note(target, f"{error.message}; the spec was written, the schema was not")
    else:
        print(printable(f"wrote {target}, for completion and checks in editors"))


def _compare_schema(target: Path, expected: bytes) -> None:
    """Print a note if the file is not the schema of this version, or cannot be compared."""
    try:
        if not target.is_file():  # opening a named pipe would wait for a writer
            _note(target, "is not a regular file, so the schema is neither written nor compared")
            return
        with target.open("rb") as stream:
            # A longer file differs anyway; twice leaves room for Windows line breaks.
            content = stream.read(2 * len(expected))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        _note(target, f"cannot be read, so it was not compared with the schema: {reason}")
        return
    if content.replace(b"\r\n", b"\n") != expected:
        command = f"rnnspec schema -o {quote(str(target))} --force updates it"
        print(printable(f"{target} is not the schema of this version: {command}"))


def _note(target: Path, message: str) -> None:
    tell(printable(f"{target}: note: {message}"))
