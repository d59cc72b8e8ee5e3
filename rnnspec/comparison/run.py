"""Build a spec on every backend from the same arrays, and compare what each holds and computes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING

from rnnspec.arguments import list_from, received, seed_from
from rnnspec.backends import BACKENDS, get
from rnnspec.comparison.batch import checked_batch
from rnnspec.comparison.case import Case, batch_of
from rnnspec.comparison.compare import Comparison
from rnnspec.comparison.levels import DEFAULT_LEVEL, levels_up_to, tolerances
from rnnspec.comparison.report import ParityReport, SpecParity
from rnnspec.errors import UsageError
from rnnspec.pipeline import Program, program
from rnnspec.spec.models import Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import ArrayLike

    from rnnspec.backends import Backend

    Source = Spec | str | os.PathLike[str]

_ONE_AT_A_TIME = RLock()
"""Held while frameworks compute: a comparison sets their threads, dtypes and logs for a while."""


def parity(  # noqa: PLR0913 - each is a word of the command line
    specs: Source | Iterable[Source],
    backends: Iterable[str] | None = None,
    *,
    level: str = DEFAULT_LEVEL,
    dtype: str = "float64",
    seed: int = 0,
    batch: ArrayLike | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> ParityReport:
    """Return whether specs mean the same on every backend, up to a level.

    Each backend's model is built from the same arrays, drawn in NumPy, and run on the same random
    batch, with every pattern of padding where the spec has a mask, unless a batch is given.
    Compared are, level by level:

    - ``counts``: numbers of parameters, layer by layer and in all, trainable and not, with the
      spec's arithmetic;
    - ``forward``: what enters each layer, and the result, in inference, with the float64 NumPy
      reference and between backends;
    - ``gradients``: of a squared error with respect to every trained array, along a random
      direction with the reference's derivative by complex step, and element by element between
      backends;
    - ``training``: the losses of 20 steps of SGD and of Adam and the arrays after them, between
      backends.

    In float64 the last two run as in training, with dropout at rates of nearly 0: masks are drawn
    and applied, and drop nothing. Calls from several threads wait for each other.

    Args:
        specs: one spec or several, each a path or what ``load`` returned.
        backends: their names; all there are by default.
        level: the last level to compare; each includes those before it.
        dtype: ``float64``, or ``float32`` with wider tolerances.
        seed: of the arrays, the batches and the directions.
        batch: what to run on in place of random batches: tokens (rows, steps), whole numbers, or
            numbers (rows, steps, features), which are rounded to float32.
        progress: called with ``"NAME on BACKEND"`` before each build.

    Raises:
        SpecError: a spec is wrong.
        UnsupportedError: a backend cannot honour a word of a spec.
        UsageError: an argument is none of these, a file cannot be read, or a spec does not take
            the batch.
        BackendError: a backend is not installed or too old.
    """
    options = _Options(_chosen(backends), level, dtype, seed_from(seed), batch)
    allowed = tolerances(dtype)
    levels = levels_up_to(level)
    if not callable(progress):
        raise UsageError(f"progress: expected a function, received {received(progress)}")
    loaded = _loaded(specs)
    if not options.backends or not loaded:
        raise UsageError("expected at least one spec and one backend")
    if "training" in levels and len(options.backends) < 2:
        raise UsageError("training is compared between backends; expected at least two of them")
    for backend in options.backends:
        backend.require()
    for spec in loaded:
        options.check_batch(spec)
    with _ONE_AT_A_TIME:
        compared = tuple(_compare(each, options, progress) for each in loaded)
    return ParityReport(
        level=level,
        dtype=dtype,
        tolerances={name: allowed[name] for name in levels[1:]},
        specs=compared,
    )


def _chosen(names: Iterable[str] | None) -> list[Backend]:
    """Return the backends of these names, each once."""
    if names is None:
        return list(BACKENDS.values())
    return list(dict.fromkeys(get(name) for name in list_from("backends", names)))


def _loaded(specs: Source | Iterable[Source]) -> list[Program]:
    if isinstance(specs, str | os.PathLike | Spec):
        return [program(specs)]
    return [program(spec) for spec in list_from("specs", specs)]


@dataclass(frozen=True, slots=True)
class _Options:
    backends: Sequence[Backend]
    level: str
    dtype: str
    seed: int
    batch: ArrayLike | None

    def check_batch(self, given: Program) -> None:
        """Raise UsageError unless a network takes the batch, before the long work begins."""
        if self.batch is not None:
            checked_batch(given.network.input, self.batch, batch_of(given.network))


def _compare(given: Program, options: _Options, progress: Callable[[str], None]) -> SpecParity:
    case = Case.of(given, options.seed, options.dtype, options.batch)
    comparison = Comparison(case, options.level)
    for backend in options.backends:
        progress(f"{given.network.name} on {backend.title}")
        comparison.add(backend)
    return comparison.report()
