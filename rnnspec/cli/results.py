"""The result of checking one file, the summary of all, and paths as reports name them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rnnspec.errors import Problem, Severity

STDIN = "<stdin>"
"""The name of standard input in messages."""
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
    def first(self) -> tuple[Problem, ...]:
        """The problems to print. There may be thousands, which nobody reads."""
        return self.problems[:_SHOWN]

    @property
    def more(self) -> str:
        """A message with the number of problems that are not printed, empty if all are."""
        number = len(self.problems) - len(self.first)
        return f"{number} more {'problem' if number == 1 else 'problems'}" if number else ""

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


def summary(results: Sequence[Checked], tool: str) -> str:
    """Return one line, as ``3 specs: 2 valid, 1 wrong (4 problems)``."""
    clean = CLEAN[tool]
    specs = [result for result in results if result.state != "foreign"]
    parts = list(_summary_parts(specs, clean))
    if len(parts) == 1 and parts[0].endswith(clean):
        parts = [clean]
    text = f"{_number(len(specs), 'spec')}: {', '.join(parts)}" if specs else "no spec"
    foreign = len(results) - len(specs)
    are = "is not a spec" if foreign == 1 else "are not specs"
    return f"{text}; {_number(foreign, 'file')} {are}" if foreign else text


def _summary_parts(specs: Sequence[Checked], clean: str) -> Iterator[str]:
    read = [spec for spec in specs if spec.state == "checked"]
    good = [spec for spec in read if not spec.problems]
    wrong = [spec for spec in read if spec.wrong]
    advised = [spec for spec in read if spec.problems and not spec.wrong]
    if good:
        yield f"{len(good)} {clean}"
    if wrong:
        problems = sum(len(spec.problems) for spec in wrong)
        yield f"{len(wrong)} wrong ({_number(problems, 'problem')})"
    if advised:
        advice = count_severities(problem for spec in advised for problem in spec.problems)
        yield f"{len(advised)} with advice ({advice})"
    if unread := len(specs) - len(read):
        yield f"{unread} cannot be read"


def count_severities(problems: Iterable[Problem]) -> str:
    """Return ``2 errors, 1 note``."""
    counts = Counter(problem.severity for problem in problems)
    severities: tuple[Severity, ...] = ("error", "warning", "note")
    return ", ".join(_number(counts[name], name) for name in severities if counts[name])


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def readable(path: str) -> str:
    r"""Return ``path`` as Unicode, with bytes that are not UTF-8 written as ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def in_repository(path: str) -> str:
    """Return ``path`` with forward slashes, relative to the root of the repository on GitHub.

    Elsewhere it is relative to the current folder. A file outside keeps its absolute path.
    """
    if path == STDIN:
        return path
    try:
        root, here = os.environ.get("GITHUB_WORKSPACE"), Path.cwd()
    except FileNotFoundError:  # the current folder was removed
        return Path(path).as_posix()
    base = Path(root).resolve() if root else here
    # Not resolve(): in the repository, a file below a link has the path with the link.
    absolute = Path(os.path.normpath(here / path))
    if not here.is_relative_to(base):
        base = here
    return (absolute.relative_to(base) if absolute.is_relative_to(base) else absolute).as_posix()


def uri(path: str) -> str:
    """Return the URI of ``path``, relative if ``in_repository`` is; its bytes are kept."""
    place = Path(in_repository(path))
    return place.as_uri() if place.is_absolute() else quote(os.fsencode(place.as_posix()))
