"""PyTorch's two exporters. A loop over an ``LSTMCell`` is what no stock layer computes."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.export import Dim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.exporters.judge import File, verdict
from benchmarks.exporters.rows import FEATURES, ROWS, TRACED, UNITS, Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.exporters.judge import Feed
    from rnnspec.slots import Array

_STOCK: dict[str, Any] = {"simple": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Stock(nn.Module):
    """A stock layer over sequences of one length."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        options = {"num_layers": row.layers, "bidirectional": row.bidirectional}
        self.rnn = _STOCK[row.cell](FEATURES, UNITS, batch_first=True, **options)

    def forward(self, x: Any) -> Any:
        return self.rnn(x)[0]


class Packed(Stock):
    """A stock layer over packed sequences; the lengths are an input."""

    def forward(self, x: Any, lengths: Any) -> Any:  # type: ignore[override]
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.rnn(packed)[0], batch_first=True)[0]


class States(Stock):
    """A stock layer that takes its states, and returns them."""

    def forward(self, x: Any, h: Any, c: Any) -> Any:  # type: ignore[override]
        out, (h, c) = self.rnn(x, (h, c))
        return out, h, c


class Loop(nn.Module):
    """A loop over the steps, which keeps the states at padding."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.cell = _HardCell() if row.hard else nn.LSTMCell(FEATURES, UNITS)
        self.padded = row.padding != "none"

    def forward(self, x: Any) -> Any:
        h = c = x.new_zeros(x.shape[0], UNITS)
        for step in range(x.shape[1]):
            new_h, new_c = self.cell(x[:, step], (h, c))
            real = (x[:, step] != 0).any(1, keepdim=True) if self.padded else None
            h = new_h if real is None else torch.where(real, new_h, h)
            c = new_c if real is None else torch.where(real, new_c, c)
        return h


class _HardCell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.x, self.h = nn.Linear(FEATURES, 4 * UNITS), nn.Linear(UNITS, 4 * UNITS)

    def forward(self, x: Any, states: Any) -> Any:
        h, c = states
        i, f, g, o = (self.x(x) + self.h(h)).chunk(4, 1)
        gate = nn.functional.hardsigmoid
        c = gate(f) * c + gate(i) * torch.tanh(g)
        return gate(o) * torch.tanh(c), c


def module(row: Row) -> nn.Module:
    """Return the module of a row, as one writes it in PyTorch."""
    torch.manual_seed(0)
    if row.hard or row.padding == "inside":
        return Loop(row).eval()
    made = Packed if row.padding == "right" else States if row.states else Stock
    return made(row).eval()


def feed(row: Row, sizes: tuple[int, int]) -> Feed:
    """Return the inputs of a row: the batch, and its lengths or states."""
    batch = row.batch(sizes)
    if row.padding == "right":
        # The longest one has all steps, or the output would be shorter.
        return batch, (batch != 0).any(2).sum(1).astype(np.int64)
    if row.states:
        rng = np.random.default_rng(1)
        return batch, *rng.standard_normal((2, 1, sizes[0], UNITS)).astype(np.float32)
    return (batch,)


def truth(made: nn.Module, inputs: Feed) -> Array:
    with torch.no_grad():
        output = made(*map(torch.from_numpy, inputs))
    return np.asarray(output[0] if isinstance(output, tuple) else output)


def dynamo(folder: Path, row: Row, made: nn.Module) -> File:
    """Export by ``torch.export``; ``Dim.AUTO`` leaves sizes open where it can."""
    inputs = tuple(map(torch.from_numpy, feed(row, TRACED)))
    batch: dict[int, Any] = {0: Dim.AUTO, 1: Dim.AUTO}
    more = [{1 if each.ndim == 3 else 0: Dim.AUTO} for each in inputs[1:]]
    path = folder / "dynamo.onnx"
    torch.onnx.export(made, inputs, path, dynamo=True, dynamic_shapes=(batch, *more), verbose=False)
    return File.of(path)


def legacy(folder: Path, row: Row, made: nn.Module) -> File:
    """Export by tracing, with both sizes dynamic."""
    inputs = tuple(map(torch.from_numpy, feed(row, TRACED)))
    names = ["x", "a", "b"][: len(inputs)]
    axes = {"x": {0: "batch", 1: "steps"}}
    axes |= {
        name: {1 if each.ndim == 3 else 0: "batch"}
        for name, each in zip(names[1:], inputs[1:], strict=True)
    }
    path = folder / "legacy.onnx"
    torch.onnx.export(made, inputs, path, dynamo=False, input_names=names, dynamic_axes=axes)
    return File.of(path)


def run(folder: Path) -> dict[str, dict[str, str]]:
    """Return the cells of both exporters."""
    warnings.simplefilter("ignore")
    tools: dict[str, Callable[[Path, Row, nn.Module], File]] = {
        "`dynamo=True`": dynamo,
        "`dynamo=False`": legacy,
    }
    version = torch.__version__.partition("+")[0]
    return {
        f"PyTorch {version}, {name}": {row.title: _judge(folder, tool, row) for row in ROWS}
        for name, tool in tools.items()
    }


def _judge(folder: Path, tool: Callable[[Path, Row, nn.Module], File], row: Row) -> str:
    made = module(row)
    return verdict(partial(tool, folder, row, made), partial(feed, row), partial(truth, made))
