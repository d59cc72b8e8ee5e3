"""Random specs of the whole language, each compared by parity; a failing one is shrunk.

Hypothesis draws and shrinks them. Nothing else needs it, so it comes with ``rnnspec[dev]``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rnnspec.comparison.run import parity
from rnnspec.errors import (
    BackendError,
    GenerationError,
    ParityError,
    RnnspecError,
    UnsupportedError,
    UsageError,
)
from rnnspec.pipeline import loads
from rnnspec.spec.write import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnnspec.comparison.report import ParityReport
    from rnnspec.spec.models import Spec


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search: the number of specs compared, and the smallest that failed, if any.

    ``spec`` is the failing spec as YAML, and ``error`` its error. ``largest`` has the largest
    difference of each level. ``refused`` counts the specs that too few backends accept to compare.
    """

    compared: int
    largest: dict[str, float]
    spec: str = ""
    error: RnnspecError | None = None
    refused: int = 0

    @property
    def equal(self) -> bool:
        """True if every spec was equal."""
        return self.error is None

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain data, as ``rnnspec parity --random N --json`` prints it."""
        return {
            "equal": self.equal,
            "compared": self.compared,
            "largest": self.largest,
            "spec": self.spec,
            "error": str(self.error or ""),
            **({"refused": self.refused} if self.refused else {}),
        }


def compare_random(  # noqa: PLR0913 - each is an option of the command line
    number: int,
    seed: int,
    backends: Sequence[str] | None = None,
    *,
    level: str | None = None,
    form: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Found:
    """Draw ``number`` valid specs of small networks, and compare each up to ``level`` in float64.

    The options are those of ``parity``.

    Raises:
        BackendError: Hypothesis or a backend is not installed.
        UnsupportedError: too few backends accept any of the specs.
        UsageError: a backend or the level is unknown, or a backend does not support the level.
    """
    search = _Search(partial(parity, backends=backends, level=level, form=form), progress)
    try:
        search.run(number, seed)
    except _FailedError as failed:
        return search.found(failed.spec, failed.error)
    # Otherwise a run in which every spec was refused would count as a success.
    if search.refusal is not None and not search.compared:
        raise search.refusal
    return search.found()


class _FailedError(Exception):
    """The smallest spec that is not equal, and its error."""

    def __init__(self, spec: str, error: RnnspecError) -> None:
        super().__init__(spec, error)
        self.spec = spec
        self.error = error


class _Search:
    """A search that compares each drawn spec, and keeps the largest difference by level."""

    def __init__(
        self, compare: Callable[[Spec], ParityReport], progress: Callable[[str], None]
    ) -> None:
        self.compare = compare
        self.progress = progress
        self.compared = 0
        self.refused = 0
        self.refusal: UnsupportedError | None = None
        self.largest: dict[str, float] = {}

    def found(self, spec: str = "", error: RnnspecError | None = None) -> Found:
        return Found(self.compared, self.largest, spec, error, self.refused)

    def run(self, number: int, seed: int) -> None:
        try:
            import hypothesis
        except ImportError as error:
            message = "random specs need hypothesis: pip install hypothesis"
            raise BackendError(message) from error
        from rnnspec.comparison.strategies import specs

        settings = hypothesis.settings(
            max_examples=number,
            # Only the seed decides what is drawn.
            database=None,
            derandomize=False,
            deadline=None,
            phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
            # Otherwise Hypothesis prints to standard output, like the report.
            verbosity=hypothesis.Verbosity.quiet,
            report_multiple_bugs=False,
            # Building models takes seconds, which the health checks of Hypothesis consider too
            # slow.
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        hypothesis.seed(seed)(settings(hypothesis.given(specs())(self._compare)))()

    def _compare(self, drawn: dict[str, Any]) -> None:
        text = dump(drawn)
        self.progress(f"{self.compared} compared")
        try:
            # Keras warns of a softmax over one unit, which is a valid spec.
            with warnings.catch_warnings(action="ignore"):
                report = self.compare(loads(text, "random.yaml"))
        except (BackendError, UsageError):
            raise  # a fault of the request, not of this spec
        except UnsupportedError as error:
            self.refused += 1
            self.refusal = error
            return
        except RnnspecError as error:
            raise _FailedError(text, error) from error
        except Exception as error:  # raised by a framework: report the spec that causes it
            message = f"{type(error).__name__}: {error}"
            raise _FailedError(text, GenerationError(message, "random.yaml")) from error
        if not report.equal:
            raise _FailedError(text, ParityError(report.differences))
        self.compared += 1
        self._keep(report)

    def _keep(self, report: ParityReport) -> None:
        for spec in report.specs:
            for account in spec.backends.values():
                for level, finding in account.findings.items():
                    largest = self.largest.get(level, 0.0)
                    self.largest[level] = max(largest, finding.difference)
