"""Random specs that depend only on a seed, and the smallest of those that fail."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import hypothesis
from hypothesis.errors import Flaky

from rnnspec.spec.write import dump
from rnnspec_random.strategies import MASKED_MAXIMUM, PROVIDER, specs

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Texts:
    """``number`` specs as YAML, which depend only on the seed.

    The last of ten or more is not drawn, and has what seldom is. With ``decoder``, all are drawn,
    and have a decoder that attends to another sequence.
    """

    number: int
    seed: int
    decoder: bool = False

    def all(self) -> list[str]:
        """Return the specs; a few may be equal."""
        texts: list[str] = []
        self._run(texts.append, shrinks=False)
        is_last_drawn = self.decoder or len(texts) < 10
        return texts if is_last_drawn else [*texts[:-1], dump(MASKED_MAXIMUM)]

    def smaller(self, index: int, fails: Callable[[str], bool]) -> str | None:
        """Return the smallest spec found that fails, starting from the one at ``index``.

        Returns None if that one does not fail again.
        """
        calls = count()

        def check(text: str) -> None:
            # Specs before it have been compared. The same ones are drawn again, because what is
            # drawn depends only on failures.
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
        phases = [hypothesis.Phase.generate, *([hypothesis.Phase.shrink] if shrinks else [])]
        settings = hypothesis.settings(
            max_examples=self.number,
            # Only the seed decides what is drawn.
            backend=PROVIDER,
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

        def check_text(spec: dict[str, Any]) -> None:
            check(dump(spec))

        hypothesis.seed(self.seed)(
            settings(hypothesis.given(specs(decoder=self.decoder))(check_text))
        )()


class _FailedError(Exception):
    """A spec that fails."""

    def __init__(self, spec: str) -> None:
        super().__init__(spec)
        self.spec = spec
