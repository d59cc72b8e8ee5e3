"""PyTorch: the models of rnnspec against the best handwritten ones, in one process."""

from benchmarks.budget import Budget
from benchmarks.cold import BenchmarkError
from benchmarks.findings import Findings
from benchmarks.lane import Lane
from benchmarks.names import OURS, PACKED, SHARED_MASK, TORCH_COMPILE
from benchmarks.networks import FOUNDING, Case
from benchmarks.race import log, race, told
from benchmarks.ratio import against_each, against_fastest
from benchmarks.rivals import run_race

# Compiling may take longer than all other races together.
_COMPILE_TIMEOUT = 60.0
_LARGEST = (
    Case("imdb_bidirectional_lstm"),
    Case("imdb_bidirectional_lstm", training=True),
    Case("packed_sentiment_lstm", padded=True),
    Case("packed_sentiment_lstm", training=True, padded=True),
)


def run(budget: Budget, findings: Findings) -> None:
    """Race every network, batch size and task, then ``torch.compile`` once."""
    cases = _cases(quick=budget.quick)
    with Lane("lanes.torch") as lane:
        for case, effort in budget.shared(cases, after=1):
            found = run_race(lane, case, effort)
            if case.padded:
                aims = {PACKED: 0.25} if case.training else {}
                findings.add(found, against_each(found, aims))
            else:
                findings.add(found, against_fastest(found, beside=(SHARED_MASK,)))
    if not budget.quick:
        _compile(findings, budget)


def _cases(*, quick: bool) -> list[Case]:
    if quick:
        return [Case("stacked_lstm", 32, t, p) for p in (False, True) for t in (True, False)]
    founding = [
        Case(network, size, training, padded)
        for network in FOUNDING
        for size in (1, 32, 256)
        for padded in (False, True)
        for training in (True, False)
    ]
    return [*founding, *_LARGEST]


def _compile(findings: Findings, budget: Budget) -> None:
    """Race a model against itself compiled, in a process that may time out."""
    case = Case("stacked_lstm", training=True, compiled=True)
    try:
        with Lane("lanes.torch", timeout=_COMPILE_TIMEOUT) as lane:
            runs = lane.prepare(case).runs
            ours, theirs = ({name: runs[name]} for name in (OURS, TORCH_COMPILE))
            found = race(f"{case.title}, compiled", ours, theirs, budget.effort(1), measure=told)
    except BenchmarkError as error:
        log(f"torch.compile: {error}")
        findings.notes.append(f"torch.compile of {case.title}: {str(error).splitlines()[0]}")
        return
    findings.add(found, against_each(found))
