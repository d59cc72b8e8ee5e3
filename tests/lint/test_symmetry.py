"""L109 is reported if units stay equal, or dead, in a network that is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from cases import cases
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.ir.nodes import Conv, Dense, Recurrent
from rnnspec.lint.rules import select_codes
from rnnspec.lint.run import lint

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array

torch = import_later("torch")

STEPS = 5
HIDDEN = "head: {hidden: [{units: 4, activation: tanh}], units: 2}"
NETWORKS = [
    "rnn: {type: lstm, units: 4}",
    "rnn: {type: lstm, units: 4}\nhead: {units: 2}",
    "rnn: {type: gru, units: 4, bidirectional: true}\nhead: {pooling: max, units: 2}",
    "rnn: {type: gru, units: 4, activation: sigmoid}\nhead: {units: 2}",
    f"rnn: {{type: gru, units: 4}}\n{HIDDEN}",
    f"rnn: {{type: gru, units: 4}}\n{HIDDEN.replace('tanh', 'tanh, dropout: 0.5')}",
    "rnn: {type: simple, units: 4}\nhead: {dropout: 0.5, units: 2}",
    "rnn: {type: simple, units: 4, dropout: 0.3}\nhead: {units: 2}",
    "rnn: {type: lstm, units: 4, recurrent_dropout: 0.3}\nhead: {units: 2}",
    "rnn: [{type: lstm, units: 4}, {type: lstm, units: 3}]",
    "rnn: [{type: lstm, units: 4}, {type: lstm, units: 3, dropout: 0.4}]",
    "rnn: [{type: conv, filters: 4, kernel_size: 2}, {type: lstm, units: 3}]\nhead: {units: 2}",
    "rnn: [{type: dense, units: 4, activation: elu}, {type: layer_norm}, {type: gru, units: 3}]",
    "rnn: [{type: lstm, units: 4}, {type: max_pool, size: 2}]\nhead: {pooling: [sum, max]}",
    "rnn: [{type: lstm, units: 4}, {type: dropout, rate: 0.5}]\nhead: {pooling: mean, units: 2}",
    "rnn: [{type: lstm, units: 4, layer_norm: true}, {type: repeat, steps: 2}, *]".replace(
        "*", "{type: gru, units: 3, reset_after: false}"
    ),
]
INITIALIZERS = [
    "kernel: glorot_uniform",
    "kernel: zeros",
    "kernel: {constant: 0.1}",
    "kernel: ones, recurrent: ones",
    "kernel: {constant: 0.1}, recurrent: {constant: 0.2}, bias: {normal: 0.1}",
    "kernel: zeros, recurrent: zeros, bias: ones",
    "recurrent: zeros",
]


# Each network with three of them, and each of them with networks of every kind.
PAIRS = [
    (network, INITIALIZERS[(number + step) % len(INITIALIZERS)])
    for number, network in enumerate(NETWORKS)
    for step in (0, 1, 3)
]


@cases(("network", "initializers"), PAIRS)
def test_advice_is_given_where_units_stay_alike(network: str, initializers: str) -> None:
    text = f"version: 1\nname: net\ninput: {{length: {STEPS}, features: 3}}\n{network}\n"
    spec = rnnspec.loads(f"{text}initializers: {{{initializers}}}\n")
    found = lint(pipeline.program(spec), select_codes(["L109"], []))
    assert bool(found) == _stays(spec)


def _stays(spec: rnnspec.Spec) -> bool:
    """True if the units of a layer stay equal, or its kernel 0, when it is trained."""
    arrays = rnnspec.read_weights(_trained(spec))
    layers = pipeline.program(spec).network.layers
    learning = [layer for layer in layers if isinstance(layer, Recurrent | Dense | Conv)]
    own = {
        layer: [array for name, array in arrays.items() if name.startswith(f"{layer.name}.")]
        for layer in learning
    }
    units = {layer: layer.filters if isinstance(layer, Conv) else layer.units for layer in learning}
    alike = any(all(_alike(array, units[layer]) for array in own[layer]) for layer in learning)
    dead = any(not own[layer][0].any() for layer in learning)
    return alike or dead


def _alike(array: Array, units: int) -> bool:
    by_unit = array.reshape(-1, units)
    return units > 1 and bool(np.ptp(by_unit, axis=1).max() < 1e-6)


def _trained(spec: rnnspec.Spec) -> Any:
    model = rnnspec.build(spec, "torch", seed=1).double().train()
    torch.manual_seed(0)
    batch = torch.randn(16, STEPS, 3).double()
    targets = torch.randn_like(model(batch).detach())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        ((model(batch) - targets) ** 2).mean().backward()
        optimizer.step()
    return model
