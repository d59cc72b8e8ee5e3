"""Unified diffs that bring generated files up to date."""

from __future__ import annotations

import sys
from difflib import unified_diff
from typing import TYPE_CHECKING

from rnnspec.cli.terminal.messages import in_colour, print_parts
from rnnspec.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The first match counts, so the headers precede the signs that they start with.
_STYLES = {"---": "bold", "+++": "bold", "@@ ": "cyan", "-": "red", "+": "green"}


def committed(path: Path) -> str | None:
    """Return the text of a file with line feeds, or None if it does not exist.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise UsageError("is not a regular file", str(path))
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror}", str(path)) from None
    # A checkout on Windows may have converted the line breaks.
    return raw.replace(b"\r\n", b"\n").decode("utf-8", "backslashreplace")


def print_patch(path: Path, before: str | None, after: str) -> None:
    """Print a patch for ``patch -p0`` that brings ``path`` up to date."""
    lines = list(_patch(path, before, after))
    if not in_colour(sys.stdout):
        print("\n".join(lines))
        return
    from rich.console import Console

    print_parts(Console(force_terminal=True), ([(line, _style(line))] for line in lines))


def _style(line: str) -> str:
    return next((_STYLES[start] for start in _STYLES if line.startswith(start)), "")


def _patch(path: Path, before: str | None, after: str) -> Iterator[str]:
    name = printable(path.as_posix())
    # The name by which patch and git recognize a new file, on Windows too.
    names = "/dev/null" if before is None else name, name
    for line in unified_diff(_lines(before or ""), _lines(after), *names):
        text, ended, _ = line.partition("\n")
        # Tabs are not escaped, so that the patch applies.
        yield "\t".join(map(printable, text.split("\t")))
        if not ended:
            yield "\\ No newline at end of file"


def _lines(text: str) -> list[str]:
    """Return the lines with their line feeds; unlike ``splitlines``, split at nothing else."""
    *whole, last = text.split("\n")
    return [*(f"{line}\n" for line in whole), *([last] if last else [])]
