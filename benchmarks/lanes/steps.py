"""One step at a time: the loop that hands on the states, in every framework."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.networks import OURS, Case
from benchmarks.processes import Prepared

STEPS = 100
"""The number of steps in a run."""

Step = Callable[[Any, Any], tuple[Any, Any]]
"""A function from the tokens of one step and the states to the output and the new states."""


def tokens(case: Case, convert: Callable[[Any], Any]) -> tuple[list[Any], list[Any]]:
    """Return the tokens of each step, (batch, 1) for rnnspec and (batch,) for cells."""
    batch, _ = case.draw()
    chunks = [convert(np.ascontiguousarray(batch[:, [step]])) for step in range(STEPS)]
    return chunks, [chunk[:, 0] for chunk in chunks]


def prepare_loops(loops: Mapping[str, tuple[Step, list[Any], Any]]) -> Prepared:
    """Return runs over all tokens from the first states, after checking that they are the same."""
    runs = {name: _loop(*parts) for name, parts in loops.items()}
    outputs = {name: np.asarray(run()) for name, run in runs.items()}
    for output in outputs.values():
        np.testing.assert_allclose(output, outputs[OURS], atol=1e-5)
    return Prepared(runs, outputs[OURS].flatten().tolist())


def _loop(step: Step, chunks: list[Any], start: Any) -> Callable[[], Any]:
    def run() -> Any:
        output, states = None, start
        for chunk in chunks:
            output, states = step(chunk, states)
        return output

    return run
