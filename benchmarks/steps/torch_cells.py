"""One step at a time in PyTorch: the step form against a loop of ``nn.LSTMCell``."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

import rnnspec
from benchmarks.lane import Prepared
from benchmarks.names import OURS
from benchmarks.networks import Case
from benchmarks.race import Run
from benchmarks.steps.loop import LAYERS, UNITS, built, drawn, looped, prepared

VOCABULARY = 10_000
States = list[tuple[torch.Tensor, torch.Tensor]]


class Cells(nn.Module):
    """The founding stack as cells."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, UNITS)
        self.cells = nn.ModuleList(nn.LSTMCell(UNITS, UNITS) for _ in range(LAYERS))
        self.head = nn.Linear(UNITS, 1)

    def forward(self, tokens: torch.Tensor, states: States) -> tuple[torch.Tensor, States]:
        """Return the output for tokens (batch,), and the new states."""
        x, after = self.embedding(tokens), []
        for cell, state in zip(self.cells, states, strict=True):
            x, c = cell(x, state)
            after.append((x, c))
        return torch.sigmoid(self.head(x)), after

    def take(self, arrays: Mapping[str, Any]) -> None:
        """Write canonical arrays into the model: the gates have the same order."""
        found = {"embedding.weight": arrays["embedding_1.embeddings"]}
        for number in range(LAYERS):
            layer = f"lstm_{number + 1}"
            found[f"cells.{number}.weight_ih"] = arrays[f"{layer}.kernel"].T
            found[f"cells.{number}.weight_hh"] = arrays[f"{layer}.recurrent_kernel"].T
            found[f"cells.{number}.bias_ih"] = arrays[f"{layer}.bias"]
            found[f"cells.{number}.bias_hh"] = np.zeros_like(arrays[f"{layer}.bias"])
        found |= {"head.weight": arrays["dense_1.kernel"].T, "head.bias": arrays["dense_1.bias"]}
        self.load_state_dict({name: torch.tensor(array) for name, array in found.items()})

    @staticmethod
    def zeros(size: int) -> States:
        """Return the states before the first step."""
        return [(torch.zeros(size, UNITS), torch.zeros(size, UNITS)) for _ in range(LAYERS)]


def filled(arrays: Mapping[str, Any]) -> Cells:
    """Return the cells with canonical arrays."""
    cells = Cells().eval()
    cells.take(arrays)
    return cells


def prepare(case: Case) -> Prepared:
    """Build the contestants of a case, and check that they are the same network."""
    torch.set_num_threads(1)
    ours = built(case, "torch").eval()
    cells = filled(rnnspec.read_weights(ours))
    chunks = [torch.from_numpy(chunk) for chunk in drawn(case)]
    singles = [chunk[:, 0] for chunk in chunks]
    loops = {
        OURS: looped(ours, chunks, None),
        "loop of nn.LSTMCell": looped(cells, singles, cells.zeros(case.batch)),
    }
    return prepared({name: _inferred(run) for name, run in loops.items()})


def _inferred(run: Run) -> Run:
    return torch.inference_mode()(run)
