"""C source with the numbers of its arrays, as files have it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.backends.c.arrays import declared_arrays
from rnnspec.errors import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.slots import Array

    Arrays = Mapping[tuple[str, str], Array]

_EMPTY = " * Arrays: zeros; 'rnnspec build' and 'rnnspec convert' fill them in.\n"
_FILLED = re.compile(r" \* Arrays: SHA-256 [0-9a-f]{64}\.\n")
_NUMBERS = re.compile(
    r"^static const (?:float|int8_t|int32_t) (?P<symbol>\w+)\[\d+\] = \{(?P<numbers>[^}]*)\};$",
    re.MULTILINE | re.ASCII,
)
_SPEC = re.compile(r"/\* The spec:\n(?P<lines>(?: \*.*\n)*) \*/\n\n")
_IN_COMMENT = (("*/", "*\\/"), ("/*", "/\\*"), ("??/", "?\\?/"))
"""What must not be in a comment: its end, another beginning, and a trigraph."""
_ON_A_LINE = 8


def fill(text: str, arrays: Arrays, recorded: Mapping[str, Array], spec: str) -> str:
    """Return a text with numbers in its arrays, and with the spec.

    ``recorded`` are the arrays of the self-test by their names in the text.
    """
    packed: dict[str, Array] = {}
    for stored in declared_arrays(text).values():
        packed |= stored.stored(arrays[stored.layer, stored.path])
    numbers = {**packed, **recorded}
    digest = hashlib.sha256(b"".join(array.tobytes() for array in packed.values())).hexdigest()

    def with_numbers(match: re.Match[str]) -> str:
        declared = match[0].partition("{")[0]
        return f"{declared}{{\n{_literals(numbers[match['symbol']])}\n}};"

    filled = _NUMBERS.sub(with_numbers, text.replace(_EMPTY, f" * Arrays: SHA-256 {digest}.\n", 1))
    head, marker, tail = filled.partition("_IMPLEMENTATION\n\n")
    lines = "".join(f" * {_escaped(line)}".rstrip() + "\n" for line in spec.splitlines())
    return f"{head}{marker}/* The spec:\n{lines} */\n\n{tail}"


def empty(filled: str) -> str:
    """Return the text without numbers that another one was made from."""
    text = _SPEC.sub("", _FILLED.sub(lambda _: _EMPTY, filled, count=1), count=1)
    return _NUMBERS.sub(lambda match: match[0].partition("{")[0] + "{0};", text)


def spec_in(filled: str) -> str:
    """Return the text of the spec in a text with numbers, empty if it has none."""
    match = _SPEC.search(filled)
    lines = match["lines"].splitlines() if match else []
    return "".join(f"{_plain(line[3:])}\n" for line in lines)


def arrays_in(filled: str) -> dict[tuple[str, str], Array]:
    """Return the canonical arrays in a text with numbers.

    Raises:
        ValueError: an array has something else, or another number of numbers.
    """
    numbers = {match["symbol"]: match["numbers"] for match in _NUMBERS.finditer(filled)}
    arrays = {}
    for each in declared_arrays(filled).values():
        sizes = {each.symbol: each.size, **({each.scale: each.scales} if each.rounded else {})}
        read = {
            symbol: np.array(numbers[symbol].replace("f", "").split(","), np.float32)
            for symbol in sizes
        }
        if any(len(read[symbol]) != size for symbol, size in sizes.items()):
            raise ValueError(f"{each.layer}.{each.path}: another number of numbers")
        arrays[each.layer, each.path] = each.restored(read)
    return arrays


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
    if numbers.dtype.kind == "f":
        words = [f"{word}f" for word in words]
    lines = (words[at : at + _ON_A_LINE] for at in range(0, len(words), _ON_A_LINE))
    return ",\n".join("    " + ", ".join(line) for line in lines)


def _escaped(line: str) -> str:
    for plain, escaped in _IN_COMMENT:
        line = line.replace(plain, escaped)
    return printable(line)


def _plain(line: str) -> str:
    for plain, escaped in _IN_COMMENT:
        line = line.replace(escaped, plain)
    return line
