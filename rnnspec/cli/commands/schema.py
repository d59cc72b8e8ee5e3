"""``rnnspec schema``: print the JSON Schema of the language."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli.options import Force
from rnnspec.errors import UsageError, printable
from rnnspec.files import check_target, write_file


def schema(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write; by default standard output."
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Print the JSON Schema of the language, for editors."""
    if output == Path("-"):
        raise UsageError("expected the path of a file; without -o the schema is printed", "-")
    if output is not None:
        check_target(output, force=force)
    # Imported after the check, because it builds all models.
    from rnnspec.backends import reserved_names
    from rnnspec.spec import json_schema

    if output is None:
        print(json_schema.text(reserved_names()), end="")
    else:
        write_file(output, json_schema.text(reserved_names()), force=force)
        print(printable(f"wrote {output}"))
