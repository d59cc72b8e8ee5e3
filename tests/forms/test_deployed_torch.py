"""PyTorch's own tools take source for inference as they take the same layers written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from comparison.test_every_layer import ASKED, probe
from conftest import ROOT
from offered import import_later

from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.comparison.batch import draw_batch
from rnnspec.ir.nodes import (
    Flatten,
    LabelInput,
    LastSteps,
    Network,
    Transpose,
    VectorInput,
    least_steps,
)
from rnnspec.weights.initial import draw_scaled

torch = import_later("torch")

STEPS = 3
"""Few, because generated loops are unrolled by all tools but ``torch.jit.script``."""

# PyTorch warns about its own deprecated TorchScript, and about shapes that a trace fixes.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


@dataclass(frozen=True)
class Deployed:
    """A model in float64, a batch, and a number of steps with which to show it to a tool."""

    model: Any
    batch: dict[str, Any]
    network: Network
    steps: int
    text: str

    @property
    def loops(self) -> bool:
        """True if a generated class loops over the steps, whose number tools then fix."""
        return ".unbind(" in self.text

    def part(self, rows: int | None = None, steps: int | None = None) -> dict[str, Any]:
        """Return the arguments for the first sequences, or for the first steps of them."""
        kinds = VectorInput | LabelInput
        vectors = {
            network_input.name
            for network_input in self.network.inputs
            if isinstance(network_input, kinds)
        }
        return {
            name: array[:rows] if name in vectors else array[:rows, :steps]
            for name, array in self.batch.items()
        }

    def call(self, model: Callable[..., Any], batch: dict[str, Any]) -> Any:
        return model(batch["input"]) if self.network.takes_one_array else model(**batch)

    def check(self, made: Callable[..., Any], batch: dict[str, Any]) -> None:
        with torch.no_grad():
            expected = self.call(self.model, batch)
            torch.testing.assert_close(self.call(made, batch), expected, rtol=0.0, atol=1e-12)


def program_of(name: str) -> pipeline.Program:
    """Return a network by its name, or the one that has all layers that take some input."""
    if name in ASKED:
        return probe("torch", "inference", name)
    folder = ROOT / "tests" / "goldens" / name
    return pipeline.read(folder / "spec.yaml" if folder.is_dir() else ROOT / f"specs/{name}.yaml")


@cache
def deployed(name: str) -> Deployed:
    program = program_of(name)
    generated = pipeline.generate(program, get("torch"), "inference")
    model = pipeline.instantiate(generated, "float64").eval()
    generated.store.write(model, draw_scaled(program.network, 0))
    network = program.network
    drawn = draw_batch(network, np.random.default_rng(0))
    arrays = drawn if isinstance(drawn, Mapping) else {"input": drawn}
    # Source for inference does not check the number of steps, but some layers need all of them.
    needs_all = Flatten | LastSteps | Transpose
    flat = any(isinstance(layer, needs_all) for layer in network.layers)
    whole = max(len(array[0]) if array.ndim > 1 else 1 for array in arrays.values())
    steps = whole if flat or least_steps(network) > STEPS else STEPS
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    batch = {name: x.double() if x.is_floating_point() else x for name, x in batch.items()}
    found = Deployed(model, batch, network, steps, generated.text)
    return replace(found, batch=found.part(steps=steps + 1))


ALL = pytest.mark.parametrize("name", ["everything", "padded", *ASKED])
FEW = pytest.mark.parametrize("name", ["gru_per_step", "phoneme_peephole_bilstm", "padded"])
"""A stock layer alone, a cell by equations, and all other classes: these tools are slow."""


@ALL
def test_script(name: str) -> None:
    each = deployed(name)
    made = torch.jit.script(each.model)
    for batch in (each.batch, each.part(1, each.steps)):
        each.check(made, batch)


@ALL
def test_trace(name: str) -> None:
    each = deployed(name)
    names = list(each.batch)

    class Positional(torch.nn.Module):  # type: ignore[misc, name-defined]
        """The model, called by places: a trace does not take arguments that are keywords only."""

        def __init__(self) -> None:
            super().__init__()
            self.model = each.model

        def forward(self, *arrays: Any) -> Any:
            return each.call(self.model, dict(zip(names, arrays, strict=True)))

    # A trace that is strict refuses a mapping of outputs.
    example = tuple(each.part(2, each.steps).values())
    traced = torch.jit.trace(Positional(), example, strict=False)

    def made(*batch: Any, **named: Any) -> Any:
        return traced(*batch, *named.values())

    each.check(made, each.part(steps=each.steps))
    if not each.loops:
        each.check(made, each.batch)


@FEW
def test_export(name: str) -> None:
    each = deployed(name)
    # Not the steps: torch.export of PyTorch 2.13 fixes their number in its own nn.LSTM, too.
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    given = tuple(each.part(2, each.steps).values())
    made = torch.export.export(each.model, given, dynamic_shapes=shapes).module()
    each.check(made, each.part(steps=each.steps))


@FEW
def test_compile(name: str) -> None:
    each = deployed(name)
    # Not the inductor, which compiles C++ for each model, and not fullgraph: Dynamo leaves nn.LSTM
    # itself to run outside of its graphs.
    torch.compiler.reset()
    made = torch.compile(each.model, backend="aot_eager")
    for batch in (each.batch, each.part(1, each.steps)):
        each.check(made, batch)
