"""The fields of nodes that source is written from, so that none is ignored without a word."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, eq=False)
class Fields:
    """The fields with a default that a piece of source is written from, by their class.

    The names of a class are separated by spaces, and hold for its subclasses too. Each backend has
    such a table, and so has each of its idioms: source for a whole node, or for several, beside
    what it writes of the node otherwise. Source does not apply to a node with a field that is set,
    and not named. What has no default is what the node is, and part of all source.
    """

    names: Mapping[type, str]

    def missing(self, node: Any) -> Iterator[str]:
        """Yield each field of a node, or of what it consists of, that is set but not named."""
        kind: Any = type(node)
        for name, default in _defaults(kind):
            value = getattr(node, name)
            if default is MISSING or value == default:
                if is_dataclass(value):
                    yield from (f"{name}.{inner}" for inner in self.missing(value))
            elif not any(name in self.names.get(base, "").split() for base in kind.__mro__):
                yield name


@cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in fields(kind))
