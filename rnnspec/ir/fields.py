"""The fields of nodes that source is written from, so that none is ignored without a word."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields with a default that a piece of source is written from, as ``Class.field ...``.

    Each form of a backend has such a list, and so has each of its idioms: source for a whole node,
    or for several, beside what it writes of the node otherwise. Source does not apply to a node
    with a field that is set, and not in the list. What has no default is what the node is, and part
    of all source. A field of a class is one of its subclasses too.
    """

    names: str

    def missing(self, node: Any) -> Iterator[str]:
        """Yield each field of a node, or of what it consists of, that is set but not listed."""
        kind: Any = type(node)
        for name, default in _defaults(kind):
            value = getattr(node, name)
            paths = (f"{base.__name__}.{name}" for base in kind.__mro__)
            is_set = default is not MISSING and value != default
            if is_set and not any(path in self.names.split() for path in paths):
                yield name
            elif is_dataclass(value):
                yield from (f"{name}.{inner}" for inner in self.missing(value))


@cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in fields(kind))
