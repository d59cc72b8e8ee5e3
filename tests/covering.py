"""A few specs of the gallery that together cover the whole gallery.

Equality is tested on the whole gallery. Tests of a single property that build every spec use this
subset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rnnspec import pipeline
from rnnspec.ir.params import counts

Feature = tuple[str, str, object]
_FREE_TEXT = (
    *("name", "description", "start", "weights", "words", "source", "of", "tied"),
    *("initial", "keys", "like", "over", "query", "states", "streams", "table"),
)


def covering(paths: list[Path]) -> list[Path]:
    """Return a small subset of ``paths`` that has every node and every setting of all of them."""
    return list(_covering(tuple(paths)))


@cache
def _covering(given: tuple[Path, ...]) -> tuple[Path, ...]:
    # Many modules ask for that of the gallery while they are collected.
    networks = {path: pipeline.read(path).network for path in given}
    # Of two that add as much, the one with fewer parameters is faster to build.
    paths = sorted(given, key=lambda path: counts(networks[path]).total)
    found = {path: set(features(network)) for path, network in networks.items()}
    missing, chosen = set[Feature]().union(*found.values()), list[Path]()
    while missing:
        best = max(paths, key=lambda path: len(found[path] & missing))
        chosen.append(best)
        missing -= found[best]
    return tuple(chosen)


def features(node: Any) -> Iterator[Feature]:
    """Yield the kinds of nodes in a network, and their settings."""
    kind = type(node).__name__
    for field in fields(node):
        value = getattr(node, field.name)
        parts = value if isinstance(value, tuple) else (value,)
        for part in parts:
            if is_dataclass(part):
                yield kind, field.name, type(part).__name__
                yield from features(part)
            elif isinstance(part, bool | str) and field.name not in _FREE_TEXT:
                yield kind, field.name, part
            else:
                yield kind, field.name, bool(part)
