"""How time and memory grow with a size, and the exponent that says so."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_TAIL = 30  # below a thirtieth of the largest size, what is constant hides what grows


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds and peak bytes by size; the sizes rise."""

    name: str
    title: str
    what: str
    sizes: list[int]
    seconds: list[float]
    peak: list[float]

    @property
    def exponents(self) -> tuple[float, float]:
        """Those of time and of memory: 1 is linear."""
        return exponent(self.sizes, self.seconds), exponent(self.sizes, self.peak)


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return the slope of the least-squares line through the logarithms, of the larger sizes."""
    tail = [
        (math.log(n), math.log(v))
        for n, v in zip(sizes, values, strict=True)
        if n * _TAIL >= sizes[-1]
    ]
    x_mean = sum(x for x, _ in tail) / len(tail)
    y_mean = sum(y for _, y in tail) / len(tail)
    above = sum((x - x_mean) * (y - y_mean) for x, y in tail)
    return above / sum((x - x_mean) ** 2 for x, _ in tail)
