"""The arrays of the modules of PyTorch as the canonical arrays of a network."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, assert_never

import numpy as np

from rnnspec.backends.imported import Account, Became
from rnnspec.errors import UsageError, few
from rnnspec.files.arrays import HeaderError
from rnnspec.importing.torch.archive import TensorError
from rnnspec.importing.torch.state_dict import (
    Attention,
    BatchNorm,
    Convolution,
    Entry,
    Matrix,
    Module,
    Norm,
    Stack,
    Tied,
    shapes_of,
)
from rnnspec.ir import nodes
from rnnspec.ir.params import gates, params
from rnnspec.ir.text import type_name
from rnnspec.slots import Slot, is_finite, packed, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rnnspec.ir.nodes import Layer
    from rnnspec.ir.params import Param
    from rnnspec.slots import Array


_GATES = {"h": "h", "ifco": "ifco", "zrn": "rzn"}
"""PyTorch's order of the gates for each canonical one; PyTorch writes g for c."""


def parts(modules: Sequence[Module]) -> Iterator[tuple[str, Module, Mapping[str, Entry]]]:
    """Yield what corresponds to a layer of a network: its name, its module, and its arrays.

    The arrays of a layer of a stack have the names ``weight_ih``, ``forward.weight_ih`` and so on.
    """
    for module in modules:
        match module:
            case Stack():
                for index, directions in enumerate(module.layers):
                    prefixes = ("",) if len(directions) == 1 else ("forward.", "backward.")
                    arrays = {
                        prefix + own: entry
                        for prefix, direction in zip(prefixes, directions, strict=True)
                        for own, entry in direction.items()
                    }
                    yield f"{module.name}[{index}]", module, arrays
            case Matrix() | Convolution() | Norm() | BatchNorm() | Tied():
                own = {each.name: getattr(module, each.name) for each in fields(module)}
                yield (
                    module.name,
                    module,
                    {
                        key: entry
                        for key, entry in own.items()
                        if key != "name" and entry is not None
                    },
                )
            case Attention(name, hidden, query):
                own = dict(next(parts([hidden]))[2]) if hidden else {}
                yield name, module, {**own, "query": query.weight}
            case _:
                assert_never(module)


def canonical(layer: Layer, module: Module, arrays: Mapping[str, Entry]) -> dict[str, Array]:
    """Return the canonical arrays of a layer, whose shapes have been compared."""
    return {f"{layer.name}.{each.name}": _array(each, module, arrays) for each in params(layer)}


def _array(param: Param, module: Module, arrays: Mapping[str, Entry]) -> Array:
    match module:
        case Stack():
            return _recurrent(param, arrays)
        case Convolution() if param.name == "kernel":
            return arrays["weight"].read().transpose(2, 1, 0)
        case Attention() if param.name == "query":
            return arrays["query"].read().T
        case Matrix() | Attention() if param.name == "kernel":
            return arrays["weight"].read().T
        case _:
            return arrays[_NAMES.get(param.name, "weight")].read()


_NAMES = {
    "bias": "bias", "beta": "bias", "moving_mean": "running_mean",
    "moving_variance": "running_var",
}  # fmt: skip
"""The names of PyTorch for canonical arrays; that of all others is ``weight``."""


