"""PyTorch's own tools take source for inference as they take the same layers written by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import GALLERY, ROOT
from covering import covering
from offered import import_later
from small_networks import in_small

from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.comparison.batch import draw_input
from rnnspec.ir.nodes import Flatten, LastSteps, least_steps
from rnnspec.weights.initial import draw_scaled

torch = import_later("torch")

GOLDENS = [ROOT / "tests" / "goldens" / name / "spec.yaml" for name in ("everything", "padded")]
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
    batch: Any
    steps: int
    text: str

    @property
    def loops(self) -> bool:
        """True if a generated class loops over the steps, whose number tools then fix."""
        return "Stepwise" in self.text or "run step by step" in self.text

    def check(self, made: Callable[[Any], Any], batch: Any) -> None:
        with torch.no_grad():
            torch.testing.assert_close(made(batch), self.model(batch), rtol=0.0, atol=1e-12)


@cache
def deployed(path: Path) -> Deployed:
    program = pipeline.reads(in_small(path)) if path in GALLERY else pipeline.read(path)
    generated = pipeline.generate(program, get("torch"), "inference")
    model = pipeline.instantiate(generated, "float64").eval()
    generated.store.write(model, draw_scaled(program.network, 0))
    drawn = draw_input(program.network.input, np.random.default_rng(0))
    # Source for inference does not check the number of steps, but some layers need all of them.
    flat = any(isinstance(layer, Flatten | LastSteps) for layer in program.network.layers)
    steps = drawn.shape[1] if flat or least_steps(program.network) > STEPS else STEPS
    batch = torch.from_numpy(drawn[:, : steps + 1])
    batch = batch.double() if batch.is_floating_point() else batch
    return Deployed(model, batch, steps, generated.text)


def each_of(paths: list[Path]) -> pytest.MarkDecorator:
    names = [f"{path.parent.name}-{path.stem}" for path in paths]
    return pytest.mark.parametrize("path", paths, ids=names)


ALL = each_of([*covering(GALLERY), *GOLDENS])
SPECS = [ROOT / "specs" / f"{name}.yaml" for name in ("gru_per_step", "phoneme_peephole_bilstm")]
FEW = each_of([*SPECS, GOLDENS[1]])
"""A stock layer alone, a cell by equations, and all other classes: these tools are slow."""


@ALL
def test_script(path: Path) -> None:
    each = deployed(path)
    made = torch.jit.script(each.model)
    for batch in (each.batch, each.batch[:1, : each.steps]):
        each.check(made, batch)


@ALL
def test_trace(path: Path) -> None:
    each = deployed(path)
    # A trace that is strict refuses a mapping of outputs.
    made = torch.jit.trace(each.model, (each.batch[:2, : each.steps],), strict=False)
    each.check(made, each.batch[:, : each.steps])
    if not each.loops:
        each.check(made, each.batch)


@FEW
def test_export(path: Path) -> None:
    each = deployed(path)
    # Not the steps: torch.export of PyTorch 2.13 fixes their number in its own nn.LSTM, too.
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    given = (each.batch[:2, : each.steps],)
    made = torch.export.export(each.model, given, dynamic_shapes=shapes).module()
    each.check(made, each.batch[:, : each.steps])


@FEW
def test_compile(path: Path) -> None:
    each = deployed(path)
    # Not the inductor, which compiles C++ for each model, and not fullgraph: Dynamo leaves nn.LSTM
    # itself to run outside of its graphs.
    torch.compiler.reset()
    made = torch.compile(each.model, backend="aot_eager")
    for batch in (each.batch, each.batch[:1, : each.steps]):
        each.check(made, batch)
