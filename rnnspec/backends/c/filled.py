"""C source with the numbers of its arrays, as files have it."""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.backends.c.source import Blob
from rnnspec.errors import printable
from rnnspec.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rnnspec.backends.c.arrays import Stored
    from rnnspec.backends.c.source import CSource
    from rnnspec.backends.slots import Array

    Arrays = Mapping[tuple[str, str], Array]
    Recordings = Mapping[str, Array]

_EMPTY = " * Arrays: zeros; 'rnnspec build' and 'rnnspec convert' fill them in.\n"
_ZEROS = re.compile(
    r"^(?:\w+_ALIGNED )?static const (?:float|u?int(?:8|32)_t) (?P<symbol>\w+)\[(?P<size>\d+)\]"
    r" = \{0\};$",
    re.MULTILINE | re.ASCII,
)
_DECLARED = re.compile(r"\n(?:\w+_ALIGNED )?static const \w+ (?P<symbol>\w+)\[\d+\] = \{", re.ASCII)
_SIZED = re.compile(
    r"^(?:(?:\w+_ALIGNED )?static|extern) const (\w+) \w+\[(\d+)\]", re.MULTILINE | re.ASCII
)
_SPEC, _END = "/* The spec:\n", "\n */\n\n"
_ON_A_LINE = 8


def fill(text: str, source: CSource, arrays: Arrays, recorded: Recordings, spec: str) -> str:
    """Return the text of a source with numbers in its arrays, and the spec unless it is empty.

    ``recorded`` are the arrays of the self-test by their symbols.
    """
    packed: dict[str, Array] = {}
    for stored in source.arrays:
        packed |= stored.stored(arrays)
    numbers = {**packed, **recorded}
    if source.is_blob:
        checksum = zlib.crc32(pack_blob(source, arrays))
        numbers[source.checksum] = np.array([checksum], np.uint32)
    digest = hashlib.sha256(b"".join(array.tobytes() for array in packed.values())).hexdigest()

    def with_numbers(match: re.Match[str]) -> str:
        declared = match[0].partition("{")[0]
        return f"{declared}{{\n{_literals(numbers[match['symbol']])}\n}};"

    # The last one: a description, which comes before it, may have such a line.
    origin = f" * Arrays: SHA-256 {digest}, from rnnspec {__version__}.\n"
    filled = _ZEROS.sub(with_numbers, origin.join(text.rsplit(_EMPTY, 1)))
    head, marker, tail = filled.partition("_IMPLEMENTATION\n\n")
    lines = "\n".join(f" * {_escaped(line)}".rstrip() for line in _lines(spec))
    return f"{head}{marker}{_SPEC}{lines}{_END}{tail}" if spec else filled


def pack_blob(source: CSource, arrays: Arrays) -> bytes:
    """Return the content of the file beside a source."""
    packed: dict[str, Array] = {}
    for stored in source.arrays:
        packed |= stored.stored(arrays)
    content = bytearray()
    for place in source.blob.arrays:
        content += bytes(place.at - len(content))
        array = packed[place.symbol]
        content += array.astype(array.dtype.newbyteorder("<")).tobytes()
    return bytes(content.ljust(source.blob.size, b"\0"))


def unpack_blob(content: bytes, layout: Iterable[Stored]) -> dict[tuple[str, str], Array]:
    """Return the canonical arrays of a layout in the file beside a source."""
    layout = tuple(layout)
    numbers = {
        place.symbol: np.frombuffer(
            content, "i1" if place.number == "int8_t" else "<f4", place.size, place.at
        ).astype(np.float32)
        for place in Blob.of(layout).arrays
    }
    restored = [stored.restored(numbers) for stored in layout]
    return {place: array for arrays in restored for place, array in arrays.items()}


