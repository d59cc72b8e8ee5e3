"""Cases in ONNX Runtime: the file of rnnspec and those of other exporters; and in PyTorch.

Each runs on one thread, in inference, with equal weights.
"""

import sys
import tempfile
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

import rnnspec
from benchmarks.handwritten.torch import NETS, Cells, Packed, Pair, Picked
from benchmarks.lanes.steps import Step, prepare_loops, tokens
from benchmarks.lanes.torch import equal_cells, equalize, logits, run_of, stock
from benchmarks.networks import (
    LEGACY_EXPORT,
    OURS,
    PACKED,
    PICKED,
    PYTORCH,
    STOCK,
    TF2ONNX,
    Case,
)
from benchmarks.processes import Prepared, output
from benchmarks.race import Run


def prepare(case: Case) -> Prepared:
    """Build the contestants of a case, and check that they are the same network."""
    torch.set_num_threads(1)
    if case.stepped:
        return _prepare_steps(case)
    drawn, _ = case.draw()
    batch, net = torch.from_numpy(drawn), NETS[case.network]
    ours, theirs = case.build("torch").eval(), {STOCK: stock(net).eval()}
    if case.padded:
        theirs = {PACKED: Packed(net).eval(), PICKED: Picked(net).eval()}
    with torch.no_grad():
        for model in theirs.values():
            equalize(model, ours, batch)
    # PyTorch's exporter fails at pack_padded_sequence within a stack of modules.
    traced = Probabilities(theirs[PICKED if case.padded else STOCK])
    files = {
        OURS: case.build("onnx").to_proto().SerializeToString(),
        # By tracing, where the size of the batch is frozen if the model makes an index of it.
        LEGACY_EXPORT: _export(traced, (batch.long(),), dynamic_axes={"inputs": {0: "batch"}}),
    }
    if find_spec("tensorflow") and find_spec("tf2onnx"):
        files[TF2ONNX] = _convert_keras(case.network, padded=case.padded)
    inputs = {"inputs": drawn.astype(np.int64)}
    outputs, runs = [], dict[str, Run]()
    for name, content in files.items():
        runs[name] = _run_of(open_session(content), inputs)
        outputs.append(np.asarray(runs[name]()))
        np.testing.assert_allclose(outputs[-1], outputs[0], atol=1e-5)
    for name, model in {PYTORCH: ours, **theirs}.items():
        runs[name] = run_of(case, logits(model), model, batch, batch)
    return Prepared(runs, outputs[0].flatten().tolist())


class Probabilities(nn.Module):
    """A network after its sigmoid, as in the spec."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.network(x))


def _run_of(session: Any, inputs: dict[str, Any]) -> Run:
    return lambda: session.run(None, inputs)[0]


def open_session(content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _export(model: nn.Module, inputs: tuple[Any, ...], **options: Any) -> bytes:
    """Return a model as PyTorch's exporter by tracing writes it, which is deprecated."""
    names = ["inputs", *(f"state_{number}" for number in range(len(inputs) - 1))]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        path = Path(folder) / "theirs.onnx"
        torch.onnx.export(
            model, inputs, path, dynamo=False, opset_version=18, input_names=names, **options
        )
        return path.read_bytes()


@cache
def _convert_keras(network: str, *, padded: bool) -> bytes:
    """Return the same network in Keras as tf2onnx writes it, in a process of its own."""
    # For any batch size, and with the weights of all cases, because their seed is the same.
    arrays = rnnspec.read_weights(Case(network, padded=padded).build("torch"))
    with tempfile.TemporaryDirectory() as folder:
        weights, path = Path(folder) / "weights.npz", Path(folder) / "theirs.onnx"
        # By number: the order counts, and not the names.
        np.savez(weights, *arrays.values())
        task = "keras-export-padded" if padded else "keras-export"
        output(sys.executable, "-m", "benchmarks.tasks", task, str(weights), str(path))
        return path.read_bytes()


class Flat(nn.Module):
    """Cells with each state as an argument of its own, as the exporter wants them."""

    def __init__(self, cells: Cells) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, tokens: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the output and the new states."""
        pairs: list[Pair] = list(zip(states[::2], states[1::2], strict=True))
        output, after = self.cells(tokens, pairs)
        return (output, *(state for pair in after for state in pair))


def _prepare_steps(case: Case) -> Prepared:
    """Build the step form, and exported cells of PyTorch."""
    cells = equal_cells(case.build("torch"))
    zeros = [state for pair in cells.zeros(case.batch) for state in pair]
    theirs = _export(Flat(cells), (torch.zeros(case.batch, dtype=torch.long), *zeros))
    ours = case.build("onnx").to_proto().SerializeToString()
    chunks, singles = tokens(case, np.asarray)
    loops = {}
    exported = "cells exported by tracing, in ONNX Runtime"
    for name, content, parts in ((OURS, ours, chunks), (exported, theirs, singles)):
        session = open_session(content)
        _, *states = session.get_inputs()
        start = [np.zeros((case.batch, state.shape[1]), np.float32) for state in states]
        loops[name] = (_step(session), parts, start)
    return prepare_loops(loops)


def _step(session: Any) -> Step:
    """Return the step of a session whose outputs are the result and then the states in order."""
    first, *names = [node.name for node in session.get_inputs()]

    def step(tokens: Any, states: Any) -> tuple[Any, Any]:
        output, *after = session.run(None, {first: tokens, **dict(zip(names, states, strict=True))})
        return output, after

    return step
