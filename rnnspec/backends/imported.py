"""A trained model of another tool, read from its files, with an account of everything in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rnnspec.errors import ModelError, Problem, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.errors import Span
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Network
    from rnnspec.slots import Array

TRAINING_ONLY = "acts in training only"


@dataclass(frozen=True, slots=True)
class Became:
    """A layer of the file, its class there, and what it became in the network."""

    layer: str
    type: str
    became: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A model of another tool as a network and its canonical arrays.

    The layers of ``network`` have the names that lowering gives; ``names`` are those that a person
    gave to them in the file. ``form`` says in words which tool and version wrote the file.
    ``guesses`` are sections of the spec, each with what was guessed there. ``left_out`` and
    ``inferred`` are sentences for the user: what is not carried over, and what the file does not
    say. ``opener`` is the backend whose framework opens the file by itself, and ``unlike`` are the
    reasons why what it opens would not be this model, or why there is nothing to open. ``spec`` is
    the text of the spec, if the file has it, and ``source`` the form of source that rnnspec built
    the file from.
    """

    network: Network
    arrays: Mapping[str, Array]
    names: Mapping[str, str] = field(default_factory=dict)
    form: str
    layers: tuple[Became, ...] = ()
    guesses: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    inferred: tuple[str, ...] = ()
    opener: str = ""
    unlike: tuple[str, ...] = ()
    spec: str = ""
    source: Form | None = None


class Account:
    """Everything that a file contains: refused, left out, inferred, or become a layer.

    ``source`` is the file, for errors.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.became: list[Became] = []
        self._left_out: dict[tuple[str, str], list[str]] = {}
        self._inferred: dict[str, list[str]] = {}
        self._guesses: dict[tuple[str, str], None] = {}
        self._unlike: dict[str, None] = {}

    def refuse(
        self, where: str, message: str, code: str, file: str = "", span: Span | None = None
    ) -> None:
        """Record a reason why the model cannot be taken over, with its place in a source file."""
        problem = Problem(file or self.source, message, where, span, code)
        if problem not in self.problems:
            self.problems.append(problem)

    def leave(self, what: str, layer: str = "", reason: str = TRAINING_ONLY) -> None:
        """Record that something is not carried over, and why."""
        layers = self._left_out.setdefault((what, reason), [])
        if layer and layer not in layers:
            layers.append(layer)

    def infer(self, what: str, layer: str = "") -> None:
        """Record what the file does not say."""
        layers = self._inferred.setdefault(what, [])
        if layer and layer not in layers:
            layers.append(layer)

    def guess(self, section: str, what: str) -> None:
        """Record what was guessed in a section of the spec."""
        self._guesses[section, what] = None

    def differ(self, why: str) -> None:
        """Record why the framework that opens the file today would compute something else."""
        self._unlike[why] = None

    def check(self) -> None:
        """Raise ModelError if anything was refused."""
        if self.problems:
            raise ModelError(tuple(self.problems))

    @property
    def left_out(self) -> tuple[str, ...]:
        """A sentence for each thing that is not carried over."""
        found = self._left_out.items()
        return tuple(f"{_of(what, layers)} ({reason})" for (what, reason), layers in found)

    @property
    def unlike(self) -> tuple[str, ...]:
        """The reasons why what the framework opens would not be this model."""
        return tuple(self._unlike)

    @property
    def guesses(self) -> tuple[tuple[str, str], ...]:
        """The sections of the spec with what was guessed there."""
        return tuple(self._guesses)

    @property
    def inferred(self) -> tuple[str, ...]:
        """A sentence for each thing that the file does not say."""
        found = self._inferred.items()
        return tuple(f"{listed(on)}: {what}" if on else what for what, on in found)


def _of(what: str, layers: list[str]) -> str:
    return f"{what} of {listed(layers)}" if layers else what


def said(value: Any) -> str:
    """Return a value of a configuration as part of a message."""
    from rnnspec.errors import brief

    return brief(repr(value))
