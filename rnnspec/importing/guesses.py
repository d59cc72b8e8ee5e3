"""Guesses of an importer, as comments in the spec that it writes."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def with_guesses(text: str, guesses: Sequence[tuple[str, str]]) -> str:
    """Return the text of a spec with a comment for each guess, above the section it is about.

    A guess about a section that the spec does not need stands at the end.
    """
    left, lines = list(guesses), list[str]()
    for line in text.splitlines():
        # Sections begin in the first column, and nothing else does.
        section = line.partition(":")[0]
        lines += [_comment(what) for where, what in left if where == section]
        left = [guess for guess in left if guess[0] != section]
        lines.append(line)
    lines += [_comment(f"{where}: {what}") for where, what in left]
    return "\n".join(lines) + "\n"


def _comment(what: str) -> str:
    return fill(f"guessed: {what}", 100, initial_indent="# ", subsequent_indent="#   ")
