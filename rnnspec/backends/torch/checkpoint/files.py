"""State dicts in files, as a network and its canonical arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.imported import Account, Became, Imported
from rnnspec.backends.torch.checkpoint.archive import FREE, MOST_TIMES
from rnnspec.backends.torch.checkpoint.arrays import canonical, parts
from rnnspec.backends.torch.checkpoint.draft import draft
from rnnspec.backends.torch.checkpoint.modules import (
    Matrix,
    Module,
    Norm,
    Stack,
    modules,
    shapes_of,
)
from rnnspec.backends.torch.checkpoint.order import ordered
from rnnspec.backends.torch.checkpoint.states import state
from rnnspec.backends.torch.checkpoint.tensors import TensorError
from rnnspec.errors import UsageError, few
from rnnspec.files.arrays import HeaderError
from rnnspec.ir import nodes
from rnnspec.ir.params import gates, params
from rnnspec.ir.text import type_name
from rnnspec.slots import is_finite, packed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from rnnspec.backends.torch.checkpoint.states import Entry, State
    from rnnspec.slots import Array

Part = tuple[str, Module, "Mapping[str, Entry]"]


_MOST_ARRAYS = 5_000


def read(
    path: Path, name: str, known: nodes.Network | None = None, ignore: Sequence[str] = ()
) -> Imported:
    """Return the model whose state dict is in a file.

    Args:
        path: the file.
        name: the name of the network.
        known: the network of the spec that describes the model; without it, one is guessed.
        ignore: patterns of the arrays that are left out.

    Raises:
        ModelError: the language cannot express the model, or ``known`` is another one.
        UsageError: the file cannot be read, or has none of the arrays of a pattern.
    """
    account = Account(str(path), ignore)
    with state(path) as found:
        ignored = account.ignored(list(found.entries))
        weights = {
            key: entry
            for key, entry in found.entries.items()
            if entry.floating and key not in ignored
        }
        _leave(found, ignored, account)
        _check_sizes(weights, found.size, path)
        gone = [key for key in ignored if found.entries[key].floating]
        listed = modules(weights, account, gone)
        account.check()
        listed = ordered(listed, account)
        network = known or draft(name, listed, account)
        arrays = arrays_of(network, listed, account, path)
    return Imported(
        network=network,
        arrays=arrays,
        form=f"state dict of PyTorch{f', under {found.key}' if found.key else ''}",
        layers=tuple(account.became),
        guesses=() if known else account.guesses,
        left_out=account.left_out,
        inferred=account.inferred,
    )


def _check_sizes(weights: Mapping[str, Entry], size: int, path: Path) -> None:
    """Raise UsageError if the arrays of a file are out of proportion to it."""
    total, most = sum(entry.size for entry in weights.values()), MOST_TIMES * size + FREE
    if total > most:
        message = (
            f"expected tensors of at most {most:,} bytes in a file of {size:,}, received {total:,}"
        )
        raise UsageError(message, str(path))
    if len(weights) > _MOST_ARRAYS:
        message = f"expected at most {_MOST_ARRAYS:,} arrays, received {len(weights):,}"
        raise UsageError(message, str(path))


def _leave(found: State, ignored: Collection[str], account: Account) -> None:
    for key in found.beside:
        account.leave(key, reason="saved beside the state dict")
    for key in found.others:
        account.leave(key, reason="not a tensor")
    for key, entry in found.entries.items():
        if not entry.floating and key not in ignored:
            account.leave(key, reason="a buffer of integers")


def arrays_of(
    network: nodes.Network, listed: list[Module], account: Account, path: Path
) -> dict[str, Array]:
    """Return the canonical arrays of a network, from the modules with arrays in their order.

    Raises:
        ModelError: they are not those of its layers, or not finite.
        UsageError: one cannot be read.
    """
    layers, found = [layer for layer in network.layers if params(layer)], list(parts(listed))
    if len(layers) != len(found):
        message = (
            f"expected the arrays of {len(layers)} layers ({few([each.name for each in layers])}), "
            f"received those of {len(found)}: {few([each[0] for each in found])}"
        )
        more = len(found) > len(layers)
        way_out = account.way_out(["MODULE.*"]) if more else account.reminder()
        account.refuse("the model", message + way_out, "E706" if more else "E705")
        account.check()
    pairs = list(zip(layers, found, strict=True))
    for layer, part in pairs:
        _compare(layer, part, account)
    account.check()
    arrays = dict[str, "Array"]()
    try:
        for layer, (where, module, own) in pairs:
            for key, array in canonical(layer, module, own).items():
                arrays[key] = packed(array)
            became = Became(where, _class(module), f"{layer.name} ({type_name(layer)})")
            account.became.append(became)
    except (TensorError, HeaderError) as error:
        raise UsageError(str(error), str(path)) from None
    for name, array in arrays.items():
        if not is_finite(array):
            account.refuse(name, "expected finite numbers, received others", "E708")
    account.check()
    return arrays


def _compare(layer: nodes.Layer, part: Part, account: Account) -> None:
    """Refuse a module that is not the layer of the network at its place."""
    where, _, own = part
    cell = layer.cell if isinstance(layer, nodes.Recurrent) else None
    if isinstance(cell, nodes.GRU) and not cell.reset_after:
        message = f"{layer.name} has 'reset_after: false', and nn.GRU resets after the product"
        account.refuse(where, message, "E703")
    wanted, received = _wanted(layer), {name: entry.shape for name, entry in own.items()}
    if wanted != received:
        message = (
            f"expected {layer.name} with {_list_shapes(wanted)}, received {_list_shapes(received)}"
        )
        account.refuse(where, message, "E707")


def _wanted(layer: nodes.Layer) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays that PyTorch has for a layer."""
    match layer:
        case nodes.Embedding():
            return {"weight": (layer.vocabulary, layer.dim)}
        case nodes.Dense():
            bias = {"bias": (layer.units,)} if layer.bias else {}
            return {"weight": (layer.units, layer.features), **bias}
        case nodes.LayerNorm():
            size = nodes.width(layer.input)
            return {"weight": (size,), "bias": (size,)}
        case nodes.Recurrent():
            return _wanted_recurrent(layer)
        case _:
            return {}


def _wanted_recurrent(layer: nodes.Recurrent) -> dict[str, tuple[int, ...]]:
    shapes = shapes_of(len(gates(layer.cell)), layer.units, layer.features, bias=layer.bias)
    prefixes = ("",) if layer.merge is None else ("forward.", "backward.")
    return {prefix + own: shape for prefix in prefixes for own, shape in shapes.items()}


def _list_shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{own} {shape}" for own, shape in shapes.items())


def _class(module: Module) -> str:
    match module:
        case Stack():
            return {1: "nn.RNN", 3: "nn.GRU", 4: "nn.LSTM"}[module.gates]
        case Matrix(bias=None):
            return "nn.Embedding or nn.Linear without bias"
        case Matrix():
            return "nn.Linear"
        case Norm():
            return "nn.LayerNorm"
