"""Pictures on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnnspec.ir.nodes import Network


def print_picture(network: Network) -> None:
    """Print a network in characters, in ASCII unless a terminal in UTF-8 shows it."""
    from rnnspec.drawing.writers.text import text

    print(text(network, unicode=shows_unicode()), end="\n")


def shows_unicode() -> bool:
    """Return whether standard output is a terminal in UTF-8."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return sys.stdout.isatty() and encoding == "utf8"
