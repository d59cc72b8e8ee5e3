"""Messages on standard error: in colour on a terminal, plain elsewhere."""

from __future__ import annotations

import os
import re
import sys
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

    Part = tuple[str, str]
    """A piece of text, and rich's name of its style."""

_STYLES = {
    "place": "bold",
    "error": "bold red",
    "warning": "bold yellow",
    "note": "bold blue",
    "carets": "red",
}
# A line that says what is wrong, unless it is an excerpt; or the carets below an excerpt.
_PARTS = re.compile(
    r"(?!  +(?:\d+ *)?\| )(?P<place>.+?): "
    r"(?:(?P<error>error)|(?P<warning>warning)|(?P<note>note)): "
    r"|  +\| +(?P<carets>\^+)$"
)


def tell(text: str) -> None:
    """Print messages, as ``errors`` renders them, to standard error."""
    if not in_colour(sys.stderr):
        print(text, file=sys.stderr)
        return
    from rich.console import Console

    print_parts(Console(stderr=True, force_terminal=True), map(_parts, text.split("\n")))


def _parts(line: str) -> Iterator[Part]:
    match = _PARTS.match(line)
    spans = [(style, *match.span(name)) for name, style in _STYLES.items()] if match else []
    at = 0
    for style, start, stop in spans:
        if stop > 0:
            yield line[at:start], ""
            yield line[start:stop], style
            at = stop
    yield line[at:], ""


def print_parts(console: Console, lines: Iterable[Iterable[Part]]) -> None:
    """Print lines, each as its parts, and what a user wrote as it is: it is no markup.

    Nothing is wrapped or laid out, which takes rich a minute for 100,000 lines.
    """
    from rich.segment import Segment, Segments
    from rich.style import Style

    made = [
        Segment(text, Style.parse(style)) for line in lines for text, style in (*line, ("\n", ""))
    ]
    console.print(Segments(made), soft_wrap=True, end="")


def in_colour(stream: IO[str]) -> bool:
    """Tell whether what is printed to ``stream`` may be coloured.

    NO_COLOR forbids it, else FORCE_COLOR asks for it, by any value that is not empty; a terminal
    has it unless it is a dumb one.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
