"""Differences between two networks: layers, their keys, shapes and parameters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.display import html_of
from rnnspec.ir.nodes import (
    AttentionPooling,
    Embedding,
    Layer,
    Network,
    Pooling,
    sources,
)
from rnnspec.ir.params import Counts, count, counts
from rnnspec.ir.text import type_name
from rnnspec.raising.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from rnnspec.pipeline import Program
    from rnnspec.raising.graph import Words


# difflib compares each item with every equal one, once for each block that it finds.
_MOST_COMPARISONS = 100_000
_SOON = 50


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """A layer, its settings, and the name of what it takes.

    It is ``branched`` if it says so itself; otherwise it takes the output of the layer before it,
    or that of the last layer that all heads have in common.
    """

    layer: Layer
    settings: Words
    source: str = ""
    branched: bool = False

    @property
    def kind(self) -> str:
        """The class of its node."""
        return type(self.layer).__name__


Pair = tuple[LayerSettings | None, LayerSettings | None]
"""A layer before and after, None on the side that lacks it."""


def align(before: Sequence[LayerSettings], after: Sequence[LayerSettings]) -> list[Pair]:
    """Return every layer of both networks once and in order, with corresponding layers paired.

    Layers with the same explicit name are paired first, because who names a layer says which
    one it is. Between them, equal layers are paired, then those of the same type, then those of the
    same kind. Default names do not count, because their numbers shift whenever a layer is added.
    """
    keys: tuple[Callable[[LayerSettings], Hashable], ...] = (
        # A layer without a name of its own is equal to no other.
        lambda one: (one.kind, one.layer.name if has_given_name(one.layer) else object()),
        lambda one: (one.kind, type_name(one.layer), *one.settings.items()),
        lambda one: (one.kind, type_name(one.layer)),
        lambda one: one.kind,
    )
    return list(_pair(before, after, keys))


def has_given_name(layer: Layer) -> bool:
    """True if a layer has an explicit name, rather than its type and a number."""
    # 'layer_normalization_1' is the default name of a 'LayerNormalization'.
    kind, _, number = layer.name.rpartition("_")
    return not (number.isdecimal() and kind.replace("_", "") == type_name(layer).lower())


def _pair(
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
        yield from _pair(before[i:place], after[j:other], rest)
        yield before[place], after[other]
        i, j = place + 1, other + 1
    yield from _pair(before[i:], after[j:], rest)


def _equal_places(
    before: Sequence[Hashable], after: Sequence[Hashable]
) -> Iterator[tuple[int, int]]:
    """Yield the places of items that are equal, rising on both sides, common ends included."""
    head = _count_common(before, after)
    tail = _count_common(before[head:][::-1], after[head:][::-1])
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    counts, others = Counter(old), Counter(new)
    if sum(count * others[item] for item, count in counts.items()) > _MOST_COMPARISONS:
        # Each item with an equal one soon after the last pair.
        inner, at = [], 0
        for place, item in enumerate(old):
            if item in (soon := new[at : at + _SOON]):
                at += soon.index(item) + 1
                inner.append((place, at - 1))
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


def _count_common(before: Sequence[Hashable], after: Sequence[Hashable]) -> int:
    """Return the length of the common prefix."""
    pairs = zip(before, after, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


State = Literal["same", "changed", "added", "removed"]


@dataclass(frozen=True, slots=True)
class Change:
    """The value of a key before and after, None if the key is absent or not set."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class LayerDiff:
    """A layer before and after, None on the side that lacks it."""

    before: Layer | None
    after: Layer | None
    changes: tuple[Change, ...] = ()

    @property
    def state(self) -> State:
        """The kind of change; a different shape or parameter count is a change too."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        if self.changes:
            return "changed"
        # A change in another layer may affect these.
        before, after = ((layer.output, count(layer)) for layer in (self.before, self.after))
        return "same" if before == after else "changed"

    @property
    def renamed(self) -> bool:
        """True if the layer is on both sides under different names."""
        return bool(self.before and self.after and self.before.name != self.after.name)

    def as_dict(self) -> dict[str, Any]:
        """Return the layer as plain data."""
        both = [self.before, self.after]
        return {
            "state": self.state,
            "name": _sides(*(layer and layer.name for layer in both)),
            "type": _sides(*(layer and type_name(layer) for layer in both)),
            "changes": _changes_dict(self.changes),
            "output_shape": _sides(*(layer and _shape(layer) for layer in both)),
            "parameters": _sides(*(layer and count(layer) for layer in both)),
        }


@dataclass(frozen=True, slots=True)
class Diff:
    """The differences between two networks.

    ``network`` has the changes of the whole network, ``expect`` those of the promises, which are
    not part of the network, and ``layers`` every layer of both.
    """

    before: Network
    after: Network
    network: tuple[Change, ...]
    expect: tuple[Change, ...]
    layers: tuple[LayerDiff, ...]

    @property
    def same(self) -> bool:
        """True if the two networks are the same, down to the names of their arrays."""
        # A description is only a comment in the source.
        before, after = (replace(one, description="") for one in (self.before, self.after))
        return before == after

    @property
    def parameters(self) -> tuple[Counts, Counts]:
        """The parameter counts before and after."""
        return counts(self.before), counts(self.after)

    def __repr__(self) -> str:
        change = "no change in the network" if self.same else "changed"
        return f"Diff({self.before.name} -> {self.after.name}, {change})"

    def _repr_html_(self) -> str:
        return html_of(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the differences as plain data, as ``rnnspec diff --json`` prints them."""
        before, after = self.parameters
        return {
            "same": self.same,
            "name": _sides(self.before.name, self.after.name),
            "network": _changes_dict(self.network),
            "layers": [layer.as_dict() for layer in self.layers],
            "output_shape": _sides(_shape(self.before), _shape(self.after)),
            "parameters": _sides(before.as_dict(), after.as_dict()),
            "expect": _changes_dict(self.expect),
        }


