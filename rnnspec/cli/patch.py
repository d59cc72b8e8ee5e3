"""Generated files on disk, and what would bring them up to date, as a unified diff."""

from __future__ import annotations

import sys
from difflib import unified_diff
from typing import TYPE_CHECKING

from rnnspec.cli.messages import in_colour
from rnnspec.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STYLES = {"---": "bold", "+++": "bold", "@@ ": "cyan", "-": "red", "+": "green"}


def committed(path: Path) -> str | None:
    """Return the text of a file, None where there is none; a Windows checkout's line breaks go.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise UsageError("is no regular file", str(path))
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror}", str(path)) from None
    return raw.replace(b"\r\n", b"\n").decode("utf-8", "backslashreplace")


def print_patch(path: Path, before: str | None, after: str) -> None:
    """Print what ``patch -p0`` needs to bring ``path`` up to date."""
    lines = list(_patch(path, before, after))
    if not in_colour(sys.stdout):
        print("\n".join(lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(force_terminal=True, highlight=False)
    for line in lines:
        style = next((_STYLES[start] for start in _STYLES if line.startswith(start)), "")
        console.print(Text(line, style), soft_wrap=True)


def _patch(path: Path, before: str | None, after: str) -> Iterator[str]:
    old = "/dev/null" if before is None else path.as_posix()
    found = unified_diff(_lines(before or ""), _lines(after), old, path.as_posix(), lineterm="")
    for number, line in enumerate(found):
        text, ended, _ = line.partition("\n")
        # Tabs are shown as they are, so that the patch applies.
        yield "\t".join(map(printable, text.split("\t")))
        if number >= 2 and not ended and not line.startswith("@@"):
            yield "\\ No newline at end of file"


def _lines(text: str) -> list[str]:
    """Return the lines, each with its line feed: no other character ends one in Python source."""
    *whole, last = text.split("\n")
    return [*(f"{line}\n" for line in whole), *([last] if last else [])]
