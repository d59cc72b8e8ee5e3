"""Compare the model in a written file with the NumPy reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch
from rnnspec.comparison.case import Case
from rnnspec.comparison.forward import run_forward
from rnnspec.comparison.levels import distance, tolerances
from rnnspec.errors import Difference, ParityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.pipeline import Generated, Program
    from rnnspec.slots import Array

    Arrays = Mapping[str, Array]

DTYPE = "float32"
BATCHES = 3
"""The number of random batches of a comparison."""


def largest_difference(program: Program, generated: Generated, model: Any, arrays: Arrays) -> float:
    """Return the largest difference between a model and the reference with the same ``arrays``.

    The batches are random, with every pattern of padding if the network has a mask.

    Raises:
        ParityError: an array or an output differs.
    """
    _check_arrays(generated, model, arrays)
    return max(_forward(program, generated, model, arrays, n) for n in range(BATCHES))


def _check_arrays(generated: Generated, model: Any, arrays: Arrays) -> None:
    differing = [
        _difference(generated, name, "array", "the array of the input", "another one")
        for name, array in generated.store.read(model).items()
        # In the dtype of the model, to which arrays of a higher precision were rounded.
        if not np.array_equal(array, arrays[name].astype(array.dtype))
    ]
    if differing:
        raise ParityError(tuple(differing))


def _forward(
    program: Program, generated: Generated, model: Any, arrays: Arrays, seed: int
) -> float:
    case = case_of(program, arrays, seed)
    expected = case.outputs(case.truth)
    found = run_forward(generated, model, case)
    distances = {name: distance(found[name], expected[name]) for name in found}
    allowed = tolerances(DTYPE)["forward"]
    for name, far in distances.items():
        # Written this way, the test also refuses NaN.
        if not far <= allowed:
            wanted = f"within {allowed:g} of the reference"
            received = f"a difference of {far:.3g}"
            raise ParityError((_difference(generated, name, "output", wanted, received),))
    return max(distances.values())


def case_of(program: Program, arrays: Arrays, seed: int) -> Case:
    """Return a random batch, and what the reference computes for it with ``arrays``."""
    network = program.network
    batch = draw_batch(network.input, np.random.default_rng(seed))
    exact = {name: array.astype(np.float64) for name, array in arrays.items()}
    # Trained arrays may be so large that values overflow; the comparison reports that.
    with np.errstate(all="ignore"):
        truth = reference.run(network, exact, batch)
    return Case(program, seed, DTYPE, exact, batch, given=False, truth=truth)


def _difference(
    generated: Generated, layer: str, quantity: str, expected: str, received: str
) -> Difference:
    name = generated.network.name
    return Difference(name, generated.backend.name, layer, quantity, expected, received)