def diff(before: Program, after: Program) -> Diff:
    """Return the differences: defaults count as written, comments and descriptions do not count."""
    old, new = before.network, after.network
    (whole, layers), (others, other_layers) = settings(old), settings(new)
    pairs = align(_with_settings(old, layers), _with_settings(new, other_layers))
    renamed = {a.layer.name: b.layer.name for a, b in pairs if a and b}
    # A removed embedding would otherwise appear as a changed initializer too.
    unused = {key for key in whole.keys() ^ others.keys() if key.startswith("initializers.")}
    return Diff(
        before=old,
        after=new,
        network=tuple(c for c in _changes(whole, others) if c.key not in unused),
        expect=_changes(before.spec.expect.model_dump(), after.spec.expect.model_dump()),
        layers=tuple(
            LayerDiff(a.layer if a else None, b.layer if b else None, _layer_changes(a, b, renamed))
            for a, b in pairs
        ),
    )


def _with_settings(network: Network, layers: Sequence[Words]) -> list[LayerSettings]:
    """Return the layers of a network with their settings, and which branches they are on."""
    result, before = list[LayerSettings](), None
    taken, ends = sources(network), {name for _, name in network.outputs}
    # Heads begin behind the end of the one before; usually all take the same.
    heads = {
        after.source
        for end, after in pairwise(network.layers)
        if end.name in ends and after.source is not None
    }
    for layer, words in zip(network.layers, layers, strict=True):
        (source, *_) = taken[layer.name]
        is_head = before is not None and before.layer.name in ends and len(heads) == 1
        is_pooling = before is not None and all(
            isinstance(one, Pooling | AttentionPooling) for one in (before.layer, layer)
        )
        is_same = before is not None and before.source == network.called(source)
        beside = is_head or (is_pooling and is_same)
        own = layer.source is not None and not isinstance(layer, Embedding)
        before = LayerSettings(layer, words, network.called(source), own and not beside)
        result.append(before)
    return result


def _layer_changes(
    before: LayerSettings | None, after: LayerSettings | None, renamed: Mapping[str, str]
) -> tuple[Change, ...]:
    """Return the changes of a layer; ``renamed`` has the new name of each that is in both."""
    if before is None or after is None:
        return ()
    changes = _changes(before.settings, after.settings)
    of, dot, part = before.source.partition(".")
    source = f"{renamed.get(of, of)}{dot}{part}"
    if (before.branched or after.branched) and source != after.source:
        changes = (Change("of", before.source, after.source), *changes)
    # The number in a default name shifts whenever a layer is added or removed.
    old, new = before.layer, after.layer
    if old.name != new.name and (has_given_name(old) or has_given_name(new)):
        return (Change("name", old.name, new.name), *changes)
    return changes


def _changes(before: Words, after: Words) -> tuple[Change, ...]:
    # In the order of the keys before, then of the keys that are new.
    changes = (Change(key, before.get(key), after.get(key)) for key in {**before, **after})
    return tuple(change for change in changes if change.before != change.after)


def _sides(before: Any, after: Any) -> dict[str, Any]:
    return {"before": before, "after": after}


def _changes_dict(changes: tuple[Change, ...]) -> dict[str, Any]:
    return {change.key: _sides(change.before, change.after) for change in changes}


def _shape(of: Layer | Network) -> list[int | None]:
    # None stands for the batch size, as in Keras.
    return [None, *of.output]
