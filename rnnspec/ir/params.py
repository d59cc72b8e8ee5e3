"""The canonical arrays of a network: the smallest set that holds everything it has learned.

Their layout is Keras's, with one bias wherever the equations have one. Every parameter count that
rnnspec prints from a spec is the size of these arrays, and weight files use their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import assert_never

from rnnspec.ir.initializers import Constant, Initializer
from rnnspec.ir.nodes import (
    GRU,
    LSTM,
    Cell,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Network,
    Normalize,
    Pooling,
    Recurrent,
    Repeat,
    Residual,
    SimpleRNN,
    width,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One canonical array.

    ``axes`` names its axes in order, with merged axes in brackets: ``in (gate out)`` has the shape
    (in, gates * out), with the gates in the order of ``gates``, one letter per gate.
    ``gate_values`` are the gates whose part starts with a constant instead of ``initializer``.
    """

    name: str
    axes: str
    sizes: tuple[tuple[str, int], ...]
    initializer: Initializer
    gates: str = ""
    gate_values: tuple[tuple[str, float], ...] = ()
    trainable: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the array's axes."""
        return shape_of(self.axes, dict(self.sizes))

    @property
    def count(self) -> int:
        """The number of elements."""
        return prod(self.shape)


@cache
def axis_groups(axes: str) -> tuple[tuple[str, ...], ...]:
    """Return the names on each axis: ``in (gate out)`` is ``(("in",), ("gate", "out"))``."""
    groups: list[tuple[str, ...]] = []
    merged: list[str] | None = None
    for part in axes.replace("(", "( ").replace(")", " )").split():
        if part == "(":
            merged = []
        elif part == ")":
            groups.append(tuple(merged or ()))
            merged = None
        elif merged is not None:
            merged.append(part)
        else:
            groups.append((part,))
    return tuple(groups)


def shape_of(axes: str, sizes: dict[str, int]) -> tuple[int, ...]:
    """Return the shape of an array with these axes."""
    return tuple(prod(sizes[name] for name in group) for group in axis_groups(axes))


def params(layer: Layer) -> tuple[Param, ...]:
    """Return the canonical arrays of a layer, named within the layer (``forward.kernel``)."""
    match layer:
        case Embedding():
            return (_embeddings(layer),)
        case Recurrent():
            return tuple(_recurrent(layer))
        case Dense():
            return tuple(_dense(layer))
        case LayerNorm():
            return tuple(_layer_norm(layer))
        case Dropout() | Pooling() | Repeat() | Residual() | Normalize():
            return ()
        case _:
            assert_never(layer)


def named_params(network: Network) -> Iterator[tuple[str, Layer, Param]]:
    """Yield the full canonical name, the layer and the array, in the order of the network."""
    for layer in network.layers:
        for param in params(layer):
            yield f"{layer.name}.{param.name}", layer, param


def count(layer: Layer) -> int:
    """Return the number of parameters of a layer."""
    return sum(param.count for param in params(layer))


@dataclass(frozen=True, slots=True)
class Counts:
    """Parameter counts."""

    trainable: int
    non_trainable: int

    @property
    def total(self) -> int:
        """The sum of both."""
        return self.trainable + self.non_trainable

    def as_dict(self) -> dict[str, int]:
        """Return the three counts by name, as in every JSON output."""
        return {
            "total": self.total,
            "trainable": self.trainable,
            "non_trainable": self.non_trainable,
        }


def counts(network: Network) -> Counts:
    """Return the parameter counts of a network, computed from its nodes."""
    held = [param for _, _, param in named_params(network)]
    return Counts(
        trainable=sum(param.count for param in held if param.trainable),
        non_trainable=sum(param.count for param in held if not param.trainable),
    )


def directions(layer: Recurrent) -> tuple[str, ...]:
    """Return the prefix of each direction's array names."""
    return ("",) if layer.merge is None else ("forward.", "backward.")


def gates(cell: Cell) -> str:
    """Return the canonical order of a cell's gates, one letter per gate (Keras's order)."""
    # PyTorch's orders are i, f, g, o (with g for c) and r, z, n.
    match cell:
        case SimpleRNN():
            return "h"
        case LSTM():
            return "ifco"
        case GRU():
            return "zrn"
        case _:
            assert_never(cell)


def _embeddings(layer: Embedding) -> Param:
    return Param(
        name="embeddings",
        axes="token out",
        sizes=(("token", layer.vocabulary), ("out", layer.dim)),
        initializer=layer.initializer,
        trainable=layer.trainable,
    )


def _dense(layer: Dense) -> Iterator[Param]:
    sizes = (("in", layer.features), ("out", layer.units))
    yield Param(name="kernel", axes="in out", sizes=sizes, initializer=layer.kernel_initializer)
    if layer.bias:
        yield Param(name="bias", axes="out", sizes=sizes, initializer=layer.bias_initializer)


def _layer_norm(layer: LayerNorm) -> Iterator[Param]:
    sizes = (("out", width(layer.input)),)
    yield Param(name="gamma", axes="out", sizes=sizes, initializer=Constant(1.0))
    yield Param(name="beta", axes="out", sizes=sizes, initializer=Constant(0.0))


def _recurrent(layer: Recurrent) -> Iterator[Param]:
    for prefix in directions(layer):
        yield from _direction(layer, prefix)


def _direction(layer: Recurrent, prefix: str) -> Iterator[Param]:
    order = gates(layer.cell)
    sizes = (("in", layer.features), ("gate", len(order)), ("out", layer.units))
    # The input of the recurrent kernel is the state.
    state = (("in", layer.units), *sizes[1:])
    kernel, recurrent = layer.kernel_initializer, layer.recurrent_initializer

    def array(name: str, sizes: tuple[tuple[str, int], ...], source: Initializer) -> Param:
        axes = "(gate out)" if name.endswith("bias") else "in (gate out)"
        values = gate_values(layer.cell) if name == "bias" else ()
        return Param(
            name=prefix + name,
            axes=axes,
            sizes=sizes,
            gates=order,
            initializer=source,
            gate_values=values,
        )

    yield array("kernel", sizes, kernel)
    yield array("recurrent_kernel", state, recurrent)
    if layer.bias:
        yield array("bias", sizes, layer.bias_initializer)
        if has_recurrent_bias(layer.cell):
            yield array("recurrent_bias", sizes, layer.bias_initializer)


def has_recurrent_bias(cell: Cell) -> bool:
    """Return whether the recurrent product has a bias of its own."""
    # The reset gate multiplies the recurrent product and its bias, so the bias cannot be added to
    # that of the input. In the other cells and gates, two biases would act as their sum.
    return isinstance(cell, GRU) and cell.reset_after


def gate_values(cell: Cell) -> tuple[tuple[str, float], ...]:
    """Return the gates whose initial bias is a constant, each with that constant."""
    return (("f", cell.forget_bias),) if isinstance(cell, LSTM) else ()
