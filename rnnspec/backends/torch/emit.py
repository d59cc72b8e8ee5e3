"""IR -> PyTorch source: one ``nn.Module``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.base import Stock
from rnnspec.backends.expressions import Function, Source
from rnnspec.backends.torch.classes import cell_classes
from rnnspec.backends.torch.forms import cell_class, is_fused, stepwise_reason
from rnnspec.backends.torch.forward import forward_functions
from rnnspec.backends.torch.initial import reset_parameters
from rnnspec.backends.torch.modules import modules
from rnnspec.backends.torch.parts import parts
from rnnspec.backends.torch.stacks import mark_stacks
from rnnspec.ir import nodes, text
from rnnspec.ir.params import count, directions, gates

if TYPE_CHECKING:
    from rnnspec.backends.base import Form
    from rnnspec.errors import Refusal


def emit(network: nodes.Network, form: Form) -> Source:  # noqa: ARG001
    """Return the source of a network: an ``nn.Module`` named after it."""
    return Source(
        template="torch/model.py.j2",
        title=text.title(network),
        comment=text.comment(network),
        entry=text.class_name(network),
        docstring=(
            f"The network {network.name}.",
            "",
            *text.signature(network),
        ),
        parts=tuple(parts(network)),
        imports=_imports(network),
        functions=(
            Function("__init__", "self", "None", (), modules(network)),
            reset_parameters(network),
            *forward_functions(network),
        ),
    )


def _imports(network: nodes.Network) -> tuple[str, ...]:
    """Return the imports that the arguments of the classes need."""
    options = [option for cell in cell_classes(network).values() for option in cell.options]
    functions = any(option.endswith("activation") for option in options)
    return ("from collections.abc import Callable",) if functions else ()


def refusals(network: nodes.Network, form: Form) -> tuple[Refusal, ...]:  # noqa: ARG001
    """Return no refusals: the source for PyTorch can honour every key."""
    return ()


def arranged(network: nodes.Network, form: Form) -> nodes.Network:  # noqa: ARG001
    """Return the network with equal fused layers marked as one module with ``num_layers``."""
    return mark_stacks(network, is_fused)


def stepwise(network: nodes.Network) -> dict[str, str]:
    """Return the layers that run step by step, and the key that no fused layer can honour."""
    return {
        layer.name: stepwise_reason(layer)
        for layer in network.layers
        if isinstance(layer, nodes.Recurrent) and not is_fused(layer)
    }


def stock(network: nodes.Network) -> tuple[Stock, ...]:
    """Return the layers whose stock counterpart has a second bias, with its parameter count."""
    # Not a GRU: its reset gate stands between the two biases, so it needs both.
    return tuple(
        _stock(layer)
        for layer in network.layers
        if isinstance(layer, nodes.Recurrent) and cell_class(layer).startswith("SingleBias")
    )


def _stock(layer: nodes.Recurrent) -> Stock:
    second = len(gates(layer.cell)) * layer.units * len(directions(layer))
    type_ = cell_class(layer).replace("SingleBias", "nn.")
    reason = "adds a second bias (bias_hh), which is redundant: only the sum of both matters"
    return Stock(layer.name, type_, count(layer) + second, reason)
