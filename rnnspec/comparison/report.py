"""The report of parity: the results of each backend side by side, and every difference."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rnnspec.backends import get
from rnnspec.backends.needs import IN_WORDS
from rnnspec.backends.optimizers import CAUSES
from rnnspec.display import html_of, text_of

if TYPE_CHECKING:
    from rnnspec.backends.contract import Stock
    from rnnspec.backends.optimizers import Cause
    from rnnspec.errors import Difference, Refusal
    from rnnspec.ir.forms import Form
    from rnnspec.ir.params import Counts


@dataclass(frozen=True, slots=True)
class Finding:
    """The largest difference at one level, its place, and how large it may be there.

    If a difference is larger than it may be, it comes before the largest.
    """

    difference: float
    where: str
    allowed: float


@dataclass(frozen=True, slots=True)
class OwnOptimizer:
    """How far a framework's own optimizer goes apart from the written-out one.

    ``known`` has the part of each known cause, and ``rest`` is the difference without them.
    """

    finding: Finding
    known: dict[Cause, float]
    rest: float

    @property
    def causes(self) -> tuple[str, ...]:
        """A line about each known cause."""
        return tuple(f"{part:.1e}: {CAUSES[cause]}" for cause, part in self.known.items())

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        at = {"difference": self.finding.difference, "at": self.finding.where}
        return {**at, "known": dict(self.known), "rest": self.rest}


@dataclass(frozen=True, slots=True)
class BackendResult:
    """The parameter counts and the findings of one backend for one spec, from a form of source.

    The counts leave out zeros that stock layers have beside the parameters of the spec.
    ``findings`` has the largest difference of each level except ``counts``, from the float64
    reference or, in ``training``, from the first backend. ``own`` has the framework's own
    optimizers by name, if they were compared.
    """

    version: str
    layers: dict[str, int]
    parameters: Counts
    findings: dict[str, Finding]
    form: Form = "training"
    own: dict[str, OwnOptimizer] = field(default_factory=dict)

    @property
    def forward_max_difference(self) -> float:
        """The largest difference of the output of any layer."""
        return self.findings["forward"].difference


@dataclass(frozen=True, slots=True)
class SpecParity:
    """One spec on every backend; ``layers`` and ``parameters`` are counts from the spec.

    ``refused`` has the backends that were left out, with the keys that they do not support.
    """

    name: str
    layers: dict[str, int]
    parameters: Counts
    backends: dict[str, BackendResult]
    stock: dict[str, tuple[Stock, ...]]
    differences: tuple[Difference, ...]
    refused: dict[str, tuple[Refusal, ...]] = field(default_factory=dict)

    def bound(self, level: str) -> float | None:
        """Return the bound of a level that all backends share, or None if each has its own."""
        bounds = {result.findings[level].allowed for result in self.backends.values()}
        return bounds.pop() if len(bounds) == 1 else None

    @property
    def own(self) -> dict[str, list[OwnOptimizer]]:
        """The own optimizers of each backend that has some, by their names."""
        own = [result.own for result in self.backends.values() if result.own]
        return {name: [optimizers[name] for optimizers in own] for name in own[0]} if own else {}

    @property
    def known(self) -> dict[str, tuple[str, ...]]:
        """A sentence about each optimizer that is known to differ, with lines about its causes."""
        return {
            f"{get(backend).optimizers}.{name} is known to differ; {optimizer.rest:.1e} without "
            "these causes:": optimizer.causes
            for backend, result in self.backends.items()
            for name, optimizer in result.own.items()
            if optimizer.known
        }

    @property
    def left_out(self) -> tuple[str, ...]:
        """A sentence about each backend that was left out, with the first of its reasons."""
        return tuple(
            f"Left out {backend}: {first.layer}.{first.key}: {first.reason}"
            + (f" (and {len(others)} more)" if others else "")
            for backend, (first, *others) in self.refused.items()
        )

    def __repr__(self) -> str:
        verdict = "equal" if self.equal else "NOT equal"
        return f"SpecParity({self.name}, {verdict} on {', '.join(self.backends)})"

    @property
    def equal(self) -> bool:
        """True if every count is equal and everything else within its tolerance."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class ParityReport:
    """Every spec on every backend.

    ``form`` is the form of source that was asked for, and ``absent`` are the backends that were
    left out because they are not installed. ``tolerances`` has the largest difference that counts
    as equal, by level. It is relative for values above 1. In float32, each output has a
    bound of its own, usually far below that of ``forward``; findings have the bound that was used.
    """

    level: str
    dtype: str
    tolerances: dict[str, float]
    specs: tuple[SpecParity, ...]
    form: Form | None = None
    absent: tuple[str, ...] = ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """A sentence about each backend that is not installed, with how to get it."""
        return tuple(f"Left out {name}: {get(name).absence}" for name in self.absent)

    @property
    def compared(self) -> str:
        """The level, the dtype and the form of the comparison, in words."""
        source = f", source {IN_WORDS[self.form]}" if self.form else ""
        has_own = any(spec.own for spec in self.specs)
        own = ", each framework's own optimizers too" if has_own else ""
        return f"compared up to {self.level} in {self.dtype}{source}{own}"

    @property
    def equal(self) -> bool:
        """True if every spec is equal on every backend."""
        return all(spec.equal for spec in self.specs)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """All differences, in the order of the specs."""
        return tuple(difference for spec in self.specs for difference in spec.differences)

    @property
    def verdict(self) -> str:
        """The verdict, how the specs were compared, and with which versions."""
        number = f"{len(self.specs)} spec{'' if len(self.specs) == 1 else 's'}"
        versions = ", ".join(self.versions)
        return f"{'equal' if self.equal else 'NOT equal'}: {number}, {self.compared} ({versions})"

    @property
    def versions(self) -> list[str]:
        """The versions of the backends."""
        return sorted({result.version for spec in self.specs for result in spec.backends.values()})

    def __str__(self) -> str:
        return text_of(self)

    def __repr__(self) -> str:
        return f"ParityReport({self.verdict})"

    def _repr_html_(self) -> str:
        return html_of(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data, as ``rnnspec parity --json`` prints it."""
        return {
            "equal": self.equal,
            "level": self.level,
            "form": self.form,
            "dtype": self.dtype,
            "tolerances": self.tolerances,
            "specs": [_spec(spec) for spec in self.specs],
            **({"absent": list(self.absent)} if self.absent else {}),
        }


def _spec(spec: SpecParity) -> dict[str, Any]:
    refused = {name: [asdict(refusal) for refusal in words] for name, words in spec.refused.items()}
    return {
        "name": spec.name,
        "equal": spec.equal,
        "layers": spec.layers,
        "parameters": spec.parameters.as_dict(),
        "backends": {name: _backend(result) for name, result in spec.backends.items()},
        "stock": {name: [asdict(s) for s in stock] for name, stock in spec.stock.items() if stock},
        **({"refused": refused} if refused else {}),
        "differences": [asdict(difference) for difference in spec.differences],
    }


def _backend(result: BackendResult) -> dict[str, Any]:
    row: dict[str, Any] = {
        "version": result.version,
        "form": result.form,
        "layers": result.layers,
        "parameters": result.parameters.as_dict(),
    }
    for level, finding in result.findings.items():
        row[f"{level}_max_difference"] = finding.difference
        row[f"{level}_max_difference_at"] = finding.where
        row[f"{level}_tolerance"] = finding.allowed
    if result.own:
        row["own_optimizers"] = {
            name: optimizer.as_dict() for name, optimizer in result.own.items()
        }
    return row
