"""Which layer of one network is which of another, where layers came, went and were renumbered."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from rnnspec.ir.nodes import Layer
from rnnspec.ir.text import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from rnnspec.diff.words import Words

    Places = tuple[int | None, int | None]
    """Where a layer stands before and after; None where it is not."""

EQUAL, SAME_TYPE, SAME_KIND = 5, 2, 1
"""What a pair is worth: one more layer as it was is worth two that changed, not three."""

_EXACT = 50_000
"""So many pairs of layers are weighed at once; a fifth of a second at most goes by."""

_WINDOW = 32
"""Layers of each network that are weighed together where there are more."""

_TIE = 10**9
"""More than the places of all pairs come to: these decide among equals."""


@dataclass(frozen=True, slots=True)
class Row:
    """A layer, and what it says."""

    layer: Layer
    words: Words


Pair = tuple[Row | None, Row | None]
"""A layer before and after; None where it was added or removed."""


def align(before: Sequence[Row], after: Sequence[Row]) -> list[Pair]:
    """Return every layer of both networks once, in order, paired where it is the same one.

    A name that was given says so first. Between two of these as many layers as can be are paired
    with an equal one, then with one of the same type: numbers in names that nobody gave shift as
    soon as a layer comes or goes. In long networks what occurs once holds the place, and what
    lies far from its place is no longer found.
    """
    aligner = _Aligner([*map(_content, before), *map(_content, after)])
    old, new = range(len(before)), range(len(before), len(before) + len(after))
    named = _unique_pairs([*map(_given_name, before)], [*map(_given_name, after)])
    places = _between(old, new, named, aligner.segment)
    return [
        (None if i is None else before[i], None if j is None else after[j - len(before)])
        for i, j in places
    ]


def has_given_name(layer: Layer) -> bool:
    """Tell whether a layer has another name than that of its kind and a number."""
    kind, _, number = layer.name.rpartition("_")
    return not (number.isdecimal() and kind.replace("_", "") == type_name(layer).lower())


def _given_name(row: Row) -> Hashable:
    return (type(row.layer).__name__, row.layer.name) if has_given_name(row.layer) else None


def _content(row: Row) -> tuple[Hashable, ...]:
    return (type(row.layer).__name__, type_name(row.layer), *row.words.items())


class _Aligner:
    """Pairs layers, each a number: its place among those before and then those after."""

    def __init__(self, contents: list[tuple[Hashable, ...]]) -> None:
        numbers: dict[tuple[Hashable, ...], int] = {}
        self.contents = [numbers.setdefault(each, len(numbers)) for each in contents]
        self.distinct = list(numbers)

    def segment(self, old: range, new: range) -> Iterator[Places]:
        """Pair what lies between two names: what both begin and end with, then the rest."""
        before, after = (self._contents_of(each) for each in (old, new))
        head = _common(before, after)
        tail = _common(before[head:][::-1], after[head:][::-1])
        inner, other = old[head : len(old) - tail], new[head : len(new) - tail]
        yield from zip(old[:head], new[:head], strict=True)
        if len(inner) * len(other) <= _EXACT:
            yield from self._exact(inner, other)
        else:
            unique = _unique_pairs(self._contents_of(inner), self._contents_of(other))
            yield from _between(inner, other, unique, self._gap)
        yield from zip(old[len(old) - tail :], new[len(new) - tail :], strict=True)

    def _gap(self, old: range, new: range) -> Iterator[Places]:
        """Pair what lies between two layers that occur once, a window at a time."""
        while min(len(old), len(new)) > _WINDOW:
            taken = other = 0
            # What the far half is paired with depends on what lies beyond the window.
            for i, j in self._exact(old[:_WINDOW], new[:_WINDOW]):
                if max(taken, other) >= _WINDOW // 2:
                    break
                yield i, j
                taken, other = taken + (i is not None), other + (j is not None)
            old, new = old[taken:], new[other:]
        yield from self._exact(old, new)

    def _exact(self, old: range, new: range) -> Iterator[Places]:
        """Yield the pairs that are worth most together, the earliest of these."""
        worth = [_early(self._worth(i, new), old.stop - i) for i in old]
        best = _best(worth, len(new))
        i = j = 0
        while i < len(old) and j < len(new):
            if worth[i][j] and best[i][j] == best[i + 1][j + 1] + worth[i][j]:
                yield old[i], new[j]
                i, j = i + 1, j + 1
            elif best[i][j] == best[i + 1][j]:
                yield old[i], None
                i += 1
            else:
                yield None, new[j]
                j += 1
        yield from ((each, None) for each in old[i:])
        yield from ((None, each) for each in new[j:])

    def _worth(self, i: int, new: range) -> list[int]:
        """Return what a pair of one layer with each of ``new`` is worth."""
        mine = self.contents[i]
        kind, name, *_ = self.distinct[mine]
        found = {mine: EQUAL}
        for other in {*self._contents_of(new)} - {mine}:
            its_kind, its_name, *_ = self.distinct[other]
            same = SAME_KIND if kind == its_kind else 0
            found[other] = SAME_TYPE if name == its_name else same
        return [found[each] for each in self._contents_of(new)]

    def _contents_of(self, places: range) -> list[int]:
        return self.contents[places.start : places.stop]


def _early(values: list[int], left: int) -> list[int]:
    """Return what pairs of one layer are worth, and of two that are worth as much the earlier more.

    Else a window would pass over layers that it has no partner for, and the next one might.
    """
    left += len(values)
    return [value and value * _TIE + left - j for j, value in enumerate(values)]


def _best(worth: list[list[int]], width: int) -> list[list[int]]:
    """Return the most that pairs from (i, j) on can be worth: Needleman and Wunsch, 1970."""
    below = [0] * (width + 1)
    rows = [below]
    for values in reversed(worth):
        row = [0] * (width + 1)
        for j in range(width - 1, -1, -1):
            row[j] = max(below[j + 1] + values[j], below[j], row[j + 1])
        rows.append(row)
        below = row
    return rows[::-1]


def _between(
    old: range,
    new: range,
    pairs: list[tuple[int, int]],
    gap: Callable[[range, range], Iterator[Places]],
) -> Iterator[Places]:
    """Yield ``pairs``, which count from the beginnings, and what ``gap`` makes of the rest."""
    i = j = 0
    for place, other in pairs:
        yield from gap(old[i:place], new[j:other])
        yield old[place], new[other]
        i, j = place + 1, other + 1
    yield from gap(old[i:], new[j:])


def _unique_pairs(before: Sequence[Hashable], after: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return where what both hold once stands in both, as much of it as is in one order."""
    counts, others = Counter(before), Counter(after)
    places = {key: place for place, key in enumerate(after)}
    pairs = [
        (place, places[key])
        for place, key in enumerate(before)
        if key is not None and counts[key] == others[key] == 1
    ]
    return _increasing(pairs)


def _increasing(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest run of pairs that rises on both sides: Fredman, 1975."""
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


def _common(before: Sequence[int], after: Sequence[int]) -> int:
    pairs = zip(before, after, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
