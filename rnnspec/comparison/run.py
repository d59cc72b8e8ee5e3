"""Build a spec on every backend from the same arrays, and compare their parameters and results."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.backends import form_named, get, having, needs, refusals, ways
from rnnspec.comparison.batch import checked_batch
from rnnspec.comparison.case import Case, batch_of
from rnnspec.comparison.compare import Comparison
from rnnspec.comparison.levels import level_for, levels_up_to, tolerances, trains_own
from rnnspec.comparison.report import ParityReport, SpecParity
from rnnspec.errors import BackendError, UnsupportedError, UsageError
from rnnspec.errors.arguments import list_from, received, seed_from
from rnnspec.ir.params import counts
from rnnspec.machine.memory import memory_for
from rnnspec.pipeline import Program, program
from rnnspec.spec.models import Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rnnspec.backends import Backend
    from rnnspec.comparison.batch import CallerBatch
    from rnnspec.errors import Refusal
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Network

    Source = Spec | str | os.PathLike[str]

# Reentrant, because the progress function of a caller runs while it is held.
_ONE_AT_A_TIME = RLock()
"""Held while frameworks compute: a comparison sets their threads, dtypes and logs for a while."""


def parity(  # noqa: PLR0913 - each is an option of the command line
    specs: Source | Iterable[Source],
    backends: Iterable[str] | None = None,
    *,
    level: str | None = None,
    form: str | None = None,
    dtype: str = "float64",
    seed: int = 0,
    batch: CallerBatch | None = None,
    optimizer: str = "reference",
    progress: Callable[[str], None] = lambda _: None,
) -> ParityReport:
    """Compare specs on every backend, up to a level.

    The model of each backend is built from the same random arrays and run on the same random batch,
    with every pattern of padding if the spec has a mask. The levels compare:

    - ``counts``: parameter counts of each layer and in total, with those of the spec;
    - ``forward``: the input of each layer and the result, in inference, with the NumPy reference;
    - ``gradients``: of a squared error for every trained array, with the reference's derivative
      along a random direction, and element by element between backends;
    - ``training``: losses and arrays of 20 steps of SGD and of Adam, between backends.

    In float64 the last two run in training mode, with dropout at rates of nearly 0: masks are drawn
    and applied, and drop nothing. Calls from several threads wait for each other.

    Args:
        specs: one spec or several, each a path or the result of ``load``.
        backends: their names. By default all that support the level and the dtype; one that is
            not installed or refuses a spec is then left out, and the report says so.
        level: the last level to compare, by default ``gradients``, or ``forward`` for other forms.
        form: the form of source, by default the first one of each backend; ``inference`` and
            ``step``, the latter on random chunks of the batch, are compared up to ``forward``.
        dtype: ``float64``, or ``float32`` with wider tolerances.
        seed: the seed of the arrays, the batches and the directions.
        batch: a batch in place of random ones: tokens (batch, steps), integers, or features
            (batch, steps, features), which are rounded to float32; a mapping if the inputs have
            names, with vectors (batch, features) and labels (batch,) too.
        optimizer: ``own`` to compare each framework's SGD, Adam and AdamW too, in ``training``,
            then the default level. A known difference is reported with its causes, not counted.
        progress: called with ``"NAME on BACKEND"`` before each build.

    Raises:
        SpecError: a spec is wrong.
        UnsupportedError: a named backend does not support a key of a spec, or too few backends do.
        UsageError: an argument is invalid, a file cannot be read, or the batch fits no spec.
        BackendError: a backend is not installed or too old.
        OutOfMemoryError: the arrays or a batch do not fit into memory.
    """
    ready = prepare(
        specs,
        backends,
        level=level,
        form=form,
        dtype=dtype,
        seed=seed,
        batch=batch,
        optimizer=optimizer,
    )
    if not callable(progress):
        raise UsageError(f"progress: expected a function, received {received(progress)}")
    return ready.report(ready.compare(ready.tasks, progress))


@dataclass(frozen=True, slots=True)
class Prepared:
    """Comparisons that are checked and not made yet, one task for each spec."""

    tasks: tuple[Task, ...]
    level: str
    dtype: str
    form: Form | None
    absent: tuple[str, ...] = ()

    def compare(self, tasks: Iterable[Task], progress: Callable[[str], None]) -> list[SpecParity]:
        """Compare specs in this process."""
        with _ONE_AT_A_TIME:
            return [task.compare(progress) for task in tasks]

    def report(self, compared: Iterable[SpecParity]) -> ParityReport:
        """Return the report of these comparisons, or of a part of them."""
        allowed = {name: tolerances(self.dtype)[name] for name in levels_up_to(self.level)[1:]}
        specs = tuple(compared)
        return ParityReport(self.level, self.dtype, allowed, specs, self.form, self.absent)


def prepare(  # noqa: PLR0913 - each is an option of the command line
    specs: Source | Iterable[Source],
    backends: Iterable[str] | None = None,
    *,
    level: str | None = None,
    form: str | None = None,
    dtype: str = "float64",
    seed: int = 0,
    batch: CallerBatch | None = None,
    optimizer: str = "reference",
) -> Prepared:
    """Check a comparison without importing a framework; arguments and errors as in ``parity``."""
    of_form = form_named(form)
    optimizers = trains_own(optimizer, level, dtype)
    level = level_for("training" if optimizers else level, of_form)
    chosen = comparable(backends, level, dtype, of_form, optimizers=optimizers)
    options = _Options(level, of_form, dtype, seed_from(seed), batch, optimizers)
    if isinstance(specs, str | os.PathLike | Spec):
        programs = [program(specs)]
    else:
        programs = [program(spec) for spec in list_from("specs", specs)]
    plans = _plan_all(programs, chosen, options, named=backends is not None)
    # Before anything is built.
    for backend in chosen:
        backend.require()
    for network in (plan.program.network for plan in plans):
        if batch is not None:
            checked_batch(network, batch, batch_of(network))
    tasks = tuple(Task(plan, options) for plan in plans)
    left_out = absent(level, dtype, of_form, optimizers=optimizers) if backends is None else []
    names = tuple(backend.name for backend in left_out)
    return Prepared(tasks, level, dtype, of_form, names)


@dataclass(frozen=True, slots=True)
class Task:
    """One spec to compare, which can be pickled for another process."""

    plan: _ParityPlan
    options: _Options

    @property
    def source(self) -> str:
        """The path of the spec."""
        return self.plan.program.source

    @property
    def network(self) -> Network:
        """The network to compare."""
        return self.plan.program.network

    def compare(self, progress: Callable[[str], None] = lambda _: None) -> SpecParity:
        """Build the spec on each backend, and compare them."""
        options, network, program = self.options, self.network, self.plan.program
        seed, dtype, form = options.seed, options.dtype, options.form
        total = counts(network)
        size = np.dtype(dtype).itemsize * (total.trainable + total.non_trainable)
        with memory_for(size, f"the arrays of {network.name} in {dtype}"):
            # A batch may be larger than the memory, and counting needs none.
            if options.level == "counts":
                case = Case.to_count(program, seed, dtype, form)
            else:
                case = Case.of(program, seed, dtype, options.batch, form)
            comparison = Comparison(case, options.level, options.optimizers)
            for backend in map(get, self.plan.backends):
                progress(f"{network.name} on {backend.title}")
                comparison.add(backend)
            return replace(comparison.report(), refused=self.plan.refused)


def comparable(
    backends: Iterable[str] | None,
    level: str,
    dtype: str,
    form: Form | None = None,
    *,
    optimizers: bool = False,
) -> list[Backend]:
    """Return the named backends, each once, or the installed ones that support ``level``.

    They support it in ``dtype``. A backend that does not write source of ``form`` does not count,
    nor, with ``optimizers``, one without optimizers of its own.

    Raises:
        UsageError: a backend, the level or the dtype is unknown, or a backend does not support it.
        BackendError: none is named, and too few are installed.
    """
    levels_up_to(level)
    tolerances(dtype)
    required = _required(level, dtype, form, optimizers=optimizers)
    if backends is not None:
        # Named twice, a backend would be compared with itself.
        return list(dict.fromkeys(get(name, *required) for name in list_from("backends", backends)))
    able = having(*required)
    installed = [backend for backend in able if backend.installed]
    least = _least(level)
    if len(installed) < least <= len(able):
        what = "only one backend" if installed else "no backend"
        need = "is installed, and training is compared between two" if installed else "is installed"
        left = [backend for backend in able if backend not in installed]
        raise BackendError(f"{what} {need}: {ways(left)}")
    return installed


def absent(
    level: str, dtype: str, form: Form | None = None, *, optimizers: bool = False
) -> list[Backend]:
    """Return the backends that could be compared if they were installed."""
    able = having(*_required(level, dtype, form, optimizers=optimizers))
    return [backend for backend in able if not backend.installed]


def _required(
    level: str, dtype: str, form: Form | None, *, optimizers: bool
) -> tuple[needs.Need, ...]:
    need = (needs.OPTIMIZERS,) if optimizers else ()
    return (needs.level(level), needs.dtype(dtype), *needs.source(form), *need)


def _least(level: str) -> int:
    """Return the smallest number of backends that can be compared."""
    return 2 if level == "training" else 1


@dataclass(frozen=True, slots=True)
class _ParityPlan:
    """One spec, the backends that it is compared on, and those that refuse it."""

    program: Program
    backends: Sequence[str]
    refused: dict[str, tuple[Refusal, ...]]


def _plan_all(
    programs: Sequence[Program], chosen: Sequence[Backend], options: _Options, *, named: bool
) -> list[_ParityPlan]:
    """Plan each comparison; backends that the user named must all take part."""
    if not chosen or not programs:
        raise UsageError("expected at least one spec and one backend")
    least = _least(options.level)
    if len(chosen) < least:
        raise UsageError("training is compared between backends; expected at least two of them")
    least = len(chosen) if named else least
    return [_plan(one, chosen, options.form, least) for one in programs]


def _plan(one: Program, chosen: Sequence[Backend], form: Form | None, least: int) -> _ParityPlan:
    """Leave out the backends that refuse a spec, unless fewer than ``least`` remain."""
    by_name = {backend.name: refusals(backend, one.network, form) for backend in chosen}
    refused = {name: keys for name, keys in by_name.items() if keys}
    if len(chosen) - len(refused) < least:
        name, keys = next(iter(refused.items()))
        raise UnsupportedError(one.source, name, keys)
    return _ParityPlan(one, [name for name in by_name if name not in refused], refused)


@dataclass(frozen=True, slots=True)
class _Options:
    level: str
    form: Form | None
    dtype: str
    seed: int
    batch: CallerBatch | None
    optimizers: bool
