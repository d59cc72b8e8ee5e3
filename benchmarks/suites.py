"""The suites by name, each with its time limit; this module has those that run in lanes."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec

from benchmarks import commands, programs
from benchmarks.lanes.steps import STEPS
from benchmarks.networks import (
    CELLS,
    FOUNDING,
    LAYERS,
    LEGACY_EXPORT,
    LSTM_40,
    NNX_RNN,
    ONNX_RUNTIME,
    OURS,
    PACKED,
    PICKED,
    PYTORCH,
    SEQUENTIAL,
    SHARED_MASK,
    STOCK,
    TF2ONNX,
    TORCH_COMPILE,
    XLA,
    Case,
)
from benchmarks.networks import STEPS as SEQUENCE
from benchmarks.processes import BenchmarkError, Lane, is_installed
from benchmarks.race import (
    Aims,
    Budget,
    Findings,
    Race,
    Ratio,
    Runs,
    log,
    ratios,
    ratios_by_speed,
    result,
)
from rnnspec.backends import get

# Compiling takes long on a busy machine.
_JAX_TIMEOUT = 240.0
# torch.compile may take longer than all other races together.
_COMPILE_TIMEOUT = 60.0
_COMPILE_C_TIMEOUT = 300.0
# The lane of each backend that has a step form, and the packages that it needs.
STEP_LANES = {
    "torch": ("torch",),
    "jax": ("flax",),
    "onnx": ("onnxruntime", "torch"),
    "keras": ("keras", "tensorflow"),
}


def runtime(budget: Budget) -> None:
    """Race PyTorch models on every network, batch size and task, then ``torch.compile`` once."""
    sizes, ways = (1, 32, 256), (True, False)
    cases = [Case(n, s, t, p) for n in FOUNDING for s in sizes for p in (False, True) for t in ways]
    largest = (("imdb_bidirectional_lstm", False), ("packed_sentiment_lstm", True))
    cases += [Case(n, training=t, padded=padded) for n, padded in largest for t in (False, True)]
    if budget.quick:
        cases = [Case("stacked_lstm", 32, t, p) for p in (False, True) for t in ways]

    def aims(case: Case) -> Aims:
        if case.padded:
            return {PACKED: 0.25} if case.training else {}
        return _by_speed(beside=(SHARED_MASK,))

    _race_cases(budget, Lane("torch"), cases, aims, after=1)
    if budget.quick:
        return
    case = Case("stacked_lstm", training=True, compiled=True)
    try:
        with Lane("torch", timeout=_COMPILE_TIMEOUT) as lane:
            runs, title = lane.prepare(case).runs, f"{case.title}, compiled"
            ours, theirs = ({name: runs[name]} for name in (OURS, TORCH_COMPILE))
            budget.race(title, ours, theirs, budget.effort(1), measure=result)
    except BenchmarkError as error:
        log(f"torch.compile: {error}")
        note = f"torch.compile of {case.title}: {str(error).splitlines()[0]}"
        budget.findings.notes.append(note)


def single(budget: Budget) -> None:
    """Race PyTorch with a batch of one on one thread, where code around the layers shows most."""
    networks = FOUNDING[:1] if budget.quick else FOUNDING
    cases = [Case(network, 1, t, single=True) for network in networks for t in (True, False)]
    cases += [Case(network, 1, single=True, deployed=True) for network in networks]
    _race_cases(budget, Lane("torch"), cases, lambda _: _by_speed(1.02))


def cells(budget: Budget) -> None:
    """Race cells without a fused layer in PyTorch against handwritten loops."""
    ways = (True,) if budget.quick else (True, False)
    networks = ("recurrent_dropout", "reset_before", "hard_gates")
    cases = [Case(network, training=training) for network in networks for training in ways]
    _race_cases(budget, Lane("torch"), cases, lambda _: _by_speed(1.05))


def stack(budget: Budget) -> None:
    """Race three equal layers in PyTorch, which rnnspec puts into one module."""
    cases = [Case("three_lstm", training=training) for training in (True, False)]
    aims = {"batch first": 1.0, "one module of 3 layers": 1.0}
    _race_cases(budget, Lane("torch"), cases, lambda _: aims)


def layers(budget: Budget) -> None:
    """Race the layers around recurrent ones, poolings, tied weights, heads and joins.

    In each framework the opponent is a model of stock layers with the same meaning.
    """
    networks = list(LAYERS)[: 1 if budget.quick else None]
    # The package of each lane, its title, and whether it can run on one thread.
    frameworks = {
        "torch": ("torch", "PyTorch", True),
        "keras": ("tensorflow", "Keras", True),
        "jax": ("flax", "JAX", False),
    }
    lanes = [lane for lane, (package, *_) in frameworks.items() if find_spec(package)]
    for number, name in enumerate(lanes[: 1 if budget.quick else None], 1):
        _, title, single = frameworks[name]
        cases = [
            Case(network, batch, training, padded, single=single)
            for network in networks
            for batch in (32, 1)
            for padded in (False, True)
            for training in (True, False)
        ]
        lane = Lane(name, "tensorflow" if name == "keras" else "", timeout=_JAX_TIMEOUT)
        after = len(cases) * (len(lanes) - number)
        _race_cases(budget, lane, cases, lambda _: _by_speed(1.02), f", {title}", after=after)


def keras(budget: Budget) -> None:
    """Race Keras on TensorFlow: generated code, handwritten code, and XLA."""
    networks = FOUNDING[:1] if budget.quick else FOUNDING
    cases = [Case(n, training=t, compiled=True) for n in networks for t in (True, False)]
    aims = _by_speed(beside=(XLA, CELLS))
    _race_cases(budget, Lane("keras", "tensorflow"), cases, lambda _: aims, ", Keras")


def onnx(budget: Budget) -> None:
    """Race the ONNX file of a spec against the exports of PyTorch and Keras, and PyTorch itself."""
    aims = dict.fromkeys((LEGACY_EXPORT, TF2ONNX), 1.0)
    plain = aims | dict.fromkeys((PYTORCH, STOCK), 0.5)
    padded = aims | dict.fromkeys((PYTORCH, PACKED, PICKED), 0.75)
    cases = [
        Case("stacked_lstm", size, single=True, padded=is_padded)
        for is_padded in ((False,) if budget.quick else (False, True))
        for size in (1, 32)
    ]
    if not find_spec("tensorflow") or not find_spec("tf2onnx"):
        note = "onnx: no rows for tf2onnx, which needs tensorflow and tf2onnx"
        budget.findings.notes.append(note)
    _race_cases(budget, Lane("onnx"), cases, lambda case: padded if case.padded else plain)


def step(budget: Budget) -> None:
    """Race the step form of each backend, one step at a time, against a loop of cells."""
    case = Case("stacked_lstm", 1, single=True, stepped=True)
    backends = list(STEP_LANES)[: 1 if budget.quick else None]
    for backend, effort in budget.shared(backends):
        if "step" not in get(backend).forms:
            budget.findings.notes.append(f"step: {backend} has no step form")
        elif missing := [name for name in STEP_LANES[backend] if not find_spec(name)]:
            budget.findings.notes.append(f"step: {', '.join(missing)} is not installed")
        else:
            with Lane(backend, "tensorflow" if backend == "keras" else "") as lane:
                ours, theirs = _split(lane.prepare(case).runs)
                title, aims = f"{case.title}, {get(backend).title}", dict.fromkeys(theirs, 1.0)
                budget.race(
                    title, ours, theirs, effort, aims, warmups=1, unit="µs",
                    measure=lambda run: result(run) / STEPS * 1e6,
                )  # fmt: skip


def c(budget: Budget) -> None:
    """Race C, one step at a time and whole sequences, with several flags of the compiler.

    The opponents are RTNeural, the C that onnx2c and emx-onnx-cgen make of the same network's ONNX
    file, ONNX Runtime from Python, and PyTorch.
    """
    ways = [
        (network, stepped) for network in ("stacked_lstm", LSTM_40) for stepped in (True, False)
    ]
    cases = [
        Case(network, 1, single=True, stepped=stepped, flags=flags)
        for network, stepped in ways[2 if budget.quick else 0 :]
        for flags in programs.flag_sets()[-1 if budget.quick else 0 :]
    ]
    notes = [*programs.missing_peers(), f"compiled by {programs.compilers()}"]
    budget.findings.notes += [f"c: {note}" for note in notes]
    # Eigen and xsimd take long to compile on a busy machine.
    with Lane("c", timeout=_COMPILE_C_TIMEOUT) as lane:
        for case, effort in budget.shared(cases):
            ours, theirs = _split(lane.prepare(case).runs)
            budget.race(
                f"{case.title}, C", ours, theirs, effort, partial(aimed_ratios, case), warmups=1,
                unit="ns", measure=lambda run: result(run) / SEQUENCE * 1e9,
            )  # fmt: skip


# By the beginning of the opponent's name, and by flags: some have no aim.
_STEP_AIMS = {
    programs.RTNEURAL: {programs.PORTABLE: 1.05, programs.NATIVE: 0.85},
    programs.ONNX2C: dict.fromkeys(programs.FLAGS, 0.30),
    programs.EMX: dict.fromkeys(programs.FLAGS, 0.30),
    ONNX_RUNTIME: dict.fromkeys(programs.FLAGS, 0.05),
}
_WHOLE_AIMS = {
    ONNX_RUNTIME: {programs.PORTABLE: 1.2, programs.NATIVE: 0.65},
    STOCK: dict.fromkeys(programs.FLAGS, 0.5),
}


def aimed_ratios(case: Case, race: Race) -> Iterator[Ratio]:
    """Yield the ratio to each opponent in C, the fastest first.

    The fastest one of a tool has the aim for it.
    """
    by_tool = _STEP_AIMS if case.stepped else _WHOLE_AIMS
    aims = {tool: by_flags.get(case.flags) for tool, by_flags in by_tool.items()}
    for ratio in sorted(ratios(race), key=lambda ratio: ratio.theirs_median):
        tool = next((tool for tool in aims if ratio.theirs.startswith(tool)), "")
        yield replace(ratio, aim=aims.pop(tool, None))


def engines(budget: Budget) -> None:
    """Race the PyTorch model of rnnspec against handwritten Keras on each engine."""
    titles = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX"}
    cases = [Case("standard_rnn", training=True)]
    if not budget.quick:
        ways = ((True, False), (True, True), (False, False))
        cases = [Case(network, training=t, padded=p) for network in FOUNDING for t, p in ways]
        cases += [Case("stacked_lstm", size, training=True) for size in (1, 256)]
    aims = {"Keras on TensorFlow": 1 / 1.5, "Keras on PyTorch": 0.25}
    # Keras reads KERAS_BACKEND once, when imported, so each engine needs its own process.
    far = {
        f"Keras on {title}": (Lane("keras", engine), SEQUENTIAL)
        for engine, title in titles.items()
        if is_installed(engine)
    }
    _race_lanes(budget, {PYTORCH: (Lane("torch"), OURS), **far}, cases, aims, ", engines")


def flax(budget: Budget) -> None:
    """Race the JAX model of rnnspec against nnx.RNN, Keras on JAX, and rnnspec's on PyTorch."""
    cases = [Case("standard_rnn", training=True)]
    if not budget.quick:
        stacked = Case("stacked_lstm", training=True)
        cases = [stacked, replace(stacked, padded=True), replace(stacked, training=False)]
        cases += [Case(name, training=True) for name in FOUNDING[1:]]
    lanes = {
        "rnnspec.build, JAX": (Lane("jax", timeout=_JAX_TIMEOUT), OURS),
        PYTORCH: (Lane("torch"), OURS),
    }
    if find_spec("keras"):
        lanes["Keras on JAX"] = Lane("keras", "jax", timeout=_JAX_TIMEOUT), SEQUENTIAL
    aims = {PYTORCH: 0.75, "Keras on JAX": 1.0, NNX_RNN: 1.0}
    # Compile times do not count.
    _race_lanes(budget, lanes, cases, aims, ", JAX")


