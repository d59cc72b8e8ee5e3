"""Arrays in .npy files, whose headers are read without NumPy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import brief
from rnnspec.files.headers import HeaderError, Stored, bytes_of, check_length, read_header

if TYPE_CHECKING:
    from typing import BinaryIO

# As in NumPy: https://numpy.org/doc/2.2/reference/generated/numpy.lib.format.read_array.html.
_LONGEST = 10_000
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


def npy_array(stream: BinaryIO, size: int) -> Stored:
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
    text = read_header(stream, size, width, _LONGEST)
    entries = _entries(text)
    type_, dtype = _numpy_type(entries["descr"])
    shape = tuple(map(int, re.findall(r"\d+", entries["shape"])))
    stored = Stored(type_, dtype, shape, stream.tell(), entries["fortran_order"] == "True")
    check_length(bytes_of(shape, dtype.itemsize), size - stored.start)
    return stored


def _entries(text: bytes) -> dict[str, str]:
    """Return the three entries of a header as text."""
    inside = text.strip()
    # After the opening brace, which is checked below.
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
    except TypeError:  # a size that this machine lacks, such as f16
        pass
    what = "Python objects" if word.endswith("O") else f"the type {brief(ascii(word))}"
    raise HeaderError(f"expected an array of numbers, received {what}")
