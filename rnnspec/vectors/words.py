"""The words of an embedding: a file with one word per line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.errors import Problem, SpecError
from rnnspec.vectors.lines import blocks, fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a file in UTF-8, each with its row; ``lines`` counts empty lines too."""

    path: Path
    rows: dict[bytes, int]
    lines: int


def read_words(path: Path, vocabulary: int, inside: Path | None = None) -> Words:
    """Return the words of the file at ``path``: line i, from 0, is the word of row i.

    If ``inside`` is a folder, the file must be in it.

    An empty line stands for a row without a word, and so do missing lines at the end.

    Raises:
        UsageError: the file cannot be read.
        SpecError: the file is not UTF-8, has a word twice, or more lines than ``vocabulary``.
    """
    rows: dict[bytes, int] = {}
    problems = []
    lines = 0
    for number, line in _lines(path, inside):
        word = line.strip()
        row = number - 1
        if word and row >= vocabulary:
            message = f"expected at most {vocabulary:,} lines, one per token of the vocabulary"
            problems.append(fault(path, number, line, ("E623", message)))
            break
        if word in rows:
            message = f"duplicate word; the first one is on line {rows[word] + 1:,}"
            problems.append(fault(path, number, line, ("E622", message)))
        elif word:
            rows[word] = row
        # Empty lines beyond the vocabulary stand for no row.
        lines = min(number, vocabulary)
        if len(problems) == _MAX_PROBLEMS:
            break
    if not rows:
        message = "expected one word per line, received no words"
        problems.append(Problem(str(path), message, code="E627"))
    if problems:
        raise SpecError(tuple(problems))
    return Words(path, rows, lines)


def _lines(path: Path, inside: Path | None) -> Iterator[tuple[int, bytes]]:
    for number, lines in blocks(path, inside=inside):
        yield from enumerate(lines, number)
