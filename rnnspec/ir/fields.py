"""The fields of nodes that source is written from, so that none is ignored without a word."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from rnnspec.errors import Refusal
from rnnspec.ir.nodes import Network

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rnnspec.ir.nodes import Layer


SCALING = " ".join(
    f"{kind}.{name}"
    for kind in ("BatchNorm", "LayerNorm", "InstanceNorm")
    for name in ("scale", "offset")
)
"""The fields that say whether a norm has a scale and an offset."""
ATTENTION = "Attention.heads Attention.causal Attention.activation Attention.gives"
"""The fields that say how an attention scores and weighs."""


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
        listed = _listed(self.names, node.__class__)
        for name, default in _defaults(node.__class__):
            value = getattr(node, name)
            if name not in listed and default is not MISSING and value != default:
                yield name
            elif is_dataclass(value):
                yield from (f"{name}.{inner}" for inner in self.missing(value))
            elif name == "initializers":
                yield from (f"{name}.{inner}" for _, part in value for inner in self.missing(part))
            elif isinstance(node, Network) and name == "inputs":
                # The name of an input is part of all source.
                inputs = (inner for item in value for inner in self.missing(item))
                yield from (f"{name}.{inner}" for inner in inputs if inner != "name")

    def differing(self, one: Any, other: Any) -> Iterator[str]:
        """Yield each field that is not listed, and in which two nodes differ, or parts of them."""
        listed = _listed(self.names, one.__class__)
        for name, _ in _defaults(one.__class__):
            values = getattr(one, name), getattr(other, name)
            if name in listed or values[0] == values[1]:
                continue
            if is_dataclass(values[0]) and type(values[0]) is type(values[1]):
                yield from (f"{name}.{inner}" for inner in self.differing(*values))
            else:
                yield name


def shared_refusals(classes: Iterable[tuple[str, Layer]], arguments: Fields) -> Iterator[Refusal]:
    """Yield a refusal of each field in which layers of one class differ, but for its arguments."""
    first: dict[str, Layer] = {}
    for name, layer in classes:
        other = first.setdefault(name, layer)
        reason = f"{layer.name} and {other.name} are of one class, which takes no such argument"
        for field in arguments.differing(other, layer):
            yield Refusal(layer.name, field, reason)


@cache
def _listed(names: str, kind: type) -> frozenset[str]:
    """Return the fields of a class in a list of ``Class.field``."""
    classes = {base.__name__ for base in kind.__mro__}
    pairs = (name.split(".") for name in names.split())
    return frozenset(field for name, field in pairs if name in classes)


@cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in fields(kind))
