"""Compare a random spec in float64, and in float32 on backends that have no float64."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.backends import form_named, get, needs
from rnnspec.backends.base import LEVELS
from rnnspec.comparison.levels import level_for
from rnnspec.comparison.run import comparable, parity
from rnnspec.errors import (
    BackendError,
    GenerationError,
    ParityError,
    RnnspecError,
    UnsupportedError,
    UsageError,
)
from rnnspec.pipeline import loads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends import Backend
    from rnnspec.comparison.report import ParityReport

Largest = dict[str, float]
"""The largest difference by level."""


@dataclass(frozen=True, slots=True)
class Pass:
    """A comparison of a spec on some backends, or on all that can, up to a level in a dtype."""

    backends: tuple[str, ...] | None
    level: str
    dtype: str
    form: str | None

    @property
    def chosen(self) -> list[Backend]:
        """The backends of this pass."""
        return comparable(self.backends, self.level, self.dtype, form_named(self.form))

    @property
    def words(self) -> str:
        """The options of ``rnnspec parity`` that ask for this comparison."""
        form = "" if self.form is None else f" --form {self.form}"
        dtype = "" if self.dtype == "float64" else f" --dtype {self.dtype}"
        return f"--level {self.level}{form}{dtype}"

    def compare(self, text: str) -> ParityReport:
        """Compare a spec."""
        # Keras warns of a softmax over one unit, which is a valid spec.
        with warnings.catch_warnings(action="ignore"):
            spec = loads(text, "random.yaml")
            return parity(spec, self.backends, level=self.level, form=self.form, dtype=self.dtype)


def passes(backends: Sequence[str] | None, level: str | None, form: str | None) -> tuple[Pass, ...]:
    """Return the passes that compare named backends, or all that support the level in float64.

    Named backends that have no float64 are compared in float32, as far as they support the level.

    Raises:
        UsageError: a backend or the level is unknown, or a backend does not support the level.
    """
    wanted = form_named(form)
    level = level_for(level, wanted)
    if backends is None:
        found = [Pass(None, level, "float64", form)]
    else:
        named = list(dict.fromkeys(get(name, *needs.source(wanted)) for name in backends))
        found = _by_dtype(named, level, form)
    for each in found:
        _ = each.chosen
    return tuple(found)


def _by_dtype(named: Sequence[Backend], level: str, form: str | None) -> list[Pass]:
    double = [each for each in named if "float64" in each.dtypes]
    single = [each for each in named if each not in double]
    found = [Pass(_names(double), level, "float64", form)] if double or not named else []
    if single:
        # Without others in float64, nobody would be compared up to the level that is wanted.
        reached = [each.level for each in single if double and each.level]
        lowest = min([level, *reached], key=LEVELS.index)
        found.append(Pass(_names(single), lowest, "float32", form))
    return found


def _names(backends: Sequence[Backend]) -> tuple[str, ...]:
    return tuple(each.name for each in backends)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one spec: the largest differences by backend, or the error in one dtype.

    A backend that refuses the spec is left out. ``refusal`` is set if all refuse it.
    """

    largest: dict[str, Largest]
    error: RnnspecError | None = None
    failed_in: str = ""
    refusal: RnnspecError | None = None


@dataclass(frozen=True, slots=True)
class Comparer:
    """A function from the text of a spec to the outcome of comparing it."""

    passes: tuple[Pass, ...]

    def __call__(self, text: str) -> Outcome:
        """Compare a spec in each pass, up to the first that fails.

        Raises:
            BackendError: a backend cannot be used.
            UsageError: the request cannot be honoured for any spec.
        """
        largest: dict[str, Largest] = {}
        refusal: UnsupportedError | None = None
        for each in self.passes:
            try:
                report = _compared(each, text)
            except UnsupportedError as error:
                refusal = refusal or error
                continue
            except (BackendError, UsageError):
                raise  # a fault of the request, not of this spec
            except RnnspecError as error:
                return Outcome(largest, error, each.dtype)
            if not report.equal:
                return Outcome(largest, ParityError(report.differences), each.dtype)
            largest |= _largest(report)
        return Outcome(largest, refusal=None if largest else refusal)


def _compared(each: Pass, text: str) -> ParityReport:
    try:
        return each.compare(text)
    except RnnspecError:
        raise
    except Exception as error:  # raised by a framework: report the spec that causes it
        message = f"{type(error).__name__}: {error}"
        raise GenerationError(message, "random.yaml") from error


def _largest(report: ParityReport) -> dict[str, Largest]:
    (spec,) = report.specs
    return {
        name: {level: finding.difference for level, finding in result.findings.items()}
        for name, result in spec.backends.items()
    }