def _by_speed(aim: float = 1.0, beside: Sequence[str] = ()) -> Callable[[Race], Iterable[Ratio]]:
    return lambda race: ratios_by_speed(race, aim, beside)


def _split(runs: Runs) -> tuple[Runs, Runs]:
    """Return the model of rnnspec, and its opponents."""
    return {OURS: runs[OURS]}, {name: run for name, run in runs.items() if name != OURS}


def _race_cases(  # noqa: PLR0913 - each with a name
    budget: Budget,
    lane: Lane,
    cases: Sequence[Case],
    aims: Callable[[Case], Aims],
    suffix: str = "",
    *,
    after: int = 0,
) -> None:
    """Race all contestants of each case in one process; ``after`` more races follow."""
    with lane:
        for case, effort in budget.shared(cases, after):
            sides, title = _split(lane.prepare(case).runs), case.title + suffix
            budget.race(title, *sides, effort, aims(case), warmups=1, measure=result)


def _race_lanes(
    budget: Budget,
    lanes: dict[str, tuple[Lane, str]],
    cases: Sequence[Case],
    aims: dict[str, float],
    suffix: str,
) -> None:
    """Race the model of the first lane against the handwritten one there, and one of each other."""
    with ExitStack() as stack:
        for lane, _ in lanes.values():
            stack.enter_context(lane)
        first = next(iter(lanes))
        for case, effort in budget.shared(cases):
            log(f"{case.title}: building")
            prepared = {name: lane.prepare(case) for name, (lane, _) in lanes.items()}
            for name, other in prepared.items():
                # Engines sum in different orders, in float32.
                pairs = zip(prepared[first].output, other.output, strict=True)
                assert all(math.isclose(a, b, rel_tol=1e-2, abs_tol=1e-4) for a, b in pairs), name
            runs = {name: prepared[name].runs[model] for name, (_, model) in lanes.items()}
            if NNX_RNN in prepared[first].runs:
                runs[NNX_RNN] = prepared[first].runs[NNX_RNN]
            ours, title = {first: runs.pop(first)}, case.title + suffix
            aimed = aims if case.training else None
            budget.race(title, ours, runs, effort, aimed, warmups=1, measure=result)


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite, its seconds in full and with ``--quick``, and the package that it needs."""

    name: str
    full: float
    quick: float
    run: Callable[[Budget], None]
    needs: str = ""

    def measure(self, findings: Findings, *, quick: bool) -> None:
        """Run the suite and add its results to ``findings``."""
        # find_spec, because importing a framework takes seconds, and memory until the end.
        if self.needs and not find_spec(self.needs):
            findings.notes.append(f"{self.name}: {self.needs} is not installed")
            return
        budget = Budget(self.quick if quick else self.full, quick, findings)
        self.run(budget)
        if budget.left_out:
            findings.notes.append(f"{self.name}: time was up, {budget.left_out} races left out")


SUITES = (
    Suite("runtime", 210, 12, runtime, "torch"),
    Suite("single", 40, 4, single, "torch"),
    Suite("engines", 120, 16, engines, "torch"),
    Suite("flax", 100, 12, flax, "flax"),
    Suite("cells", 45, 6, cells, "torch"),
    Suite("layers", 480, 6, layers),
    Suite("keras", 50, 14, keras, "tensorflow"),
    Suite("stack", 15, 10, stack, "torch"),
    Suite("onnx", 80, 16, onnx, "onnxruntime"),
    Suite("step", 60, 8, step, "torch"),
    Suite("c", 300, 40, c, "onnxruntime"),
    Suite("commands", 75, 16, commands.commands),
    Suite("growth", 55, 6, commands.growth),
    Suite("memory", 90, 10, commands.memory),
    Suite("checking", 30, 12, commands.checking),
    Suite("trained", 60, 10, commands.trained, "h5py"),
)
