"""One step at a time in ONNX Runtime: the step form against exported cells of PyTorch."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

import rnnspec
from benchmarks.lane import Prepared
from benchmarks.names import OURS
from benchmarks.networks import Case
from benchmarks.steps.loop import LAYERS, Step, built, drawn, looped, prepared
from benchmarks.steps.torch_cells import Cells, filled


def prepare(case: Case) -> Prepared:
    """Build the contestants of a case, and check that they are the same network."""
    ours = built(case, "onnx")
    cells = filled(rnnspec.read_weights(ours))
    chunks = drawn(case)
    singles = [chunk[:, 0] for chunk in chunks]
    loops = {}
    for name, content, tokens in (
        (OURS, ours.to_proto().SerializeToString(), chunks),
        ("cells exported by tracing, in ONNX Runtime", _exported(cells, case.batch), singles),
    ):
        session = _session(content)
        loops[name] = looped(_step(session), tokens, _zeros(session, case.batch))
    return prepared(loops)


class Flat(nn.Module):
    """Cells with each state as an argument of its own, as the exporter wants them."""

    def __init__(self, cells: Cells) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, tokens: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the output and the new states."""
        pairs = list(zip(states[::2], states[1::2], strict=True))
        output, after = self.cells(tokens, pairs)
        return (output, *(state for pair in after for state in pair))


def _exported(cells: Cells, size: int) -> bytes:
    states = [state for pair in cells.zeros(size) for state in pair]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        output = Path(folder) / "theirs.onnx"
        torch.onnx.export(
            Flat(cells),
            (torch.zeros(size, dtype=torch.long), *states),
            output,
            dynamo=False,
            opset_version=18,
            input_names=["inputs", *(f"state_{number}" for number in range(2 * LAYERS))],
        )
        return output.read_bytes()


def _session(content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _step(session: Any) -> Step:
    """Return the step of a session whose outputs are the result and then the states in order."""
    first, *names = [each.name for each in session.get_inputs()]

    def step(tokens: Any, states: Any) -> tuple[Any, Any]:
        output, *after = session.run(None, {first: tokens, **dict(zip(names, states, strict=True))})
        return output, after

    return step


def _zeros(session: Any, size: int) -> list[Any]:
    _, *states = session.get_inputs()
    return [np.zeros((size, each.shape[1]), np.float32) for each in states]
