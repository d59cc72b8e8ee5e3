"""IR -> PyTorch source: one ``nn.Module``."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.contract import Stock
from rnnspec.backends.expressions import Call, Evaluate, Function, Name, Source
from rnnspec.backends.needs import purpose
from rnnspec.backends.torch.classes import cell_classes
from rnnspec.backends.torch.initial import reset_parameters
from rnnspec.backends.torch.methods import forward_to_deploy, forward_to_train
from rnnspec.backends.torch.modules import modules
from rnnspec.backends.torch.parts import parts
from rnnspec.backends.torch.plan import plan_layers, plan_of, stepwise_reason
from rnnspec.backends.torch.steps import described_states, step_methods
from rnnspec.errors import listed
from rnnspec.ir import nodes, text
from rnnspec.ir.params import count, directions, gates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.errors import Refusal
    from rnnspec.ir.forms import Form


def emit(network: nodes.Network, form: Form) -> Source:
    """Return the source of a network: an ``nn.Module`` named after it."""
    return Source(
        template="torch/model.py.j2",
        title=text.title(network),
        comment=text.comment(network),
        entry=text.class_name(network),
        docstring=(
            f"The network {network.name}{purpose(form)}.",
            "",
            *text.signature(network, chunks=form == "step"),
            *(described_states(network) if form == "step" else ()),
            *_about_biases(network, form),
        ),
        parts=tuple(parts(network, form)),
        imports=_imports(network),
        functions=tuple(_functions(network, form)),
    )


def _functions(network: nodes.Network, form: Form) -> Iterator[Function]:
    made = modules(network)
    match form:
        case "training":
            made = (*made, Evaluate(Call(Name("self.reset_parameters"))))
            yield Function("__init__", "self", "None", (), made)
            yield reset_parameters(network)
            yield from forward_to_train(network)
        case "inference":
            yield Function("__init__", "self", "None", (), made)
            yield forward_to_deploy(network)
        case "step":
            yield Function("__init__", "self", "None", (), made)
            yield from step_methods(network)
        case _:
            assert_never(form)


def _about_biases(network: nodes.Network, form: Form) -> Iterator[str]:
    """Yield a line about the second biases of stock layers."""
    if form != "training" and (redundant := stock(network)):
        classes = listed(sorted({each.type for each in redundant}))
        yield f"The second bias of {classes}, bias_hh, is zero in the weights that rnnspec writes."


def _imports(network: nodes.Network) -> tuple[str, ...]:
    """Return the imports that the arguments of the classes need."""
    options = [option for cell in cell_classes(network).values() for option in cell.options]
    functions = any(option.endswith("activation") for option in options)
    return ("from collections.abc import Callable",) if functions else ()


def refusals(network: nodes.Network, form: Form) -> tuple[Refusal, ...]:  # noqa: ARG001
    """Return no refusals: the source for PyTorch can honour every key."""
    return ()


def arranged(network: nodes.Network, form: Form) -> nodes.Network:
    """Return the network with a plan for each recurrent layer."""
    return plan_layers(network, form)


def stepwise(network: nodes.Network) -> dict[str, str]:
    """Return the layers that run step by step, and the key that no fused layer can honour."""
    return {
        layer.name: stepwise_reason(layer)
        for layer in network.layers
        if isinstance(layer, nodes.Recurrent) and not plan_of(layer).is_fused
    }


def stock(network: nodes.Network) -> tuple[Stock, ...]:
    """Return the layers whose stock counterpart has a second bias, with its parameter count."""
    return tuple(
        _stock(layer)
        for layer in network.layers
        if isinstance(layer, nodes.Recurrent) and plan_of(layer).has_redundant_bias
    )


def _stock(layer: nodes.Recurrent) -> Stock:
    second = len(gates(layer.cell)) * layer.units * len(directions(layer))
    type_ = f"nn.{text.cell_name(layer.cell)}"
    reason = "adds a second bias (bias_hh), which is redundant: only the sum of both matters"
    return Stock(layer.name, type_, count(layer) + second, reason)