def _recurrent(param: Param, arrays: Mapping[str, Entry]) -> Array:
    prefix, _, own = param.name.rpartition(".")
    start, gates = f"{prefix}." if prefix else "", _GATES[param.gates]

    def read(name: str, axes: str) -> Array:
        return unpack(
            param,
            Slot(param=param.name, path=name, axes=axes, gates=gates),
            arrays[start + name].read(),
        )

    match own:
        case "kernel":
            return read("weight_ih", "(gate out) in")
        case "recurrent_kernel":
            return read("weight_hh", "(gate out) in")
        case "recurrent_bias":
            return read("bias_hh", "(gate out)")
        case _ if param.gates == gates:
            # In a simple layer and an LSTM the two biases act as their sum. In float64, so that
            # the sum is rounded once.
            with np.errstate(invalid="ignore"):  # what is not finite is refused later
                return read("bias_ih", "(gate out)").astype("f8") + read("bias_hh", "(gate out)")
        case _:  # a GRU: the reset gate multiplies the second bias
            return read("bias_ih", "(gate out)")


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
    found = _merge(layers, list(parts(listed)), account)
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
            became = Became(where, class_of(module), f"{layer.name} ({type_name(layer)})")
            account.became.append(became)
    except (TensorError, HeaderError) as error:
        raise UsageError(str(error), str(path)) from None
    for name, array in arrays.items():
        if not is_finite(array):
            account.refuse(name, "expected finite numbers, received others", "E708")
    account.check()
    return arrays


def _merge(layers: Sequence[Layer], found: list[Part], account: Account) -> list[Part]:
    """Put together the modules of one layer, and leave out the weight that a layer shares."""
    merged, rest, tables = list[Part](), list(found), dict[str, Entry]()
    for layer in layers:
        if not rest:
            break
        where, module, arrays = rest.pop(0)
        following = rest[0][1] if rest else None
        match layer:
            case nodes.Embedding() if isinstance(module, Matrix):
                tables[layer.name] = module.weight
            case nodes.Attention() if isinstance(module, Matrix):
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
    """Return whether two arrays are equal."""
    return other is not None and (
        one.shape == other.shape and np.array_equal(one.read(), other.read())
    )


def _compare(layer: nodes.Layer, part: Part, account: Account) -> None:
    """Refuse a module that is not the layer of the network at its place."""
    where, _, own = part
    cell = layer.cell if isinstance(layer, nodes.Recurrent) else None
    if isinstance(cell, nodes.GRU) and not cell.reset_after:
        message = f"{layer.name} has 'reset_after: false', and nn.GRU resets after the product"
        account.refuse(where, message, "E703")
    wanted, received = expected_shapes(layer), {name: entry.shape for name, entry in own.items()}
    if wanted != received:
        message = (
            f"expected {layer.name} with {_list_shapes(wanted)}, received {_list_shapes(received)}"
        )
        account.refuse(where, message, "E707")


def expected_shapes(layer: nodes.Layer) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays that PyTorch has for a layer."""
    match layer:
        case nodes.Embedding():
            return {"weight": (layer.vocabulary, layer.dim)}
        case nodes.Dense():
            bias = {"bias": (layer.units,)} if layer.bias else {}
            weight = {} if layer.tied else {"weight": (layer.units, layer.features)}
            return {**weight, **bias}
        case nodes.Conv():
            bias = {"bias": (layer.filters,)} if layer.bias else {}
            return {"weight": (layer.filters, layer.features, layer.window.size), **bias}
        case nodes.Attention(units=None):
            return {"query": (1, layer.features)}
        case nodes.Attention(units=int(units)):
            return {"weight": (units, layer.features), "bias": (units,), "query": (1, units)}
        case nodes.LayerNorm() | nodes.BatchNorm():
            moving = isinstance(layer, nodes.BatchNorm)
            own = ("weight", "bias", *(("running_mean", "running_var") if moving else ()))
            return {name: (nodes.width(layer.input),) for name in own}
        case nodes.Recurrent():
            number = len(gates(layer.cell))
            shapes = shapes_of(number, layer.units, layer.features, bias=layer.bias)
            prefixes = ("",) if layer.merge is None else ("forward.", "backward.")
            return {prefix + own: shape for prefix in prefixes for own, shape in shapes.items()}
        case _:
            return {}


def _list_shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{own} {shape}" for own, shape in shapes.items())


def class_of(module: Module) -> str:
    """Return the class of a module in PyTorch."""
    match module:
        case Stack():
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
        case Tied():
            return "nn.Linear with the weight of nn.Embedding"
        case _:
            assert_never(module)
