"""Live modules with layers around the recurrent ones: the network computes what the module does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec import pipeline
from rnnspec.comparison.reference import run, split_outputs

torch = pytest.importorskip("torch")
stacked = pytest.importorskip("importing.stacked")


def with_statistics(module: Any) -> Any:
    """Return a module in float64 whose norms are those of a trained one."""
    for part in module.double().modules():
        if isinstance(part, torch.nn.BatchNorm1d | torch.nn.LayerNorm):
            for array in part.parameters():
                torch.nn.init.normal_(array)
        if isinstance(part, torch.nn.BatchNorm1d) and part.track_running_stats:
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
    return module


def results_of(found: Any) -> list[Any]:
    match found:
        case dict():
            return list(found.values())
        case tuple():
            return list(found)
        case _:
            return [found]


@pytest.mark.parametrize("name", stacked.STACKS)
def test_the_network_computes_what_the_module_does(name: str) -> None:
    torch.manual_seed(5)
    make, draw = stacked.STACKS[name]
    module, inputs = with_statistics(make()), draw()
    found = rnnspec.from_torch(module, inputs)
    assert "equal on the example and random inputs (float64)" in found.compared
    assert rnnspec.from_torch(module).spec == found.spec
    with torch.no_grad():
        wanted = [each.numpy() for each in results_of(module.eval()(*inputs))]
    given = inputs[0].numpy()
    if name in stacked.TURNED:
        given = given.transpose(stacked.TURNED[name])
    network = pipeline.program(found.spec).network
    output = run(network, found.arrays, given).output
    parts = split_outputs(network, output)
    for layer, result in zip(network.results.values(), wanted, strict=True):
        result = result.transpose(stacked.RESULTS[name]) if name in stacked.RESULTS else result
        received = parts[layer.name]
        np.testing.assert_allclose(received.reshape(result.shape), result, rtol=0, atol=1e-12)
