"""Reports of shards as they are read from files, which anyone may have changed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rnnspec.backends.base import LEVELS
from rnnspec.backends.contract import Stock
from rnnspec.comparison.report import BackendResult, Finding, SpecParity
from rnnspec.errors import Difference, Refusal, UsageError, printable
from rnnspec.ir.forms import Form
from rnnspec.ir.params import Counts

Largest = dict[str, float | None]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ShardRecord(_Record):
    """The entry ``shard`` of a report."""

    number: int = Field(ge=1)
    of: int = Field(ge=1)
    cases: int = Field(ge=0)
    asked: dict[str, str | int | tuple[str, ...] | None]
    versions: dict[str, str]
    outcomes: tuple[dict[str, Largest], ...] = ()
    float32: tuple[str, ...] = ()
    again: str = ""
    exit_code: int = 0
    refusal: str = ""

    @property
    def size(self) -> int:
        """The number of cases in this shard."""
        return len(range(self.number - 1, self.cases, self.of))


class _CountsRecord(_Record):
    total: int
    trainable: int
    non_trainable: int

    def counts(self) -> Counts:
        return Counts(self.trainable, self.non_trainable)


class _BackendRecord(_Record):
    version: str
    form: Form
    layers: dict[str, int]
    parameters: _CountsRecord
    forward_max_difference: float | None = None
    forward_max_difference_at: str = ""
    forward_tolerance: float = 0.0
    gradients_max_difference: float | None = None
    gradients_max_difference_at: str = ""
    gradients_tolerance: float = 0.0
    training_max_difference: float | None = None
    training_max_difference_at: str = ""
    training_tolerance: float = 0.0

    def result(self) -> BackendResult:
        findings = {
            level: Finding(
                _infinite(getattr(self, key)),
                getattr(self, f"{key}_at"),
                getattr(self, f"{level}_tolerance"),
            )
            for level in LEVELS[1:]
            if (key := f"{level}_max_difference") in self.model_fields_set
        }
        counts = self.parameters.counts()
        return BackendResult(self.version, self.layers, counts, findings, self.form)


class _SpecRecord(_Record):
    name: str
    equal: bool
    layers: dict[str, int]
    parameters: _CountsRecord
    backends: dict[str, _BackendRecord]
    stock: dict[str, tuple[Stock, ...]]
    refused: dict[str, tuple[Refusal, ...]] = {}
    differences: tuple[Difference, ...]

    def parity(self) -> SpecParity:
        return SpecParity(
            name=self.name,
            layers=self.layers,
            parameters=self.parameters.counts(),
            backends={name: each.result() for name, each in self.backends.items()},
            stock=self.stock,
            differences=self.differences,
            refused=self.refused,
        )


class GivenReport(_Record):
    """The report of a shard of given specs."""

    equal: bool
    level: str
    form: Form | None
    dtype: str
    tolerances: dict[str, float]
    specs: tuple[_SpecRecord, ...]
    shard: ShardRecord

    @property
    def shared(self) -> dict[str, object]:
        """The options that all shards of one run have."""
        own = {"level": self.level, "form": self.form, "dtype": self.dtype}
        return {**own, "tolerances": self.tolerances, **_shared(self.shard)}

    def parities(self) -> list[SpecParity]:
        """Return the results of the specs."""
        return [each.parity() for each in self.specs]

    @property
    def complete(self) -> bool:
        """True if it has every case of its shard."""
        return len(self.specs) == self.shard.size


class RandomReport(_Record):
    """The report of a shard of random specs."""

    equal: bool
    compared: int
    largest: Largest
    backends: Any
    spec: str
    error: str
    refused: int = 0
    shard: ShardRecord

    @property
    def shared(self) -> dict[str, object]:
        """The options that all shards of one run have."""
        return {"float32": self.shard.float32, **_shared(self.shard)}

    @property
    def complete(self) -> bool:
        """True if it has every case of its shard, up to the one that differs."""
        found = len(self.shard.outcomes)
        return found == self.shard.size if self.equal else 0 < found <= self.shard.size

    def largest_of(self, index: int) -> dict[str, dict[str, float]]:
        """Return the largest differences of a case of this shard, by backend and level."""
        found = self.shard.outcomes[index]
        return {
            backend: {level: _infinite(value) for level, value in levels.items()}
            for backend, levels in found.items()
        }


Report = GivenReport | RandomReport
_REPORTS: TypeAdapter[Report] = TypeAdapter(Report)


def read(path: str) -> Report:
    """Return the report of a shard.

    Raises:
        UsageError: the file cannot be read, or contains anything else.
    """
    try:
        report = _REPORTS.validate_json(Path(path).read_bytes())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot read this report: {reason}", path) from None
    except ValidationError:
        message = "expected a report that rnnspec parity --shard I/N --json prints"
        raise UsageError(f"{message}, received something else", path) from None
    if not report.complete or report.shard.number > report.shard.of:
        message = f"expected {report.shard.size} cases in shard {report.shard.number}"
        raise UsageError(f"{message}/{report.shard.of}, received another number", path)
    return report


def _infinite(value: float | None) -> float:
    return math.inf if value is None else value


def _shared(shard: ShardRecord) -> dict[str, object]:
    asked = {printable(key): value for key, value in shard.asked.items()}
    versions = {f"version of {printable(key)}": each for key, each in shard.versions.items()}
    return {**asked, "number of shards": shard.of, "number of specs": shard.cases, **versions}
