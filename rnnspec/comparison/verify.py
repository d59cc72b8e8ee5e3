"""Compare the model in a written file with the NumPy reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.comparison import reference
from rnnspec.comparison.batch import STEPS_OF_ANY_LENGTH, draw_batch
from rnnspec.comparison.case import Case
from rnnspec.comparison.forward import run_forward
from rnnspec.comparison.levels import distance, tolerances
from rnnspec.errors import Difference, ParityError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rnnspec.ir.nodes import Network
    from rnnspec.pipeline import Generated, Program
    from rnnspec.slots import Array

    Arrays = Mapping[str, Array]

DTYPE = "float32"
_LENGTHS = (STEPS_OF_ANY_LENGTH, 1, 23)
"""The lengths of the batches, if the network takes any length."""
LONGEST = max(_LENGTHS)
_WITH_PADDING_INSIDE = 3
"""The row of a batch that is run alone as well."""


@dataclass(slots=True)
class Proof:
    """The comparison of a model in written files, with the largest difference that it found.

    Called with the folder of the files before they are moved into place, so that a model that
    differs is not written.
    """

    program: Program
    generated: Generated
    arrays: Arrays
    largest: float = 0.0

    def __call__(self, folder: Path) -> None:
        """Load the model from the files and compare it.

        Raises:
            ParityError: an array or an output differs.
        """
        generated = self.generated
        saving = generated.backend.saving
        again = saving.reload(folder, generated.network.name, generated.entry)
        self.largest = largest_difference(self.program, generated, again, self.arrays)

    @property
    def equal(self) -> str:
        """What the model is equal to, in words, and how exactly."""
        largest = f"largest difference {self.largest:.1e} in forward ({DTYPE})"
        return f"the NumPy reference with the same arrays: {largest}"


def largest_difference(program: Program, generated: Generated, model: Any, arrays: Arrays) -> float:
    """Return the largest difference between a model and the reference with the same ``arrays``.

    The batches are random, of several lengths if the network takes any length, and with every
    pattern of padding if it has a mask. One has a single sequence.

    Raises:
        ParityError: an array or an output differs.
    """
    _check_arrays(generated, model, arrays)
    return max(
        _forward(program, generated, model, arrays, batch) for batch in batches(program.network)
    )


def batches(network: Network) -> Iterator[Array]:
    """Yield the random batches of a comparison."""
    for seed, length in enumerate(_LENGTHS):
        batch = draw_batch(network.input, np.random.default_rng(seed), length)
        yield batch
    yield batch[_WITH_PADDING_INSIDE : _WITH_PADDING_INSIDE + 1]


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
    program: Program, generated: Generated, model: Any, arrays: Arrays, batch: Array
) -> float:
    case = case_of(program, arrays, batch)
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


def case_of(program: Program, arrays: Arrays, batch: Array) -> Case:
    """Return a case with ``arrays`` and a batch, and what the reference computes for them."""
    network = program.network
    exact = {name: array.astype(np.float64) for name, array in arrays.items()}
    # Trained arrays may be so large that values overflow; the comparison reports that.
    with np.errstate(all="ignore"):
        truth = reference.run(network, exact, batch)
    return Case(program, 0, DTYPE, exact, batch, given=False, truth=truth)


def _difference(
    generated: Generated, layer: str, quantity: str, expected: str, received: str
) -> Difference:
    name = generated.network.name
    return Difference(name, generated.backend.name, layer, quantity, expected, received)
