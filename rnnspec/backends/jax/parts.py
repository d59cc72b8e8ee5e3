"""The functions and classes above the model class that its layers need, each once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rnnspec.backends.expressions import Part
from rnnspec.backends.jax.cells import (
    ACTIVATIONS,
    CellClass,
    cell_classes,
    draws_uniformly,
    initializer,
)
from rnnspec.ir import nodes
from rnnspec.ir.activations import layer_activations
from rnnspec.ir.params import gates
from rnnspec.ir.text import cell_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.forms import Form
    from rnnspec.ir.initializers import Initializer


def parts(network: nodes.Network, form: Form) -> Iterator[Part]:
    """Yield the parts of a network's source, those that others use first."""
    if form == "training" and draws_uniformly(network):
        yield _part("symmetric_uniform")
    if any(isinstance(each, nodes.Embedding) and not each.trainable for each in network.layers):
        yield _part("frozen_embed", drawn=_flag(form == "training"))
    used = {activation for layer in network.layers for activation in layer_activations(layer)}
    yield from (_part(name) for name in ("hard_sigmoid", "legacy_hard_sigmoid") if name in used)
    if any(isinstance(layer, nodes.Normalize) for layer in network.layers):
        yield _part("l2_normalized")
    classes = cell_classes(network, form)
    if any(each.first.recurrent_dropout for each in classes.values()):
        yield _part("gate_masks")
    for each in classes.values():
        yield _cell(each, form)
    if form == "step":
        yield from _running(network)


def _running(network: nodes.Network) -> Iterator[Part]:
    for layer in network.layers:
        if isinstance(layer, nodes.Pooling) and layer.statistic != "last_step":
            yield _part(f"running_{layer.statistic}", masked=_flag(layer.masked))


_FILES = {
    "RNN": "rnn",
    "LSTM": "lstm",
    "GRU": "gru",
    "ResetFirstGRU": "reset_first_gru",
}
_SUMMARIES = {
    "RNN": "A simple recurrent layer.",
    "LSTM": "An LSTM; its gates are in the order input, forget, candidate, output.",
    "GRU": "A GRU; its gates are in the order update, reset, candidate.",
    "ResetFirstGRU": "A GRU with the reset gate before the product: update, reset, candidate.",
}
_RETURNS = {
    "all": "Return the outputs, (batch, steps, units).",
    "some": "Return the outputs, (batch, steps, units), or the last state, (batch, units).",
    "with_state": "Return the outputs, (batch, steps, units), and the state after them.",
    "none": "Return the last state, (batch, units).",
}


def _cell(class_: CellClass, form: Form) -> Part:
    layer = class_.first
    name = cell_name(layer.cell)
    return _part(
        f"{_FILES[name]}_layer",
        name=class_.name,
        cell=name,
        summary=_SUMMARIES[name],
        returns=_RETURNS[class_.sequences],
        gates=str(len(gates(layer.cell))),
        options=" ".join(class_.options),
        biased=_flag(layer.bias),
        masked=_flag(layer.masked),
        dropped=_flag(layer.recurrent_dropout > 0),
        inside=_flag("dropout" in class_.options),
        turns=_flag(class_.turns),
        drawn=_flag(form == "training"),
        sequences=class_.sequences,
        **_settings(class_),
    )


def _settings(class_: CellClass) -> dict[str, str]:
    """Return each setting as text: an argument or attribute, if the layers of a class differ."""
    layer, cell = class_.first, class_.first.cell
    recurrent = "" if isinstance(cell, nodes.SimpleRNN) else ACTIVATIONS[cell.recurrent_activation]
    shared = {
        "activation": ACTIVATIONS[cell.activation],
        "recurrent_activation": recurrent,
        "kernel_init": initializer_text(layer.kernel_initializer),
        "recurrent_init": initializer_text(layer.recurrent_initializer),
        "bias_init": initializer_text(layer.bias_initializer),
        "forget_bias": repr(cell.forget_bias) if isinstance(cell, nodes.LSTM) else "",
    }
    kept = ("activation", "recurrent_activation")
    said = {key: f"self.{key}" if key in kept else key for key in shared if key in class_.options}
    return {**shared, **said}


def initializer_text(source: Initializer) -> str:
    """Return the initializer as text, with floats as ``repr`` writes them."""
    return re.sub(r"(?<=\de)(?=\d)", "+", initializer(source))


def _flag(value: bool) -> str:
    return "yes" if value else ""


def _part(name: str, /, **values: str) -> Part:
    return Part(f"jax/parts/{name}.py.j2", tuple(values.items()))
