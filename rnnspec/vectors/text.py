"""Word vectors in the text formats of word2vec (with a header) and GloVe (without)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnnspec.errors import Problem, SpecError
from rnnspec.vectors.lines import Said, blocks, fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rnnspec.vectors.lines import Progress
    from rnnspec.vectors.table import Vectors


def read_text(vectors: Vectors, progress: Progress) -> None:
    """Fill ``vectors`` from a text file with a word and its numbers on each line.

    Only the lines of wanted words are parsed, and reading ends when all words are found.

    Raises:
        UsageError: the file cannot be read.
        SpecError: the file is not UTF-8 or is truncated, or the line of a wanted word is invalid.
    """
    # A word may contain spaces, so a line is looked up first by its part before the first space.
    # Source: https://github.com/stanfordnlp/GloVe/issues/203.
    heads = {word.split()[0] for word in vectors.words.rows}
    missing = len(vectors.words.rows)
    promised = number = 0
    for first, lines in blocks(vectors.path, progress, vectors.inside):
        if first == 1:
            promised = _header(vectors, lines[0])
        for number, line in enumerate(lines, first):
            head = line.split(None, 1)
            if not head or head[0] not in heads or (promised and number == 1):
                continue
            missing -= _take(vectors, number, line)
            if not missing:
                return
    if promised and number - 1 < promised:
        message = (
            f"expected {promised:,} lines after the header, which gives this number, received "
            f"{number - 1:,}: the file is truncated"
        )
        raise SpecError((Problem(str(vectors.path), message, code="E624"),))


def _header(vectors: Vectors, line: bytes) -> int:
    """Return the number of lines according to the header, or 0 if the line is not a header."""
    # Bounded, because int() of thousands of digits raises ValueError.
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() and len(field) < 19 for field in fields):
        return 0
    if int(fields[1]) != vectors.dim:
        start = line.rindex(fields[1])
        message = f"expected vectors of {vectors.dim} numbers, received {fields[1].decode()}"
        raise _wrong(vectors, 1, line, ("E625", message), (start, start + len(fields[1])))
    return int(fields[0])


def _take(vectors: Vectors, number: int, line: bytes) -> bool:
    """Store the vector of a wanted word; return true if the word had no vector before."""
    # From the right, because the word may contain spaces.
    word, *numbers = line.rsplit(None, vectors.dim)
    row = vectors.words.rows.get(word.lstrip())
    if row is None or len(numbers) != vectors.dim:
        _check_width(vectors, number, line)
        return False
    if vectors.found[row]:
        return False
    vectors.rows[row] = _numbers(vectors, number, line, numbers)
    vectors.found[row] = True
    return True


def _check_width(vectors: Vectors, number: int, line: bytes) -> None:
    """Raise if the line has too few fields, or too many for its word."""
    fields = line.split()
    expected = vectors.dim + 1
    if len(fields) == expected - 1 and line[:1].isspace():
        return  # the vector of an empty word
    # A longer line has a word with spaces, unless a number follows the first field.
    too_long = fields[0] in vectors.words.rows and _is_number(fields[1 : len(fields) - vectors.dim])
    if len(fields) < expected or too_long:
        message = (
            f"expected {expected} fields, a word and {vectors.dim} numbers, received {len(fields)}"
        )
        raise _wrong(vectors, number, line, ("E625", message))


def _is_number(fields: list[bytes]) -> bool:
    return bool(fields) and _value(fields[0]) is not None


def _numbers(
    vectors: Vectors, number: int, line: bytes, fields: list[bytes]
) -> NDArray[np.float32]:
    try:
        values = np.array(fields, dtype=np.float32)
    except ValueError:
        raise _wrong_number(vectors, number, line, fields) from None
    # Python accepts 1_000 as a number.
    if not np.isfinite(values).all() or (b"_" in line and any(b"_" in field for field in fields)):
        raise _wrong_number(vectors, number, line, fields)
    return values


def _wrong_number(vectors: Vectors, number: int, line: bytes, fields: list[bytes]) -> SpecError:
    end = len(line.rstrip())
    for field in reversed(fields):
        start = line.rindex(field, 0, end)
        value = _value(field)
        if value is None or not np.isfinite(value):
            break
        end = start
    shown = field[:60].decode()
    wanted = "a number" if value is None else "a finite number that float32 can hold"
    message = f"expected {wanted}, received {shown!r}"
    return _wrong(vectors, number, line, ("E626", message), (start, start + len(field)))


def _value(field: bytes) -> np.float32 | None:
    try:
        return None if b"_" in field else np.float32(float(field))
    except ValueError:
        return None


def _wrong(
    vectors: Vectors, number: int, line: bytes, said: Said, extent: tuple[int, int] | None = None
) -> SpecError:
    return SpecError((fault(vectors.path, number, line, said, extent),))
