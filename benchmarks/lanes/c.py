"""Cases in C: the source of rnnspec and of other tools, ONNX Runtime and PyTorch, on one thread.

All are compared with the NumPy reference before they run. A run returns the seconds of a sequence,
after one that does not count, because the contestant before has filled the caches. It is the time
of the thread: other processes may only disturb the caches.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from time import thread_time
from typing import Any, Protocol

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

import rnnspec
from benchmarks.handwritten.torch import NETS
from benchmarks.lanes.onnx import Probabilities, open_session
from benchmarks.lanes.torch import equalize, stock
from benchmarks.networks import ONNX_RUNTIME, STEPS, STOCK, Case
from benchmarks.processes import Prepared
from benchmarks.programs import programs
from benchmarks.race import result
from rnnspec import pipeline
from rnnspec.comparison import reference
from rnnspec.ir.nodes import Network

# The seconds of a run that count, at least.
_TIMED = 3e-3
_TOLERANCE = 3e-6
# The lengths of sequences that are compared, one step at a time.
_COMPARED = (1, 10, 100, STEPS)

Array = NDArray[Any]


class Contestant(Protocol):
    """A network with a sequence as its input."""

    @property
    def y(self) -> Array:
        """The output, whose first elements are that of each step, or that of the whole."""

    def time(self, repeats: int) -> float:
        """Return the seconds of a sequence, after one that does not count."""


@dataclass(slots=True)
class Called:
    """A contestant that Python calls; ``run`` returns the outputs."""

    run: Callable[[], Any]
    y: Array

    def time(self, repeats: int) -> float:
        """Return the seconds of a sequence, after one that does not count."""
        self.y = np.ravel(self.run())
        began = thread_time()
        for _ in range(repeats):
            self.run()
        return (thread_time() - began) / repeats


def prepare(case: Case) -> Prepared:
    """Compile and open the contestants of a case, and check that they are the same network."""
    torch.set_num_threads(1)
    batch, _ = case.draw()
    network, graph = pipeline.reads(case.text).network, case.build("onnx")
    arrays = rnnspec.read_weights(graph)
    expected = _expected(case, network, arrays, batch)
    runs, places = {}, [steps - 1 for steps in _COMPARED] if case.stepped else [0]
    for name, contestant in _contestants(case, network, arrays, graph.to_proto(), batch):
        contestant.time(1)
        output = contestant.y[places]
        np.testing.assert_allclose(output, expected, rtol=0, atol=_TOLERANCE, err_msg=name)
        repeats = max(1, round(_TIMED / contestant.time(1)))
        runs[name] = partial(contestant.time, repeats)
    return Prepared(runs, expected, result)


def _expected(case: Case, network: Network, arrays: dict[str, Array], batch: Array) -> list[float]:
    """Return what the reference computes from each part of the sequence that is compared."""
    exact = {name: array.astype(np.float64) for name, array in arrays.items()}
    lengths = _COMPARED if case.stepped else (STEPS,)
    parts = (batch[:, :length] for length in lengths)
    return [reference.run(network, exact, part).output.item() for part in parts]


def _contestants(
    case: Case, network: Network, arrays: dict[str, Array], model: Any, batch: Array
) -> Iterator[tuple[str, Contestant]]:
    for name, program in programs(case, network, arrays, model):
        yield name, program.compile(case.flags, batch)
    session = open_session(model.SerializeToString())
    run = partial(_run_steps if case.stepped else _run_whole, session, batch)
    yield f"{ONNX_RUNTIME} {onnxruntime.__version__}", Called(run, batch)
    if not case.stepped:
        yield f"{STOCK}, PyTorch {torch.__version__}", Called(_torch(case, batch), batch)


def _run_whole(session: Any, batch: Array) -> Any:
    return session.run(None, {"inputs": batch})[0]


def _run_steps(session: Any, batch: Array) -> list[Any]:
    """Return the output of each step; the new states of one are those before the next."""
    first, *states = session.get_inputs()
    names = [state.name for state in states]
    values = [np.zeros((1, state.shape[1]), np.float32) for state in states]
    outputs = []
    for step in range(STEPS):
        feed = {first.name: batch[:, step : step + 1], **dict(zip(names, values, strict=True))}
        output, *values = session.run(None, feed)
        outputs.append(output)
    return outputs


def _torch(case: Case, batch: Array) -> Callable[[], Any]:
    """Return the same network of stock layers."""
    model, x = stock(NETS[case.network]).eval(), torch.from_numpy(batch)
    with torch.no_grad():
        equalize(model, case.build("torch").eval(), x)
    whole = Probabilities(model) if case.has_tokens else model
    return torch.inference_mode()(lambda: whole(x))
