"""Modules of PyTorch as people write them, from ``modules/*.txt``.

A block of such a file is a module: its layers by name, the statements of its ``forward``, whose
arguments are ``(m, x)`` if none are before the layers, and what is said of it. ``# NAME: INPUT`` at
its begin names it, with a function that draws its inputs or the sizes of features. The line ``at``
begins with the code that a problem marks.
"""

from __future__ import annotations

import math  # noqa: F401 - modules call it
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import rnn

Inputs = tuple[torch.Tensor, ...]


def features() -> Inputs:
    return (torch.randn(4, 6, 3, dtype=torch.float64),)


def tokens() -> Inputs:
    return (torch.randint(1, 9, (4, 6)),)


def padded(drawn: Inputs) -> Inputs:
    (values,), lengths = drawn, torch.tensor([6, 4, 3, 1])
    real = torch.arange(6) < lengths[:, None]
    return values * (real[..., None] if values.dim() == 3 else real), lengths


def padded_tokens() -> Inputs:
    return padded(tokens())


def padded_features() -> Inputs:
    return padded(features())


def lstm(size: int = 3, **words: Any) -> nn.LSTM:
    return nn.LSTM(size, 4, **{"batch_first": True, **words})


def gru(size: int = 3, **words: Any) -> nn.GRU:
    return nn.GRU(size, 4, **{"batch_first": True, **words})


def both(**words: Any) -> nn.LSTM:
    return lstm(bidirectional=True, **words)


def random_norm(size: int) -> nn.LayerNorm:
    norm = nn.LayerNorm(size)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    return norm


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4, batch_first=True)

    def forward(self, x: Any, hidden: Any = None) -> Any:
        return self.rnn(x, hidden)[1][-1]


class Chomp(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Any) -> Any:
        return x[:, :, : -self.size].contiguous()


class Own(nn.LSTM):
    def forward(self, x: Any, hx: Any = None) -> Any:
        return super().forward(2 * x, hx)


@torch.fx.wrap
def tanh(x: Any) -> Any:
    return 2 * x


tanh.__module__ = "torch.of_somebody_else"


def over_time() -> dict[str, Any]:
    """Return layers before a reduction of (batch, features, steps), and one behind it."""
    return {"rnn": gru(), "conv": nn.Conv1d(4, 5, 3, padding=1), "fc": nn.Linear(5, 2)}


def of_features() -> dict[str, Any]:
    """Return layers around a function of features, with arrays of its own at their start."""
    arrays = {"gain": nn.Parameter(torch.ones(6)), "offset": nn.Parameter(torch.zeros(6))}
    return {"rnn": lstm(), "fc": nn.Linear(4, 6), "out": nn.Linear(6, 2), **arrays}


def masked() -> dict[str, Any]:
    """Return layers around a pooling of tokens, of which padding is none."""
    emb, rnn = nn.Embedding(9, 4, padding_idx=0), nn.GRU(4, 5, batch_first=True)
    return {"emb": emb, "rnn": rnn, "score": nn.Linear(5, 1), "fc": nn.Linear(5, 2)}


def sides(kind: str = "GRU", **layers: Any) -> dict[str, Any]:
    """Return the layers of an encoder and a decoder, and others."""
    recurrent = getattr(nn, kind)
    return {
        "source_table": nn.Embedding(9, 3),
        "target_table": nn.Embedding(8, 3),
        "encoder": recurrent(3, 4, batch_first=True),
        "decoder": recurrent(3, 4, batch_first=True),
        "out": nn.Linear(8, 8),
        **layers,
    }


def decoded(m: Any, source: Any, target: Any) -> tuple[Any, Any]:
    """Return the output of a decoder, and the steps of its encoder."""
    memory, state = m.encoder(m.source_table(source))
    return m.decoder(m.target_table(target), state)[0], memory


def packed(m: Any, source: Any, target: Any) -> tuple[Any, Any, Any]:
    """Return both of an encoder of packed sequences, and which of its steps are real."""
    real = source != 0
    sequences = pack_padded_sequence(
        m.source_table(source), real.sum(1), batch_first=True, enforce_sorted=False
    )
    steps, state = m.encoder(sequences)
    memory, _ = pad_packed_sequence(steps, batch_first=True, total_length=source.size(1))
    return m.decoder(m.target_table(target), state)[0], memory, real


def additive(*, bias: bool) -> dict[str, Any]:
    """Return the layers of an additive score."""
    projections = {name: nn.Linear(4, 5, bias=bias) for name in ("w_q", "w_k")}
    return {**projections, "w_v": nn.Linear(5, 1, bias=bias), "dropout": nn.Dropout(0.1)}


def masked_mean(h: Any, x: Any) -> Any:
    mask = (x != 0).unsqueeze(-1).float()
    return (h * mask).sum(1) / mask.sum(1).clamp(min=1)


F, pack_padded_sequence, pad_packed_sequence = (
    functional,
    rnn.pack_padded_sequence,
    rnn.pad_packed_sequence,
)
BOTH = {"bidirectional": True, "batch_first": True}


def net(forward: Callable[..., Any], **layers: Any) -> Any:
    """Return a module that has layers and a ``forward``."""
    module: Any = type("Net", (nn.Module,), {"forward": forward})()
    for name, layer in layers.items():
        setattr(module, name, layer)
    return module


class FromText(NamedTuple):
    """A module of a file, with what is said of it."""

    make: Callable[[], Any]
    draw: Callable[[], Inputs]
    at: str
    told: tuple[str, ...]


def read(name: str) -> dict[str, FromText]:
    """Return the modules of a file by their names, or by what is said of them."""
    return dict(_read(Path(__file__).with_name("modules") / name))


def _read(path: Path) -> Iterator[tuple[str, FromText]]:
    number = 1
    for block in path.read_text("utf-8").split("\n\n"):
        lines = block.rstrip("\n").split("\n")
        label, draw = "", features
        head = [line for line in lines if not line.startswith(("    ", "=> ", "at "))]
        if head[0].startswith("# "):
            label, _, drawn = head.pop(0)[2:].partition(": ")
            draw = _inputs(drawn)
        begin = next(i for i, line in enumerate(lines) if line.startswith("    "))
        found = re.fullmatch(r"(\(.*?\) )?(.*)", " ".join(map(str.strip, head)))
        assert found is not None
        source = "\n" * (number + begin - 2) + f"def forward{found[1] or '(m, x)'}:\n"
        source += "\n".join(line for line in lines if line.startswith("    "))
        at = next((line[3:] for line in lines if line.startswith("at ")), "")
        told = tuple(line[3:] for line in lines if line.startswith("=> "))
        yield (
            label or f"line {number}: {told[0][:80]}",
            FromText(_maker(path, source, found[2]), draw, at, told),
        )
        number += len(lines) + 1


def _inputs(drawn: str) -> Callable[[], Inputs]:
    if drawn in globals():
        named: Callable[[], Inputs] = globals()[drawn]
        return named
    return lambda: (torch.randn(*map(int, drawn.split(", "))).double(),)


def _maker(path: Path, source: str, layers: str) -> Callable[[], Any]:
    local: dict[str, Any] = {}
    # A problem shows the line of this file.
    exec(compile(source, str(path), "exec"), globals(), local)
    return lambda: net(local["forward"], **eval(f"dict({layers})"))
