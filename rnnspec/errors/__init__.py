"""Exceptions, the only place where they become text, and the wording that messages share.

RnnspecError
├── SpecError          the spec is invalid; lists all problems in file order              exit 1
├── ModelError         a trained model of another tool is not supported                    exit 1
├── UnsupportedError   the spec is valid, but the backend does not support it             exit 1
├── ParityError        backends differ; lists the place and both values                   exit 1
├── UsageError         the request is invalid, or an input cannot be read                 exit 2
├── BackendError       a backend is not installed or too old                              exit 3
├── OutputError        an output cannot be written                                        exit 3
├── OutOfMemoryError   arrays or a batch do not fit into memory                           exit 3
└── GenerationError    a bug in rnnspec                                                   exit 3
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Span:
    """Part of one source line; lines and columns are counted in characters from 1."""

    line: int
    column: int
    end_column: int
    text: str = ""
    """The complete source line, without its line break."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem in one input.

    ``where`` is the path inside the document (``rnn[0].type``), empty for the document itself.
    ``code`` is the code that ``rnnspec explain`` takes.
    """

    source: str
    message: str
    where: str = ""
    span: Span | None = None
    code: str = ""
    severity: Severity = "error"

    def __post_init__(self) -> None:
        _shorten_fields(self, "source", "message", "where")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A key that a backend does not support.

    ``alternatives`` are the backends that refuse nothing of the network. The registry fills them
    in, because no backend knows another.
    """

    layer: str
    key: str
    reason: str
    alternatives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _shorten_fields(self, "layer", "key", "reason")


@dataclass(frozen=True, slots=True)
class Difference:
    """A quantity that should be equal on both sides but is not, with both values.

    ``layer`` is empty if the quantity belongs to the whole network.
    """

    spec: str
    backend: str
    layer: str
    quantity: str
    expected: str
    received: str

    def __post_init__(self) -> None:
        _shorten_fields(self, "spec", "layer", "quantity", "expected", "received")


class RnnspecError(Exception):
    """Base class of all errors; ``exit_code`` is the exit code of the command line."""

    exit_code: ClassVar[int] = 3


class _ProblemsError(RnnspecError):
    """An error about an input, with every problem found in it."""

    exit_code = 1

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        # Exceptions are pickled with the arguments of Exception, so all of them go there.
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(render_problem(problem) for problem in self.problems)


class SpecError(_ProblemsError):
    """The spec is invalid. ``problems`` contains every problem found, in file order."""


class ModelError(_ProblemsError):
    """A trained model cannot be taken over as it is; ``problems`` contains every reason.

    Where the reason is a layer or one of its settings, the problem's ``where`` names it.
    """


class UnsupportedError(RnnspecError):
    """The spec is valid, but ``backend`` does not support it; ``refusals`` lists the reasons."""

    exit_code = 1

    def __init__(self, source: str, backend: str, refusals: tuple[Refusal, ...]) -> None:
        super().__init__(source, backend, refusals)
        self.source = source
        self.backend = backend
        self.refusals = refusals

    def __str__(self) -> str:
        source = f"{printable(self.source)}: error"
        refusals = (render_refusal(refusal, self.backend) for refusal in self.refusals)
        return "\n".join(f"{source}: {refusal}" for refusal in refusals)


class ParityError(RnnspecError):
    """Backends differ; ``differences`` contains each quantity that is not equal."""

    exit_code = 1

    def __init__(self, differences: tuple[Difference, ...]) -> None:
        super().__init__(differences)
        self.differences = differences

    def __str__(self) -> str:
        return "\n".join(render_difference(difference) for difference in self.differences)


class _MessageError(RnnspecError):
    """An error about ``source`` as a whole: a path, or the program."""

    def __init__(self, message: str, source: str = "rnnspec") -> None:
        # A path is shown as it was given, however long a name in it may be.
        message, source = shortened(message), _cut_middle(source, _LONGEST_TEXT)
        super().__init__(message, source)
        self.message = message
        self.source = source

    def __str__(self) -> str:
        # An empty path is shown as '', so that the message does not start with a colon.
        return printable(f"{self.source or repr('')}: error: {self.message}")


class UsageError(_MessageError):
    """The request is invalid, or a file named in it cannot be read."""

    exit_code = 2


class BackendError(_MessageError):
    """A backend is not installed or too old."""


class OutputError(_MessageError):
    """An output cannot be written; the previous file is unchanged."""


class OutOfMemoryError(_MessageError, MemoryError):
    """The arrays of a spec, or a batch, do not fit into memory."""


class GenerationError(_MessageError):
    """A bug in rnnspec: an internal check failed."""

    def __str__(self) -> str:
        return f"{super().__str__()} (this is a bug in rnnspec; please report it)"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Return ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


_MOST_NAMES = 8


