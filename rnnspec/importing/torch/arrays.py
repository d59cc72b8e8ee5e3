"""The arrays of the modules of PyTorch as the canonical arrays of a network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, assert_never

import numpy as np

from rnnspec.backends.slots import Slot, is_finite, learned_slots, packed, shape_in, unpack
from rnnspec.backends.torch.slots import attention_slots, direction_slots
from rnnspec.backends.torch.slots import slots as slots_of
from rnnspec.errors import UsageError, few
from rnnspec.files.arrays import HeaderError
from rnnspec.importing.imported import Account, Became
from rnnspec.importing.torch.archive import TensorError
from rnnspec.importing.torch.state_dict import (
    BatchNormModule,
    Convolution,
    LayerNormModule,
    MatrixModule,
    Module,
    RecurrentModule,
    StateDictEntry,
    Tied,
    ZooCellModule,
)
from rnnspec.ir import nodes
from rnnspec.ir.params import directions, named_params, params
from rnnspec.ir.text import type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rnnspec.backends.slots import Array
    from rnnspec.ir.nodes import Layer
    from rnnspec.ir.params import Param


def parts(modules: Sequence[Module]) -> Iterator[tuple[str, Module, Mapping[str, StateDictEntry]]]:
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
            case MatrixModule() | Convolution() | LayerNormModule() | BatchNormModule() | Tied():
                values = {field.name: getattr(module, field.name) for field in fields(module)}
                name = values.pop("name")
                yield name, module, {key: entry for key, entry in values.items() if entry}
            case ZooCellModule(name=name, parameters=parameters):
                yield name, module, parameters
            case _:
                assert_never(module)


def torch_slots(layer: Layer) -> Iterator[Slot]:
    """Yield the slots of a layer, whose paths are the names of the arrays that ``parts`` yields."""
    if layer.shares:
        return
    slots = slots_of(layer)
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
        query = slot.param in ("query", "score") and _scores_steps(layer)
        path = "query" if query else slot.path.removeprefix("hidden.")
        path = re.sub(r"^(forward|backward)_layer\.", r"\1.", path)
        yield replace(slot, path=path)


def _scores_steps(layer: nodes.Layer) -> bool:
    """True if a layer weighs steps by scores."""
    return isinstance(layer, nodes.AttentionPooling) or nodes.attention_of(layer) is not None


Shapes = Mapping[str, tuple[int, ...]]
Part = tuple[str, Module, Mapping[str, StateDictEntry]]


@dataclass(frozen=True, slots=True)
class ArrayTarget:
    """Where an array of a module goes: ``names`` are the canonical arrays that it has, one a row.

    There is one as a rule, and none of an array that changes no result. A module may lack an array
    that is not ``required``.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    required: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A module that has arrays of a layer, with the places of its arrays by their names there.

    ``name`` is that of the layer, or of the vector that it learned to begin as.
    """

    name: str
    layer: Layer
    places: Mapping[str, ArrayTarget]

    @property
    def shapes(self) -> Shapes:
        """The shapes of the arrays that the module must have."""
        return {path: place.shape for path, place in self.places.items() if place.required}

    def fits(self, shapes: Shapes) -> bool:
        """True if a module with arrays of these shapes is the piece."""
        return self.shapes.keys() <= shapes.keys() and all(
            path in self.places and self.places[path].shape == shape
            for path, shape in shapes.items()
        )


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


_QUERY = "query.weight"
"""The projection of the state with which a recurrent layer attends."""
_SCORING = ("query", "attention.score.weight")
"""The vector that scores steps: that of an attention, and that of a recurrent layer."""


def _pieces(layer: Layer, asking: Mapping[str, str]) -> Iterator[Piece]:
    """Yield the modules that have the arrays of a layer; what scores steps has one of its own."""
    own = dict[str, ArrayTarget]()
    param_of = {param.name: param for param in params(layer)}
    for slot in torch_slots(layer):
        names, shape = (f"{layer.name}.{slot.param}",), shape_in(param_of[slot.param], slot)
        own[slot.path] = ArrayTarget(names, shape)
        if slot.addend is not None:
            own[slot.addend] = ArrayTarget(names, shape, required=False)
    for vector in nodes.learned_of(layer):
        yield Piece(vector.name, layer, {"vector": own.pop(vector.param)})
    apart = {_QUERY, *_SCORING} & own.keys() if _scores_steps(layer) else set[str]()
    alone = {path: own.pop(path) for path in (_QUERY, *_SCORING) if path in apart}
    # The bias of what asks is that of the keys, to which it is added.
    bias = (f"{asking[layer.name]}.bias",) if layer.name in asking else ()
    match layer:
        case nodes.Dense(tied=str() as tied):
            shape = (layer.units, layer.features)
            own["weight"] = ArrayTarget((f"{tied}.embeddings",), shape, required=False)
        case nodes.Dense(bias=False, units=units) if bias:
            own["bias"] = ArrayTarget(bias, (units,), required=False)
    if own:
        yield Piece(layer.name, layer, own)
    for path, place in alone.items():
        spare = {}
        if path in _SCORING:  # a softmax is the same without it
            spare["bias"] = ArrayTarget((), (1,), required=False)
        elif bias:
            spare["bias"] = ArrayTarget(bias, place.shape[:1], required=False)
        yield Piece(layer.name, layer, {"weight": place, **spare})


@dataclass(frozen=True, slots=True)
class Filled:
    """An array of a file that has the canonical arrays of these ``names``, one a row.

    It is as PyTorch has them, or else ``canonical``; ``gates`` are the letters of its gates in
    their order, if it is another one. ``name`` is that in the file.
    """

    name: str
    entry: StateDictEntry
    names: tuple[str, ...]
    canonical: bool = False
    gates: str = ""


def slot_of(layer: Layer, param: Param, *, canonical: bool, gates: str = "") -> Slot:
    """Return how an array of a layer is laid out in a file."""
    slot = Slot(param=param.name, path="", axes=param.axes, gates=param.gates)
    if not canonical:
        slot = next(slot for slot in torch_slots(layer) if slot.param == param.name)
    return replace(slot, gates=gates or slot.gates)


def gather(network: nodes.Network, filled: Sequence[Filled], account: Account) -> dict[str, Array]:
    """Return the canonical arrays of a network, whose shapes have been compared.

    Of a bias, several arrays are added up. Several arrays for another one must be equal.

    Raises:
        ModelError: they are not equal, or not finite.
    """
    of = dict[str, list[tuple[Filled, int]]]()
    for target in filled:
        if not target.names:
            account.leave(target.name, reason="a softmax is the same without it")
        for row, name in enumerate(target.names):
            of.setdefault(name, []).append((target, row))
    result = dict[str, "Array"]()
    for name, layer, param in named_params(network):
        arrays = list["Array"]()
        for target, row in of[name]:
            slot = slot_of(layer, param, canonical=target.canonical, gates=target.gates)
            array = target.entry.read()
            array = array[row] if len(target.names) > 1 else array
            arrays.append(unpack(param, slot, array.reshape(shape_in(param, slot))))
        for (target, _), array in zip(of[name][1:], arrays[1:], strict=True):
            if not name.endswith("bias") and not np.array_equal(arrays[0], array):
                first = of[name][0][0].name
                message = f"expected the numbers of {first}, as both are {name}, received others"
                account.refuse(target.name, message, "E707")
        if name.endswith("bias") and len(arrays) > 1:
            # In float64, so that the sum is rounded once. What is not finite is refused later.
            with np.errstate(invalid="ignore"):
                arrays[0] = sum(arrays[1:], arrays[0].astype("f8"))
        result[name] = packed(arrays[0])
    check_finite(result, account)
    return result


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
    filled = list[Filled]()
    for piece, (where, module, stored) in zip(expected, received, strict=True):
        if not piece.fits({name: entry.shape for name, entry in stored.items()}):
            refuse_shapes(where, {key: e.shape for key, e in stored.items()}, piece, account)
            continue
        if stored:
            became = f"{piece.layer.name} ({type_name(piece.layer)})"
            account.became.append(Became(where, class_of(module), became))
        filled += [
            Filled(f"{where}.{name}", entry, piece.places[name].names)
            for name, entry in stored.items()
        ]
    account.check()
    try:
        return gather(network, filled, account)
    except (TensorError, HeaderError) as error:
        raise UsageError(str(error), str(path)) from None


def check_finite(arrays: Mapping[str, Array], account: Account) -> None:
    """Refuse arrays with infinities or NaN."""
    for name, array in arrays.items():
        if not is_finite(array):
            account.refuse(name, "expected finite numbers, received others", "E708")
    account.check()


def refuse_shapes(where: str, received: Shapes, piece: Piece, account: Account) -> None:
    """Refuse a module that is not the piece of the network at its place."""
    layer = piece.layer
    cell = layer.cell if isinstance(layer, nodes.Recurrent) else None
    if isinstance(cell, nodes.GRU) and not cell.reset_after and "weight_ih" in received:
        message = f"{layer.name} has 'reset_after: false', and nn.GRU resets after the product"
        account.refuse(where, message, "E703")
    if not piece.fits(received):
        message = f"expected {piece.name} with {list_shapes(piece.shapes)}"
        account.refuse(where, f"{message}, received {list_shapes(received)}", "E707")


def list_shapes(shapes: Shapes) -> str:
    """Return arrays with their shapes, as part of a message."""
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def class_of(module: Module) -> str:
    """Return the class of a module in PyTorch."""
    match module:
        case RecurrentModule():
            return f"nn.{module.kind}"
        case MatrixModule(bias=None):
            return "nn.Embedding or nn.Linear without bias"
        case MatrixModule():
            return "nn.Linear"
        case LayerNormModule():
            return "nn.LayerNorm"
        case Convolution():
            return "nn.Conv1d"
        case BatchNormModule():
            return "nn.BatchNorm1d"
        case ZooCellModule(kind=kind):
            return f"torchrecurrent.{kind}"
        case Tied():
            return "nn.Linear with the weight of nn.Embedding"
        case _:
            assert_never(module)
