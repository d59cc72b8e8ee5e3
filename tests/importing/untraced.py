"""Modules that the language cannot express, each with the code that is named and the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from importing.traced import Written, both, lstm
from torch import nn
from torch.nn import functional
from torch.nn.utils import rnn

F = functional


class Packed(nn.Module):
    """A packed sequence, and what is done with its output."""

    def __init__(self, use: Callable[[Any], Any], **words: Any) -> None:
        super().__init__()
        self.rnn = lstm(**words)
        self.use = use

    def forward(self, x: Any, lengths: Any) -> Any:
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=True)
        output, _ = rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        return self.use(output)


class Optional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = lstm()

    def forward(self, x: Any, lengths: Any = None) -> Any:
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.rnn(packed)[1][0][-1]


class Given(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = lstm()

    def forward(self, x: Any, h: Any, c: Any) -> Any:
        return self.rnn(x, (h, c))[0]


class Own(nn.LSTM):
    pass


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = lstm()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Any) -> Any:
        return self.rnn(x)[0] * self.scale


def tied() -> Any:
    module: Any = Written(
        lambda m, x: m.fc(m.rnn(m.emb(x))[0]),
        emb=nn.Embedding(9, 3),
        rnn=nn.GRU(3, 3, batch_first=True),
        fc=nn.Linear(3, 9, bias=False),
    )
    module.fc.weight = module.emb.weight
    return module


def hooked() -> Any:
    module: Any = Written(lambda m, x: m.rnn(x)[0], rnn=lstm())
    module.rnn.register_forward_hook(lambda *_: None)
    return module


def nan() -> Any:
    module: Any = Written(lambda m, x: m.rnn(x)[0], rnn=lstm())
    nn.init.constant_(module.rnn.bias_hh_l0, float("nan"))
    return module


def two_dense(m: Any, x: Any) -> Any:
    return m.rnn(F.relu(m.fc(x)))[0]


def attention(m: Any, x: Any) -> Any:
    output, _ = m.rnn(x)
    return torch.bmm(output, output.transpose(1, 2))


def branch(m: Any, x: Any) -> Any:
    if x.sum() > 0:
        x = -x
    return m.rnn(x)[0]


def loop(m: Any, x: Any) -> Any:
    output, _ = m.rnn(x)
    return sum(output[:, t] for t in range(output.size(1)))


def twice(m: Any, x: Any) -> Any:
    x, _ = m.rnn(x)
    return m.rnn(x)[0]


def used_both(m: Any, x: Any) -> Any:
    output, (h, _) = m.rnn(x)
    return m.fc(output[:, -1]) + m.fc2(h[-1])


def backward_first(m: Any, x: Any) -> Any:
    _, h = m.rnn(x)
    return torch.cat((h[-1], h[-2]), 1)


def returned_both(m: Any, x: Any) -> Any:
    output, state = m.rnn(x)
    return output, state


REFUSED: list[tuple[Callable[[], nn.Module], str, str]] = [
    (
        lambda: Written(
            lambda m, x: m.rnn(m.conv(x.transpose(1, 2)))[0], conv=nn.Conv1d(3, 3, 1), rnn=lstm()
        ),
        "m.conv(x.transpose(1, 2))",
        "conv: the language lacks nn.Conv1d; take it out of the module [E701]",
    ),
    (
        lambda: Written(attention, rnn=lstm()),
        "torch.bmm(output, ",
        "bmm: the language lacks the operation 'bmm'; take it out of the module [E701]",
    ),
    (
        lambda: Written(branch, rnn=lstm()),
        "x.sum() > 0",
        "forward: cannot be traced: expected no condition or loop on tensors or their",
    ),
    (
        lambda: Written(loop, rnn=lstm()),
        "range(output.size(1))",
        "forward: cannot be traced: expected no condition or loop on tensors or their",
    ),
    (
        lambda: Written(twice, rnn=nn.GRU(3, 3, batch_first=True)),
        "m.rnn(x)",
        "rnn: called again, with the same weights; the language shares none [E704]",
    ),
    (
        lambda: Written(used_both, rnn=lstm(), fc=nn.Linear(4, 4), fc2=nn.Linear(4, 4)),
        "m.fc2(h[-1])",
        "fc2: uses the final state beside the output; the language passes on one of them [E704]",
    ),
    (
        lambda: Written(returned_both, rnn=lstm()),
        "",
        "output: expected one result, received several; return the first alone [E704]",
    ),
    (
        lambda: Written(two_dense, rnn=nn.GRU(4, 4, batch_first=True), fc=nn.Linear(3, 4)),
        "m.fc(x)",
        "fc: expected dense layers behind the recurrent ones, received one before them [E704]",
    ),
    (
        lambda: Written(lambda m, x: m.rnn(x)[0], rnn=lstm(proj_size=2)),
        "m.rnn(x)",
        "rnn: proj_size: expected 0, received 2 [E703]",
    ),
    (tied, "", "fc.weight: is the same array as emb.weight; the language shares no weights [E704]"),
    (hooked, "", "rnn: has a hook, whose code is not read [E701]"),
    (nan, "", "lstm_1.bias: expected finite numbers, received others [E708]"),
    (Given, "self.rnn(x, (h, c))", "rnn: expected initial states of zeros, received others [E704]"),
    (
        Scaled,
        "self.scale",
        "scale: expected layers of PyTorch alone, received an array of the module",
    ),
    (
        lambda: Written(lambda m, x: m.rnn(x)[0], rnn=Own(3, 4)),
        "m.rnn(x)",
        "rnn: the class Own is a subclass of a layer, whose own code is not read [E701]",
    ),
    (
        lambda: nn.Sequential(lstm(), nn.Linear(4, 1)),
        "",
        "1: expected a tensor, received a tuple: nn.RNN, nn.GRU and nn.LSTM return their output",
    ),
    (lstm, "", "module: expected a module with a forward of its own, received nn.LSTM"),
    (
        lambda: Packed(lambda output: output[:, -1]),
        "output[:, -1]",
        "getitem: reads the last step, which is padding in a shorter sequence; expected the final",
    ),
    (
        lambda: Packed(lambda output: output[:, -1], bidirectional=True),
        "output[:, -1]",
        "getitem: reads the last step, which is padding in a shorter sequence; expected the final",
    ),
    (
        lambda: Packed(lambda output: output.mean(dim=1)),
        "output.mean(dim=1)",
        "mean: the mean counts the zeros that pad_packed_sequence puts at padding; 'pooling: mean'",
    ),
    (
        Optional,
        "rnn.pack_padded_sequence(x, lengths, ",
        "pack_padded_sequence: expected lengths that are an argument of forward, received None",
    ),
    (
        lambda: Written(lambda m, x: m.rnn(x)[1][0][-1], rnn=both()),
        "",
        "output: uses the backward direction alone; expected torch.cat((h[-2], h[-1]), dim=1)",
    ),
    (
        lambda: Written(lambda m, x: torch.cat((m.rnn(x)[0][:, -1], x[:, -1]), 1), rnn=both()),
        "x[:, -1]",
        "getitem: uses the output of an earlier layer again; the language has a chain",
    ),
    (
        lambda: Written(backward_first, rnn=nn.GRU(3, 4, bidirectional=True)),
        "torch.cat((h[-1], h[-2]), 1)",
        "cat: expected h[-2] and h[-1] of a bidirectional module, received h[-1], h[-2] [E704]",
    ),
    (
        lambda: Written(lambda m, x: m.rnn(x)[0][:, 0], rnn=lstm()),
        "m.rnn(x)[0][:, 0]",
        "getitem: expected the last step, [:, -1], received [:, 0]",
    ),
    (
        lambda: Written(lambda m, x: F.gelu(m.fc(m.rnn(x)[0])), rnn=lstm(), fc=nn.Linear(4, 2)),
        "F.gelu(m.fc(",
        "gelu: the language lacks the operation 'gelu'; take it out of the module [E701]",
    ),
    (
        lambda: Written(lambda m, x: torch.relu(m.rnn(x)[0]), rnn=lstm()),
        "torch.relu(m.rnn(x)[0])",
        "relu: expected nn.Linear before 'relu', received lstm_1: the language has activations",
    ),
    (
        lambda: Written(lambda m, x: m.two(m.one(x)[0])[0], one=lstm(), two=nn.GRU(4, 4)),
        "m.two(m.one(x)[0])",
        "two: batch_first=False and an input with the batch before the steps, as the layers",
    ),
    (
        lambda: Written(lambda m, x: F.dropout(m.rnn(x)[1][0][-1], 0.5), rnn=lstm()),
        "F.dropout(m.rnn(x)",
        "dropout: drops in evaluation too; expected training=self.training [E703]",
    ),
    (
        lambda: Written(lambda m, x: m.rnn(x)[0].sum(dim=1), rnn=lstm()),
        "m.rnn(x)[0].sum(dim=1)",
        "sum: the language lacks the operation 'sum'; take it out of the module [E701]",
    ),
    (
        lambda: Written(lambda m, x: m.rnn(x)[1][0][0], rnn=lstm(num_layers=2)),
        "",
        "output: uses the final state of a lower layer; expected that of the top, h[-1] [E704]",
    ),
    (
        lambda: Written(lambda m, x: m.rnn(x)[1][1][-1], rnn=lstm()),
        "",
        "output: uses the cell state c; the language passes on the hidden state h [E704]",
    ),
]
