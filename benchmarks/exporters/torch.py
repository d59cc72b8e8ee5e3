"""PyTorch's two exporters. A loop over an ``LSTMCell`` is what no stock layer computes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.export import Dim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.exporters.judge import FEATURES, TRACED, UNITS, File, Row, judge

if TYPE_CHECKING:
    from benchmarks.exporters.judge import Feed
    from rnnspec.slots import Array

_STOCK: dict[str, Any] = {"simple": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def tools() -> dict[str, Callable[[Path, Row], str]]:
    """Return the judges of both exporters."""
    version = torch.__version__.partition("+")[0]
    exports = {"`dynamo=True`": _export_dynamo, "`dynamo=False`": _export_by_tracing}
    return {
        f"PyTorch {version}, {name}": partial(_judge_row, export)
        for name, export in exports.items()
    }


def _judge_row(export: Callable[..., File], folder: Path, row: Row) -> str:
    torch.manual_seed(0)
    loops = row.hard or row.padding == "inside"
    model = (Loop(row) if loops else Stock(row)).eval()

    def truth(feed: Feed) -> Array:
        with torch.no_grad():
            output = model(*map(torch.from_numpy, feed))
        return np.asarray(output[0] if isinstance(output, tuple) else output)

    inputs = tuple(map(torch.from_numpy, _feed(row, TRACED)))
    return judge(partial(export, folder, model, inputs), partial(_feed, row), truth)


class Stock(nn.Module):
    """A stock layer; with states or lengths if it gets them."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        options = {"num_layers": row.layers, "bidirectional": row.bidirectional}
        self.rnn = _STOCK[row.cell](FEATURES, UNITS, batch_first=True, **options)

    def forward(self, x: Any, *more: Any) -> Any:
        if not more:
            return self.rnn(x)[0]
        if len(more) == 1:
            packed = pack_padded_sequence(x, more[0], batch_first=True, enforce_sorted=False)
            return pad_packed_sequence(self.rnn(packed)[0], batch_first=True)[0]
        output, states = self.rnn(x, more)
        return output, *states


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


def _feed(row: Row, sizes: tuple[int, int]) -> Feed:
    """Return the inputs of a row: the batch, and its lengths or states."""
    batch = row.batch(sizes)
    if row.padding == "right":
        # The longest one has all steps, or the output would be shorter.
        return batch, (batch != 0).any(2).sum(1).astype(np.int64)
    states = np.random.default_rng(1).standard_normal((2, 1, sizes[0], UNITS)).astype(np.float32)
    return (batch, *(states if row.states else ()))


def _batch_axis(tensor: torch.Tensor) -> int:
    return 1 if tensor.ndim == 3 else 0


def _export_dynamo(folder: Path, model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> File:
    """Export by ``torch.export``; ``Dim.AUTO`` leaves sizes open where it can."""
    path = folder / "dynamo.onnx"
    batch: dict[int, Any] = {0: Dim.AUTO, 1: Dim.AUTO}
    more = tuple({_batch_axis(tensor): Dim.AUTO} for tensor in inputs[1:])
    # The arguments after the first are one argument of ``forward``.
    shapes = (batch, more) if more else (batch,)
    torch.onnx.export(model, inputs, path, dynamo=True, dynamic_shapes=shapes, verbose=False)
    return File.open(path)


def _export_by_tracing(folder: Path, model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> File:
    """Export by tracing, with both sizes dynamic."""
    path = folder / "legacy.onnx"
    names = ["x", "a", "b"][: len(inputs)]
    axes = {"x": {0: "batch", 1: "steps"}}
    for name, tensor in zip(names[1:], inputs[1:], strict=True):
        axes[name] = {_batch_axis(tensor): "batch"}
    torch.onnx.export(model, inputs, path, dynamo=False, input_names=names, dynamic_axes=axes)
    return File.open(path)
