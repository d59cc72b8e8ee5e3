"""Random specs, each compared by parity; a failing one is shrunk."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from rnnspec.backends import form_named, get, needs
from rnnspec.backends.base import LEVELS
from rnnspec.comparison.levels import level_for
from rnnspec.comparison.run import absent, comparable, parity
from rnnspec.errors import (
    BackendError,
    GenerationError,
    ParityError,
    RnnspecError,
    UnsupportedError,
    UsageError,
)
from rnnspec.pipeline import loads
from rnnspec.version import install_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rnnspec.backends import Backend
    from rnnspec.comparison.report import ParityReport


Largest = dict[str, float]
"""The largest difference by level."""


@dataclass(frozen=True, slots=True)
class Pass:
    """A comparison of a spec on some backends, or on all that can, up to a level in a dtype."""

    backends: tuple[str, ...] | None
    level: str
    dtype: str
    form: str | None

    @property
    def chosen(self) -> list[Backend]:
        """The backends of this pass."""
        return comparable(self.backends, self.level, self.dtype, form_named(self.form))

    @property
    def absent(self) -> list[Backend]:
        """The backends that would be in this pass if they were installed."""
        named = self.backends is not None
        return [] if named else absent(self.level, self.dtype, form_named(self.form))

    @property
    def words(self) -> str:
        """The options of ``rnnspec parity`` that ask for this comparison."""
        form = "" if self.form is None else f" --form {self.form}"
        dtype = "" if self.dtype == "float64" else f" --dtype {self.dtype}"
        return f"--level {self.level}{form}{dtype}"

    def compare(self, text: str) -> ParityReport:
        """Compare a spec."""
        # Keras warns of a softmax over one unit, which is a valid spec.
        with warnings.catch_warnings(action="ignore"):
            spec = loads(text, "random.yaml")
            return parity(spec, self.backends, level=self.level, form=self.form, dtype=self.dtype)


def passes(backends: Sequence[str] | None, level: str | None, form: str | None) -> tuple[Pass, ...]:
    """Return the passes that compare named backends, or all that support the level in float64.

    Named backends that have no float64 are compared in float32, as far as they support the level.

    Raises:
        UsageError: a backend or the level is unknown, or a backend does not support the level.
    """
    of_form = form_named(form)
    level = level_for(level, of_form)
    if backends is None:
        needed = [Pass(None, level, "float64", form)]
    else:
        named = list(dict.fromkeys(get(name, *needs.source(of_form)) for name in backends))
        double = tuple(backend.name for backend in named if "float64" in backend.dtypes)
        single = [backend for backend in named if backend.name not in double]
        needed = [Pass(double, level, "float64", form)] if double or not named else []
        if single:
            # Keep one backend in float64; otherwise this level is not compared.
            reached = [backend.level for backend in single if double and backend.level]
            lowest = min([level, *reached], key=LEVELS.index)
            names = tuple(backend.name for backend in single)
            needed.append(Pass(names, lowest, "float32", form))
    for one in needed:
        _ = one.chosen
    return tuple(needed)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one spec: the largest differences by backend, or the error in one dtype.

    A backend that refuses the spec is left out. ``refusal`` is set if all refuse it.
    """

    largest: dict[str, Largest]
    error: RnnspecError | None = None
    failed_in: str = ""
    refusal: RnnspecError | None = None


@dataclass(frozen=True, slots=True)
class Comparer:
    """A function from the text of a spec to the outcome of comparing it."""

    passes: tuple[Pass, ...]

    def __call__(self, text: str) -> Outcome:
        """Compare a spec in each pass, up to the first that fails.

        Raises:
            BackendError: a backend cannot be used.
            UsageError: the request cannot be honoured for any spec.
        """
        largest: dict[str, Largest] = {}
        refusal: UnsupportedError | None = None
        for comparison in self.passes:
            try:
                report = comparison.compare(text)
            except UnsupportedError as error:
                refusal = refusal or error
                continue
            except (BackendError, UsageError):
                raise  # a fault of the request, not of this spec
            except RnnspecError as error:
                return Outcome(largest, error, comparison.dtype)
            except Exception as error:  # noqa: BLE001 - a framework failed: report the spec
                message = f"{type(error).__name__}: {error}"
                failure = GenerationError(message, "random.yaml")
                failure.__cause__ = error
                return Outcome(largest, failure, comparison.dtype)
            if not report.equal:
                return Outcome(largest, ParityError(report.differences), comparison.dtype)
            (spec,) = report.specs
            largest |= {
                name: {level: finding.difference for level, finding in result.findings.items()}
                for name, result in spec.backends.items()
            }
        return Outcome(largest, refusal=None if largest else refusal)


