"""Conversion of text offsets to lines and columns."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from rnnspec.errors import Span

Path = tuple[str | int, ...]
"""The keys and indexes of a value: ``("rnn", 0, "type")``."""

Extent = tuple[int, int]
"""Start and end of a part of the text, in characters from 0; the end is excluded."""

# Far above any real spec; PyYAML's parser in Python takes about a second for it.
MAX_BYTES = 2**19

# The line breaks of YAML 1.2; str.splitlines has more.
_BREAK = re.compile("\r\n|\n|\r")


@dataclass(frozen=True)
class Lines:
    """A text split into lines."""

    text: str

    def span(self, extent: Extent) -> Span:
        """Return the part of ``extent`` on its first line."""
        start, end = extent
        index = bisect_right(self._starts, start) - 1
        begin = self._starts[index]
        column = start - begin + 1
        line, width = self._line(index)
        stop = max(column, min(end - begin, width) + 1)
        return Span(index + 1, column, stop, line)

    def _line(self, index: int) -> tuple[str, int]:
        """Return a line and its length without trailing spaces."""
        if index not in self._cache:
            begin = self._starts[index]
            end = self._starts[index + 1] if index + 1 < len(self._starts) else len(self.text)
            line = self.text[begin:end].rstrip("\r\n")
            self._cache[index] = (line, len(line.rstrip()))
        return self._cache[index]

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in _BREAK.finditer(self.text))]

    # Thousands of problems may be on one long line.
    @cached_property
    def _cache(self) -> dict[int, tuple[str, int]]:
        return {}
