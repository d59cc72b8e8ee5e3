"""Draw random specs with Hypothesis, and shrink one that fails.

Nothing else needs Hypothesis, so it comes with ``rnnspec[dev]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from rnnspec.errors import BackendError
from rnnspec.spec.write import dump

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Texts:
    """``number`` specs as YAML, which depend on the seed alone."""

    number: int
    seed: int

    def all(self) -> list[str]:
        """Return the specs, of which a few may be equal.

        Raises:
            BackendError: Hypothesis is not installed.
        """
        found: list[str] = []
        self._run(found.append, shrinks=False)
        return found

    def smaller(self, index: int, fails: Callable[[str], bool]) -> str | None:
        """Return the smallest spec found that fails, starting from the one at ``index``.

        Returns None if that one does not fail again.
        """
        from hypothesis.errors import Flaky

        calls = count()

        def check(text: str) -> None:
            # Specs before it have been compared. The same ones are drawn again, because what is
            # drawn depends on failures alone.
            if next(calls) >= index and fails(text):
                raise _FailedError(text)

        try:
            self._run(check, shrinks=True)
        except _FailedError as failed:
            return failed.spec
        except Flaky:
            return None
        return None

    def _run(self, check: Callable[[str], None], *, shrinks: bool) -> None:
        try:
            import hypothesis
        except ImportError as error:
            message = "random specs need hypothesis: pip install hypothesis"
            raise BackendError(message) from error
        from rnnspec.comparison.drawn.provider import NAME
        from rnnspec.comparison.strategies import specs

        phases = [hypothesis.Phase.generate, *([hypothesis.Phase.shrink] if shrinks else [])]
        settings = hypothesis.settings(
            max_examples=self.number,
            # Only the seed decides what is drawn.
            backend=NAME,
            database=None,
            derandomize=False,
            deadline=None,
            phases=phases,
            # Otherwise Hypothesis prints to standard output, like the report.
            verbosity=hypothesis.Verbosity.quiet,
            report_multiple_bugs=False,
            # Building models takes seconds, which the health checks of Hypothesis consider too
            # slow.
            suppress_health_check=list(hypothesis.HealthCheck),
        )

        def checked(drawn: dict[str, Any]) -> None:
            check(dump(drawn))

        hypothesis.seed(self.seed)(settings(hypothesis.given(specs())(checked)))()


class _FailedError(Exception):
    """A spec that fails."""

    def __init__(self, spec: str) -> None:
        super().__init__(spec)
        self.spec = spec
