"""How messages name what was received, and the word that was probably meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Guess = Callable[[str, Iterable[str]], str | None]
    """What finds the word that was probably meant."""

_SHOWN = 60
_LONGEST_GUESS = 64


def shortened(text: str) -> str:
    """Return ``text``, cut to 60 characters."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def quoted(text: str) -> str:
    """Return ``text`` in quotes, cut to 60 characters."""
    return repr(shortened(text))


def received(value: Any) -> str:
    """Say what ``value`` is: ``the text '32'``, ``0``, ``true``, ``nothing``, ``a list``."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {quoted(value)}" if value else "an empty text"
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case _:
            return repr(value)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the one of ``words`` that was probably meant by ``word``, or None."""
    if len(word) > _LONGEST_GUESS:
        return None
    # Imported here: only a wrong spec pays for it.
    from difflib import get_close_matches

    lower, words = word.lower().replace("-", "_"), tuple(words)
    for near in get_close_matches(lower, words):
        if _edits(lower, near) <= min(3, 1 + len(lower) // 5):
            return near
    longer = [each for each in words if each.startswith(lower)] if len(lower) > 2 else []
    return longer[0] if len(longer) == 1 else None


def _edits(word: str, other: str) -> int:
    """Return how many letters were left out, added, changed or swapped with the next one."""
    before, last = list(range(len(other) + 1)), list(range(len(other) + 1))
    for row, letter in enumerate(word, 1):
        line = [row]
        for column, its in enumerate(other, 1):
            cost = min(last[column] + 1, line[-1] + 1, last[column - 1] + (letter != its))
            if row > 1 < column and word[row - 2] == its and letter == other[column - 2]:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, last = last, line
    return last[-1]


def no_guess(word: str, words: Iterable[str]) -> None:
    """Return None, where looking for the nearest of words would take too long."""
    del word, words