def arrays_in(filled: str, layout: Iterable[Stored]) -> dict[tuple[str, str], Array]:
    """Return the canonical arrays of a layout in a text with numbers.

    Raises:
        ValueError: an array is missing, or has something else.
    """
    layout = tuple(layout)
    sizes = {symbol: size for stored in layout for symbol, size in stored.sizes.items()}
    numbers = _numbers_in(filled, sizes)
    restored = [stored.restored(numbers) for stored in layout]
    return {place: array for arrays in restored for place, array in arrays.items()}


def array_bytes(filled: str) -> int:
    """Return the bytes of the arrays in a text, without those of the self-test."""
    declared = _SIZED.findall(filled.partition("\n/* The self-test: ")[0])
    return sum(int(size) * (1 if number == "int8_t" else 4) for number, size in declared)


def _numbers_in(filled: str, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Return the numbers of arrays by symbol, in time in proportion to the text."""
    numbers, at = dict[str, "Array"](), 0
    while match := _DECLARED.search(filled, at):
        at, symbol = match.end(), match["symbol"]
        if symbol not in sizes:
            continue
        end = filled.find("}", at)
        if end < 0:
            break
        numbers[symbol] = _parsed(filled[at:end], symbol, sizes[symbol])
        at = end
    for symbol in sizes:
        if symbol not in numbers:
            raise ValueError(f"{symbol} is missing")
    return numbers


def _parsed(text: str, symbol: str, size: int) -> Array:
    words = [word.strip().removesuffix("f") for word in text.split(",")]
    if len(words) != size:
        raise ValueError(f"{symbol} has {len(words):,} numbers, not {size:,}")
    return np.array(list(map(float, words)), np.float32)


def split(text: str, name: str) -> tuple[str, str]:
    """Return the interface in a text, and the implementation, which includes it."""
    upper = name.upper()
    header, _, body = text.partition(f"\n#ifdef {upper}_IMPLEMENTATION\n")
    body = body.rpartition(f"#endif /* {upper}_IMPLEMENTATION */")[0]
    title = header.partition("\n")[0]
    header = header.replace(_usage(upper), "", 1)
    return f"{header.rstrip()}\n", f'{title} */\n#include "{name}.h"\n{body.rstrip()}\n'


def join(header: str, body: str, name: str) -> str:
    """Return the text that ``split`` has split."""
    upper = name.upper()
    header = header.partition(f"\n#ifdef {upper}_IMPLEMENTATION\n")[0].rstrip()
    if _usage(upper) not in header:
        header = header.replace(" */\n#ifndef", f"{_usage(upper)} */\n#ifndef", 1)
    body = body.partition(f'#include "{name}.h"\n')[2].rstrip()
    marker = f"{upper}_IMPLEMENTATION"
    return f"{header}\n\n#ifdef {marker}\n{body}\n\n#endif /* {marker} */\n"


def _usage(upper: str) -> str:
    """Return the lines of a single file on how it is used."""
    how = f"Define {upper}_IMPLEMENTATION in one source file before this one is included."
    return f" *\n * {how}\n"


def _literals(numbers: Array) -> str:
    """Return literals in lines, of floats the shortest that read back the same."""
    words = list(map(str, numbers))
    if suffix := {"f": "f", "u": "u"}.get(numbers.dtype.kind):
        words = [f"{word}{suffix}" for word in words]
    lines = (words[at : at + _ON_A_LINE] for at in range(0, len(words), _ON_A_LINE))
    return ",\n".join("    " + ", ".join(line) for line in lines)


def _lines(text: str) -> list[str]:
    lines = re.split(r"\r\n|\r|\n", text)
    return lines if lines[-1] else lines[:-1]


def _escaped(line: str) -> str:
    """Return a line as it may be in a comment.

    A comment must not have its end, another beginning, or a trigraph; lines of it are stripped.
    """
    line = printable(line.replace("\\", "\\\\"))
    line = re.sub(r"(?<=\*)/|(?<=/)\*|(?<=\?\?)/", r"\\\g<0>", line)
    return f"{line[:-1]}\\x20" if line.endswith(" ") else line
