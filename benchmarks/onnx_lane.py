"""Cases in ONNX Runtime: the file of rnnspec, and that of PyTorch's own export; and in PyTorch."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

import rnnspec
from benchmarks import batch, torch_lane
from benchmarks.handwritten_plain import PLAIN
from benchmarks.lane import Prepared
from benchmarks.names import LEGACY_EXPORT, OURS, PYTORCH, STOCK
from benchmarks.networks import Case, text
from benchmarks.race import Run
from rnnspec import pipeline, saving
from rnnspec.backends import get


class Probabilities(nn.Module):
    """A network after its sigmoid, as in the spec."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.network(x))


def prepare(case: Case) -> Prepared:
    """Build the contestants of a case in inference, each on one thread, with equal weights."""
    torch.set_num_threads(1)
    drawn, _ = batch.draw(case.batch, padded=case.padded)
    tokens = torch.from_numpy(drawn)
    ours, plain = torch_lane.built(case).eval(), PLAIN[case.network]().eval()
    with torch.no_grad():
        torch_lane.equal(plain, ours, tokens)
    sessions = {
        OURS: _session(_written(case, rnnspec.read_weights(ours))),
        LEGACY_EXPORT: _session(_exported(plain, tokens)),
    }
    inputs = {"inputs": drawn.astype(np.int64)}
    output, other = (each.run(None, inputs)[0] for each in sessions.values())
    np.testing.assert_allclose(output, other, atol=1e-5)
    runs: dict[str, Run] = {name: _running(each, inputs) for name, each in sessions.items()}
    for name, model in ((PYTORCH, ours), (STOCK, plain)):
        forward = torch_lane.logits(model)
        runs[name] = torch_lane.run_of(case, forward, model, tokens, tokens)
    return Prepared(runs, output.flatten().tolist())


def _running(session: Any, inputs: dict[str, Any]) -> Run:
    def run() -> None:
        session.run(None, inputs)

    return run


def _session(content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _written(case: Case, arrays: dict[str, Any]) -> bytes:
    program = pipeline.reads(text(case))
    generated = pipeline.generate(program, get("onnx"))
    model = pipeline.instantiate(generated)
    generated.store.write(model, arrays)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "ours.onnx"
        saving.save(output, generated, program.spec.document.text, model, force=False)
        return output.read_bytes()


def _exported(model: nn.Module, tokens: torch.Tensor) -> bytes:
    """Return a model as PyTorch's exporter by tracing writes it, which is deprecated but right."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        output = Path(folder) / "theirs.onnx"
        torch.onnx.export(
            Probabilities(model),
            (tokens.long(),),
            output,
            dynamo=False,
            opset_version=18,
            input_names=["inputs"],
            dynamic_axes={"inputs": {0: "batch"}},
        )
        return output.read_bytes()
