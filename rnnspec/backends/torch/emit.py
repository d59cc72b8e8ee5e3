"""IR -> PyTorch source: one ``nn.Module``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.base import Function, Part, Source, Stock
from rnnspec.backends.torch.forward import forward_functions
from rnnspec.backends.torch.initial import reset_parameters
from rnnspec.backends.torch.modules import cell_class, modules
from rnnspec.backends.torch.slots import split_directions
from rnnspec.errors import Refusal
from rnnspec.ir import nodes, text
from rnnspec.ir.params import count, directions, gates

if TYPE_CHECKING:
    from collections.abc import Iterator


def emit(network: nodes.Network) -> Source:
    """Return the source of a network: an ``nn.Module`` named after it."""
    return Source(
        template="torch/model.py.j2",
        title=text.title(network),
        comment=network.description,
        entry=_class_name(network.name),
        docstring=(
            f"The network {network.name}.",
            "",
            *text.signature(network),
        ),
        parts=tuple(_parts(network)),
        functions=(
            Function(
                "__init__",
                "self",
                "None",
                ("Make the layers and draw fresh weights.",),
                modules(network),
            ),
            reset_parameters(network),
            *forward_functions(network),
        ),
    )


def refusals(network: nodes.Network) -> tuple[Refusal, ...]:
    """Return every word of the network that PyTorch's fused layers cannot honour."""
    return tuple(
        Refusal(layer.name, key, reason, ("keras",))
        for layer in network.layers
        if isinstance(layer, nodes.Recurrent)
        for key, reason in _refused(layer)
    )


def stock(network: nodes.Network) -> tuple[Stock, ...]:
    """Return the layers whose PyTorch namesake has a second bias, and what it would then hold."""
    return tuple(
        _stock(layer)
        for layer in network.layers
        if isinstance(layer, nodes.Recurrent) and cell_class(layer).startswith("SingleBias")
    )


def _stock(layer: nodes.Recurrent) -> Stock:
    second = len(gates(layer.cell)) * layer.units * len(directions(layer))
    type_ = cell_class(layer).replace("SingleBias", "nn.")
    reason = "adds a second bias (bias_hh) to the first, which changes nothing it can compute"
    return Stock(layer.name, type_, count(layer) + second, reason)


def _refused(layer: nodes.Recurrent) -> Iterator[tuple[str, str]]:
    cell = layer.cell
    if cell.activation != "tanh":
        yield "activation", "the fused layers compute tanh"
    if not isinstance(cell, nodes.SimpleRNN) and cell.recurrent_activation != "sigmoid":
        yield "recurrent_activation", "the fused layers compute sigmoid"
    if isinstance(cell, nodes.GRU) and not cell.reset_after:
        yield "reset_after", "nn.GRU applies the reset gate after the recurrent product"
    if layer.recurrent_dropout:
        yield "recurrent_dropout", "the fused layers have none"


def _parts(network: nodes.Network) -> Iterator[Part]:
    recurrent = [layer for layer in network.layers if isinstance(layer, nodes.Recurrent)]
    for class_ in sorted({cell_class(layer) for layer in recurrent}):
        if class_.startswith("SingleBias"):
            base = class_.removeprefix("SingleBias")
            yield Part("torch/parts/single_bias.py.j2", (("base", base),))
    if any(layer.dropout for layer in recurrent):
        yield Part("torch/parts/variational_dropout.py.j2")
    if any(split_directions(layer) for layer in recurrent):
        yield Part("torch/parts/bidirectional.py.j2")


_ACRONYMS = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}


def _class_name(name: str) -> str:
    words = name.split("_")
    return "".join(_ACRONYMS.get(word, word.capitalize()) for word in words)
