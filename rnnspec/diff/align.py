"""Pairs of corresponding layers of two networks, across insertions, removals and renumbering."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from typing import TYPE_CHECKING

from rnnspec.ir.nodes import Layer
from rnnspec.ir.text import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from rnnspec.diff.settings import Settings

# difflib compares each item with every equal one, once for each block that it finds.
_MOST_COMPARISONS = 100_000
_SOON = 50


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """A layer and its settings."""

    layer: Layer
    settings: Settings

    @property
    def name(self) -> Hashable:
        """Its explicit name, or an object that equals nothing else."""
        return self.layer.name if has_given_name(self.layer) else object()

    @property
    def content(self) -> Hashable:
        """Everything but its name."""
        return (self.type, *self.settings.items())

    @property
    def type(self) -> Hashable:
        """Its kind, and the type that the language calls it by."""
        return (self.kind, type_name(self.layer))

    @property
    def kind(self) -> Hashable:
        """The class of its node."""
        return type(self.layer).__name__


Pair = tuple[LayerSettings | None, LayerSettings | None]
"""A layer before and after, None on the side that lacks it."""


def align(before: Sequence[LayerSettings], after: Sequence[LayerSettings]) -> list[Pair]:
    """Return every layer of both networks once and in order, with corresponding layers paired.

    Layers with the same explicit name are paired first, because whoever names a layer says which
    one it is. Between them, equal layers are paired, then those of the same type, then those of the
    same kind. Default names do not count, because their numbers shift whenever a layer is added.
    """
    keys = (
        lambda entry: (entry.kind, entry.name),
        lambda entry: entry.content,
        lambda entry: entry.type,
        lambda entry: entry.kind,
    )
    return list(_paired(before, after, keys))


def has_given_name(layer: Layer) -> bool:
    """Return whether a layer has an explicit name, rather than its type and a number."""
    # 'layer_normalization_1' is the default name of a 'LayerNormalization'.
    kind, _, number = layer.name.rpartition("_")
    return not (number.isdecimal() and kind.replace("_", "") == type_name(layer).lower())


def _paired(
    before: Sequence[LayerSettings],
    after: Sequence[LayerSettings],
    keys: Sequence[Callable[[LayerSettings], Hashable]],
) -> Iterator[Pair]:
    """Yield pairs of layers that are equal by the first key, and between them by the others."""
    if not (before and after and keys):
        yield from ((entry, None) for entry in before)
        yield from ((None, entry) for entry in after)
        return
    key, *rest = keys
    i = j = 0
    for place, other in _equal_places([*map(key, before)], [*map(key, after)]):
        yield from _paired(before[i:place], after[j:other], rest)
        yield before[place], after[other]
        i, j = place + 1, other + 1
    yield from _paired(before[i:], after[j:], rest)


def _equal_places(
    before: Sequence[Hashable], after: Sequence[Hashable]
) -> Iterator[tuple[int, int]]:
    """Yield the places of items that are equal, rising on both sides, common ends included."""
    head = _count_common(before, after)
    tail = _count_common(before[head:][::-1], after[head:][::-1])
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    counts, others = Counter(old), Counter(new)
    if sum(count * others[item] for item, count in counts.items()) > _MOST_COMPARISONS:
        inner = list(_nearest(old, new))
    else:
        matcher = SequenceMatcher(None, old, new, autojunk=False)
        blocks = matcher.get_matching_blocks()
        inner = [(at + n, other + n) for at, other, size in blocks for n in range(size)]
        # Of two answers, the one without insertions and removals is easier to read.
        same = [(at, at) for at, pair in enumerate(zip(old, new, strict=False)) if len({*pair}) < 2]
        if len(old) == len(new) and len(same) >= len(inner):
            inner = same
    yield from ((at, at) for at in range(head))
    yield from ((head + at, head + other) for at, other in inner)
    yield from ((len(before) - at, len(after) - at) for at in range(tail, 0, -1))


def _nearest(before: Sequence[Hashable], after: Sequence[Hashable]) -> Iterator[tuple[int, int]]:
    """Yield each item that has an equal one soon after the last pair."""
    at = 0
    for place, item in enumerate(before):
        if item in (soon := after[at : at + _SOON]):
            at += soon.index(item) + 1
            yield place, at - 1


def _count_common(before: Sequence[Hashable], after: Sequence[Hashable]) -> int:
    """Return the length of the common prefix."""
    pairs = zip(before, after, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
