"""What parity found: the accounts of each backend side by side, and every difference."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnspec.backends.base import Stock
    from rnnspec.errors import Difference
    from rnnspec.ir.params import Counts


@dataclass(frozen=True, slots=True)
class Account:
    """What one backend holds and computes for one spec.

    ``forward_max_difference`` is the largest absolute difference from the float64 reference, over
    the result and what enters each layer; ``forward_layer`` is where it was found.
    """

    version: str
    layers: dict[str, int]
    parameters: Counts
    forward_max_difference: float
    forward_layer: str


@dataclass(frozen=True, slots=True)
class SpecParity:
    """One spec on every backend; ``layers`` and ``parameters`` are the spec's own arithmetic."""

    name: str
    layers: dict[str, int]
    parameters: Counts
    backends: dict[str, Account]
    stock: dict[str, tuple[Stock, ...]]
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether every count is equal and every output within the tolerance."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class ParityReport:
    """Every spec on every backend. ``tolerance`` is absolute, in float64."""

    tolerance: float
    specs: tuple[SpecParity, ...]

    @property
    def equal(self) -> bool:
        """Whether every spec is equal on every backend."""
        return all(spec.equal for spec in self.specs)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Every difference found, spec after spec."""
        return tuple(difference for spec in self.specs for difference in spec.differences)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data, as ``rnnspec parity --json`` prints it."""
        return {
            "equal": self.equal,
            "tolerance": self.tolerance,
            "specs": [_spec(spec) for spec in self.specs],
        }


def _spec(spec: SpecParity) -> dict[str, Any]:
    return {
        "name": spec.name,
        "equal": spec.equal,
        "layers": spec.layers,
        "parameters": spec.parameters.as_dict(),
        "backends": {name: _account(account) for name, account in spec.backends.items()},
        "stock": {name: [asdict(s) for s in stock] for name, stock in spec.stock.items() if stock},
        "differences": [asdict(difference) for difference in spec.differences],
    }


def _account(account: Account) -> dict[str, Any]:
    return {
        "version": account.version,
        "layers": account.layers,
        "parameters": account.parameters.as_dict(),
        "forward_max_difference": account.forward_max_difference,
        "forward_max_difference_at": account.forward_layer,
    }
