"""Random specs of the whole language, each compared by parity; a failing one is shrunk."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Any, Protocol

from rnnspec.comparison.drawn.passes import Comparer, Outcome, passes
from rnnspec.comparison.drawn.texts import Texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rnnspec.comparison.drawn.passes import Largest, Pass
    from rnnspec.errors import RnnspecError


@dataclass(frozen=True, slots=True)
class OnBackend:
    """The number of specs compared on a backend, in ``dtype``, and the largest differences."""

    dtype: str
    compared: int
    largest: Largest

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {"dtype": self.dtype, "compared": self.compared, "largest": self.largest}


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search: the number of specs compared, and the smallest that failed, if any.

    ``backends`` has the part of each backend by name. ``spec`` is the failing spec as YAML, and
    ``error`` its error. ``refused`` counts the specs that too few backends accept to compare.
    """

    compared: int
    backends: dict[str, OnBackend]
    spec: str = ""
    error: RnnspecError | None = None
    refused: int = 0

    @property
    def largest(self) -> Largest:
        """The largest difference of each level in float64."""
        return _widest(each.largest for each in self.backends.values() if each.dtype == "float64")

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
            "backends": {name: each.as_dict() for name, each in self.backends.items()},
            "spec": self.spec,
            "error": str(self.error or ""),
            **({"refused": self.refused} if self.refused else {}),
        }


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcomes of specs in order; the last one may have an error, and then ``spec``."""

    outcomes: list[Outcome]
    spec: str = ""

    def check_accepted(self) -> None:
        """Raise the last refusal if every spec was refused, which must not count as a success."""
        found = self.outcomes
        if found and found[-1].refusal and all(each.refusal for each in found):
            raise found[-1].refusal

    def result(self, single: tuple[str, ...]) -> Found:
        """Return the result of all, in which ``single`` are the backends compared in float32."""
        outcomes = self.outcomes
        equal = list(takewhile(lambda each: each.error is None, outcomes))
        failed = outcomes[len(equal)] if len(equal) < len(outcomes) else Outcome({})
        accepted = [each.largest for each in equal if each.largest]
        names = dict.fromkeys((*chain(*accepted), *single))
        return Found(
            compared=len(accepted),
            backends={name: _on(name, accepted, single) for name in names},
            spec=self.spec,
            error=failed.error,
            refused=len(equal) - len(accepted),
        )


class Sharing(Protocol):
    """A function that compares specs until one differs, and returns the outcomes in order."""

    def __call__(self, comparer: Comparer, texts: Sequence[str]) -> list[Outcome]:
        """Return an outcome for each text, up to the first with an error."""
        ...


@dataclass(frozen=True, slots=True)
class Search:
    """A search among random specs for one that differs."""

    texts: Texts
    passes: tuple[Pass, ...]

    def outcomes(self, sharing: Sharing) -> Outcomes:
        """Return the outcomes up to the first with an error."""
        texts = self.texts.all()
        comparer = Comparer(self.passes)
        outcomes = sharing(comparer, texts)
        if not outcomes or outcomes[-1].error is None:
            return Outcomes(outcomes)
        index = len(outcomes) - 1
        failed = {texts[index]: outcomes[-1]}

        def fails(text: str) -> bool:
            outcome = comparer(text)
            if outcome.error is not None:
                failed[text] = outcome
            return outcome.error is not None

        small = self.texts.smaller(index, fails) or texts[index]
        return Outcomes([*outcomes[:-1], failed[small]], small)

    def again(self, outcomes: Outcomes) -> str:
        """Return the options that ask for the comparison that failed, if one did."""
        failed = outcomes.outcomes[-1].failed_in if outcomes.outcomes else ""
        return next((each.words for each in self.passes if each.dtype == failed), "")

    @property
    def single(self) -> tuple[str, ...]:
        """The backends that are compared in float32."""
        found = [each.backends or () for each in self.passes if each.dtype == "float32"]
        return found[0] if found else ()


def _on(name: str, accepted: Iterable[dict[str, Largest]], single: Sequence[str]) -> OnBackend:
    found = [each[name] for each in accepted if name in each]
    return OnBackend("float32" if name in single else "float64", len(found), _widest(found))


def _widest(found: Iterable[Largest]) -> Largest:
    largest: Largest = {}
    for each in found:
        for level, difference in each.items():
            largest[level] = max(largest.get(level, 0.0), difference)
    return largest


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

    The options are those of ``parity``. Named backends that have no float64 are compared in
    float32, as far as they support the level.

    Raises:
        BackendError: Hypothesis or a backend is not installed.
        UnsupportedError: too few backends accept any of the specs.
        UsageError: a backend or the level is unknown, or a backend does not support the level.
    """
    search = Search(Texts(number, seed), passes(backends, level, form))
    outcomes = search.outcomes(one_by_one(progress))
    outcomes.check_accepted()
    return outcomes.result(search.single)


def one_by_one(progress: Callable[[str], None]) -> Sharing:
    """Return a function that compares specs in this process."""

    def compare(comparer: Comparer, texts: Sequence[str]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for text in texts:
            progress(f"{len(outcomes)} compared")
            outcomes.append(comparer(text))
            if outcomes[-1].error is not None:
                break
        return outcomes

    return compare
