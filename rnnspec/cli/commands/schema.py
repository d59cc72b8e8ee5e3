"""``rnnspec schema``: print the JSON Schema of the language."""

from __future__ import annotations

from pathlib import Path

from rnnspec.errors import UsageError, printable
from rnnspec.files import check_target, write_file


def run(output: Path | None, *, force: bool) -> None:
    """Print the schema, or write it to ``output``.

    Raises:
        UsageError: ``output`` exists and ``force`` is not given, or is not the path of a file.
        OutputError: the file cannot be written.
    """
    if output == Path("-"):
        raise UsageError("expected the path of a file; without -o the schema is printed", "-")
    if output is not None:
        check_target(output, force=force)
    # Imported after the check, because it builds all models.
    from rnnspec.backends import taken_names
    from rnnspec.spec import json_schema

    if output is None:
        print(json_schema.text(taken_names()), end="")
    else:
        write_file(output, json_schema.text(taken_names()), force=force)
        print(printable(f"wrote {output}"))
