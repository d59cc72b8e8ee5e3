"""Layers of torchrecurrent are cells of the zoo, with their arrays, where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import cases
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.comparison.reference import run
from rnnspec.errors import ModelError
from rnnspec.importing.torch.zoo import zoo_layers
from rnnspec.ir import nodes

torch = import_later("torch")
torchrecurrent = import_later("torchrecurrent")

UNITS, STEPS = 4, 5
CLASSES = {"hard_sigmoid": "Hardsigmoid", "relu": "ReLU"}


def layer_of(kind: str, **settings: Any) -> Any:
    """Return a layer in float64 with random arrays, biases too, and the activations of the zoo."""
    # The output of IntersectionRNN has the size of its input, and its state has it too.
    features = UNITS if kind == "IntersectionRNN" else 3
    torch.manual_seed(7)
    layer = getattr(torchrecurrent, kind)(features, UNITS, batch_first=True, **settings).double()
    for cell in layer.cells:
        for attribute, name in zoo_layers()[kind].functions.items():
            setattr(cell, attribute, getattr(torch.nn, CLASSES.get(name, name.capitalize()))())
        for array in cell.parameters():
            torch.nn.init.normal_(array, std=0.5)
    return layer


def module_of(layer: Any, *, state: bool = False) -> Any:
    class Module(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.rnn = layer

        def forward(self, x: Any) -> Any:
            output, h = self.rnn(x)
            return h[-1] if state else output

    return Module()


def check(module: Any) -> rnnspec.ForeignModel:
    """Return a module as a spec and arrays, which compute what it does."""
    model = rnnspec.from_torch(module)
    x = torch.randn(2, STEPS, module.rnn.input_size, dtype=torch.float64)
    with torch.no_grad():
        expected = module(x).numpy()
    network = pipeline.program(model.spec).network
    output = run(network, model.arrays, x.numpy()).output
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-12)
    return model


@cases("kind", list(zoo_layers()))
def test_a_layer_is_a_cell_of_the_zoo(kind: str) -> None:
    model = check(module_of(layer_of(kind)))
    layer = pipeline.program(model.spec).network.layers[0]
    assert isinstance(layer, nodes.Recurrent)
    assert nodes.cell_type(layer.cell) == zoo_layers()[kind].cell


def test_layers_have_their_settings_and_dropout_between_them() -> None:
    model = check(module_of(layer_of("coRNN", num_layers=2, dropout=0.25, dt=0.3).eval()))
    # A network has settings as numbers in its equations.
    assert "z + 0.3 * a" in model.spec.document.text
    assert "dropout: 0.25" in model.spec.document.text


def test_the_final_state_is_taken() -> None:
    model = check(module_of(layer_of("MGU"), state=True))
    assert "pooling: last" in model.spec.document.text


@cases(
    "kind, settings, message",
    [
        ("FastGRNN", {}, "act: expected sigmoid, received nn.Tanh"),
        ("tauGRU", {"delay": 2}, "delay: expected 1, received 2"),
    ],
)
def test_what_the_zoo_has_otherwise_is_refused(
    kind: str, settings: dict[str, Any], message: str
) -> None:
    layer = getattr(torchrecurrent, kind)(3, UNITS, batch_first=True, **settings)
    with pytest.raises(ModelError, match=message):
        rnnspec.from_torch(module_of(layer))
