"""The cost of rounding: how far from the reference a right implementation may be.

Rounding perturbs each operation by a relative error of a few units, and the network carries the
perturbation on: feedback over many steps, or the norm of small values, can multiply it by
thousands. So the cost is measured where it arises. The reference runs in the dtype of the model,
with noise in every state at every time step, as large as the error of one step in another
implementation (another order of summation, another tanh). This is a stochastic error analysis: the
errors of independent roundings are well described by random ones, and a few samples give their
size. Sources: Higham, Accuracy and Stability of Numerical Algorithms, 2002, sections 2.2 and 3.1;
Higham and Mary, 2019, https://doi.org/10.1137/18M1226312, for random errors; Vignes, 1993,
https://doi.org/10.1016/0378-4754(93)90003-D, for samples (CESTAC).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnnspec.backends.slots import map_batch
from rnnspec.comparison import reference
from rnnspec.comparison.levels import size_of, tolerances

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.backends.slots import Array, Batch
    from rnnspec.ir.nodes import Network

    Arrays = Mapping[str, Array]

_RUNS = 8
"""The number of samples, which run as one batch."""
_STATE_ERROR = 4.0
"""The relative error of a state after one step, in units: vectorized functions have 1 to 4."""
_RESULT_ERROR = 4.0
"""The error of a layer's output that the samples may miss, in units of its largest value."""
_FACTOR = 4.0
"""The bound, as a multiple of the largest sample with the error that samples may miss.

Of 14,500 outputs of 2,700 random networks on the four backends, none exceeded 1.6 times that.
"""
_ROOM = 4.0
"""The bound where it stays below the tolerance, as a multiple of the bound elsewhere."""
_LEAST = {"float64": 1e-9, "float32": float(np.finfo(np.float32).tiny)}
"""The least bound. In float64 a fault is far larger, and in float32 frameworks flush to zero."""


def bounds(  # noqa: PLR0913 - a network, what it is run on, and how precisely
    network: Network, arrays: Arrays, batch: Batch, values: Arrays, *, dtype: str, error: float
) -> dict[str, float]:
    """Return the largest ``distance`` from ``values`` that rounding explains, for each layer.

    Args:
        network: the network.
        arrays: its canonical arrays in float64.
        batch: the inputs.
        values: the outputs of the reference in float64, without padding.
        dtype: of the models that are compared.
        error: the absolute error of the functions in recurrent layers, beside the relative one.
    """
    kind = np.dtype(dtype)
    unit = float(np.finfo(kind).eps) / 2.0
    rng = np.random.default_rng(0)

    def noise(state: Array) -> Array:
        relative, absolute = 2.0 * rng.random((2, *state.shape), kind) - 1.0
        moved: Array = state + _STATE_ERROR * unit * relative * state + error * absolute
        return moved

    rounded = {name: array.astype(kind, copy=False) for name, array in arrays.items()}

    def repeat(array: Array) -> Array:
        same = array if array.dtype.kind in "iu" else array.astype(kind, copy=False)
        return np.concatenate([same] * _RUNS)

    inputs = map_batch(repeat, batch)
    with np.errstate(all="ignore"):
        trace = reference.run(network, rounded, inputs, noise)
    return {
        name: bound(values[name], dtype, samples.reshape(_RUNS, *values[name].shape))
        for name, samples in reference.outputs(network, trace, inputs).items()
    }


def bound(value: Array, dtype: str, samples: Array | None = None) -> float:
    """Return the bound of one output, or the least that it can be without ``samples``."""
    unit = float(np.finfo(dtype).eps) / 2.0
    cost = 0.0
    if samples is not None:
        cost = float(np.max(np.abs(samples.astype(np.float64) - value), initial=0.0))
        # What overflows here does so in the model too, and then nothing is near enough.
        cost = cost if np.isfinite(cost) else 0.0
    largest = float(np.max(np.abs(value), initial=0.0))
    limit = _FACTOR * (cost + _RESULT_ERROR * unit * largest) / size_of(value)
    # Few samples of small values may miss the largest error.
    return max(_LEAST[dtype], limit, min(_ROOM * limit, tolerances("float32")["forward"]))
