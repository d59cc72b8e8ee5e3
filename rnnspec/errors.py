"""Everything rnnspec raises on purpose, and the one place where it becomes text.

RnnspecError
├── SpecError          what was written is wrong: all problems at once, in file order     exit 1
├── UnsupportedError   right, but this backend cannot: every layer, key, reason           exit 1
├── ParityError        backends disagree: where, by how much, what was allowed            exit 1
├── UsageError         the request is wrong, or an input cannot be read                   exit 2
├── BackendError       a backend that is not installed or too old                         exit 3
├── OutputError        an output that cannot be written                                   exit 3
└── GenerationError    rnnspec's own fault                                                exit 3
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one source line; lines and columns count characters from 1."""

    line: int
    column: int
    end_column: int
    text: str = ""
    """The whole source line, without its line break."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one input.

    ``where`` is the path inside the document (``rnn[0].type``), empty for the document itself.
    ``code`` names the page that ``rnnspec explain`` shows.
    """

    source: str
    message: str
    where: str = ""
    span: Span | None = None
    code: str = ""
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A word of the language that one backend cannot honour.

    ``alternatives`` are the backends that refuse nothing of the layer. The registry fills them in:
    no backend knows another.
    """

    layer: str
    key: str
    reason: str
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """Two accounts of one quantity that should be equal: who said it, and what each said.

    ``layer`` is empty where the quantity is the whole network's.
    """

    spec: str
    backend: str
    layer: str
    quantity: str
    expected: str
    received: str


class RnnspecError(Exception):
    """Base class; ``exit_code`` is what the command line exits with."""

    exit_code: ClassVar[int] = 3


class SpecError(RnnspecError):
    """The spec is wrong. ``problems`` holds every problem found, in file order."""

    exit_code = 1

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(render_problem(problem) for problem in self.problems)


class UnsupportedError(RnnspecError):
    """The spec is right, but ``backend`` cannot honour it; ``refusals`` says what and why."""

    exit_code = 1

    def __init__(self, source: str, backend: str, refusals: tuple[Refusal, ...]) -> None:
        super().__init__(source, backend, refusals)
        self.source = source
        self.backend = backend
        self.refusals = refusals

    def __str__(self) -> str:
        return "\n".join(self._line(refusal) for refusal in self.refusals)

    def _line(self, refusal: Refusal) -> str:
        able = f"; {listed(refusal.alternatives)} can" if refusal.alternatives else ""
        return printable(
            f"{self.source}: error: {refusal.layer}.{refusal.key}: "
            f"{self.backend} cannot do this: {refusal.reason}{able}"
        )


class ParityError(RnnspecError):
    """Backends disagree; ``differences`` holds each quantity that is not equal."""

    exit_code = 1

    def __init__(self, differences: tuple[Difference, ...]) -> None:
        super().__init__(differences)
        self.differences = differences

    def __str__(self) -> str:
        return "\n".join(render_difference(difference) for difference in self.differences)


class _MessageError(RnnspecError):
    """An error that is about ``source`` (a path, or the program) as a whole."""

    def __init__(self, message: str, source: str = "rnnspec") -> None:
        super().__init__(message, source)
        self.message = message
        self.source = source

    def __str__(self) -> str:
        return printable(f"{self.source or repr('')}: error: {self.message}")


class UsageError(_MessageError):
    """The request is wrong, or a file named in it cannot be read."""

    exit_code = 2


class BackendError(_MessageError):
    """A backend is not installed, or too old."""


class OutputError(_MessageError):
    """An output cannot be written; what stood there before still does."""


class GenerationError(_MessageError):
    """rnnspec broke one of its own promises; a report of it is welcome."""

    def __str__(self) -> str:
        return f"{super().__str__()} (this is a fault of rnnspec, please report it)"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Return ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def printable(text: str) -> str:
    """Return ``text`` with control, format and bidirectional characters escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


_LONGEST_REASON = 200


def brief(reason: object) -> str:
    """Return what a library or a file says of itself as part of a message: one line, cut short.

    An exception without text is its type.
    """
    text = str(reason).strip().partition("\n")[0] or type(reason).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 3]}..."


def render_problem(problem: Problem) -> str:
    """Return the problem's line, then the source line, underlined."""
    first, span = render_line(problem), problem.span
    return f"{first}\n{_excerpt(span)}" if span and span.text and not span.text.isspace() else first


def render_line(problem: Problem) -> str:
    """Return ``PATH:LINE:COL: error: WHERE: MESSAGE [CODE]``."""
    span = problem.span
    place = f"{problem.source}:{span.line}:{span.column}" if span else problem.source
    where = f"{problem.where}: " if problem.where else ""
    code = f" [{problem.code}]" if problem.code else ""
    return printable(f"{place}: {problem.severity}: {where}{problem.message}{code}")


def render_difference(difference: Difference) -> str:
    """Return one line that says which quantity of which layer differs, and both accounts of it."""
    d = difference
    where = f"{d.layer}: " if d.layer else ""
    return printable(
        f"{d.spec}: error: {d.backend}: {where}{d.quantity}: "
        f"expected {d.expected}, received {d.received}"
    )


_EXCERPT_WIDTH = 100


def _excerpt(span: Span) -> str:
    """Return the source line and a line of carets, cut so that the span stays in view."""
    fits = len(span.text) <= _EXCERPT_WIDTH
    start = 0 if fits else max(0, span.column - 1 - _EXCERPT_WIDTH // 2)
    end = start + _EXCERPT_WIDTH
    lead = ("..." if start else "") + printable(span.text[start : span.column - 1])
    stop = min(span.end_column, span.column + _EXCERPT_WIDTH)
    marked = printable(span.text[span.column - 1 : stop - 1])[:_EXCERPT_WIDTH]
    rest = span.text[span.end_column - 1 : end]
    tail = printable(rest) + ("..." if max(end, span.end_column - 1) < len(span.text) else "")
    gutter = str(span.line)
    return (
        f"  {gutter} | {lead}{marked}{tail}\n"
        f"  {' ' * len(gutter)} | {' ' * _columns(lead)}{'^' * max(1, _columns(marked))}"
    )


def _columns(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes: a wide character has two."""
    if text.isascii():
        return len(text)
    # Imported here: few lines are not ASCII.
    from rich.cells import cell_len

    return cell_len(text)
