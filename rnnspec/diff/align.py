"""Pairs of corresponding layers of two networks, across insertions, removals and renumbering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.diff.sequences import common, unique_pairs
from rnnspec.ir.nodes import Layer
from rnnspec.ir.text import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from rnnspec.diff.settings import Settings

    Places = tuple[int | None, int | None]
    """The position of a layer before and after, None on the side that lacks it."""

# The score of a pair. An equal layer outweighs two changed ones of the same type, but not three.
EQUAL, SAME_TYPE, SAME_KIND = 5, 2, 1
# The most pairs that are scored at once, in a fifth of a second at most.
_MAX_EXACT_PAIRS = 50_000
# The number of layers of each network that are scored at once if there are more pairs.
_WINDOW = 32
# Larger than the sum of all positions, so that positions decide only between equal scores.
_TIE_BREAK = 10**9


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """A layer and its settings."""

    layer: Layer
    settings: Settings


Pair = tuple[LayerSettings | None, LayerSettings | None]
"""A layer before and after, None on the side that lacks it."""


def align(before: Sequence[LayerSettings], after: Sequence[LayerSettings]) -> list[Pair]:
    """Return every layer of both networks once and in order, with corresponding layers paired.

    Layers with the same explicit name are paired first. Between them, as many layers as possible
    are paired with an equal layer, then with one of the same type. Default names do not count,
    because their numbers shift whenever a layer is added or removed. Long networks are divided at
    layers that occur once in each, and layers that moved far are not paired.
    """
    aligner = _Aligner([*map(_content, before), *map(_content, after)])
    old, new = range(len(before)), range(len(before), len(before) + len(after))
    # Names come first, because whoever names a layer says which one it is, whatever else changes.
    named = unique_pairs([*map(_given_name, before)], [*map(_given_name, after)])
    places = _between(old, new, named, aligner.segment)
    return [
        (None if i is None else before[i], None if j is None else after[j - len(before)])
        for i, j in places
    ]


def has_given_name(layer: Layer) -> bool:
    """Return whether a layer has an explicit name, rather than its type and a number."""
    # 'layer_normalization_1' is the default name of a 'LayerNormalization'.
    kind, _, number = layer.name.rpartition("_")
    return not (number.isdecimal() and kind.replace("_", "") == type_name(layer).lower())


def _given_name(entry: LayerSettings) -> Hashable:
    layer = entry.layer
    return (type(layer).__name__, layer.name) if has_given_name(layer) else None


def _content(entry: LayerSettings) -> tuple[Hashable, ...]:
    return (type(entry.layer).__name__, type_name(entry.layer), *entry.settings.items())


class _Aligner:
    """Alignment of layers by position: those before are numbered first, then those after."""

    def __init__(self, contents: list[tuple[Hashable, ...]]) -> None:
        # Equal layers get equal numbers, so that contents are compared as integers.
        numbers: dict[tuple[Hashable, ...], int] = {}
        self.contents = [numbers.setdefault(each, len(numbers)) for each in contents]
        self.types = [(kind, name) for kind, name, *_ in contents]

    def segment(self, old: range, new: range) -> Iterator[Places]:
        """Pair the layers between two names: the common head and tail, then the rest."""
        before, after = (self._contents_of(each) for each in (old, new))
        head = common(before, after)
        tail = common(before[head:][::-1], after[head:][::-1])
        inner, other = old[head : len(old) - tail], new[head : len(new) - tail]
        yield from zip(old[:head], new[:head], strict=True)
        if len(inner) * len(other) <= _MAX_EXACT_PAIRS:
            yield from self._exact(inner, other)
        else:
            unique = unique_pairs(self._contents_of(inner), self._contents_of(other))
            yield from _between(inner, other, unique, self._gap)
        yield from zip(old[len(old) - tail :], new[len(new) - tail :], strict=True)

    def _gap(self, old: range, new: range) -> Iterator[Places]:
        """Pair the layers between two that occur once, one window at a time."""
        while min(len(old), len(new)) > _WINDOW:
            taken = other = 0
            # Pairs in the second half depend on layers beyond the window: leave them to the next.
            for i, j in self._exact(old[:_WINDOW], new[:_WINDOW]):
                if max(taken, other) >= _WINDOW // 2:
                    break
                yield i, j
                taken, other = taken + (i is not None), other + (j is not None)
            old, new = old[taken:], new[other:]
        yield from self._exact(old, new)

    def _exact(self, old: range, new: range) -> Iterator[Places]:
        """Yield the pairs with the highest total score, and among equal totals the earliest."""
        scores = [_prefer_earlier(self._scores(i, new), old.stop - i) for i in old]
        best = _best_scores(scores, len(new))
        i = j = 0
        while i < len(old) and j < len(new):
            if scores[i][j] and best[i][j] == best[i + 1][j + 1] + scores[i][j]:
                yield old[i], new[j]
                i, j = i + 1, j + 1
            # A removed layer is listed before an added one, as in a patch.
            elif best[i][j] == best[i + 1][j]:
                yield old[i], None
                i += 1
            else:
                yield None, new[j]
                j += 1
        yield from ((each, None) for each in old[i:])
        yield from ((None, each) for each in new[j:])

    def _scores(self, i: int, new: range) -> list[int]:
        """Return the score of layer ``i`` paired with each of ``new``."""
        mine, mine_type = self.contents[i], self.types[i]
        types = self.types[new.start : new.stop]
        # Scored once per type: thousands of layers have few types.
        scores = {each: _score_of_types(mine_type, each) for each in set(types)}
        pairs = zip(self._contents_of(new), types, strict=True)
        return [EQUAL if each == mine else scores[its_type] for each, its_type in pairs]

    def _contents_of(self, places: range) -> list[int]:
        return self.contents[places.start : places.stop]


def _score_of_types(mine: tuple[Hashable, ...], other: tuple[Hashable, ...]) -> int:
    """Return the score of a pair of unequal layers, each given by its kind and type."""
    if mine == other:
        return SAME_TYPE
    return SAME_KIND if mine[0] == other[0] else 0


def _prefer_earlier(values: list[int], left: int) -> list[int]:
    """Return the scores of the pairs of one layer, with earlier pairs winning ties.

    Otherwise a window could skip layers without a partner in it that have one in the next window.
    """
    left += len(values)
    return [value and value * _TIE_BREAK + left - j for j, value in enumerate(values)]


def _best_scores(scores: list[list[int]], width: int) -> list[list[int]]:
    """Return the highest total score of pairs from (i, j) on. Needleman and Wunsch, 1970."""
    below = [0] * (width + 1)
    rows = [below]
    for values in reversed(scores):
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
    """Yield ``pairs``, relative to the starts of the ranges, and ``gap`` of what is between."""
    i = j = 0
    for place, other in pairs:
        yield from gap(old[i:place], new[j:other])
        yield old[place], new[other]
        i, j = place + 1, other + 1
    yield from gap(old[i:], new[j:])
