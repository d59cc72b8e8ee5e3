"""Names of imported networks and layers: those of the file where the language takes them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from rnnspec.ir import nodes
from rnnspec.spec.names import check_layer_name, check_network_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rnnspec.backends.imported import Imported
    from rnnspec.slots import Array


def network_name(path: Path) -> str:
    """Return the name of the network in a file: that of the file, in letters that a name has."""
    stem = path.name.partition(".")[0].lower()
    name = re.sub(r"[^a-z0-9]+", "_", stem).strip("_")[:50]
    for candidate in (name, f"net_{name}", f"{name}_net"):
        if _valid(check_network_name, candidate):
            return candidate
    return "imported_net"


def named(imported: Imported) -> tuple[nodes.Network, dict[str, Array]]:
    """Return the network and its arrays, each layer by its name in the file if it may have it."""
    names = {
        ours: theirs for ours, theirs in imported.names.items() if _valid(check_layer_name, theirs)
    }
    taken = {each.name for each in imported.network.layers} - set(names)
    unique = {ours: theirs for ours, theirs in names.items() if theirs not in taken}
    return renamed(imported.network, unique), renamed_arrays(imported.arrays, unique)


def renamed(network: nodes.Network, names: Mapping[str, str]) -> nodes.Network:
    """Return the network with some layers under other names."""
    layers = list[nodes.Layer]()
    for layer in network.layers:
        name = names.get(layer.name, layer.name)
        if isinstance(layer, nodes.Residual):
            layers.append(replace(layer, name=name, start=names.get(layer.start, layer.start)))
        else:
            layers.append(replace(layer, name=name))
    return replace(network, layers=tuple(layers))


def renamed_arrays(arrays: Mapping[str, Array], names: Mapping[str, str]) -> dict[str, Array]:
    """Return the arrays of a network with some layers under other names."""
    found = {}
    for name, array in arrays.items():
        layer, _, rest = name.partition(".")
        found[f"{names.get(layer, layer)}.{rest}"] = array
    return found


def _valid(check: Callable[[str], str], name: str) -> bool:
    try:
        check(name)
    except ValueError:
        return False
    return True
