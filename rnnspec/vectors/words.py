"""What each row of an embedding stands for: a file with one word a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.errors import Problem, SpecError
from rnnspec.vectors.lines import blocks, fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a file, UTF-8, each with its row; ``lines`` counts those without a word too."""

    path: Path
    rows: dict[bytes, int]
    lines: int


def read_words(path: Path, vocabulary: int) -> Words:
    """Return the words of the file at ``path``: line i, from 0, is the word of row i.

    An empty line is a row without a word, and so is each row after the last line.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is not UTF-8, holds a word twice, or holds more lines than ``vocabulary``.
    """
    rows: dict[bytes, int] = {}
    problems = []
    lines = 0
    for number, line in _lines(path):
        word = line.strip()
        row = number - 1
        if word and row >= vocabulary:
            message = f"expected at most {vocabulary:,} lines, one for each row of the embedding"
            problems.append(fault(path, number, line, ("E623", message)))
            break
        if word in rows:
            message = f"this is the word of line {rows[word] + 1:,} already"
            problems.append(fault(path, number, line, ("E622", message)))
        elif word:
            rows[word] = row
        lines = min(number, vocabulary)
        if len(problems) == _MOST_PROBLEMS:
            break
    if not rows:
        message = "expected one word a line, received none"
        problems.append(Problem(str(path), message, code="E627"))
    if problems:
        raise SpecError(tuple(problems))
    return Words(path, rows, lines)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    for number, lines in blocks(path):
        yield from enumerate(lines, number)
