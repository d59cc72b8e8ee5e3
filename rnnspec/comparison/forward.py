"""The outputs of a live model, which in step form gets its batch in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.backends.contract import Trace
from rnnspec.comparison.levels import distance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends import Backend
    from rnnspec.comparison.case import Case
    from rnnspec.pipeline import Generated
    from rnnspec.slots import Array

_SPLITS = 2
_MOST_CHUNKS = 6


def run_forward(generated: Generated, model: Any, case: Case) -> dict[str, Array]:
    """Return the output of each layer for the batch of a case, or of a part of the layers.

    In step form it is the last layer's alone: of several random splits of the batch into chunks,
    the output that is the farthest from the reference.
    """
    if generated.form != "step":
        names = [layer.name for layer in generated.network.layers]
        return case.outputs(generated.backend.runtime.trace(model, names, case.batch))
    truth = case.outputs(case.truth)[case.last]
    rng = np.random.default_rng((case.seed, 2))
    found = []
    for _ in range(_SPLITS):
        lengths = random_split(case.batch.shape[1], rng)
        output = step_through(generated.backend, model, case.batch, lengths)
        found.append(case.outputs(Trace({}, output)))
    return max(found, key=lambda each: distance(each[case.last], truth))


def random_split(steps: int, rng: np.random.Generator) -> list[int]:
    """Return the lengths of random chunks, the first one of a single step."""
    cuts = rng.integers(1, steps + 1, rng.integers(0, _MOST_CHUNKS - 1))
    ends = sorted({1, steps, *map(int, cuts)})
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def step_through(backend: Backend, model: Any, batch: Array, lengths: Sequence[int]) -> Array:
    """Return the output of a model in step form for a batch in chunks of some lengths.

    It is (batch, steps, units), or (batch, units) for the last chunk.
    """
    states, outputs, start = None, [], 0
    for length in lengths:
        chunk = batch[:, start : start + length]
        output, states = backend.runtime.step(model, chunk, states)
        outputs.append(output)
        start += length
    return np.concatenate(outputs, axis=1) if outputs[0].ndim > 2 else outputs[-1]
