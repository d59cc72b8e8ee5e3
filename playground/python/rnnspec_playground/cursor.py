"""The key or value of a spec at a cursor, even if the text around it is incomplete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from rnnspec.spec.yaml.text import Path, blank_forbidden, decode
from rnnspec.spec.yaml.tree import Tree, grow_once
from rnnspec_playground.equations import is_equation

_WORD = re.compile(r"[\w.+-]*")
_WORD_BEFORE = re.compile(r"[\w.+-]*\Z")
_COLON = re.compile(r"[ \t]*:")
_STAND_IN = "x"
"""Put in place of the word at the cursor, which may be empty or no valid key."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word in a text, from offset ``start`` to ``end``; ``column`` is that of its start.

    ``cursor`` is the offset of the cursor in it.
    """

    text: str
    start: int
    end: int
    column: int
    cursor: int

    @property
    def end_column(self) -> int:
        """The column after its last character."""
        return self.column + self.end - self.start

    @property
    def has_parenthesis(self) -> bool:
        """True if a parenthesis follows."""
        return self.text.startswith("(", self.end)

    @property
    def has_colon(self) -> bool:
        """True if a colon follows."""
        return _COLON.match(self.text, self.end) is not None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The word at a cursor, and the path of the key or value that it is, in ``data``."""

    word: Word
    path: Path
    is_key: bool
    data: Any


def find(text: str, line: int, column: int) -> Cursor | None:
    """Return the cursor before a column, or None where neither a key nor a value can be.

    Lines and columns are counted in characters from 1; lines end with a line feed.

    Raises:
        SpecError: the text is longer than a spec may be.
    """
    word = _word(blank_forbidden(decode(text, "")), line, column)
    extent = word.start, word.start + len(_STAND_IN)
    for tree, form in _readings(word):
        for places, is_key in ((tree.keys, True), (tree.values, False)):
            for path, place in places.items():
                if place == extent and (is_key or not is_equation(path)):
                    return Cursor(word, path, is_key, tree.data)
        for path, place in tree.values.items() if form == _STAND_IN else ():
            if place[0] <= extent[0] and extent[1] <= place[1] and is_equation(path):
                return Cursor(_name(word), path, is_key=False, data=tree.data)
    return None


def _name(word: Word) -> Word:
    """Return the name at the end of a word of an expression, whose operators are no letters."""
    before = max(word.text.rfind(sign, word.start, word.cursor) for sign in ".+-") + 1
    start = max(word.start, before)
    end = re.compile(r"\w*").match(word.text, word.cursor)
    assert end is not None
    return replace(word, start=start, end=end.end(), column=word.column + start - word.start)


def _word(text: str, line: int, column: int) -> Word:
    lines = text.split("\n")[:line]
    begin = sum(len(line) + 1 for line in lines[:-1])
    before = lines[-1][: column - 1]
    match = _WORD_BEFORE.search(before)
    start = begin + (match.start() if match else len(before))
    word = _WORD.match(text, start)
    return Word(text, start, word.end() if word else start, start - begin + 1, begin + len(before))


def _readings(word: Word) -> Iterator[tuple[Tree, str]]:
    """Yield the trees of the text with the stand-in as a key, then as a value, and its form."""
    forms = (_STAND_IN,) if word.has_colon else (f"{_STAND_IN}: ", _STAND_IN)
    # The text behind the cursor may be broken because of what is not typed yet.
    for ending in (word.text[word.end :], ""):
        for form in forms:
            yield grow_once(word.text[: word.start] + form + ending), form
