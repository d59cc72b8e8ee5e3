"""State dicts in files, as a network and its canonical arrays."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from rnnspec.backends.imported import Account, Became, Imported
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
from rnnspec.errors import UsageError
from rnnspec.files.headers import HeaderError
from rnnspec.ir import nodes
from rnnspec.ir.params import gates, params
from rnnspec.ir.text import type_name
from rnnspec.slots import is_finite, packed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rnnspec.backends.torch.checkpoint.states import Entry, State
    from rnnspec.slots import Array

Part = tuple[str, Module, "Mapping[str, Entry]"]


def read(path: Path, name: str, known: nodes.Network | None) -> Imported:
    """Return the model whose state dict is in a file.

    Args:
        path: the file.
        name: the name of the network.
        known: the network of the spec that describes the model; without it, one is guessed.

    Raises:
        ModelError: the language cannot express the model, or ``known`` is another one.
        UsageError: the file cannot be read.
    """
    account = Account(str(path))
    with state(path) as found:
        weights = {key: entry for key, entry in found.entries.items() if entry.floating}
        _leave(found, account)
        listed = modules(weights, account)
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


def _leave(found: State, account: Account) -> None:
    for key in found.beside:
        account.leave(key, reason="saved beside the state dict")
    for key in found.others:
        account.leave(key, reason="not a tensor")
    for key, entry in found.entries.items():
        if not entry.floating:
            account.leave(key, reason="a buffer of integers")


def arrays_of(
    network: nodes.Network, listed: list[Module], account: Account, path: Path
) -> dict[str, Array]:
    """Return the canonical arrays of a network, from the modules with arrays in their order.

    Raises:
        ModelError: they are not those of its layers, or not finite.
        UsageError: one cannot be read.
    """
    layers = [layer for layer in network.layers if params(layer)]
    pairs = list(zip_longest(layers, parts(listed)))
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


def _compare(layer: nodes.Layer | None, part: Part | None, account: Account) -> None:
    """Refuse a module that is not the layer of the network at its place."""
    if part is None:
        assert layer is not None, "zip_longest gives one of them"
        message = f"expected the arrays of a {type_name(layer)}, the state dict has none left"
        account.refuse(layer.name, message, "E705")
        return
    where, module, own = part
    if layer is None:
        account.refuse(where, f"the spec has no layer for this {_class(module)}", "E706")
        return
    cell = layer.cell if isinstance(layer, nodes.Recurrent) else None
    if isinstance(cell, nodes.GRU) and not cell.reset_after:
        message = f"{layer.name} has 'reset_after: false', and nn.GRU resets after the product"
        account.refuse(where, message, "E703")
    wanted, received = _wanted(layer), {name: entry.shape for name, entry in own.items()}
    if wanted != received:
        message = f"expected {layer.name} with {_said(wanted)}, received {_said(received)}"
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


def _said(shapes: Mapping[str, tuple[int, ...]]) -> str:
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
