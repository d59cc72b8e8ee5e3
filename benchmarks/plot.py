"""A curve as SVG: time and memory by size on logarithmic axes, with the fitted exponents."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.curve import Curve, exponent

_WIDTH, _HEIGHT = 360, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 50, 45
_STYLE = (
    "text{font:12px sans-serif;fill:#222}.grid{stroke:#ddd}.line{fill:none;stroke:#0b6;"
    "stroke-width:2}.point{fill:#0b6}"
)


@dataclass(frozen=True, slots=True)
class _Axis:
    """A logarithmic axis over whole decades, from pixel ``start`` to ``end``."""

    low: int
    high: int
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> "_Axis":
        low = math.floor(math.log10(min(values)))
        # At least one decade, and no extra one if rounding puts a power of ten just above itself.
        high = max(low + 1, math.ceil(math.log10(max(values)) - 1e-9))
        return cls(low, high, start, end)

    def place(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @property
    def decades(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def svg(curve: Curve) -> str:
    """Return the curve's two panels, side by side."""
    panels = (
        ("time, ms", [each * 1e3 for each in curve.seconds]),
        ("peak memory, MB", [each / 1e6 for each in curve.peak]),
    )
    drawn = (
        f'<g transform="translate({number * _WIDTH} 0)">{"".join(_panel(curve, *panel))}</g>'
        for number, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * _WIDTH}" height="{_HEIGHT}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{_LEFT}" y="20">{escape(curve.title)}</text>{"".join(drawn)}</svg>\n'
    )


def _panel(curve: Curve, label: str, values: list[float]) -> Iterator[str]:
    x = _Axis.over([float(size) for size in curve.sizes], _LEFT, _WIDTH - _RIGHT)
    y = _Axis.over(values, _HEIGHT - _BOTTOM, _TOP)
    slope = exponent(curve.sizes, values)
    yield f'<text x="{_LEFT}" y="{_TOP - 10}">{label}; exponent {slope:.2f}</text>'
    yield f'<text x="{(_LEFT + _WIDTH) / 2:.0f}" y="{_HEIGHT - 8}">{curve.what}</text>'
    yield from _grid(x, y)
    points = [(x.place(n), y.place(v)) for n, v in zip(curve.sizes, values, strict=True)]
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
    yield f'<polyline class="line" points="{path}"/>'
    yield from (f'<circle class="point" cx="{px:.1f}" cy="{py:.1f}" r="3"/>' for px, py in points)


def _grid(x: _Axis, y: _Axis) -> Iterator[str]:
    for value in x.decades:
        at = x.place(value)
        yield f'<path class="grid" d="M{at:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
        yield f'<text x="{at:.1f}" y="{_HEIGHT - 28}" text-anchor="middle">{value:,.0f}</text>'
    for value in y.decades:
        at = y.place(value)
        yield f'<path class="grid" d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"/>'
        yield f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{value:,g}</text>'
