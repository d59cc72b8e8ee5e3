"""Comparison of two specs: changed keys, and their effect on shapes and parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rnnspec.diff.align import LayerSettings, align, has_given_name
from rnnspec.diff.settings import Settings, layer_settings, network_settings
from rnnspec.ir.nodes import Layer, Network
from rnnspec.ir.params import Counts, count, counts
from rnnspec.ir.text import type_name
from rnnspec.shown import html_of

if TYPE_CHECKING:
    from rnnspec.pipeline import Program

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
        kept = _consequences(self.before) == _consequences(self.after)
        return "same" if kept else "changed"

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
        kept = (layer.state == "same" and not layer.renamed for layer in self.layers)
        return not self.network and all(kept)

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
    pairs = align(_with_settings(old), _with_settings(new))
    return Diff(
        before=old,
        after=new,
        network=_network_changes(network_settings(old), network_settings(new)),
        expect=_changes(before.spec.expect.model_dump(), after.spec.expect.model_dump()),
        layers=tuple(LayerDiff(_layer(a), _layer(b), _layer_changes(a, b)) for a, b in pairs),
    )


def _with_settings(network: Network) -> list[LayerSettings]:
    return [*map(LayerSettings, network.layers, layer_settings(network))]


def _layer(entry: LayerSettings | None) -> Layer | None:
    return entry.layer if entry else None


def _network_changes(before: Settings, after: Settings) -> tuple[Change, ...]:
    """Return the changes, without initializers that only one of the networks uses."""
    # A removed embedding would otherwise appear as a changed initializer too.
    unused = {key for key in before.keys() ^ after.keys() if key.startswith("initializers.")}
    return tuple(each for each in _changes(before, after) if each.key not in unused)


def _layer_changes(before: LayerSettings | None, after: LayerSettings | None) -> tuple[Change, ...]:
    if before is None or after is None:
        return ()
    changes = _changes(before.settings, after.settings)
    # The number in a default name shifts whenever a layer is added or removed.
    old, new = before.layer, after.layer
    if old.name != new.name and (has_given_name(old) or has_given_name(new)):
        return (Change("name", old.name, new.name), *changes)
    return changes


def _changes(before: Settings, after: Settings) -> tuple[Change, ...]:
    # In the order of the keys before, then of the keys that are new.
    found = (Change(key, before.get(key), after.get(key)) for key in {**before, **after})
    return tuple(each for each in found if each.before != each.after)


def _consequences(layer: Layer) -> tuple[object, ...]:
    """Return the properties that a change in another layer may affect."""
    return layer.output, count(layer)


def _sides(before: Any, after: Any) -> dict[str, Any]:
    return {"before": before, "after": after}


def _changes_dict(changes: tuple[Change, ...]) -> dict[str, Any]:
    return {each.key: _sides(each.before, each.after) for each in changes}


def _shape(of: Layer | Network) -> list[int | None]:
    # None stands for the batch size, as in Keras.
    return [None, *of.output]
