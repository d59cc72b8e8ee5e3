"""Networks of the gallery in small: every layer and setting, with few units, tokens and steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from rnnspec import pipeline
from rnnspec.ir.nodes import least_steps
from rnnspec.spec.write import dump

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SIZES = ("dim", "features", "filters", "units", "vocabulary")
_SMALLEST = 3
_STEPS = 4
"""The fewest steps that are left behind all windows."""


def in_small(path: Path) -> str:
    """Return the text of a spec with smaller numbers.

    Numbers that differ still do: an array that is transposed, or taken for another, has another
    shape here too.
    """
    spec = yaml.safe_load(path.read_text("utf-8"))
    del spec["expect"]
    sizes = sorted({mapping[key] for mapping, key in _sizes_in(spec)})
    for mapping, key in list(_sizes_in(spec)):
        mapping[key] = min(mapping[key], sizes.index(mapping[key]) + _SMALLEST)
    if length := spec.get("input", {}).get("length"):
        least = least_steps(pipeline.read(path).network)
        spec["input"]["length"] = min(length, max(_STEPS * least, 2 * _STEPS))
    return dump(spec)


def write_small(path: Path, folder: Path) -> Path:
    """Write a spec with smaller numbers into a folder, and return its path."""
    small = folder / path.name
    small.write_text(in_small(path), encoding="utf-8")
    return small


def _sizes_in(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield where each size of an array is: a mapping and a key of it."""
    match value:
        case dict():
            for key, item in value.items():
                if key in _SIZES:
                    yield value, key
                else:
                    yield from _sizes_in(item)
        case list():
            for item in value:
                yield from _sizes_in(item)
        case _:
            pass
