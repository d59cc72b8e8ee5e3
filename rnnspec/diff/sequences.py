"""Common parts of two sequences, in time that grows little faster than their length."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from difflib import Match
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence


def matching_blocks(before: Sequence[Hashable], after: Sequence[Hashable]) -> list[Match]:
    """Return the common runs in the form of ``difflib``, which may take hours to find them.

    Items that occur once on each side are matched first, then equal items next to them.
    """
    blocks: list[Match] = []
    i = j = 0
    for place, other in [*unique_pairs(before, after), (len(before), len(after))]:
        old, new = before[i:place], after[j:other]
        head = common(old, new)
        tail = common(old[head:][::-1], new[head:][::-1])
        blocks += [Match(i, j, head), Match(place - tail, other - tail, tail + 1)]
        i, j = place + 1, other + 1
    # The pair of both ends, which closes the last gap, is not a pair of items.
    last = blocks.pop()
    return [
        *_joined([*blocks, last._replace(size=last.size - 1)]),
        # difflib expects an empty block at the end.
        Match(len(before), len(after), 0),
    ]


def _joined(blocks: list[Match]) -> Iterator[Match]:
    """Yield the blocks, with adjacent ones joined and without empty ones."""
    a = b = size = 0
    for block in blocks:
        if (a + size, b + size) == (block.a, block.b):
            size += block.size
            continue
        if size:
            yield Match(a, b, size)
        a, b, size = block
    if size:
        yield Match(a, b, size)


def unique_pairs(before: Sequence[Hashable], after: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return the positions of items that occur once on each side and keep their order."""
    counts, others = Counter(before), Counter(after)
    places = {key: place for place, key in enumerate(after)}
    pairs = [
        (place, places[key])
        for place, key in enumerate(before)
        # None stands for a layer without a name of its own, and corresponds to nothing.
        if key is not None and counts[key] == others[key] == 1
    ]
    return _increasing(pairs)


def _increasing(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest subsequence of pairs that increases on both sides. Fredman, 1975."""
    ends: list[int] = []
    last: list[int] = []
    earlier: list[int | None] = []
    for number, (_, other) in enumerate(pairs):
        at = bisect_left(ends, other)
        ends[at : at + 1] = [other]
        last[at : at + 1] = [number]
        earlier.append(last[at - 1] if at else None)
    found = []
    at_end = last[-1] if last else None
    while at_end is not None:
        found.append(pairs[at_end])
        at_end = earlier[at_end]
    return found[::-1]


def common(before: Sequence[Hashable], after: Sequence[Hashable]) -> int:
    """Return the length of the common prefix."""
    pairs = zip(before, after, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
