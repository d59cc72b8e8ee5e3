"""The PyTorch model of rnnspec against handwritten Keras on each engine, one process each."""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from importlib.util import find_spec

from benchmarks.budget import Budget
from benchmarks.findings import Findings
from benchmarks.lane import Lane, Prepared
from benchmarks.names import OURS, SEQUENTIAL
from benchmarks.networks import FOUNDING, Case
from benchmarks.race import Effort, Race, log, race, told
from benchmarks.ratio import against_each

_ENGINES = {
    "tensorflow": "Keras on TensorFlow",
    "torch": "Keras on PyTorch",
    "jax": "Keras on JAX",
}
_AIMS = {"Keras on TensorFlow": 1 / 1.5, "Keras on PyTorch": 0.25}
_OURS = "rnnspec.build, PyTorch"


def run(budget: Budget, findings: Findings) -> None:
    """Race every case on all installed engines."""
    cases = list(_cases(quick=budget.quick))
    with ExitStack() as stack:
        near = stack.enter_context(Lane("lanes.torch"))
        # Keras reads KERAS_BACKEND once, when imported, so each engine needs its own process.
        lanes = {name: stack.enter_context(lane) for name, lane in _lanes()}
        for case, effort in budget.shared(cases):
            found = _raced(near, lanes, case, effort)
            findings.add(found, against_each(found, _AIMS if case.training else None))


def _lanes() -> Iterator[tuple[str, Lane]]:
    for engine, name in _ENGINES.items():
        if find_spec(engine):
            yield name, Lane("lanes.keras", engine)
        else:
            log(f"{engine} is not installed: skipped")


def _cases(*, quick: bool) -> Iterator[Case]:
    if quick:
        yield Case("standard_rnn", training=True)
        return
    for network in FOUNDING:
        for padded in (False, True):
            yield Case(network, training=True, padded=padded)
        yield Case(network)
    yield from (Case("stacked_lstm", size, training=True) for size in (1, 256))


def _raced(near: Lane, lanes: Mapping[str, Lane], case: Case, effort: Effort) -> Race:
    mine = near.prepare(case)
    theirs = {}
    for name, lane in lanes.items():
        log(f"{case.title}: building {name}")
        prepared = lane.prepare(case)
        _same(mine, prepared, name)
        theirs[name] = prepared.runs[SEQUENTIAL]
    ours = {_OURS: mine.runs[OURS]}
    return race(f"{case.title}, engines", ours, theirs, effort, warmups=1, measure=told)


def _same(mine: Prepared, other: Prepared, name: str) -> None:
    """Check that the other engine has the same network."""
    # Engines sum in different orders, in float32.
    pairs = zip(mine.output, other.output, strict=True)
    assert all(math.isclose(a, b, rel_tol=1e-2, abs_tol=1e-4) for a, b in pairs), name
