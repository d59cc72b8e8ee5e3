"""Arrays in files: headers of .npy and .safetensors, read as data, bounded and held to the size.

NumPy and safetensors have readers of their own. NumPy's evaluates the header as Python, and lets
out whatever comes of that: MemoryError, RecursionError, TokenError, warnings. Both open a path by
themselves, which may lead to something else by then.
"""

from __future__ import annotations

import json
import math
import mmap
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import UsageError, brief
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    Array = NDArray[Any]

_LONGEST_NPY = 10_000
_LONGEST_SAFETENSORS = 2**22  # one of 10,000 tensors, or with the text of a spec in it
_MOST_AXES = 32
_LARGEST = 2**63

FLOATS: dict[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
"""NumPy's types by the words of safetensors."""

_BFLOAT16 = "BF16"
_TYPES = {**FLOATS, _BFLOAT16: np.dtype("<u2")}
_UNKNOWN: np.dtype[Any] = np.dtype("V")


class HeaderError(Exception):
    """A file that is no array, or cut short; the text says what was expected and received."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The place of one array in a file, in bytes.

    ``type`` is their type in the words of the file, ``dtype`` NumPy's: integers for bfloat16,
    which NumPy lacks, and of kind V for other types that it lacks.
    """

    type: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    fortran: bool = False

    def map(self, stream: BinaryIO) -> Array:
        """Return the array, of which only what is looked at is read."""
        held = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return np.ndarray(
            self.shape, self.dtype, held, self.start, order="F" if self.fortran else "C"
        )

    def floats(self, stream: BinaryIO) -> Array:
        """Return a copy of an array of floating-point numbers; those of bfloat16 become float32.

        Raises:
            HeaderError: it has other numbers.
        """
        if self.type not in _TYPES:
            message = f"expected {', '.join(_TYPES)} numbers, received {brief(self.type)}"
            raise HeaderError(message)
        # An empty array has nothing to map, and its file may be empty from there on.
        found = self.map(stream) if math.prod(self.shape) else np.empty(self.shape, self.dtype)
        if self.type == _BFLOAT16:
            return (found.astype(np.uint32) << 16).view(np.float32)
        return np.array(found)


_MAGIC = b"\x93NUMPY"
_WIDTHS = {1: 2, 2: 4, 3: 4}
"""By version of the format, how many bytes say how long the header is."""

_ENTRY = re.compile(
    rb"""\s*(?P<quote>['"])(?P<key>descr|fortran_order|shape)(?P=quote)\s*:\s*(?P<value>
    '[^'\\]*'|"[^"\\]*"       # a type
    |\[[^]]*\]                # fields with a type each
    |True|False
    |\(\s*\)|\((?:\s*\d{1,19}L?\s*,)+(?:\s*\d{1,19}L?)?\s*\)  # a shape; L as Python 2 wrote it
    )\s*(?:,\s*|(?=\}))""",
    re.VERBOSE,
)
_NUMBERS = re.compile(r"[<>=|]?[biufc]\d{1,2}")


def npy_array(stream: BinaryIO, size: int) -> Stored:
    """Return the array of numbers in a .npy file of ``size`` bytes, which is at its beginning.

    Raises:
        HeaderError: it is none, or cut short.
    """
    head = stream.read(8)
    if not head.startswith(_MAGIC) or len(head) < 8:
        raise HeaderError("expected a .npy array, received a file that does not begin as one")
    width = _WIDTHS.get(head[6])
    if width is None:
        raise HeaderError(f"expected a .npy array of version 1, 2 or 3, received {head[6]}")
    text = _header(stream, size, width, _LONGEST_NPY)
    entries = _entries(text)
    type_, dtype = _numpy_type(entries["descr"])
    shape = tuple(map(int, re.findall(r"\d+", entries["shape"])))
    stored = Stored(type_, dtype, shape, stream.tell(), entries["fortran_order"] == "True")
    _check_length(_bytes_of(shape, dtype.itemsize), size - stored.start)
    return stored


def _header(stream: BinaryIO, size: int, width: int, longest: int) -> bytes:
    """Return the header after a length of ``width`` bytes, which begins here."""
    length = int.from_bytes(stream.read(width), "little")
    if length > longest:
        message = f"expected a header of at most {longest:,} bytes, received {length:,}"
        raise HeaderError(message)
    left = size - stream.tell()
    if not length or left < length:
        wanted = f" of {length:,} bytes" if length else ""
        raise HeaderError(f"expected a header{wanted}, received {left:,} bytes: it is cut short")
    return stream.read(length)


def _entries(text: bytes) -> dict[str, str]:
    """Return the three entries of a header, as they are written there."""
    inside = text.strip()
    at, found = 1, dict[str, str]()
    while match := _ENTRY.match(inside, at):
        key, value = match["key"].decode(), match["value"].decode("latin-1")
        found[key] = value
        at = match.end()
    kinds = [found.get(key, " ")[0] for key in ("descr", "fortran_order", "shape")]
    fits = kinds[0] in "'\"[" and kinds[1] in "TF" and kinds[2] == "("
    if not (fits and inside.startswith(b"{") and inside[at:] == b"}"):
        message = "expected a header with descr, fortran_order and shape, received "
        raise HeaderError(message + brief(ascii(inside.decode("latin-1"))))
    return found


def _numpy_type(descr: str) -> tuple[str, np.dtype[Any]]:
    word = descr.strip("'\"")
    try:
        if _NUMBERS.fullmatch(word):
            return word, np.dtype(word)
    except TypeError:  # of a size that this machine has no numbers of
        pass
    what = "Python objects" if word.endswith("O") else f"the type {brief(ascii(word))}"
    raise HeaderError(f"expected an array of numbers, received {what}")


def _bytes_of(shape: tuple[int, ...], itemsize: int) -> int:
    # NumPy refuses what would be too large if no axis were empty.
    largest = math.prod(max(length, 1) for length in shape[:_MOST_AXES]) * itemsize
    if len(shape) > _MOST_AXES or largest >= _LARGEST:
        raise HeaderError(f"expected the shape of an array, received {brief(shape)}")
    return math.prod(shape) * itemsize


def _check_length(wanted: int, there: int) -> None:
    if there < wanted:
        message = f"expected {wanted:,} bytes of numbers, received {there:,}: it is cut short"
        raise HeaderError(message)


def safetensors_arrays(stream: BinaryIO, size: int) -> dict[str, Stored]:
    """Return the arrays in a safetensors file of ``size`` bytes, which is at its beginning.

    Raises:
        HeaderError: it is none, or cut short.
    """
    return safetensors_file(stream, size)[0]


def read_safetensors(path: Path) -> dict[str, Array]:
    """Return a copy of the floating-point arrays in a safetensors file.

    Raises:
        UsageError: the file cannot be read, is cut short, or has other arrays.
    """
    with opened(path) as (stream, size):
        try:
            stored = safetensors_arrays(stream, size)
            return {name: each.floats(stream) for name, each in stored.items()}
        except HeaderError as error:
            raise UsageError(str(error), str(path)) from None


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file, of which only the header is read.

    Raises:
        UsageError: the file cannot be read, or is cut short.
    """
    with opened(path) as (stream, size):
        try:
            return safetensors_file(stream, size)[1]
        except HeaderError as error:
            raise UsageError(str(error), str(path)) from None


def safetensors_file(stream: BinaryIO, size: int) -> tuple[dict[str, Stored], dict[str, str]]:
    """Return the arrays in a safetensors file of ``size`` bytes, and its metadata.

    Source: https://github.com/huggingface/safetensors, "Format".

    Raises:
        HeaderError: it is none, or cut short.
    """
    header = _json(_header(stream, size, 8, _LONGEST_SAFETENSORS))
    metadata = header.pop("__metadata__", {})
    start = stream.tell()
    arrays = {name: _tensor(name, entry, start) for name, entry in header.items()}
    _check_layout([_span(name, entry) for name, entry in header.items()], size - start)
    texts = metadata if isinstance(metadata, dict) else {}
    return arrays, {key: text for key, text in texts.items() if isinstance(text, str)}


def _json(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_distinct)
    # ValueError: no JSON, no UTF-8, or a number of too many digits.
    except (ValueError, RecursionError) as error:
        raise HeaderError(
            f"expected a header in JSON, received other text: {brief(error)}"
        ) from None
    if not isinstance(header, dict):
        raise HeaderError("expected a header that is a JSON object, received another value")
    return header


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _tensor(name: str, entry: Any, start: int) -> Stored:
    match entry:
        case {"dtype": str(word), "shape": [*shape]} if all(map(_is_size, shape)):
            begin, end = _span(name, entry)
            stored = Stored(word, _TYPES.get(word, _UNKNOWN), tuple(shape), start + begin)
        case _:
            raise _wrong_entry(name)
    known = stored.dtype is not _UNKNOWN
    if known and _bytes_of(stored.shape, stored.dtype.itemsize) != end - begin:
        raise _wrong_entry(name)
    return stored


def _span(name: str, entry: Any) -> tuple[int, int]:
    match entry:
        case {"data_offsets": [begin, end]} if _is_size(begin) and _is_size(end) and begin <= end:
            return begin, end
        case _:
            raise _wrong_entry(name)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _wrong_entry(name: str) -> HeaderError:
    message = "expected a dtype, a shape and data_offsets that fit together, received others"
    return HeaderError(f"{brief(ascii(name))}: {message}")


def _check_layout(spans: list[tuple[int, int]], there: int) -> None:
    """Refuse arrays that overlap, gaps between them, and a file that ends elsewhere."""
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise HeaderError(f"expected an array at byte {at:,}, received one at {begin:,}")
        at = end
    if at != there:
        raise HeaderError(f"expected {at:,} bytes of arrays, received {there:,}")
