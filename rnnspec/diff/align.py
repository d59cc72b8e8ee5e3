"""Which layer of one network is which of another, where layers came, went and were renumbered."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import takewhile
from typing import TYPE_CHECKING

from rnnspec.diff.words import layer_words
from rnnspec.ir.nodes import Layer
from rnnspec.ir.text import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    Key = Callable[[Layer], Hashable]

Pair = tuple[Layer | None, Layer | None]
"""A layer before and after; None where it was added or removed."""


def align(before: Sequence[Layer], after: Sequence[Layer]) -> list[Pair]:
    """Return every layer of both networks once, in order, paired where it is the same one.

    A name that was given says so first, then equal keys, then an equal type: numbers in names
    that nobody gave shift as soon as a layer comes or goes.
    """
    return list(_matched(before, after, _KEYS))


def has_given_name(layer: Layer) -> bool:
    """Tell whether a layer has another name than that of its kind and a number."""
    kind, _, number = layer.name.rpartition("_")
    return not (number.isdecimal() and kind.replace("_", "") == type_name(layer).lower())


def _given_name(layer: Layer) -> Hashable:
    # Something that equals nothing else keeps a layer without a given name out of this round.
    return (type(layer), layer.name) if has_given_name(layer) else object()


def _content(layer: Layer) -> Hashable:
    return (type_name(layer), *layer_words(layer).items())


_KEYS: tuple[Key, ...] = (_given_name, _content, type_name, type)


def _matched(
    before: Sequence[Layer], after: Sequence[Layer], keys: Sequence[Key]
) -> Iterator[Pair]:
    """Pair what has the same key, and what lies between by the keys that remain."""
    key, finer = keys[0], keys[1:]
    i = j = 0
    for start, other, size in _blocks([*map(key, before)], [*map(key, after)]):
        yield from _between(before[i:start], after[j:other], finer)
        i, j = start + size, other + size
        yield from zip(before[start:i], after[other:j], strict=True)
    yield from _between(before[i:], after[j:], finer)


def _between(
    before: Sequence[Layer], after: Sequence[Layer], keys: Sequence[Key]
) -> Iterator[Pair]:
    if [*map(type, before)] == [*map(type, after)]:
        yield from zip(before, after, strict=True)
    elif before and after and keys:
        yield from _matched(before, after, keys)
    else:
        yield from ((layer, None) for layer in before)
        yield from ((None, layer) for layer in after)


def _blocks(before: list[Hashable], after: list[Hashable]) -> Iterator[tuple[int, int, int]]:
    """Yield the stretches that are equal: where each begins in both, and how long it is.

    What both begin and end with is taken first: the matcher prefers the longest stretch, which
    would rather shift a stack of equal layers than see that its first one changed.
    """
    head = _common(before, after)
    inner, other_inner = before[head:], after[head:]
    tail = _common(inner[::-1], other_inner[::-1])
    middle, other_middle = inner[: len(inner) - tail], other_inner[: len(other_inner) - tail]
    matcher = SequenceMatcher(None, middle, other_middle, autojunk=False)
    yield 0, 0, head
    for start, other, size in matcher.get_matching_blocks():
        yield head + start, head + other, size
    yield len(before) - tail, len(after) - tail, tail


def _common(before: list[Hashable], after: list[Hashable]) -> int:
    pairs = zip(before, after, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
