"""Cases in ONNX Runtime: the file of rnnspec and those of other exporters; and in PyTorch.

Each runs on one thread, in inference, with equal weights.
"""

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
from benchmarks import batch
from benchmarks.handwritten.padding import Packed, Picked
from benchmarks.handwritten.plain import PLAIN
from benchmarks.handwritten.torch import NETS
from benchmarks.keras_export import converted
from benchmarks.lane import Prepared
from benchmarks.lanes import torch as torch_lane
from benchmarks.names import LEGACY_EXPORT, OURS, PACKED, PICKED, PYTORCH, STOCK, TF2ONNX
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
    """Build the contestants of a case, and check that they are the same network."""
    torch.set_num_threads(1)
    drawn, _ = batch.draw(case.batch, padded=case.padded)
    tokens = torch.from_numpy(drawn)
    ours, theirs = torch_lane.built(case).eval(), _handwritten(case)
    with torch.no_grad():
        for model in theirs.values():
            torch_lane.equal(model, ours, tokens)
    files = _files(case, rnnspec.read_weights(ours), theirs, tokens)
    sessions = {name: _session(content) for name, content in files.items()}
    inputs = {"inputs": drawn.astype(np.int64)}
    output, *others = (each.run(None, inputs)[0] for each in sessions.values())
    for other in others:
        np.testing.assert_allclose(output, other, atol=1e-5)
    runs: dict[str, Run] = {name: _running(each, inputs) for name, each in sessions.items()}
    for name, model in {PYTORCH: ours, **theirs}.items():
        forward = torch_lane.logits(model)
        runs[name] = torch_lane.run_of(case, forward, model, tokens, tokens)
    return Prepared(runs, output.flatten().tolist())


def _handwritten(case: Case) -> dict[str, nn.Module]:
    if not case.padded:
        return {STOCK: PLAIN[case.network]().eval()}
    net = NETS[case.network]
    return {PACKED: Packed(net).eval(), PICKED: Picked(net).eval()}


def _files(
    case: Case, arrays: dict[str, Any], theirs: dict[str, nn.Module], tokens: torch.Tensor
) -> dict[str, bytes]:
    # PyTorch's exporter fails at pack_padded_sequence within a stack of modules.
    traced = theirs[PICKED if case.padded else STOCK]
    files = {OURS: _written(case, arrays), LEGACY_EXPORT: _exported(traced, tokens)}
    if find_spec("tensorflow") and find_spec("tf2onnx"):
        files[TF2ONNX] = _converted(case.network, padded=case.padded)
    return files


@cache
def _converted(network: str, *, padded: bool) -> bytes:
    # For any batch size, and with the weights of all cases, because their seed is the same.
    ours = torch_lane.built(Case(network, padded=padded))
    return converted(rnnspec.read_weights(ours), padded=padded)


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
    """Return a model as PyTorch's exporter by tracing writes it, which is deprecated.

    Where the model makes an index of its batch, the size of the batch is frozen in the file.
    """
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
