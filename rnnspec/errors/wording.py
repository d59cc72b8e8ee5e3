"""Wording shared by messages: received values, lists, and the nearest known name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Guess = Callable[[str, Iterable[str]], str | None]
    """A function that returns the name that was probably meant, such as ``nearest``."""

_SHOWN = 60
_LONGEST_GUESS = 64


def cut_value(text: str) -> str:
    """Return ``text`` truncated to 60 characters."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def quoted(text: str) -> str:
    """Return ``text`` truncated to 60 characters, in quotes."""
    return repr(cut_value(text))


def received(value: Any) -> str:
    """Describe ``value``: ``the string '32'``, ``0``, ``true``, ``null``, ``a list``."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the string {quoted(value)}" if value else "an empty string"
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case _:
            return repr(value)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of ``names`` that was probably meant by ``name``, or None."""
    # The search takes quadratic time, and a key can be as long as the file.
    if len(name) > _LONGEST_GUESS:
        return None
    # Imported here because a valid spec does not need it.
    from difflib import get_close_matches

    lower, names = name.lower().replace("-", "_"), tuple(names)
    for near in get_close_matches(lower, names):
        # get_close_matches accepts a similarity of 0.6, which can be more than a few typing errors.
        if _edits(lower, near) <= min(3, 1 + len(lower) // 5):
            return near
    longer = [other for other in names if other.startswith(lower)] if len(lower) > 2 else []
    return longer[0] if len(longer) == 1 else None


def _edits(word: str, other: str) -> int:
    """Return the number of omitted, added, changed or swapped letters between two words."""
    before, last = list(range(len(other) + 1)), list(range(len(other) + 1))
    for row, letter in enumerate(word, 1):
        line = [row]
        for column, second in enumerate(other, 1):
            cost = min(last[column] + 1, line[-1] + 1, last[column - 1] + (letter != second))
            # Two neighbouring letters in the wrong order count as one edit.
            if row > 1 < column and word[row - 2] == second and letter == other[column - 2]:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, last = last, line
    return last[-1]


def no_guess(name: str, names: Iterable[str]) -> None:
    """Return None: the search is skipped because it would take too long."""
    del name, names
