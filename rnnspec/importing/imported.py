"""A trained model of another tool, read from its files, with an account of everything in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from shlex import quote
from typing import TYPE_CHECKING, Any

from rnnspec.errors import ModelError, Problem, UsageError, few, listed, printable, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.errors import Span
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Network

TRAINING_ONLY = "acts in training only"


@dataclass(frozen=True, slots=True)
class Became:
    """A layer of the file, its class there, and what it became in the network."""

    layer: str
    type: str
    became: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", shortened(self.layer))
        object.__setattr__(self, "type", shortened(self.type))


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A model of another tool as a network and its canonical arrays.

    The layers of ``network`` have the names that lowering gives; ``names`` are those that a person
    gave to them in the file, and ``inputs`` are what the file calls each input. ``form`` says in
    words which tool and version wrote the file.
    ``guesses`` are sections of the spec, each with what was guessed there. ``left_out`` and
    ``inferred`` are sentences for the user: what is not carried over, and what the file does not
    say. ``opener`` is the backend whose framework opens the file by itself, and ``unlike`` are the
    reasons why what it opens would not be this model, or why there is nothing to open. ``spec`` is
    the text of the spec, if the file has it, and ``source`` the form of source that rnnspec built
    the file from; ``text`` is that source, written anew. ``open_file``
    returns what computes the output of the file for a batch of the network, if its own framework
    does not do so by itself; with ``padded_at_end``, it takes batches with padding at the end of
    their sequences alone. ``limits`` are numbers in the file beyond which it may compute otherwise.
    ``classes`` are those that the file names and that the source of the network has.
    """

    network: Network
    arrays: Mapping[str, Array]
    names: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    form: str
    layers: tuple[Became, ...] = ()
    guesses: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    inferred: tuple[str, ...] = ()
    opener: str = ""
    unlike: tuple[str, ...] = ()
    spec: str = ""
    source: Form | None = None
    text: str = ""
    open_file: Callable[[], Callable[[Any], Array]] | None = None
    padded_at_end: bool = False
    limits: tuple[float, ...] = ()
    classes: tuple[str, ...] = ()


class Account:
    """Everything that a file contains: refused, left out, inferred, or become a layer.

    ``source`` is the file, for errors. ``ignore`` are the patterns of arrays that the user leaves
    out, None for a live model.
    """

    def __init__(self, source: str, ignore: Sequence[str] | None = None) -> None:
        self.source = source
        self._ignore = ignore
        self._ignored: dict[str, None] = {}
        self._problems: dict[Problem, None] = {}
        self.became: list[Became] = []
        self._left_out: dict[tuple[str, str], dict[str, None]] = {}
        self._inferred: dict[str, dict[str, None]] = {}
        self._guesses: dict[tuple[str, str], None] = {}
        self._unlike: dict[str, None] = {}

    def refuse(
        self, where: str, message: str, code: str, file: str = "", span: Span | None = None
    ) -> None:
        """Record a reason why the model cannot be taken over, with its place in a source file."""
        self._problems[Problem(file or self.source, message, where, span, code)] = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every reason so far why the model cannot be taken over."""
        return tuple(self._problems)

    def keep(self, *codes: str) -> None:
        """Forget the problems of other codes, which another reason explains."""
        self._problems = {one: None for one in self._problems if one.code in codes}

    def adopt(self, other: Account) -> None:
        """Take everything that another account of the same model says."""
        self._problems |= other._problems
        self.became += other.became
        for what, layers in other._left_out.items():
            self._left_out.setdefault(what, {}).update(layers)
        for sentence, layers in other._inferred.items():
            self._inferred.setdefault(sentence, {}).update(layers)
        self._guesses |= other._guesses
        self._unlike |= other._unlike

    def take_ignored(self, names: Sequence[str]) -> dict[str, None]:
        """Return the arrays that the user leaves out, and record them as not carried over.

        Raises:
            UsageError: a pattern matches none of ``names``.
        """
        for pattern in self._ignore or ():
            matched = [name for name in names if fnmatchcase(name, pattern)]
            if not matched:
                message = f"--ignore {quote(pattern)} matches no array; the file has {few(names)}"
                raise UsageError(message, self.source)
            self._ignored |= dict.fromkeys(matched)
        for name in self._ignored:
            self.leave(name, reason="left out by --ignore")
        return self._ignored

    def way_out(self, patterns: Sequence[str]) -> str:
        """Return how to leave out arrays of a file, as the end of a message."""
        if self._ignore is None:
            return ""
        few_and_short = len(patterns) <= 4 and all(len(pattern) < 100 for pattern in patterns)
        quoted = [quote(pattern) for pattern in patterns] if few_and_short else ["PATTERN"]
        options = " ".join(f"--ignore {pattern}" for pattern in quoted)
        return f"; if the network does not need it, leave it out with {options}"

    def reminder(self) -> str:
        """Return which arrays the user leaves out, as the end of a message about missing ones."""
        return f"; --ignore leaves out {few(list(self._ignored))}" if self._ignored else ""

    def leave(self, what: str, layer: str = "", reason: str = TRAINING_ONLY) -> None:
        """Record that something is not carried over, and why."""
        self._left_out.setdefault((what, reason), {}).update({layer: None} if layer else {})

    def infer(self, what: str, layer: str = "") -> None:
        """Record what the file does not say."""
        self._inferred.setdefault(what, {}).update({layer: None} if layer else {})

    def guess(self, section: str, what: str) -> None:
        """Record what was guessed in a section of the spec."""
        # It becomes a comment in the spec.
        self._guesses[section, printable(shortened(what))] = None

    def differ(self, why: str) -> None:
        """Record why the framework that opens the file today would compute something else."""
        self._unlike[why] = None

    def check(self) -> None:
        """Raise ModelError if anything was refused."""
        if self._problems:
            raise ModelError(self.problems)

    def finish(
        self,
        network: Network,
        arrays: Mapping[str, Array],
        form: str,
        names: Mapping[str, str] | None = None,
        opener: str = "",
    ) -> Imported:
        """Return a model with everything that is said here of it."""
        return Imported(
            network=network,
            arrays=arrays,
            names=names or {},
            form=form,
            layers=tuple(self.became),
            guesses=tuple(self._guesses),
            left_out=self.left_out,
            inferred=self.inferred,
            opener=opener,
            unlike=self.unlike,
        )

    @property
    def left_out(self) -> tuple[str, ...]:
        """A sentence for each thing that is not carried over."""
        return tuple(
            shortened(f"{what}{f' of {listed(list(layers))}' if layers else ''} ({reason})")
            for (what, reason), layers in self._left_out.items()
        )

    @property
    def unlike(self) -> tuple[str, ...]:
        """The reasons why what the framework opens would not be this model."""
        return tuple(self._unlike)

    @property
    def inferred(self) -> tuple[str, ...]:
        """A sentence for each thing that the file does not say."""
        sentences = self._inferred.items()
        texts = (f"{listed(list(on))}: {what}" if on else what for what, on in sentences)
        return tuple(map(shortened, texts))


def show_value(value: Any) -> str:
    """Return a value of a configuration as part of a message."""
    from rnnspec.errors import brief

    try:
        return brief(repr(value))
    except RecursionError:  # at a depth that JSON was just read at
        return f"a {type(value).__name__} that is too deep to show"
