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
    """A piece of text, and the name of its style in rich."""

_STYLES = {
    "place": "bold",
    "error": "bold red",
    "warning": "bold yellow",
    "note": "bold blue",
    "carets": "red",
}
# The first line of a message, but not an excerpt of a source line; or the carets below one.
_PARTS = re.compile(
    r"(?!  +(?:\d+ *)?\| )(?P<place>.+?): "
    r"(?:(?P<error>error)|(?P<warning>warning)|(?P<note>note)): "
    r"|  +\| +(?P<carets>\^+)$"
)


def tell(text: str) -> None:
    """Print messages as rendered by ``errors`` to standard error."""
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
    """Print lines given as parts; markup in the text of a user has no effect.

    Segments skip the layout of rich, which takes a minute for 100,000 lines.
    """
    from rich.segment import Segment, Segments
    from rich.style import Style

    segments = [
        Segment(text, Style.parse(style)) for line in lines for text, style in (*line, ("\n", ""))
    ]
    console.print(Segments(segments), soft_wrap=True, end="")


def in_colour(stream: IO[str]) -> bool:
    """Return true if output to ``stream`` may be coloured.

    Any non-empty NO_COLOR forbids colour, else any non-empty FORCE_COLOR forces it; otherwise
    terminals get colour unless TERM is ``dumb``.
    """
    # By the convention of https://no-color.org, an empty variable counts as unset.
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
