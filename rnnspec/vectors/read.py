"""Pretrained word vectors: read from files of any size, and written into a live model."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import Problem, SpecError, brief
from rnnspec.files.arrays import FLOATS, HeaderError, npy_array, safetensors_file
from rnnspec.files.regular import opened
from rnnspec.ir.nodes import Embedding
from rnnspec.vectors.lines import (
    CodeAndMessage,
    Words,
    blocks,
    line_problem,
    quiet,
    read_words,
    resolve,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from rnnspec.backends.slots import Array
    from rnnspec.files.arrays import ArrayPlace
    from rnnspec.ir.nodes import Network
    from rnnspec.vectors.lines import Progress
    from rnnspec.weights.store import Store


@dataclass(frozen=True, slots=True)
class Vectors:
    """The rows of one embedding, some of which are read from a file.

    ``array`` is the canonical name of the embedding. ``rows`` has the shape (vocabulary, dim), and
    ``in_file`` (vocabulary,) is true for each row that is in the file. If ``inside`` is a folder,
    the file must be in it.
    """

    array: str
    path: Path
    words: Words
    rows: NDArray[np.float32] = field(repr=False)
    in_file: NDArray[np.bool_] = field(repr=False)
    inside: Path | None = None

    @property
    def dim(self) -> int:
        """The size of a vector."""
        return int(self.rows.shape[1])

    @property
    def number_found(self) -> int:
        """The number of words that have a vector."""
        return int(self.in_file.sum())

    def report(self) -> tuple[str, ...]:
        """Return messages with the number of words that have a vector and that have none."""
        total, number = len(self.words.rows), self.number_found
        read = f"Read {number:,} vector{'s' if number != 1 else ''} from {self.path}"
        if number == total:
            return (read,)
        verbs = "has no vector", "it keeps its random initial row"
        if total - number > 1:
            verbs = "have no vector", "they keep their random initial rows"
        return (
            read,
            f"{total - number:,} of {total:,} words {verbs[0]} in {self.path}; {verbs[1]}",
        )


def _read_text(vectors: Vectors, progress: Progress) -> None:
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
        raise _wrong_line(vectors, 1, line, ("E625", message), (start, start + len(fields[1])))
    return int(fields[0])


def _take(vectors: Vectors, number: int, line: bytes) -> bool:
    """Store the vector of a wanted word; return true if the word had no vector before."""
    # From the right, because the word may contain spaces.
    word, *numbers = line.rsplit(None, vectors.dim)
    row = vectors.words.rows.get(word.lstrip())
    if row is None or len(numbers) != vectors.dim:
        _check_width(vectors, number, line)
        return False
    if vectors.in_file[row]:
        return False
    vectors.rows[row] = _numbers(vectors, number, line, numbers)
    vectors.in_file[row] = True
    return True


def _check_width(vectors: Vectors, number: int, line: bytes) -> None:
    """Raise if the line has too few fields, or too many for its word."""
    fields = line.split()
    expected = vectors.dim + 1
    if len(fields) == expected - 1 and line[:1].isspace():
        return  # the vector of an empty word
    # A longer line has a word with spaces, unless a number follows the first field.
    more = fields[1 : len(fields) - vectors.dim]
    too_long = fields[0] in vectors.words.rows and more and _value(more[0]) is not None
    if len(fields) < expected or too_long:
        message = (
            f"expected {expected} fields, a word and {vectors.dim} numbers, received {len(fields)}"
        )
        raise _wrong_line(vectors, number, line, ("E625", message))


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
    for number_text in reversed(fields):
        start = line.rindex(number_text, 0, end)
        value = _value(number_text)
        if value is None or not np.isfinite(value):
            break
        end = start
    received = number_text[:60].decode()
    expected = "a number" if value is None else "a finite number that float32 can hold"
    message = f"expected {expected}, received {received!r}"
    return _wrong_line(vectors, number, line, ("E626", message), (start, start + len(number_text)))


def _value(field: bytes) -> np.float32 | None:
    try:
        return None if b"_" in field else np.float32(float(field))
    except ValueError:
        return None


def _wrong_line(
    vectors: Vectors,
    number: int,
    line: bytes,
    problem: CodeAndMessage,
    extent: tuple[int, int] | None = None,
) -> SpecError:
    return SpecError((line_problem(vectors.path, number, line, problem, extent),))


# Bytes that are copied between two calls of the progress function.
_BLOCK = 2**22


def _read_npy(vectors: Vectors, progress: Progress) -> None:
    """Fill ``vectors`` from a .npy file; nothing in it is unpickled.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is truncated, or is not an array of floating-point numbers of the right shape.
    """
    with opened(vectors.path, vectors.inside) as (stream, size):
        with _as_problem(vectors):
            stored = npy_array(stream, size)
        if stored.dtype.kind != "f":
            message = f"expected floating-point numbers, received {stored.dtype}"
            raise _wrong(vectors, "E626", message)
        _fill(vectors, stored.map(stream), progress)


def _read_safetensors(vectors: Vectors, progress: Progress) -> None:
    """Fill ``vectors`` from the array ``embeddings`` of a safetensors file, or its only matrix.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is truncated, or has no matrix of floating-point numbers of the right shape.
    """
    with opened(vectors.path, vectors.inside) as (stream, size):
        with _as_problem(vectors):
            arrays, _ = safetensors_file(stream, size)
        stored = arrays[_choose_array(vectors, arrays)]
        if stored.type not in FLOATS:
            message = f"expected {', '.join(FLOATS)} numbers, received {brief(stored.type)}"
            raise _wrong(vectors, "E626", message)
        _fill(vectors, stored.map(stream), progress)


def _choose_array(vectors: Vectors, arrays: dict[str, ArrayPlace]) -> str:
    if "embeddings" in arrays:
        return "embeddings"
    # Types that cannot be read count too, so that the error is about the type.
    matrices = [
        name for name, array in arrays.items() if len(array.shape) == 2 and "F" in array.type
    ]
    if len(matrices) != 1:
        names = brief(", ".join(repr(name) for name in sorted(matrices)[:5]) or "none")
        message = f"expected one float matrix, or one called 'embeddings', received {names}"
        raise _wrong(vectors, "E625", message)
    return matrices[0]


def _fill(vectors: Vectors, source: Array, progress: Progress) -> None:
    shape = source.shape
    _check_shape(vectors, shape)
    for row in vectors.words.rows.values():
        vectors.in_file[row] = row < shape[0]
    size = 4 * vectors.dim
    step = max(1, _BLOCK // size)
    for start in range(0, shape[0], step):
        stop = min(start + step, shape[0])
        vectors.rows[start:stop] = source[start:stop]
        # After the conversion to float32, in which a float64 may overflow.
        finite = np.isfinite(vectors.rows[start:stop]).all(axis=1)
        wrong = vectors.in_file[start:stop] & ~finite
        if wrong.any():
            row = start + int(wrong.argmax())
            message = "expected finite numbers that float32 can hold, received others"
            raise _wrong(vectors, "E626", message, f"row {row}")
        progress(stop * size, shape[0] * size)


def _check_shape(vectors: Vectors, shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or shape[1] != vectors.dim:
        expected = (vectors.words.lines, vectors.dim)
        raise _wrong(vectors, "E625", f"expected the shape {expected}, received {shape}")
    # Fewer rows are accepted: the last words then have no vector.
    if shape[0] > vectors.words.lines:
        message = (
            f"expected at most {vectors.words.lines:,} rows, one for each line of "
            f"{vectors.words.path}, received {shape[0]:,}"
        )
        raise _wrong(vectors, "E625", message)


@contextmanager
def _as_problem(vectors: Vectors) -> Iterator[None]:
    try:
        yield
    except HeaderError as error:
        raise _wrong(vectors, "E624", str(error)) from None


def _wrong(vectors: Vectors, code: str, message: str, where: str = "") -> SpecError:
    return SpecError((Problem(str(vectors.path), message, where, code=code),))


def read_vectors(
    network: Network, folder: Path, progress: Progress = quiet, *, allow_outside: bool = False
) -> tuple[Vectors, ...]:
    """Return the pretrained vectors of each embedding of a network that has some.

    Text is read line by line and arrays through a memory map, so memory is needed only for the
    result. If a text file has a word twice, the first one counts.

    Args:
        network: a lowered network.
        folder: the folder to which the paths in the network are relative.
        allow_outside: whether paths and links may lead out of ``folder``.
        progress: called from time to time with the bytes read so far and the total.

    Raises:
        UsageError: a file cannot be read.
        SpecError: a file is invalid; for a text file, the error gives the line.
    """
    result = list[Vectors]()
    for layer in network.layers:
        if isinstance(layer, Embedding) and layer.pretrained is not None:
            path, listed = folder / layer.pretrained.weights, folder / layer.pretrained.words
            inside = None if allow_outside else folder
            if inside is not None:
                # Links are followed first, because one inside the folder can lead out of it. That
                # is for the message: what the path leads to may change, so the files are checked
                # again as they are opened.
                base = resolve(folder)
                outside = [p for p in (path, listed) if not resolve(p).is_relative_to(base)]
                if outside:
                    way_out = "--allow-outside or allow_outside=True permits this"
                    message = f"is outside the folder of the spec; {way_out}"
                    raise SpecError(tuple(Problem(str(p), message, code="E603") for p in outside))
            words = read_words(listed, layer.vocabulary, inside)
            vectors = Vectors(
                f"{layer.name}.embeddings",
                path,
                words,
                np.zeros((layer.vocabulary, layer.dim), np.float32),
                np.zeros(layer.vocabulary, np.bool_),
                inside,
            )
            with np.errstate(over="ignore"):  # an overflow becomes infinite, and is refused
                _read(vectors, progress)
            result.append(vectors)
    return tuple(result)


def _read(vectors: Vectors, progress: Progress) -> None:
    match vectors.path.suffix.lower():
        case ".npy":
            _read_npy(vectors, progress)
        case ".safetensors":
            _read_safetensors(vectors, progress)
        case _:
            _read_text(vectors, progress)
    if not vectors.in_file.any():
        message = f"contains none of the {len(vectors.words.rows):,} words of {vectors.words.path}"
        raise SpecError((Problem(str(vectors.path), message, code="E628"),))


def write_vectors(store: Store, model: Any, vectors: Vectors) -> None:
    """Replace the rows of an embedding for which there are vectors; keep the others."""
    rows = store.read_one(model, vectors.array)
    np.copyto(rows, vectors.rows, where=vectors.in_file[:, None])
    store.write_one(model, vectors.array, rows)
