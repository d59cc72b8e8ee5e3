"""The JAX model of rnnspec against nnx.RNN, Keras on JAX, and the PyTorch model of rnnspec."""

import math
from contextlib import ExitStack
from importlib.util import find_spec

from benchmarks.budget import Budget
from benchmarks.findings import Findings
from benchmarks.lane import Lane, Prepared
from benchmarks.names import NNX_RNN, OURS, SEQUENTIAL
from benchmarks.networks import FOUNDING, Case
from benchmarks.race import Run, race, told
from benchmarks.ratio import against_each

_OURS = "rnnspec.build, JAX"
_KERAS, _TORCH = "Keras on JAX", "rnnspec.build, PyTorch"
_AIMS = {_TORCH: 0.75, _KERAS: 1.0, NNX_RNN: 1.0}
# Compiling takes long on a busy machine.
_TIMEOUT = 240.0


def run(budget: Budget, findings: Findings) -> None:
    """Race every case; compile times do not count."""
    with ExitStack() as stack:
        near = stack.enter_context(Lane("lanes.jax", timeout=_TIMEOUT))
        far = {_TORCH: stack.enter_context(Lane("lanes.torch"))}
        if find_spec("keras"):
            far[_KERAS] = stack.enter_context(Lane("lanes.keras", "jax", timeout=_TIMEOUT))
        for case, effort in budget.shared(_cases(quick=budget.quick)):
            mine = near.prepare(case)
            theirs = {name: each for name, each in mine.runs.items() if name != OURS}
            theirs |= {name: _opponent(mine, name, lane, case) for name, lane in far.items()}
            ours = {_OURS: mine.runs[OURS]}
            found = race(f"{case.title}, JAX", ours, theirs, effort, warmups=1, measure=told)
            findings.add(found, against_each(found, _AIMS if case.training else None))


def _opponent(mine: Prepared, name: str, lane: Lane, case: Case) -> Run:
    prepared = lane.prepare(case)
    pairs = zip(mine.output, prepared.output, strict=True)
    # Engines sum in different orders, in float32.
    assert all(math.isclose(a, b, rel_tol=1e-2, abs_tol=1e-4) for a, b in pairs), name
    return prepared.runs[OURS if name == _TORCH else SEQUENTIAL]


def _cases(*, quick: bool) -> list[Case]:
    if quick:
        return [Case("standard_rnn", training=True)]
    return [
        Case("stacked_lstm", training=True),
        Case("stacked_lstm", training=True, padded=True),
        Case("stacked_lstm"),
        *(Case(name, training=True) for name in FOUNDING[1:]),
    ]
