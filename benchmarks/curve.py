"""Growth of time and memory with a size, and its exponent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Below a thirtieth of the largest size, constant costs hide the growth.
_TAIL = 30


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds and peak bytes by size, in ascending order."""

    name: str
    title: str
    what: str
    sizes: list[int]
    seconds: list[float]
    peak: list[float]

    @property
    def exponents(self) -> tuple[float, float]:
        """The exponents of time and memory; 1 is linear."""
        return exponent(self.sizes, self.seconds), exponent(self.sizes, self.peak)


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return the least-squares slope of the logarithms over the larger sizes."""
    tail = [
        (math.log(n), math.log(v))
        for n, v in zip(sizes, values, strict=True)
        if n * _TAIL >= sizes[-1]
    ]
    x_mean = sum(x for x, _ in tail) / len(tail)
    y_mean = sum(y for _, y in tail) / len(tail)
    above = sum((x - x_mean) * (y - y_mean) for x, y in tail)
    # A power law is a straight line on logarithmic axes, and its slope is the exponent.
    return above / sum((x - x_mean) ** 2 for x, _ in tail)
