"""One of several parts of a comparison, and what its report records so that it can be joined."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnspec.arguments import received
from rnnspec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rnnspec.comparison.drawn.passes import Outcome

Asked = dict[str, str | int | list[str] | None]
"""The options that decide what is compared, in a form for JSON."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard ``number`` of ``of``, from 1: every ``of``-th case."""

    number: int
    of: int

    @classmethod
    def named(cls, text: str) -> Shard:
        """Return the shard that is named ``I/N``.

        Raises:
            UsageError: the text is not that, or ``I`` is not between 1 and ``N``.
        """
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        number, of = map(int, match.groups()) if match else (0, 0)
        if not 1 <= number <= of:
            message = f"expected I/N, such as 2/5, with I from 1 to N, received {received(text)}"
            raise UsageError(f"shard: {message}")
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def part(self) -> slice:
        """The cases of this shard."""
        return slice(self.number - 1, None, self.of)

    def record(
        self, cases: int, asked: Asked, versions: dict[str, str], more: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the entry ``shard`` of a report: this shard, and what all shards must share.

        ``cases`` is the number of cases in all shards.
        """
        own = {"number": self.number, "of": self.of, "cases": cases}
        return {**own, "asked": asked, "versions": versions, **more}


def digest(values: Iterable[object]) -> str:
    """Return a text that is equal for equal values, as their ``repr`` tells."""
    return hashlib.sha256("\n".join(map(repr, values)).encode()).hexdigest()[:16]


def of_random(outcomes: Sequence[Outcome], single: Sequence[str], again: str) -> dict[str, Any]:
    """Return what the report of a shard of random specs records of every case, in order.

    Each entry of ``outcomes`` has the largest differences by backend and level; it is empty if all
    backends refuse the spec. The last one may be that of a spec that differs.
    """
    error = outcomes[-1].error if outcomes else None
    refusals = [str(each.refusal) for each in outcomes if each.refusal is not None]
    return {
        "outcomes": [each.largest for each in outcomes],
        "float32": [*single],
        "again": again,
        "exit_code": error.exit_code if error else 0,
        "refusal": refusals[-1] if refusals else "",
    }
