"""Compare the file that a model was read from, opened by its own framework, with the reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnspec.backends import get
from rnnspec.comparison.levels import distance, tolerances
from rnnspec.convert.verify import DTYPE, batches, case_of, in_words, steady_case
from rnnspec.errors import BackendError, Difference, ParityError, brief
from rnnspec.ir.nodes import Pooling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rnnspec.backends import Backend
    from rnnspec.comparison.case import Case
    from rnnspec.pipeline import Program
    from rnnspec.slots import Array

    Arrays = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Original:
    """A file that the framework of the backend ``opener`` may open.

    ``unlike`` are the reasons why what it opens would not be the model; then it is not opened.
    """

    path: Path
    opener: str
    unlike: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of a comparison: the framework with its version, and what was ``found``.

    If there was none, ``reason`` says why.
    """

    framework: str = ""
    found: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return f"not compared with the original: {self.reason}"
        return f"compared with the original in {self.framework}: {self.found}"


def compare(
    original: Original, program: Program, arrays: Arrays, importing: Callable[[Backend], None]
) -> Compared:
    """Compare an original with the reference, which has the arrays that were read from it.

    Raises:
        ParityError: they differ.
    """
    if original.unlike:
        return Compared(reason="; ".join(original.unlike))
    backend = get(original.opener)
    try:
        importing(backend)
        model = backend.opening.open_original(original.path)
    except BackendError as error:
        return Compared(reason=brief(error.message))
    cases = (case_of(program, arrays, batch) for batch in batches(program.network))
    found = [_difference(backend, model, case) for case in cases]
    largest, rounding = (max(numbers) for numbers in zip(*found, strict=True))
    is_certain = largest <= tolerances(DTYPE)["forward"]
    smaller = None if is_certain else steady_case(program, arrays, backend.function_error)
    if smaller:
        case, share = smaller
        backend.opening.scale(model, share)
        _difference(backend, model, case)
    closer = "with smaller arrays" if smaller else ""
    return Compared(backend.runtime.version(), in_words(largest, rounding, closer))


def _difference(backend: Backend, model: Any, case: Case) -> tuple[float, float]:
    """Return the difference from the reference, and its bound.

    Raises:
        ParityError: it is larger than that.
    """
    found = backend.opening.output(model, case.batch)
    expected, kept = case.truth.output, _defined(case)
    far = distance(found[kept], expected[kept]) if found.shape == expected.shape else math.inf
    allowed = case.bounds(backend.function_error, {case.last: far})[case.last]
    # Written this way, the test also refuses NaN.
    if not far <= allowed:
        wanted = f"within {allowed:.2g} of the reference in {case.dtype}"
        received = f"a difference of {far:.3g}"
        name = f"{backend.name}, opening the original"
        raise ParityError(
            (Difference(case.network.name, name, case.last, "output", wanted, received),)
        )
    return far, allowed


def _defined(case: Case) -> Array:
    """Return where the output of the original is defined, in the shape of the output."""
    real = case.real(case.batch) > 0.0
    layers = case.network.layers
    if any(isinstance(layer, Pooling) and layer.masked for layer in layers):
        # Keras divides by the number of real steps, 0 in a sequence of padding.
        rows = case.mask(case.batch).any(axis=1)
        real &= rows.reshape(-1, *[1] * (real.ndim - 1))
    return real
