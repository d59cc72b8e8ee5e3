"""Arrays in safetensors and .npy files: headers checked against the size of the file.

The readers of safetensors and NumPy are not used. Both open the path themselves, and by then it may
lead to another file than the one that was checked; safetensors reads an open file only if all of it
is in memory. NumPy parses the header as a Python literal and passes on what that raises:
MemoryError, RecursionError, TokenError, warnings. In a thread with a stack of 512 KiB, as on macOS,
brackets in such a header crash the process.
"""

from __future__ import annotations

import json
import math
import mmap
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import GenerationError, UsageError, brief
from rnnspec.files.regular import opened

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    Array = NDArray[Any]


_LONGEST = 2**22  # enough for 10,000 tensors, or for the text of a spec
_MOST_AXES = 32  # as in NumPy 1; NumPy 2 has 64
_LARGEST = 2**63
_METADATA = "__metadata__"

FLOATS: dict[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
"""NumPy's dtypes by their names in safetensors."""

# NumPy has no bfloat16: the bits are read as integers.
_BFLOAT16 = "BF16"
_TYPES = {**FLOATS, _BFLOAT16: np.dtype("<u2")}
_UNKNOWN: np.dtype[Any] = np.dtype("V")


class HeaderError(Exception):
    """An invalid header or a truncated file; the text says what was expected and received."""


@dataclass(frozen=True, slots=True)
class ArrayPlace:
    """The place of one array in a file, ``start`` bytes from its beginning.

    ``type`` is the type of its numbers as the file names it, and ``dtype`` the NumPy dtype to read
    them with: integers for bfloat16, and kind V for other types that NumPy lacks.
    """

    type: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    fortran: bool = False

    def map(self, stream: BinaryIO) -> Array:
        """Return the array as a memory map, so that only the parts that are used are read."""
        content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return np.ndarray(
            self.shape, self.dtype, content, self.start, order="F" if self.fortran else "C"
        )

    def floats(self, stream: BinaryIO) -> Array:
        """Return a copy of an array of floating-point numbers; those of bfloat16 become float32.

        Raises:
            HeaderError: the array has numbers of another type.
        """
        array = self.view(stream)
        return array if array.flags.owndata else np.array(array)

    def view(self, stream: BinaryIO) -> Array:
        """Like ``floats``, but memory-mapped where the file allows it.

        Raises:
            HeaderError: the array has numbers of another type.
        """
        if self.type not in _TYPES:
            message = f"expected {', '.join(_TYPES)} numbers, received {brief(self.type)}"
            raise HeaderError(message)
        # An empty array has no bytes to map, and may begin where the file ends.
        array = self.map(stream) if math.prod(self.shape) else np.empty(self.shape, self.dtype)
        # A bfloat16 is the upper half of a float32.
        if self.type == _BFLOAT16:
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array


def _read_header(stream: BinaryIO, size: int, width: int, longest: int) -> bytes:
    """Read the length of a header, which takes ``width`` bytes, and return the header.

    Raises:
        HeaderError: it is longer than ``longest``, empty or truncated.
    """
    length = int.from_bytes(stream.read(width), "little")
    if length > longest:
        message = f"expected a header of at most {longest:,} bytes, received {length:,}"
        raise HeaderError(message)
    left = size - stream.tell()
    if not length or left < length:
        announced = f" of {length:,} bytes" if length else ""
        raise HeaderError(f"expected a header{announced}, received {left:,} bytes: it is truncated")
    return stream.read(length)


def bytes_of(shape: tuple[int, ...], itemsize: int) -> int:
    """Return the size of an array in bytes.

    Raises:
        HeaderError: NumPy has no array of this shape.
    """
    # As in NumPy, an array that would be too large without its empty axes is refused too.
    largest = math.prod(max(length, 1) for length in shape[:_MOST_AXES]) * itemsize
    if len(shape) > _MOST_AXES or largest >= _LARGEST:
        raise HeaderError(f"expected a shape that NumPy supports, received {brief(shape)}")
    return math.prod(shape) * itemsize


def read_safetensors(path: Path) -> dict[str, Array]:
    """Return a copy of the floating-point arrays in a safetensors file.

    Raises:
        UsageError: the file cannot be read, is truncated, or has arrays of another type.
    """
    with opened(path) as (stream, size):
        try:
            arrays, _ = safetensors_file(stream, size)
            return {name: stored.floats(stream) for name, stored in arrays.items()}
        except HeaderError as error:
            raise UsageError(str(error), str(path)) from None


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file; only the header is read.

    Raises:
        UsageError: the file cannot be read, or is truncated.
    """
    return read_names(path)[1]


def read_names(path: Path) -> tuple[list[str], dict[str, str]]:
    """Return the names of the arrays in a safetensors file, and its metadata.

    Raises:
        UsageError: the file cannot be read, or is truncated.
    """
    with opened(path) as (stream, size):
        try:
            arrays, metadata = safetensors_file(stream, size)
        except HeaderError as error:
            raise UsageError(str(error), str(path)) from None
        return list(arrays), metadata


def safetensors_file(stream: BinaryIO, size: int) -> tuple[dict[str, ArrayPlace], dict[str, str]]:
    """Return the arrays in a safetensors file of ``size`` bytes, and its metadata.

    Source: https://github.com/huggingface/safetensors, "Format".

    Raises:
        HeaderError: it is not a safetensors file, or it is truncated.
    """
    header = _json(_read_header(stream, size, 8, _LONGEST))
    metadata = header.pop(_METADATA, {})
    start = stream.tell()
    arrays = {name: _tensor(name, entry, start) for name, entry in header.items()}
    _check_layout([_span(name, entry) for name, entry in header.items()], size - start)
    texts = metadata if isinstance(metadata, dict) else {}
    return arrays, {key: text for key, text in texts.items() if isinstance(text, str)}


def sort_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file that was just written into the order of their keys.

    safetensors writes them in the order of a hash map, which is another one in each process.
    Source: https://github.com/huggingface/safetensors, ``HashMetadata``.
    """
    with path.open("r+b") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
        header[_METADATA] = dict(sorted(header[_METADATA].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) > length:
            raise GenerationError(f"a header of {length:,} bytes became one of {len(text):,}")
        stream.seek(8)
        stream.write(text.ljust(length))  # arrays begin at a multiple of eight


def _json(text: bytes) -> dict[str, Any]:

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # Readers differ in which of two equal keys they take.
        if len(dict(pairs)) < len(pairs):
            raise ValueError("duplicate key")
        return dict(pairs)

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=mapping)
    # ValueError: not JSON, not UTF-8, a duplicate key, or an integer of too many digits.
    except (ValueError, RecursionError) as error:
        raise HeaderError(f"expected a JSON header, received other text: {brief(error)}") from None
    if not isinstance(header, dict):
        raise HeaderError("expected a JSON object as header, received another value")
    return header


def _tensor(name: str, entry: Any, start: int) -> ArrayPlace:
    match entry:
        case {"dtype": str(word), "shape": [*shape]} if all(map(_is_size, shape)):
            begin, end = _span(name, entry)
            stored = ArrayPlace(word, _TYPES.get(word, _UNKNOWN), tuple(shape), start + begin)
        case _:
            raise _wrong_entry(name)
    known = stored.dtype is not _UNKNOWN
    if known and bytes_of(stored.shape, stored.dtype.itemsize) != end - begin:
        raise _wrong_entry(name)
    return stored


def _span(name: str, entry: Any) -> tuple[int, int]:
    match entry:
        case {"data_offsets": [begin, end]} if _is_size(begin) and _is_size(end) and begin <= end:
            return begin, end
        case _:
            raise _wrong_entry(name)


def _is_size(value: Any) -> bool:
    # Not isinstance, because True is an int too.
    return type(value) is int and 0 <= value < _LARGEST


def _wrong_entry(name: str) -> HeaderError:
    message = "expected a matching dtype, shape and data_offsets, received others"
    return HeaderError(f"{brief(ascii(name))}: {message}")


def _check_layout(spans: list[tuple[int, int]], there: int) -> None:
    """Raise if arrays overlap or have gaps between them, or if the file does not end after them."""
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise HeaderError(f"expected an array at byte {at:,}, received one at {begin:,}")
        at = end
    if at != there:
        raise HeaderError(f"expected {at:,} bytes of arrays, received {there:,}")


# As in NumPy: https://numpy.org/doc/2.2/reference/generated/numpy.lib.format.read_array.html.
_LONGEST_NPY = 10_000
_MAGIC = b"\x93NUMPY"
_WIDTHS = {1: 2, 2: 4, 3: 4}
"""The number of bytes that hold the length of the header, by version of the format.

Source: https://numpy.org/devdocs/reference/generated/numpy.lib.format.html.
"""

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


def npy_array(stream: BinaryIO, size: int) -> ArrayPlace:
    """Return the array of numbers in a .npy file of ``size`` bytes; ``stream`` is at its beginning.

    Raises:
        HeaderError: it is not a .npy file of numbers, or it is truncated.
    """
    head = stream.read(8)
    if not head.startswith(_MAGIC) or len(head) < 8:
        raise HeaderError("expected a .npy array, received a file that does not begin like one")
    width = _WIDTHS.get(head[6])
    if width is None:
        raise HeaderError(f"expected a .npy array of version 1, 2 or 3, received {head[6]}")
    text = _read_header(stream, size, width, _LONGEST_NPY)
    entries = _entries(text)
    word = entries["descr"].strip("'\"")
    try:
        dtype = np.dtype(word) if _NUMBERS.fullmatch(word) else None
    except TypeError:  # a size that this machine lacks, such as f16
        dtype = None
    if dtype is None:
        what = "Python objects" if word.endswith("O") else f"the type {brief(ascii(word))}"
        raise HeaderError(f"expected an array of numbers, received {what}")
    shape = tuple(map(int, re.findall(r"\d+", entries["shape"])))
    stored = ArrayPlace(word, dtype, shape, stream.tell(), entries["fortran_order"] == "True")
    size_of_numbers, left = bytes_of(shape, dtype.itemsize), size - stored.start
    if left < size_of_numbers:
        message = (
            f"expected {size_of_numbers:,} bytes of numbers, received {left:,}: it is truncated"
        )
        raise HeaderError(message)
    return stored


def _entries(text: bytes) -> dict[str, str]:
    """Return the three entries of a header as text."""
    inside = text.strip()
    # After the opening brace, which is checked below.
    at, entries = 1, dict[str, str]()
    while match := _ENTRY.match(inside, at):
        key, value = match["key"].decode(), match["value"].decode("latin-1")
        entries[key] = value
        at = match.end()
    kinds = [entries.get(key, " ")[0] for key in ("descr", "fortran_order", "shape")]
    fits = kinds[0] in "'\"[" and kinds[1] in "TF" and kinds[2] == "("
    if not (fits and inside.startswith(b"{") and inside[at:] == b"}"):
        message = "expected a header with descr, fortran_order and shape, received "
        raise HeaderError(message + brief(ascii(inside.decode("latin-1"))))
    return entries
