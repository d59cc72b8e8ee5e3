"""The arrays of the modules of PyTorch as the canonical arrays of a network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, assert_never

import numpy as np

from rnnspec.backends.slots import Slot, is_finite, learned_slots, packed, shape_in, unpack
from rnnspec.backends.torch.slots import attention_slots, direction_slots
from rnnspec.backends.torch.slots import slots as torch_slots
from rnnspec.errors import UsageError, few
from rnnspec.files.arrays import HeaderError
from rnnspec.importing.imported import Account, Became
from rnnspec.importing.torch.archive import TensorError
from rnnspec.importing.torch.state_dict import (
    BatchNorm,
    Convolution,
    Entry,
    Matrix,
    Module,
    Norm,
    RecurrentModule,
    Tied,
    ZooCell,
    scores_steps,
)
from rnnspec.ir import nodes
from rnnspec.ir.params import directions, params
from rnnspec.ir.text import type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rnnspec.backends.slots import Array
    from rnnspec.ir.nodes import Layer


def parts(modules: Sequence[Module]) -> Iterator[tuple[str, Module, Mapping[str, Entry]]]:
    """Yield the name, the module and the arrays of each layer of a network.

    The arrays of a layer of a stack have the names ``weight_ih``, ``forward.weight_ih`` and so on.
    """
    for module in modules:
        match module:
            case RecurrentModule():
                for index, directions in enumerate(module.layers):
                    prefixes = ("",) if len(directions) == 1 else ("forward.", "backward.")
                    arrays = {
                        prefix + name: entry
                        for prefix, direction in zip(prefixes, directions, strict=True)
                        for name, entry in direction.items()
                    }
                    yield f"{module.name}[{index}]", module, arrays
            case Matrix() | Convolution() | Norm() | BatchNorm() | Tied():
                values = {field.name: getattr(module, field.name) for field in fields(module)}
                name = values.pop("name")
                yield name, module, {key: entry for key, entry in values.items() if entry}
            case ZooCell(name=name, parameters=parameters):
                yield name, module, parameters
            case _:
                assert_never(module)


def _slots(layer: Layer) -> Iterator[Slot]:
    """Yield the slots of a layer, whose paths are the names of the arrays that ``parts`` yields."""
    slots = torch_slots(layer)
    if isinstance(layer, nodes.Recurrent) and not isinstance(layer.cell, nodes.EquationCell):
        for prefix in directions(layer):
            for slot in direction_slots(layer, prefix):
                addend = slot.addend and prefix + slot.addend
                yield replace(slot, path=prefix + slot.path, addend=addend)
        slots = attention_slots(layer)
        slots = (*learned_slots(layer), *slots)
    for slot in slots:
        if slot.module is not None:
            # A vector has a place of its own.
            yield replace(slot, path=slot.param)
            continue
        # Of an attention, the query has a module of its own, and so has each direction of a cell.
        query = slot.param in ("query", "score") and scores_steps(layer)
        path = "query" if query else slot.path.removeprefix("hidden.")
        path = re.sub(r"^(forward|backward)_layer\.", r"\1.", path)
        yield replace(slot, path=path)


def _canonical(layer: Layer, arrays: Mapping[str, Entry]) -> dict[str, Array]:
    """Return the canonical arrays of a layer, whose shapes have been compared."""
    param_of = {param.name: param for param in params(layer)}
    result: dict[str, Array] = {}
    for slot in _slots(layer):
        array = arrays[slot.path].read()
        if slot.addend is not None:
            # In float64, so that the sum is rounded once. What is not finite is refused later.
            with np.errstate(invalid="ignore"):
                array = array.astype("f8") + arrays[slot.addend].read()
        result[f"{layer.name}.{slot.param}"] = unpack(param_of[slot.param], slot, array)
    return result


Shapes = Mapping[str, tuple[int, ...]]
Part = tuple[str, Module, Mapping[str, Entry]]


@dataclass(frozen=True, slots=True)
class Piece:
    """A module that has arrays of a layer, with the ``shapes`` of its arrays by their names there.

    ``paths`` are the names of these arrays in the layer. The module may lack the others: a layer
    does without them, or shares those of another layer. ``name`` is that of the layer, or of the
    vector that it learned to begin as.
    """

    name: str
    layer: Layer
    shapes: Shapes
    paths: Mapping[str, str]

    def fits(self, shapes: Shapes) -> bool:
        """True if a module with arrays of these shapes is the piece."""
        return self.paths.keys() <= shapes.keys() and shapes.items() <= self.shapes.items()


def pieces(network: nodes.Network) -> list[Piece]:
    """Return the modules that have the arrays of a network, in the order of its layers."""
    asking = dict(_keys_by_query(network))
    return [piece for layer in network.layers for piece in _pieces(layer, asking)]


def _keys_by_query(network: nodes.Network) -> Iterator[tuple[str, str]]:
    """Yield the name of what computes the queries of an additive attention, and that of the keys.

    Both are added, so that the bias of either is that of the sum.
    """
    biased = {e.name for e in network.layers if isinstance(e, nodes.Dense) and e.bias}
    for layer, (main, *_) in zip(network.layers, nodes.sources(network).values(), strict=True):
        attention = nodes.attention_of(layer)
        if attention is not None and attention.additive and attention.keys in biased:
            yield (main if isinstance(layer, nodes.Attention) else layer.name), attention.keys


def _pieces(layer: Layer, asking: Mapping[str, str]) -> Iterator[Piece]:
    """Yield the modules that have the arrays of a layer; what scores steps has one of its own."""
    expected = _expected_shapes(layer)
    apart = {_QUERY, *_SCORING} if scores_steps(layer) else set[str]()
    for vector in nodes.learned_of(layer):
        yield Piece(vector.name, layer, {"vector": (vector.size,)}, {"vector": vector.param})
        apart.add(vector.param)
    own = {path: shape for path, shape in expected.items() if path not in apart}
    spare: Shapes = {}
    match layer:
        case nodes.Dense(tied=str()):
            spare = {"weight": (layer.units, layer.features)}
        case nodes.Dense(bias=False, units=units) if layer.name in asking:
            spare = {"bias": (units,)}
    if own or spare:
        yield Piece(layer.name, layer, {**own, **spare}, {path: path for path in own})
    if apart and _QUERY in expected:
        size = expected[_QUERY][0]
        shapes = {"weight": expected[_QUERY]} | ({"bias": (size,)} if layer.name in asking else {})
        yield Piece(layer.name, layer, shapes, {"weight": _QUERY})
    for path in [path for path in _SCORING if apart and path in expected]:
        yield Piece(layer.name, layer, {"weight": expected[path], "bias": (1,)}, {"weight": path})


_QUERY = "query.weight"
"""The projection of the state with which a recurrent layer attends."""
_SCORING = ("query", "attention.score.weight")
"""The vector that scores steps: that of an attention, and that of a recurrent layer."""


def arrays_of(
    network: nodes.Network, listed: Sequence[Module], account: Account, path: Path
) -> dict[str, Array]:
    """Return the canonical arrays of a network, from the modules with arrays in their order.

    Raises:
        ModelError: they are not those of its layers, or not finite.
        UsageError: one cannot be read.
    """
    expected, received = pieces(network), list(parts(listed))
    if len(expected) != len(received):
        layers = list(dict.fromkeys(piece.layer.name for piece in expected))
        apart = f", in {len(expected)} modules" if len(expected) != len(layers) else ""
        message = (
            f"expected the arrays of {len(layers)} layers ({few(layers)}){apart}, "
            f"received those of {len(received)}: {few([part[0] for part in received])}"
        )
        more = len(received) > len(expected)
        way_out = account.way_out(["MODULE.*"]) if more else account.reminder()
        account.refuse("the model", message + way_out, "E706" if more else "E705")
        account.check()
    for piece, part in zip(expected, received, strict=True):
        _compare(piece, part, account)
    account.check()
    arrays = dict[str, "Array"]()
    try:
        entries = _entries(network, expected, received, account)
        account.check()
        for layer in dict.fromkeys(piece.layer for piece in expected):
            for key, array in _canonical(layer, entries[layer.name]).items():
                arrays[key] = packed(array)
    except (TensorError, HeaderError) as error:
        raise UsageError(str(error), str(path)) from None
    check_finite(arrays, account)
    return arrays


def check_finite(arrays: Mapping[str, Array], account: Account) -> None:
    """Refuse arrays with infinities or NaN."""
    for name, array in arrays.items():
        if not is_finite(array):
            account.refuse(name, "expected finite numbers, received others", "E708")
    account.check()


def _entries(
    network: nodes.Network, expected: Sequence[Piece], received: Sequence[Part], account: Account
) -> dict[str, dict[str, Entry]]:
    """Return the arrays of each layer by their names in it, and account for the spare ones."""
    entries = {layer.name: dict[str, Entry]() for layer in network.layers}
    keys = dict(_keys_by_query(network))
    biases = list[tuple[str, Entry]]()
    for piece, (where, module, stored) in zip(expected, received, strict=True):
        layer = piece.layer
        if stored:
            became = f"{layer.name} ({type_name(layer)})"
            account.became.append(Became(where, class_of(module), became))
        for name, entry in stored.items():
            match layer:
                case _ if name in piece.paths:
                    entries[layer.name][piece.paths[name]] = entry
                case nodes.Dense(tied=str() as tied):
                    if not is_equal(entry, entries[tied].get("weight")):
                        message = f"expected the weight of {tied}, to which {layer.name} is tied"
                        account.refuse(where, f"{message}, received another", "E707")
                case _ if piece.paths.get("weight") in _SCORING:
                    account.leave(f"{where}.{name}", reason="a softmax is the same without it")
                case _:
                    biases.append((keys[layer.name], entry))
    for name, bias in biases:
        entries[name]["bias"] = _sum(entries[name]["bias"], bias)
    return entries


def _sum(one: Entry, other: Entry) -> Entry:
    return replace(one, read=lambda: one.read().astype("f8") + other.read())


def is_equal(one: Entry, other: Entry | None) -> bool:
    """True if two arrays are equal."""
    return other is not None and (
        one.shape == other.shape and np.array_equal(one.read(), other.read())
    )


def _compare(piece: Piece, part: Part, account: Account) -> None:
    """Refuse a module that is not the piece of the network at its place."""
    (where, _, arrays), layer = part, piece.layer
    cell = layer.cell if isinstance(layer, nodes.Recurrent) else None
    if isinstance(cell, nodes.GRU) and not cell.reset_after:
        message = f"{layer.name} has 'reset_after: false', and nn.GRU resets after the product"
        account.refuse(where, message, "E703")
    received = {name: entry.shape for name, entry in arrays.items()}
    if not piece.fits(received):
        expected = {name: shape for name, shape in piece.shapes.items() if name in piece.paths}
        message = f"expected {layer.name} with {_list_shapes(expected)}"
        account.refuse(where, f"{message}, received {_list_shapes(received)}", "E707")


def _expected_shapes(layer: nodes.Layer) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays that PyTorch has for a layer."""
    param_of = {param.name: param for param in params(layer)}
    return {
        path: shape_in(param_of[slot.param], slot) for slot in _slots(layer) for path in slot.paths
    }


def _list_shapes(shapes: Shapes) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def class_of(module: Module) -> str:
    """Return the class of a module in PyTorch."""
    match module:
        case RecurrentModule():
            return f"nn.{module.kind}"
        case Matrix(bias=None):
            return "nn.Embedding or nn.Linear without bias"
        case Matrix():
            return "nn.Linear"
        case Norm():
            return "nn.LayerNorm"
        case Convolution():
            return "nn.Conv1d"
        case BatchNorm():
            return "nn.BatchNorm1d"
        case ZooCell(kind=kind):
            return f"torchrecurrent.{kind}"
        case Tied():
            return "nn.Linear with the weight of nn.Embedding"
        case _:
            assert_never(module)
