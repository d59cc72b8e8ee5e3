"""The result of checking one file, and the summary of all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rnnspec.errors import Problem, Severity

State = Literal["checked", "foreign", "unreadable"]

_SHOWN = 50
CLEAN = {"validate": "valid", "lint": "clean"}
"""The word that each command uses for a spec without problems."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of checking one file.

    ``foreign``: the file was found in a folder and is not a spec. ``unreadable``: it cannot be
    read; ``reason`` says why.
    """

    path: str
    problems: tuple[Problem, ...] = ()
    state: State = "checked"
    reason: str = ""

    @property
    def shown(self) -> tuple[Problem, ...]:
        """The problems to print. There may be thousands, which nobody reads."""
        return self.problems[:_SHOWN]

    @property
    def omitted(self) -> int:
        """The number of problems that are not in ``shown``."""
        return len(self.problems) - len(self.shown)

    @property
    def wrong(self) -> bool:
        """True if there is an error."""
        return any(problem.severity == "error" for problem in self.problems)

    @property
    def exit_code(self) -> int:
        """2 if the file cannot be read, 1 if there is an error or a warning, else 0."""
        if self.state == "unreadable":
            return 2
        # All problems count, not only those shown: an error may follow fifty notes.
        return int(any(problem.severity != "note" for problem in self.problems))


def more(result: Checked) -> str:
    """Return a message with the number of problems that are not shown."""
    return f"{result.omitted} more {'problem' if result.omitted == 1 else 'problems'}"


def summary(results: Sequence[Checked], tool: str) -> str:
    """Return one line, as ``3 specs: 2 valid, 1 wrong (4 problems)``."""
    specs = [each for each in results if each.state != "foreign"]
    parts = list(_parts(specs, CLEAN[tool]))
    if len(parts) == 1 and parts[0].endswith(CLEAN[tool]):
        parts = [CLEAN[tool]]
    counted = f"{_number(len(specs), 'spec')}: {', '.join(parts)}" if specs else "no spec"
    foreign = len(results) - len(specs)
    are = "is not a spec" if foreign == 1 else "are not specs"
    return f"{counted}; {_number(foreign, 'file')} {are}" if foreign else counted


def _parts(specs: Sequence[Checked], clean: str) -> Iterator[str]:
    read = [each for each in specs if each.state == "checked"]
    good = [each for each in read if not each.problems]
    wrong = [each for each in read if each.wrong]
    advised = [each for each in read if each.problems and not each.wrong]
    if good:
        yield f"{len(good)} {clean}"
    if wrong:
        problems = sum(len(each.problems) for each in wrong)
        yield f"{len(wrong)} wrong ({_number(problems, 'problem')})"
    if advised:
        advice = counted(problem for each in advised for problem in each.problems)
        yield f"{len(advised)} with advice ({advice})"
    if unread := len(specs) - len(read):
        yield f"{unread} cannot be read"


def counted(problems: Iterable[Problem]) -> str:
    """Return ``2 errors, 1 note``."""
    counts = Counter(problem.severity for problem in problems)
    severities: tuple[Severity, ...] = ("error", "warning", "note")
    return ", ".join(_number(counts[name], name) for name in severities if counts[name])


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