def few(names: Sequence[str]) -> str:
    """Return ``a, b and 3 more``: the first names from a file, each cut short."""
    more = [f"{len(names) - _MOST_NAMES:,} more"] if len(names) > _MOST_NAMES else []
    return listed([*map(brief, names[:_MOST_NAMES]), *more])


def printable(text: str) -> str:
    """Return ``text`` with control, format and bidirectional characters escaped."""
    if text.isprintable():
        return text
    # Names and values in messages come from files: raw, they could control the terminal.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


_LONGEST_WORD = 300  # longer than the name of any file in a folder
_LONGEST_TEXT = 5_000  # longer than any path
_LONG_WORD = re.compile(rf"[^\s/\\]{{{_LONGEST_WORD + 1},}}")


def shortened(text: str) -> str:
    """Return the text of a message with long words, such as names from a file, cut in the middle.

    What follows a name often says what to do about it.
    """
    if len(text) <= _LONGEST_WORD:
        return text
    text = _LONG_WORD.sub(lambda word: _cut_middle(word[0], _LONGEST_WORD), text)
    return _cut_middle(text, _LONGEST_TEXT)


def _cut_middle(text: str, longest: int) -> str:
    half = (longest - 3) // 2
    return text if len(text) <= longest else f"{text[:half]}...{text[-half:]}"


def _shorten_fields(record: object, *names: str) -> None:
    """Shorten the text of a frozen record, so that every report of it is short."""
    for name in names:
        object.__setattr__(record, name, shortened(getattr(record, name)))


# Messages of frameworks can be pages long.
_LONGEST_REASON = 200


def brief(reason: object) -> str:
    """Return text of a library or a file for use in a message: its first line, cut short.

    An exception without text is represented by its type.
    """
    text = str(reason).strip().partition("\n")[0] or type(reason).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 3]}..."


def render_problem(problem: Problem) -> str:
    """Return the line of the problem, followed by the underlined source line."""
    first, span = render_line(problem), problem.span
    # In a blank line there is nothing to underline.
    return f"{first}\n{_excerpt(span)}" if span and span.text and not span.text.isspace() else first


def render_line(problem: Problem) -> str:
    """Return ``PATH:LINE:COL: error: WHERE: MESSAGE [CODE]``."""
    return render_place(problem, f"{problem.severity}: ")


def render_place(problem: Problem, severity: str = "") -> str:
    """Return ``PATH:LINE:COL: WHERE: MESSAGE [CODE]``, with the severity before the last three."""
    span = problem.span
    place = f"{problem.source}:{span.line}:{span.column}" if span else problem.source
    where = f"{problem.where}: " if problem.where else ""
    code = f" [{problem.code}]" if problem.code else ""
    return printable(f"{place}: {severity}{where}{problem.message}{code}")


def render_refusal(refusal: Refusal, backend: str) -> str:
    """Return ``LAYER.KEY: not supported by BACKEND: REASON``, with the backends that support it."""
    others = listed(refusal.alternatives)
    hint = f"; supported by {others}" if others else ""
    return printable(
        f"{refusal.layer}.{refusal.key}: not supported by {backend}: {refusal.reason}{hint}"
    )


def render_difference(difference: Difference) -> str:
    """Return one line with the layer, the quantity and both values."""
    d = difference
    where = f"{d.layer}: " if d.layer else ""
    return printable(
        f"{d.spec}: error: {d.backend}: {where}{d.quantity}: "
        f"expected {d.expected}, received {d.received}"
    )


# A source line can be as long as the file.
_EXCERPT_WIDTH = 100


def _excerpt(span: Span) -> str:
    """Return the source line and a line of carets, cut so that the span is visible."""
    fits = len(span.text) <= _EXCERPT_WIDTH
    start = 0 if fits else max(0, span.column - 1 - _EXCERPT_WIDTH // 2)
    end = start + _EXCERPT_WIDTH
    lead = ("..." if start else "") + printable(span.text[start : span.column - 1])
    stop = min(span.end_column, span.column + _EXCERPT_WIDTH)
    # Cut again: escaped characters are longer.
    marked = printable(span.text[span.column - 1 : stop - 1])[:_EXCERPT_WIDTH]
    rest = span.text[span.end_column - 1 : end]
    tail = printable(rest) + ("..." if max(end, span.end_column - 1) < len(span.text) else "")
    gutter = str(span.line)
    return (
        f"  {gutter} | {lead}{marked}{tail}\n"
        f"  {' ' * len(gutter)} | {' ' * _columns(lead)}{'^' * max(1, _columns(marked))}"
    )


def _columns(text: str) -> int:
    """Return the width of ``text`` in terminal columns; wide characters take two."""
    if text.isascii():
        return len(text)
    # Imported here because it is slow, and most lines are ASCII.
    from rich.cells import cell_len

    return cell_len(text)
