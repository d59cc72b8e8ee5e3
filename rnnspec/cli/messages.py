"""Messages on standard error: in colour on a terminal, plain elsewhere."""

from __future__ import annotations

import os
import re
import sys
from typing import IO

_STYLES = {
    "place": "bold",
    "error": "bold red",
    "warning": "bold yellow",
    "note": "bold blue",
    "carets": "red",
}
# A line that says what is wrong, unless it is an excerpt; or the carets below an excerpt.
_PARTS = (
    r"(?m)^(?!  +(?:\d+ *)?\| )(?P<place>.+?): "
    r"(?:(?P<error>error)|(?P<warning>warning)|(?P<note>note)): "
    r"|^  +\| +(?P<carets>\^+)$"
)


def tell(text: str) -> None:
    """Print messages, as ``errors`` renders them, to standard error."""
    if not in_colour(sys.stderr):
        print(text, file=sys.stderr)
        return
    from rich.console import Console
    from rich.text import Text
    from rich.theme import Theme

    console = Console(stderr=True, force_terminal=True, theme=Theme(_STYLES))
    # Text, not markup: what a user wrote is never read as a style.
    message = Text(text)
    message.highlight_regex(re.compile(_PARTS))
    console.print(message, soft_wrap=True)


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
