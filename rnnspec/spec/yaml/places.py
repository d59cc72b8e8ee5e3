"""From offsets into a text to lines and columns."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from rnnspec.errors import Span

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value: ``("rnn", 0, "type")``."""

Extent = tuple[int, int]
"""Where something begins and ends in the text, in characters from 0, the end excluded."""

MAX_BYTES = 2**19

_BREAK = re.compile("\r\n|\n|\r")


@dataclass(frozen=True)
class Lines:
    """A text, cut into lines."""

    text: str

    def span(self, extent: Extent) -> Span:
        """Return the part of ``extent`` that lies on its first line."""
        start, end = extent
        index = bisect_right(self._starts, start) - 1
        begin = self._starts[index]
        column = start - begin + 1
        line, width = self._line(index)
        stop = max(column, min(end - begin, width) + 1)
        return Span(index + 1, column, stop, line)

    def _line(self, index: int) -> tuple[str, int]:
        """Return a line and its length without the spaces at its end."""
        if index not in self._met:
            begin = self._starts[index]
            end = self._starts[index + 1] if index + 1 < len(self._starts) else len(self.text)
            line = self.text[begin:end].rstrip("\r\n")
            self._met[index] = (line, len(line.rstrip()))
        return self._met[index]

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in _BREAK.finditer(self.text))]

    # Kept, for thousands of problems may share one long line.
    @cached_property
    def _met(self) -> dict[int, tuple[str, int]]:
        return {}