class Specs(Protocol):
    """Specs as YAML, which depend only on a seed."""

    def all(self) -> list[str]:
        """Return the specs; a few may be equal."""

    def smaller(self, index: int, fails: Callable[[str], bool]) -> str | None:
        """Return the smallest spec found that fails, starting from the one at ``index``.

        Returns None if that one does not fail again.
        """


def draw_specs(number: int, seed: int, *, decoder: bool = False) -> Specs:
    """Return ``number`` specs of small networks, drawn by the package rnnspec-random.

    Raises:
        BackendError: it is not installed.
    """
    for point in entry_points(group="rnnspec.random_specs"):
        specs: Specs = point.load()(number, seed, decoder)
        return specs
    install = install_package("rnnspec-random", "random_specs")
    raise BackendError(f"random specs are not installed: {install}")


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
class SearchResult:
    """The result of a search: the number of specs compared, and the smallest that failed, if any.

    ``backends`` has the part of each backend by name. ``spec`` is the failing spec as YAML, and
    ``error`` its error; ``again`` are the options of ``rnnspec parity`` that compare it again.
    ``refused`` counts the specs that too few backends accept to compare.
    """

    compared: int
    backends: dict[str, OnBackend]
    spec: str = ""
    error: RnnspecError | None = None
    again: str = ""
    refused: int = 0

    @property
    def largest(self) -> Largest:
        """The largest difference of each level in float64."""
        parts = self.backends.values()
        return _largest_of(part.largest for part in parts if part.dtype == "float64")

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
            "backends": {name: part.as_dict() for name, part in self.backends.items()},
            "spec": self.spec,
            "error": str(self.error or ""),
            **({"refused": self.refused} if self.refused else {}),
        }


def _largest_of(parts: Iterable[Largest]) -> Largest:
    largest: Largest = {}
    for part in parts:
        for level, difference in part.items():
            largest[level] = max(largest.get(level, 0.0), difference)
    return largest


def compare_random(  # noqa: PLR0913 - each is an option of the command line
    number: int,
    seed: int,
    backends: Sequence[str] | None = None,
    *,
    level: str | None = None,
    form: str | None = None,
    decoder: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    compare: Callable[[Comparer, Sequence[str]], list[Outcome]] | None = None,
) -> SearchResult:
    """Draw ``number`` valid specs of small networks, and compare each up to ``level`` in float64.

    The options are those of ``parity``. Named backends that have no float64 are compared in
    float32, as far as they support the level. With ``decoder``, all specs have a decoder that
    attends to another sequence. ``compare`` returns the outcomes of specs in order,
    up to the first with an error; by default, they are compared in this process.

    Raises:
        BackendError: rnnspec-random or a backend is not installed.
        UnsupportedError: too few backends accept any of the specs.
        UsageError: a backend or the level is unknown, or a backend does not support the level.
    """
    planned = passes(backends, level, form)
    drawn, comparer = draw_specs(number, seed, decoder=decoder), Comparer(planned)
    texts = drawn.all()
    outcomes = (compare or partial(compare_in_order, progress))(comparer, texts)
    failed, spec = Outcome({}), ""
    if outcomes and outcomes[-1].error is not None:
        index, failed = len(outcomes) - 1, outcomes.pop()
        failures = {texts[index]: failed}

        def fails(text: str) -> bool:
            outcome = comparer(text)
            if outcome.error is not None:
                failures[text] = outcome
            return outcome.error is not None

        spec = drawn.smaller(index, fails) or texts[index]
        failed = failures[spec]
    elif outcomes and outcomes[-1].refusal and all(outcome.refusal for outcome in outcomes):
        # Nothing was compared, which must not count as a success.
        raise outcomes[-1].refusal
    accepted = [outcome.largest for outcome in outcomes if outcome.largest]
    single = next((one.backends or () for one in planned if one.dtype == "float32"), ())
    parts: dict[str, OnBackend] = {}
    for name in dict.fromkeys((*chain(*accepted), *single)):
        differences = [largest[name] for largest in accepted if name in largest]
        dtype = "float32" if name in single else "float64"
        parts[name] = OnBackend(dtype, len(differences), _largest_of(differences))
    return SearchResult(
        compared=len(accepted),
        backends=parts,
        spec=spec,
        error=failed.error,
        again=next((one.words for one in planned if one.dtype == failed.failed_in), ""),
        refused=len(outcomes) - len(accepted),
    )


def compare_in_order(
    progress: Callable[[str], None], comparer: Comparer, texts: Sequence[str]
) -> list[Outcome]:
    """Compare specs in this process, up to the first with an error."""
    outcomes: list[Outcome] = []
    for text in texts:
        progress(f"{len(outcomes)} compared")
        outcomes.append(comparer(text))
        if outcomes[-1].error is not None:
            break
    return outcomes
