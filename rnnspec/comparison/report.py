"""What parity found: the accounts of each backend side by side, and every difference."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnspec.backends.base import Stock
    from rnnspec.errors import Difference
    from rnnspec.ir.params import Counts


@dataclass(frozen=True, slots=True)
class Finding:
    """The largest difference that one level met, and where."""

    difference: float
    where: str


@dataclass(frozen=True, slots=True)
class Account:
    """What one backend holds and computes for one spec.

    ``findings`` has the largest difference of each level but ``counts``: from the float64
    reference, and in ``training`` from the first backend.
    """

    version: str
    layers: dict[str, int]
    parameters: Counts
    findings: dict[str, Finding]

    @property
    def forward_max_difference(self) -> float:
        """The largest difference of what enters each layer and of the result."""
        return self.findings["forward"].difference


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
        """Whether every count is equal and everything else within its tolerance."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class ParityReport:
    """Every spec on every backend.

    ``tolerances`` are by level: the largest difference that is called equal, relative where the
    numbers are larger than 1.
    """

    level: str
    dtype: str
    tolerances: dict[str, float]
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
            "level": self.level,
            "dtype": self.dtype,
            "tolerances": self.tolerances,
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
    found: dict[str, Any] = {
        "version": account.version,
        "layers": account.layers,
        "parameters": account.parameters.as_dict(),
    }
    for level, finding in account.findings.items():
        found[f"{level}_max_difference"] = finding.difference
        found[f"{level}_max_difference_at"] = finding.where
    return found
