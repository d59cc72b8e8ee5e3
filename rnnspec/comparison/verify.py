"""Compare the model in a written file with the NumPy reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec import pipeline
from rnnspec.backends.slots import map_batch
from rnnspec.comparison import reference
from rnnspec.comparison.batch import STEPS_OF_ANY_LENGTH, draw_batch, longest_of
from rnnspec.comparison.case import Case, run_forward
from rnnspec.comparison.levels import distance, tolerances
from rnnspec.errors import Difference, ParityError
from rnnspec.ir.nodes import Embedding, least_steps
from rnnspec.ir.params import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rnnspec.backends.slots import Array, Batch
    from rnnspec.ir.nodes import Network
    from rnnspec.pipeline import Generated, Program

    Arrays = Mapping[str, Array]

DTYPE = "float32"
_LENGTHS = (STEPS_OF_ANY_LENGTH, 1, 23)
"""The lengths of the batches, if the network takes any length."""
LONGEST = max(_LENGTHS)
_LARGE = 2**22
"""The parameters beside embeddings from which on a network is run on fewer steps, because the
reference reads all of them at each step."""
_WITH_PADDING_INSIDE = 3
"""The sequence of a batch that is also run by itself."""
_MAX_HALVINGS = 12


@dataclass(slots=True)
class Proof:
    """The comparison of a model in written files, with the largest difference that it found.

    Called with the folder of the files before they are moved into place, so that a model that
    differs is not written. ``rounding`` is the largest bound of an output, and ``closer`` says what
    else was compared, if only a sensitive network explains the difference.
    """

    program: Program
    generated: Generated
    arrays: Arrays
    largest: float = 0.0
    rounding: float = 0.0
    closer: str = ""

    def __call__(self, folder: Path) -> None:
        """Load the model from the files and compare it.

        Its arrays must be those given. The batches are random, of several lengths if the network
        takes any length, and with every pattern of padding if it has a mask. One has a single
        sequence.

        Raises:
            ParityError: an array or an output differs.
        """
        generated = self.generated
        saving = generated.backend.runtime
        again = saving.reload(folder, generated.network.name, generated.source)
        _check_arrays(generated, again, self.arrays)
        exact = in_float64(self.arrays)
        for batch in batches(self.program.network, generated.longest):
            far, bound = self._compare(again, case_of(self.program, exact, batch))
            self.largest, self.rounding = max(self.largest, far), max(self.rounding, bound)
        if self.largest > tolerances(DTYPE)["forward"]:
            self._compare_closer(again)

    @property
    def equal(self) -> str:
        """A sentence about what the model is equal to, and how exactly."""
        result = in_words(self.largest, self.rounding, self.closer)
        return f"the NumPy reference with the same arrays: {result}"

    def _compare_closer(self, again: Any) -> None:
        """Compare the same source in float64, and the model of the files with smaller arrays."""
        generated, ways = self.generated, []
        most, error = generated.longest, generated.backend.function_error
        if smaller := steady_case(self.program, self.arrays, error, most):
            case, _ = smaller
            generated.store.write(again, case.arrays)
            self._compare(again, case)
            ways.append("with smaller arrays")
        if "float64" in generated.backend.dtypes:
            double = pipeline.instantiate(generated, "float64", drawn=False)
            generated.store.write(double, self.arrays)
            case = case_of(self.program, self.arrays, longest(self.program, most), "float64")
            self._compare(double, case)
            ways.append("in float64")
        self.closer = " and ".join(ways)

    def _compare(self, model: Any, case: Case) -> tuple[float, float]:
        """Return the largest difference from the reference, and the largest bound.

        Raises:
            ParityError: an output differs.
        """
        generated, expected = self.generated, case.outputs(case.truth)
        outputs = run_forward(generated, model, case)
        distances = {name: distance(outputs[name], expected[name]) for name in outputs}
        allowed = case.bounds(generated.backend.function_error, distances)
        for name, far in distances.items():
            # Written this way, the test also refuses NaN.
            if not far <= allowed[name]:
                bound = f"within {allowed[name]:.2g} of the reference in {case.dtype}"
                received = f"a difference of {far:.3g}"
                raise ParityError((_difference(generated, name, "output", bound, received),))
        return max(distances.values()), max(allowed[name] for name in distances)


def in_words(largest: float, rounding: float, closer: str, dtype: str = DTYPE) -> str:
    """Return the result of a comparison in words."""
    difference = f"largest difference {largest:.1e} in forward ({dtype})"
    if largest <= tolerances(DTYPE)["forward"]:
        return difference
    as_well = f"; compared {closer} as well" if closer else ""
    return f"{difference}, where rounding explains {rounding:.1e}{as_well}"


def steady_case(
    program: Program, arrays: Arrays, error: float, most: int | None = None
) -> tuple[Case, float] | None:
    """Return a case with a share of the arrays at which rounding explains little, and the share.

    If the arrays of a model are known to be right, any others show what its network computes.
    Returns None if no share will do.
    """
    batch = longest(program, most)
    for halvings in range(1, _MAX_HALVINGS):
        share = 2.0**-halvings
        case = case_of(program, {name: share * array for name, array in arrays.items()}, batch)
        if max(case.bounds(error).values()) <= tolerances(DTYPE)["forward"]:
            return case, share
    return None


def longest(program: Program, most: int | None = None) -> Batch:
    """Return the longest random batch."""
    network = program.network
    return max(batches(network, most), key=lambda batch: longest_of(network, batch))


def batches(network: Network, most: int | None = None) -> Iterator[Batch]:
    """Yield the random batches of a comparison, of at most ``most`` steps if it is given."""
    size = sum(count(layer) for layer in network.layers if not isinstance(layer, Embedding))
    lengths = _LENGTHS if size < _LARGE else _LENGTHS[1::-1]
    for seed, length in enumerate(lengths):
        steps = length + least_steps(network) - 1
        steps = steps if most is None else min(steps, most)
        batch = draw_batch(network, np.random.default_rng(seed), steps, most)
        yield batch
    at = _WITH_PADDING_INSIDE
    yield map_batch(lambda array: array[at : at + 1], batch)


def _check_arrays(generated: Generated, model: Any, arrays: Arrays) -> None:
    differing = [
        _difference(generated, name, "array", "the array of the input", "another one")
        for name, array in generated.store.read(model).items()
        # In the dtype of the model, to which arrays of a higher precision were rounded.
        if not np.array_equal(array, arrays[name].astype(array.dtype))
    ]
    if differing:
        raise ParityError(tuple(differing))


def in_float64(arrays: Arrays) -> Arrays:
    """Return arrays as the reference computes with them; those in float64 are not copied."""
    return {name: array.astype(np.float64, copy=False) for name, array in arrays.items()}


def case_of(program: Program, arrays: Arrays, batch: Batch, dtype: str = DTYPE) -> Case:
    """Return a case with ``arrays`` and a batch, and what the reference computes for them."""
    network, exact = program.network, in_float64(arrays)
    # Trained arrays may be so large that values overflow; the comparison reports that.
    with np.errstate(all="ignore"):
        truth = reference.run(network, exact, batch)
    return Case(program, 0, dtype, exact, batch, batch_is_own=False, truth=truth)


def _difference(
    generated: Generated, layer: str, quantity: str, expected: str, received: str
) -> Difference:
    name = generated.network.name
    return Difference(name, generated.backend.name, layer, quantity, expected, received)
