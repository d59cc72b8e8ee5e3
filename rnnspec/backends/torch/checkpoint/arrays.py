"""Canonical arrays of the modules in a state dict."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import numpy as np

from rnnspec.backends.torch.checkpoint.modules import Matrix, Module, Norm, Stack
from rnnspec.ir.params import params
from rnnspec.slots import Slot, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.backends.torch.checkpoint.states import Entry
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
            case Matrix(name, weight, bias):
                yield name, module, {"weight": weight} | ({"bias": bias} if bias else {})
            case Norm(name, weight, bias):
                yield name, module, {"weight": weight, "bias": bias}
            case _:
                assert_never(module)


def canonical(layer: Layer, module: Module, arrays: Mapping[str, Entry]) -> dict[str, Array]:
    """Return the canonical arrays of a layer, whose shapes have been compared."""
    return {f"{layer.name}.{each.name}": _array(each, module, arrays) for each in params(layer)}


def _array(param: Param, module: Module, arrays: Mapping[str, Entry]) -> Array:
    match module:
        case Stack():
            return _recurrent(param, arrays)
        case Matrix() if param.name == "kernel":
            return arrays["weight"].read().T
        case Matrix() | Norm():
            return arrays["bias" if param.name in ("bias", "beta") else "weight"].read()
        case _:
            assert_never(module)


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
