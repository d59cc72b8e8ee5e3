"""The place of each canonical array in PyTorch: output axis first, gates i f g o and r z n.

PyTorch's g is Keras's c. Source: the tables of variables of ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN``,
such as https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.contract import Slots
from rnnspec.backends.slots import Slot, learned_slots, slots_by_name
from rnnspec.backends.torch.backend import TORCH
from rnnspec.backends.torch.plan import module_path, plan_of, stack_of
from rnnspec.ir.cells import has_recurrent_bias
from rnnspec.ir.nodes import (
    GRU,
    LSTM,
    Attention,
    AttentionPooling,
    ComposedNode,
    EquationCell,
    Layer,
    LearnedFormula,
    Recurrent,
    SimpleRNN,
    StandardCell,
)
from rnnspec.ir.params import cell_params, directions
from rnnspec.source.expressions import local_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_PATHS = {
    **dict.fromkeys(("embeddings", "kernel", "query", "gamma"), "weight"),
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_AXES = {"in out": "out in", "step in out": "out in step"}
_PACKED = {
    "kernel": "weight_ih",
    "recurrent_kernel": "weight_hh",
    "bias": "bias_ih",
    "recurrent_bias": "bias_hh",
}
_OF_ATTENTION = {"attention.kernel": "query.weight", "attention.score": "attention.score.weight"}


RESERVED = TORCH.reserved_names.in_framework | frozenset(
    """
    I O T_destination attention context contexts features hard_sigmoid kept keys l
    legacy_hard_sigmoid mask memory memory_mask nn outputs query real real_steps recurrent_dropout
    return_sequences self softplus standardize super torch training units zip
    """.split()  # noqa: SIM905 - names side by side are easier to check
)
"""Names in a class for a cell by equations, and of every module."""


@lru_cache
def attributes(cell: EquationCell) -> Mapping[str, str]:
    """Return the attribute or variable for each name and each size of a cell's equations."""
    sizes = {name: f"{name}_size" if name in RESERVED else name for name, _ in cell.sizes}
    names = local_names(cell.equations, RESERVED | set(sizes.values()))
    return {**names, **sizes, "units": "units", "features": "features"}


def slots(layer: Layer) -> tuple[Slot, ...]:
    """Return a slot for each canonical array of a layer."""
    if layer.shares:
        return ()
    match layer:
        case Recurrent(cell=EquationCell() as cell):
            names = attributes(cell)
            own = tuple(
                Slot(
                    param=param.name,
                    path=f"{module_path(layer, prefix)[0]}{names[param.name.removeprefix(prefix)]}",
                    axes=param.axes,
                )
                for prefix in directions(layer)
                for param in cell_params(layer, prefix)
            )
            return (*learned_slots(layer), *own, *attention_slots(layer))
        case Recurrent():
            own = tuple(slot for prefix in directions(layer) for slot in _direction(layer, prefix))
            return (*learned_slots(layer), *own, *attention_slots(layer))
        case AttentionPooling(units=int()):
            paths = {"kernel": "hidden.weight", "bias": "hidden.bias", "query": "query.weight"}
            return slots_by_name(layer, paths, _AXES)
        case Attention():
            return slots_by_name(layer, {"score": "score.weight"}, _AXES)
        case LearnedFormula():
            return slots_by_name(layer, local_names(layer.how.equations, RESERVED))
        case ComposedNode():
            return slots_by_name(layer)
        case _:
            return slots_by_name(layer, _PATHS, _AXES)


def attention_slots(layer: Recurrent) -> tuple[Slot, ...]:
    """Return the slots of the linear layers with which a recurrent layer attends to another."""
    slots_of = slots_by_name(layer, _OF_ATTENTION, _AXES)
    return tuple(slot for slot in slots_of if slot.param in _OF_ATTENTION)


def module(layer: Layer) -> str:
    """Return the name of the layer whose module holds these arrays."""
    stack = stack_of(layer)
    return stack.name if stack else layer.name


def attribute(layer: Layer) -> str:
    """Return the name of the attribute that holds these arrays."""
    return TORCH.reserved_names.attribute(module(layer))


def called(layer: Layer) -> str:
    """Return the name of the attribute that computes a layer, which others may share."""
    return TORCH.reserved_names.attribute(layer.shares or module(layer))


def direction_slots(layer: Recurrent, prefix: str = "") -> Iterator[Slot]:
    """Yield the slots of a direction, whose paths are the names of an ``nn.RNNBase`` in general."""
    order = gate_order(layer.standard_cell)

    def slot(name: str, path: str, axes: str, addend: str | None = None) -> Slot:
        return Slot(param=prefix + name, path=path, axes=axes, gates=order, addend=addend)

    for array in ("kernel", "recurrent_kernel"):
        yield slot(array, _PACKED[array], "(gate out) in")
    if layer.bias:
        apart = has_recurrent_bias(layer.standard_cell)
        second = _PACKED["recurrent_bias"]
        yield slot("bias", _PACKED["bias"], "(gate out)", None if apart else second)
        if apart:
            yield slot("recurrent_bias", second, "(gate out)")


def _direction(layer: Recurrent, prefix: str) -> Iterator[Slot]:
    inner, suffix = module_path(layer, prefix)
    stack, plan = stack_of(layer), plan_of(layer)
    ending = f"_l{stack.index if stack else 0}{suffix}"
    # For training, a redundant second bias is not a parameter.
    stock = plan.form != "training" and plan.has_redundant_bias
    for slot in direction_slots(layer, prefix):
        addend = f"{inner}{slot.addend}{ending}" if slot.addend and stock else None
        yield replace(slot, path=f"{inner}{slot.path}{ending}", addend=addend)


def packed_array(array: str) -> str:
    """Return the attribute of a canonical array in a class that runs a standard cell."""
    return f"{_PACKED[array]}_l0"


def gate_order(cell: StandardCell) -> str:
    """Return the order of the gates in PyTorch, in the letters of the canonical one."""
    match cell:
        case SimpleRNN():
            return "h"
        case LSTM():
            return "ifco"
        case GRU():
            return "rzn"
        case _:
            assert_never(cell)


SLOTS = Slots(slots=slots, module=attribute)
