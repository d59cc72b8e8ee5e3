"""The functions and classes above the model class that its layers need, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.expressions import Part
from rnnspec.backends.torch.classes import CellClass, cell_classes, sequences, wrapped
from rnnspec.backends.torch.plan import plan_of
from rnnspec.ir import nodes
from rnnspec.ir.activations import cell_activations
from rnnspec.ir.params import gates
from rnnspec.ir.text import cell_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.forms import Form


def parts(network: nodes.Network, form: Form) -> Iterator[Part]:
    """Yield the parts of a network's source, those that others use first."""
    recurrent = [layer for layer in network.layers if isinstance(layer, nodes.Recurrent)]
    if any(layer.dropout for layer in recurrent):
        yield _part("variational_dropout")
    for class_ in sorted({plan_of(layer).class_ for layer in recurrent}):
        if class_.startswith("SingleBias"):
            yield _part("single_bias", base=class_.removeprefix("SingleBias"))
    if masked := wrapped(network):
        yield from _masked(masked, form)
    yield from map(_part, _activations(network))
    for cell in cell_classes(network).values():
        yield _cell(cell)
    if any(plan_of(layer).has_single_step for layer in recurrent):
        yield _part("single_step")
    if form == "step":
        yield from _running(network)


def _masked(layers: list[nodes.Recurrent], form: Form) -> Iterator[Part]:
    if form == "step":
        for name in sorted({plan_of(layer).wrapper for layer in layers}):
            yield _part("masked_step", name=name, lstm=_flag(name == "MaskedLSTM"))
    else:
        kind = sequences(layers)
        file = "masked" if form == "training" else "masked_stock"
        yield _part(file, sequences=kind, returns=_RETURNS[kind])


def _running(network: nodes.Network) -> Iterator[Part]:
    for layer in network.layers:
        if isinstance(layer, nodes.Pooling) and layer.statistic != "last_step":
            yield _part(f"running_{layer.statistic}", masked=_flag(layer.masked))


def _activations(network: nodes.Network) -> Iterator[str]:
    """Yield the activations that PyTorch lacks, or has in another form."""
    cells = {
        activation
        for layer in network.layers
        if isinstance(layer, nodes.Recurrent)
        for activation in cell_activations(layer.cell)
    }
    dense = {layer.activation for layer in network.layers if isinstance(layer, nodes.Dense)}
    for activation in ("hard_sigmoid", "legacy_hard_sigmoid"):
        if activation in cells | dense:
            yield activation
    # A dense layer passes the threshold itself.
    if "softplus" in cells:
        yield "softplus"


_FILES = {
    "RNN": "stepwise_rnn",
    "LSTM": "stepwise_lstm",
    "GRU": "stepwise_gru",
    "ResetFirstGRU": "stepwise_reset_first_gru",
}
_SUMMARIES = {
    "RNN": "A simple layer run step by step, with arrays named as in ``nn.RNN``.",
    "LSTM": "An LSTM run step by step, with arrays named and laid out as in ``nn.LSTM``.",
    "GRU": "A GRU run step by step, with arrays named and laid out as in ``nn.GRU``.",
    "ResetFirstGRU": "A GRU with the reset gate before the product, and arrays as in ``nn.GRU``.",
}
_RETURNS = {
    "all": "Return the outputs, (batch, steps, units).",
    "some": "Return the outputs, (batch, steps, units), or the last state, (batch, units).",
    "none": "Return the last state, (batch, units).",
}
_RETURNS_STATES = "Return the outputs, (batch, steps, units), and the state after them."


def _cell(class_: CellClass) -> Part:
    layer = class_.first
    name, stepped = cell_name(layer.cell), plan_of(layer).form == "step"
    return _part(
        _FILES[name],
        name=class_.name,
        cell=name,
        summary=_SUMMARIES[name],
        returns=_RETURNS_STATES if stepped else _RETURNS[class_.sequences],
        gates=str(len(gates(layer.cell))),
        options=" ".join(class_.options),
        activation=class_.activation("activation"),
        recurrent_activation="" if name == "RNN" else class_.activation("recurrent_activation"),
        biased=_flag(layer.bias),
        dropped=_flag(layer.recurrent_dropout > 0),
        inside=_flag(class_.drops_input),
        masked=_flag(layer.masked),
        sequences=class_.sequences,
        stepped=_flag(stepped),
    )


def _flag(value: bool) -> str:
    return "yes" if value else ""


def _part(name: str, /, **values: str) -> Part:
    return Part(f"torch/parts/{name}.py.j2", tuple(values.items()))
