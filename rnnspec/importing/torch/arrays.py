"""The arrays of the modules of PyTorch as the canonical arrays of a network."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, assert_never

import numpy as np

from rnnspec.backends.torch.slots import direction_slots
from rnnspec.backends.torch.slots import slots as torch_slots
from rnnspec.errors import UsageError, few
from rnnspec.files.arrays import HeaderError
from rnnspec.importing.imported import Account, Became
from rnnspec.importing.torch.archive import TensorError
from rnnspec.importing.torch.state_dict import (
    Attention,
    BatchNorm,
    Convolution,
    Entry,
    Matrix,
    Module,
    Norm,
    RecurrentModule,
    Tied,
    ZooCell,
)
from rnnspec.ir import nodes
from rnnspec.ir.params import directions, params
from rnnspec.ir.text import type_name
from rnnspec.slots import Slot, is_finite, packed, shape_in, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rnnspec.ir.nodes import Layer
    from rnnspec.slots import Array


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
            case Attention(name, hidden, query):
                arrays = dict(next(parts([hidden]))[2]) if hidden else {}
                yield name, module, {**arrays, "query": query.weight}
            case ZooCell(name=name, parameters=parameters):
                yield name, module, parameters
            case _:
                assert_never(module)


def _slots(layer: Layer) -> Iterator[Slot]:
    """Yield the slots of a layer, whose paths are the names of the arrays that ``parts`` yields."""
    if isinstance(layer, nodes.Recurrent) and not isinstance(layer.cell, nodes.EquationCell):
        for prefix in directions(layer):
            for slot in direction_slots(layer, prefix):
                addend = slot.addend and prefix + slot.addend
                yield replace(slot, path=prefix + slot.path, addend=addend)
        return
    for slot in torch_slots(layer):
        # Of an attention, the query has a module of its own, and so has each direction of a cell.
        path = "query" if slot.param in ("query", "score") else slot.path.removeprefix("hidden.")
        path = re.sub(r"^(forward|backward)_layer\.", r"\1.", path)
        yield replace(slot, path=path)


def canonical(layer: Layer, arrays: Mapping[str, Entry]) -> dict[str, Array]:
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


Part = tuple[str, Module, "Mapping[str, Entry]"]


def layers_with_arrays(network: nodes.Network) -> list[Layer]:
    """Return the layers that have arrays, or share those of another layer."""
    return [
        layer
        for layer in network.layers
        if params(layer) or (isinstance(layer, nodes.Dense) and layer.tied)
    ]


def arrays_of(
    network: nodes.Network, listed: list[Module], account: Account, path: Path
) -> dict[str, Array]:
    """Return the canonical arrays of a network, from the modules with arrays in their order.

    Raises:
        ModelError: they are not those of its layers, or not finite.
        UsageError: one cannot be read.
    """
    layers = layers_with_arrays(network)
    listed_parts = _merge(layers, list(parts(listed)), account)
    if len(layers) != len(listed_parts):
        names = few([layer.name for layer in layers])
        message = (
            f"expected the arrays of {len(layers)} layers ({names}), "
            f"received those of {len(listed_parts)}: {few([part[0] for part in listed_parts])}"
        )
        more = len(listed_parts) > len(layers)
        way_out = account.way_out(["MODULE.*"]) if more else account.reminder()
        account.refuse("the model", message + way_out, "E706" if more else "E705")
        account.check()
    pairs = list(zip(layers, listed_parts, strict=True))
    for layer, part in pairs:
        _compare(layer, part, account)
    account.check()
    arrays = dict[str, "Array"]()
    try:
        for layer, (where, module, stored) in pairs:
            for key, array in canonical(layer, stored).items():
                arrays[key] = packed(array)
            became = Became(where, class_of(module), f"{layer.name} ({type_name(layer)})")
            account.became.append(became)
    except (TensorError, HeaderError) as error:
        raise UsageError(str(error), str(path)) from None
    for name, array in arrays.items():
        if not is_finite(array):
            account.refuse(name, "expected finite numbers, received others", "E708")
    account.check()
    return arrays


def _merge(layers: Sequence[Layer], listed_parts: list[Part], account: Account) -> list[Part]:
    """Put together the modules of one layer, and leave out the weight that a layer shares."""
    merged, rest, tables = list[Part](), list(listed_parts), dict[str, Entry]()
    for layer in layers:
        if not rest:
            break
        where, module, arrays = rest.pop(0)
        following = rest[0][1] if rest else None
        match layer:
            case nodes.Embedding() if isinstance(module, Matrix):
                tables[layer.name] = module.weight
            case nodes.AttentionPooling() if isinstance(module, Matrix):
                hidden, query = None, module
                if layer.units is not None and isinstance(following, Matrix):
                    hidden, query = module, following
                    rest.pop(0)
                if query.bias is not None:
                    reason = "a softmax is the same without it"
                    account.leave(f"{query.name}.bias", reason=reason)
                arrays = {"query": query.weight}
                if hidden is not None:
                    arrays = dict(next(parts([hidden]))[2]) | arrays
                module = Attention(where, hidden, query)
            case nodes.Dense(tied=str() as tied) if isinstance(module, Matrix):
                if not is_equal(module.weight, tables.get(tied)):
                    message = f"expected the weight of {tied}, to which {layer.name} is tied"
                    account.refuse(where, f"{message}, received another", "E707")
                arrays = {"bias": module.bias} if module.bias else {}
                module = Tied(where, module.bias)
            case _:
                pass
        merged.append((where, module, arrays))
    return merged + rest


def is_equal(one: Entry, other: Entry | None) -> bool:
    """True if two arrays are equal."""
    return other is not None and (
        one.shape == other.shape and np.array_equal(one.read(), other.read())
    )


def _compare(layer: nodes.Layer, part: Part, account: Account) -> None:
    """Refuse a module that is not the layer of the network at its place."""
    where, _, arrays = part
    cell = layer.cell if isinstance(layer, nodes.Recurrent) else None
    if isinstance(cell, nodes.GRU) and not cell.reset_after:
        message = f"{layer.name} has 'reset_after: false', and nn.GRU resets after the product"
        account.refuse(where, message, "E703")
    expected = expected_shapes(layer)
    received = {name: entry.shape for name, entry in arrays.items()}
    if expected != received:
        message = f"expected {layer.name} with {_list_shapes(expected)}"
        account.refuse(where, f"{message}, received {_list_shapes(received)}", "E707")


def expected_shapes(layer: nodes.Layer) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays that PyTorch has for a layer."""
    param_of = {param.name: param for param in params(layer)}
    return {
        path: shape_in(param_of[slot.param], slot) for slot in _slots(layer) for path in slot.paths
    }


def _list_shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
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
        case Attention():
            return "nn.Linear and a softmax"
        case ZooCell(kind=kind):
            return f"torchrecurrent.{kind}"
        case Tied():
            return "nn.Linear with the weight of nn.Embedding"
        case _:
            assert_never(module)
