"""The last check before code generation, which finds what validation should have refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cases import cases

import rnnspec
from rnnspec import pipeline
from rnnspec.errors import GenerationError
from rnnspec.ir.initializers import Uniform
from rnnspec.ir.nodes import Dense, Network, Recurrent, Residual
from rnnspec.ir.verify import verify


@pytest.fixture
def network() -> Network:
    text = "version: 1\nname: net\ninput: {features: 2}\nrnn: {type: lstm, units: 3}\n"
    return pipeline.program(rnnspec.loads(text + "head: {units: 1}\n")).network


def change(network: Network, index: int, **changes: Any) -> Network:
    layers = list(network.layers)
    layers[index] = replace(layers[index], **changes)
    return replace(network, layers=tuple(layers))


def test_a_sound_network_passes_unchanged(network: Network) -> None:
    assert verify(network) is network
    assert [type(layer) for layer in network.layers] == [Recurrent, Dense]


@cases("name", ["x'); import os", "class", "Näme", "a" * 65, "", "a.b", "1a"])
def test_a_hostile_name_goes_no_further(network: Network, name: str) -> None:
    with pytest.raises(GenerationError, match="is not a valid name"):
        verify(replace(network, name=name))
    with pytest.raises(GenerationError, match="is not a valid name"):
        verify(change(network, 0, name=name))


def test_shapes_must_chain(network: Network) -> None:
    with pytest.raises(GenerationError, match="dense_1 expects"):
        verify(change(network, 1, input=(4,)))


def test_names_must_differ(network: Network) -> None:
    with pytest.raises(GenerationError, match="same name"):
        verify(change(network, 1, name="lstm_1"))


@cases("start", ["lstm_1", "add_1", "dense_1", ""])
def test_a_residual_must_look_back_at_what_has_its_shape(start: str) -> None:
    text = "version: 1\nname: net\ninput: {features: 2}\nrnn: [{type: lstm, units: 3}, "
    text += "{type: lstm, units: 3, residual: true, dropout: 0.1, variational: false}]\n"
    network = pipeline.program(rnnspec.loads(text)).network
    assert isinstance(network.layers[3], Residual)
    assert verify(network) is network
    with pytest.raises(GenerationError, match=rf"add_1 adds the input of {start} to"):
        verify(change(network, 3, start=start))


@cases("value", [float("nan"), float("inf")])
def test_numbers_must_be_finite(network: Network, value: float) -> None:
    with pytest.raises(GenerationError, match="lstm_1 contains a non-finite number"):
        verify(change(network, 0, dropout=value))
    with pytest.raises(GenerationError, match="dense_1 contains a non-finite number"):
        verify(change(network, 1, kernel_initializer=Uniform(value)))
