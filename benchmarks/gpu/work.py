"""The networks, their sizes, and what each framework finds out about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.names import OURS
from benchmarks.race import Effort, Run, race
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.comparison.case import Case, Live
from rnnspec.comparison.levels import distance

CELLS = ("lstm", "gru")
TOLERANCES = {False: 1e-4, True: 1e-2}
"""The largest difference from the float64 reference, without and with TF32 (10 bits)."""
_SPEC = """\
version: 1
name: net
input: {{features: {features}}}
rnn: {{type: {cell}, units: {units}, layers: 2}}
head: {{units: 1}}
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a network and its batch, and the effort of a race."""

    batch: int
    steps: int
    features: int
    units: int
    effort: Effort


SMALL = Sizes(8, 20, 8, 16, Effort(0.5, 4, 20))
LARGE = Sizes(64, 256, 128, 512, Effort(5.0, 10, 100))


@dataclass(slots=True)
class Found:
    """One network in one framework.

    ``fused`` is None if there is no GPU, or if no fused path is expected. ``differences`` are
    without and with TF32, and ``times`` are medians in seconds: ours, and the stock code.
    """

    cell: str
    path: str = ""
    fused: bool | None = None
    differences: list[float] = field(default_factory=list)
    times: dict[str, list[float]] = field(default_factory=dict)

    def compare(self, case: Case, use: Callable[[bool], object], output: Run) -> None:
        """Compare the output with the reference, without TF32 and with it."""
        for allowed in TOLERANCES:
            use(allowed)
            self.differences.append(distance(np.asarray(output()), case.truth.output))
        use(False)

    def measure(self, title: str, ours: Run, theirs: Run, sizes: Sizes) -> None:
        """Measure our code and the stock code in turns."""
        found = race(title, {OURS: ours}, {"stock": theirs}, sizes.effort)
        self.times[title] = [median(found.ours[OURS]), median(found.theirs["stock"])]

    @property
    def wrong(self) -> str:
        """A sentence about what is not as it should be, or an empty string."""
        if self.fused is False:
            return f"{self.cell}: the fused path was not taken: {self.path}"
        limits = zip(TOLERANCES.values(), self.differences, strict=True)
        far = [f"{found:.1e} of {limit:g}" for limit, found in limits if not found <= limit]
        return f"{self.cell}: too far from the reference: {', '.join(far)}" if far else ""


def built(backend: str, cell: str, sizes: Sizes) -> tuple[Case, Live]:
    """Return a network with random arrays, and the model of a backend with them."""
    text = _SPEC.format(cell=cell, features=sizes.features, units=sizes.units)
    case = Case.of(pipeline.reads(text), 0, "float32", batch(sizes))
    live = case.build(get(backend))
    case.reset(live)
    return case, live


def batch(sizes: Sizes) -> NDArray[Any]:
    """Return the inputs, (batch, steps, features)."""
    shape = sizes.batch, sizes.steps, sizes.features
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)
