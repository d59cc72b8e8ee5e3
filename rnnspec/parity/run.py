"""Build a spec on every backend from the same arrays, and compare what each holds and computes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rnnspec.backends import BACKENDS, get
from rnnspec.compiler import load
from rnnspec.errors import UsageError
from rnnspec.parity.compare import TOLERANCE, Case
from rnnspec.parity.report import ParityReport, SpecParity
from rnnspec.spec.models import Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rnnspec.backends import Backend


def parity(
    specs: Spec | str | os.PathLike[str] | Iterable[Spec | str | os.PathLike[str]],
    backends: Sequence[str] | None = None,
    *,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> ParityReport:
    """Return whether specs mean the same on every backend: equal counts, equal outputs.

    Each backend's model is built in float64 from the same arrays, drawn in NumPy, and run on the
    same random batch. Numbers of parameters are compared layer by layer and in total, trainable
    and not; so are the values that enter each layer and the result, with the float64 NumPy
    reference and between backends.

    Args:
        specs: one spec or several, each a path or what ``load`` returned.
        backends: their names; all there are by default.
        seed: of the arrays and the batch.
        progress: called with ``"NAME on BACKEND"`` before each build.

    Raises:
        SpecError: a spec is wrong.
        UnsupportedError: a backend cannot honour a word of a spec.
        UsageError: an unknown backend, or a file that cannot be read.
        BackendError: a backend is not installed or too old.
    """
    given = [specs] if isinstance(specs, str | os.PathLike | Spec) else list(specs)
    loaded = [spec if isinstance(spec, Spec) else load(spec) for spec in given]
    chosen = [get(name) for name in (backends if backends is not None else BACKENDS)]
    if not chosen or not loaded:
        raise UsageError("expected at least one spec and one backend")
    for backend in chosen:
        backend.require()
    compared = tuple(_compare(spec, chosen, seed, progress) for spec in loaded)
    return ParityReport(TOLERANCE, compared)


def _compare(
    spec: Spec, backends: Sequence[Backend], seed: int, progress: Callable[[str], None]
) -> SpecParity:
    case = Case.of(spec, seed)
    runs = []
    for backend in backends:
        progress(f"{spec.name} on {backend.title}")
        runs.append(case.run(backend))
    return SpecParity(
        name=spec.name,
        layers=case.layers,
        parameters=case.parameters,
        backends={run.backend: run.account for run in runs},
        stock={backend.name: backend.emitter.stock(case.network) for backend in backends},
        differences=(*(d for run in runs for d in run.differences), *case.between(runs)),
    )
