"""Text files of whole lines, and the words of an embedding: a file with one word per line."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.errors import Problem, Span, SpecError
from rnnspec.files.regular import opened, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Progress = Callable[[int, int], None]
    """A callback that receives the bytes read so far, and the size of the file."""


CodeAndMessage = tuple[str, str]
"""The code of a problem, and its message."""

_BLOCK = 2**18
# Bounds the memory for a file without line feeds.
_LONGEST = 2**22
# The byte order mark of UTF-8.
_MARK = b"\xef\xbb\xbf"


def quiet(done: int, total: int) -> None:
    """Ignore progress."""


def blocks(
    path: Path, progress: Progress = quiet, inside: Path | None = None
) -> Iterator[tuple[int, list[bytes]]]:
    """Yield blocks of lines without line feeds, each with the number of its first line.

    A byte order mark is dropped. At most one block and the longest line are held in memory. If
    ``inside`` is a folder, the file must be in it.

    Raises:
        UsageError: the file cannot be read.
        SpecError: the file is not UTF-8 text, or a line is longer than 4 MiB.
    """
    number = 1
    for text in _whole_lines(path, progress, inside):
        clean = text.removeprefix(_MARK) if number == 1 else text
        _check_text(path, number, clean)
        # Not splitlines(), which also splits at a single carriage return.
        lines = clean.split(b"\n")
        if clean.endswith(b"\n"):
            lines.pop()
        yield number, lines
        number += len(lines)


def _whole_lines(path: Path, progress: Progress, inside: Path | None) -> Iterator[bytes]:
    """Yield the file in pieces that end at the end of a line."""
    with opened(path, inside) as (stream, size):
        # The start of a line whose end is in a later block.
        rest = b""
        while block := stream.read(_BLOCK):
            progress(stream.tell(), size)
            cut = block.rfind(b"\n") + 1
            if cut:
                yield rest + block[:cut]
                rest = b""
            rest += block[cut:]
            if len(rest) > _LONGEST:
                message = f"expected lines of at most {_LONGEST:,} bytes, received a longer one"
                raise SpecError((Problem(str(path), message, code="E621"),))
    if rest:
        yield rest


def _check_text(path: Path, number: int, text: bytes) -> None:
    try:
        # Most blocks are ASCII, and checking that is much faster than decoding them.
        _ = text.isascii() or text.decode()
    except UnicodeDecodeError as error:
        raise _not_text(path, number, text, error.start) from None
    # Null bytes are valid UTF-8, but mean a binary file.
    if (start := text.find(b"\0")) >= 0:
        raise _not_text(path, number, text, start)


def _not_text(path: Path, number: int, text: bytes, start: int) -> SpecError:
    begin = text.rfind(b"\n", 0, start) + 1
    end = text.find(b"\n", start)
    line = text[begin:] if end < 0 else text[begin:end]
    message = f"expected UTF-8 text, received byte 0x{text[start]:02X}"
    where = number + text.count(b"\n", 0, start)
    extent = (start - begin, start - begin + 1)
    return SpecError((line_problem(path, where, line, ("E621", message), extent),))


def line_problem(
    path: Path,
    number: int,
    line: bytes,
    problem: CodeAndMessage,
    extent: tuple[int, int] | None = None,
) -> Problem:
    """Return a problem with a line, at the bytes of ``extent`` or at the whole line."""
    code, message = problem
    # The extent is in bytes, the columns of a span in characters.
    line = line.rstrip(b"\r\n")
    start, end = extent or (0, len(line))
    before = line[:start].decode("utf-8", "replace")
    marked = line[start:end].decode("utf-8", "replace")
    column = len(before) + 1
    text = before + marked + line[end:].decode("utf-8", "replace")
    span = Span(number, column, column + len(marked), text)
    return Problem(str(path), message, span=span, code=code)


def resolve(path: Path) -> Path:
    """Return ``path`` with all symbolic links resolved.

    Raises:
        UsageError: the path cannot be resolved, so the file cannot be read.
    """
    try:
        return path.resolve()
    except RuntimeError:  # raised before Python 3.13 for a link that leads to itself
        raise unreadable(path, os.strerror(errno.ELOOP)) from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


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
    numbered = (
        line for number, lines in blocks(path, inside=inside) for line in enumerate(lines, number)
    )
    for number, line in numbered:
        word = line.strip()
        row = number - 1
        if word and row >= vocabulary:
            message = f"expected at most {vocabulary:,} lines, one per token of the vocabulary"
            problems.append(line_problem(path, number, line, ("E623", message)))
            break
        if word in rows:
            message = f"duplicate word; the first one is on line {rows[word] + 1:,}"
            problems.append(line_problem(path, number, line, ("E622", message)))
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
