"""Parts of every lane: the tokens, step by step, and the loop that hands on the states."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnnspec
from benchmarks import batch
from benchmarks.lane import Prepared
from benchmarks.names import OURS
from benchmarks.networks import Case, text
from benchmarks.race import Run

STEPS = 100
"""The number of steps in a run."""
LAYERS, UNITS = 3, 32

Step = Callable[[Any, Any], tuple[Any, Any]]
"""A function from the tokens of one step and the states to the output and the new states."""


def built(case: Case, backend: str) -> Any:
    """Return the model of rnnspec in step form."""
    return rnnspec.build(rnnspec.loads(text(case)), backend, seed=0, form="step")


def drawn(case: Case) -> list[NDArray[Any]]:
    """Return the tokens of each step, (batch, 1)."""
    tokens, _ = batch.draw(case.batch)
    return [np.ascontiguousarray(tokens[:, [step]]) for step in range(STEPS)]


def looped(step: Step, chunks: Sequence[Any], states: Any) -> Callable[[], Any]:
    """Return a run over all chunks, each with the states that the one before it gave."""

    def run() -> Any:
        output, given = None, states
        for chunk in chunks:
            output, given = step(chunk, given)
        return output

    return run


def prepared(loops: dict[str, Run]) -> Prepared:
    """Return the contestants, after checking that their last outputs are the same."""
    outputs = {name: np.asarray(run()) for name, run in loops.items()}
    for output in outputs.values():
        np.testing.assert_allclose(output, outputs[OURS], atol=1e-5)
    return Prepared(loops, outputs[OURS].flatten().tolist())
