"""Modules that rnnspec cannot express, each with the code that is named and the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from importing.traced import (
    Features,
    Masked,
    Written,
    both,
    counted,
    lstm,
    masked_mean,
    over_time,
)
from torch import fx, nn
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


def shared() -> Any:
    module: Any = Written(
        lambda m, x: m.fc(m.one(m.rnn(x)[0])),
        rnn=nn.GRU(3, 3, batch_first=True),
        one=nn.Linear(3, 3),
        fc=nn.Linear(3, 3),
    )
    module.fc.weight = module.one.weight
    return module


def hooked() -> Any:
    module: Any = Written(lambda m, x: m.rnn(x)[0], rnn=lstm())
    module.rnn.register_forward_hook(lambda *_: None)
    return module


def nan() -> Any:
    module: Any = Written(lambda m, x: m.rnn(x)[0], rnn=lstm())
    nn.init.constant_(module.rnn.bias_hh_l0, float("nan"))
    return module


def replaced() -> Any:
    module: Any = Written(lambda m, x: m.fc(m.rnn(x)[0]), rnn=lstm(), fc=nn.Linear(4, 2))
    module.forward = lambda x: Written.forward(module, x).softmax(-1)
    return module


def layer_replaced() -> Any:
    module: Any = Written(lambda m, x: m.fc(m.rnn(x)[0]), rnn=lstm(), fc=nn.Linear(4, 2))
    module.fc.forward = lambda x: 2 * nn.Linear.forward(module.fc, x)
    return module


class Called(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = lstm()

    def forward(self, x: Any) -> Any:
        return self.rnn(x)[0]

    def __call__(self, x: Any) -> Any:
        return super().__call__(x) * 2


def other_mode() -> Any:
    module: Any = Written(lambda m, x: m.rnn(x)[0], rnn=nn.RNN(3, 4, batch_first=True))
    module.rnn.mode = "GRU"
    return module


def in_autocast(m: Any, x: Any) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = m.rnn(x)
    return m.fc(y)


def alias(m: Any, x: Any) -> Any:
    y, _ = m.rnn(x)
    z = y
    z += x
    return m.fc(y)


def in_view(m: Any, x: Any) -> Any:
    y, _ = m.rnn(x)
    turned = y.transpose(0, 1)
    y.add_(x)
    return m.fc(turned.transpose(0, 1))


@fx.wrap
def tanh(x: Any) -> Any:
    return 2 * x


tanh.__module__ = "torch.of_somebody_else"


def state_and_cell(m: Any, x: Any) -> Any:
    _, (h, c) = m.rnn(x)
    return m.fc(torch.cat((h[-2], c[-1]), 1))


def cell_and_state(m: Any, x: Any) -> Any:
    _, (h, c) = m.rnn(x)
    return c[-2] + h[-1]


def of_two_modules(m: Any, x: Any) -> Any:
    y, h = m.one(x)
    _, g = m.two(y)
    return torch.cat((g[-2], h[-1]), 1)


def of_two_layers(m: Any, x: Any) -> Any:
    _, h = m.rnn(x)
    return h[1] + h[-1]


class WithoutInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = lstm()

    def forward(self) -> Any:
        return self.rnn(torch.zeros(1, 2, 3))[0]


class PackedBackward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = lstm()

    def forward(self, x: Any, lengths: Any) -> Any:
        return self.rnn(rnn.pack_padded_sequence(x.flip(1), lengths))[1][0][-1]


class TwoPacked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.GRU(3, 4, bidirectional=True, batch_first=True)
        self.two = nn.GRU(8, 4, bidirectional=True, batch_first=True)

    def forward(self, x: Any, lengths: Any) -> Any:
        y, h = self.one(rnn.pack_padded_sequence(x, lengths, batch_first=True))
        _, g = self.two(y)
        return g[-2] + h[-1]


class TwoLengths(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.GRU(3, 4, batch_first=True)
        self.two = nn.GRU(4, 4, batch_first=True)

    def forward(self, x: Any, lengths: Any, others: Any) -> Any:
        y, _ = self.one(rnn.pack_padded_sequence(x, lengths, batch_first=True))
        y, _ = rnn.pad_packed_sequence(y, batch_first=True)
        return self.two(rnn.pack_padded_sequence(y, others, batch_first=True))[1][-1]


class LastOfBoth(nn.Module):
    """At the last real step, the backward direction has read that step alone."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = both()

    def forward(self, x: Any, lengths: Any) -> Any:
        h, _ = self.rnn(x)
        return h[torch.arange(x.size(0)), lengths - 1]


class OfPair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = lstm()

    def forward(self, x: Any, hidden: Any) -> Any:
        h, c = hidden
        return self.rnn(x, (h, c))[0]


class OtherPadding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 3, padding_idx=1)
        self.rnn = nn.GRU(3, 4, batch_first=True)

    def forward(self, x: Any, lengths: Any) -> Any:
        return self.rnn(rnn.pack_padded_sequence(self.emb(x), lengths, True))[1][-1]


class KeepsState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4, batch_first=True)
        self.state: Any = None

    def forward(self, x: Any) -> Any:
        y, state = self.rnn(x, self.state)
        self.state = state.detach()
        return y


class KeepsStateOfTwo(KeepsState):
    """It starts at zeros for a batch of two, and takes no other."""

    def forward(self, x: Any) -> Any:
        if self.state is None:
            self.state = x.new_zeros(1, 2, 4)
        return super().forward(x)


class DropsAlways(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4, batch_first=True)
        self.dropout = nn.Dropout(0.5)

    def train(self, mode: bool = True) -> DropsAlways:
        super().train(mode)
        self.dropout.training = True
        return self

    def forward(self, x: Any) -> Any:
        return self.dropout(self.rnn(x)[0])


class Closure(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = lstm()
        self.last = lambda x: self.rnn(x)[0][:, -1]

    def forward(self, x: Any) -> Any:
        return self.last(x)  # type: ignore[no-untyped-call]


def over_length(m: Any, x: Any) -> Any:
    return m.rnn(x, torch.zeros(1, len(x), 4))[0]


def over_cells(m: Any, x: Any) -> Any:
    h = torch.zeros(x.size(0), 4)
    for step in range(3):
        h = m.cell(x[:, step], h)
    return h


def looped_cells(m: Any, x: Any) -> Any:
    h = torch.zeros(x.size(0), 4)
    for step in range(x.size(1)):
        h = m.cell(x[:, step], h)
    return h


def attention(m: Any, x: Any) -> Any:
    output, _ = m.rnn(x)
    return torch.bmm(output, output)


def branch(m: Any, x: Any) -> Any:
    if x.sum() > 0:
        x = -x
    return m.rnn(x)[0]


def loop(m: Any, x: Any) -> Any:
    output, _ = m.rnn(x)
    return sum(output[:, t] for t in range(output.size(1)))


def meta() -> nn.Module:
    with torch.device("meta"):
        return over_time(lambda y, _: y.mean(2))


def twice(m: Any, x: Any) -> Any:
    x, _ = m.rnn(x)
    return m.rnn(x)[0]


def backward_first(m: Any, x: Any) -> Any:
    _, h = m.rnn(x)
    return F.normalize(torch.cat((h[-1], h[-2]), 1))


def returned_both(m: Any, x: Any) -> Any:
    output, state = m.rnn(x)
    return output, state


def gain_twice(m: Any, y: Any) -> Any:
    centered = y - y.mean(-1, keepdim=True)
    norm = centered / torch.sqrt((centered * centered).mean(-1, keepdim=True) + 1e-6)
    return norm * m.gain + m.gain


REFUSED: list[tuple[Callable[[], nn.Module], str, str]] = [
    (WithoutInput, "self.rnn(", "rnn: expected a tensor, received zeros"),
    (PackedBackward, "rnn.pack_padded", "received a sequence with its last step first"),
    (
        lambda: Written(
            lambda m, x: m.rnn(m.conv(x.transpose(1, 2)))[0], conv=nn.Conv1d(3, 3, 1), rnn=lstm()
        ),
        "m.rnn(m.conv(",
        "rnn: batch_first=True: expected (batch, steps, features), received (batch, features, st",
    ),
    (
        lambda: Written(
            lambda m, x: m.rnn(m.conv(x.transpose(1, 2)))[0],
            conv=nn.ConvTranspose1d(3, 3, 1),
            rnn=lstm(),
        ),
        "m.conv(x.transpose(1, 2))",
        "conv: rnnspec does not support nn.ConvTranspose1d; take it out of the module [E701]",
    ),
    (
        lambda: Written(attention, rnn=lstm()),
        "torch.bmm(output, ",
        "bmm: rnnspec does not support the operation 'bmm'; take it out of the module [E701]",
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
        "rnn: called again, with the same weights; rnnspec does not support that [E704]",
    ),
    (
        lambda: Written(returned_both, rnn=lstm()),
        "",
        "output: expected one result, or sequences and vectors alone, received a tuple: nn.RNN, nn",
    ),
    (
        lambda: Written(lambda m, x: m.rnn(x)[0], rnn=lstm(proj_size=2)),
        "m.rnn(x)",
        "rnn: proj_size: expected 0, received 2 [E703]",
    ),
    (
        shared,
        "",
        "fc.weight: is the same array as one.weight; rnnspec does not support shared weights, but",
    ),
    (hooked, "", "rnn: has a hook, whose code is not read [E701]"),
    (nan, "", "rnn.bias_hh_l0: expected finite numbers, received others [E708]"),
    (
        Scaled,
        "self.rnn(x)[0] * self.scale",
        "mul: expected layers of PyTorch alone, received an array of the module",
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
        lambda: Written(backward_first, rnn=nn.GRU(3, 4, bidirectional=True)),
        "F.normalize(torch.cat(",
        "normalize: uses h[-1] before h[-2], which the spec has only in front of nn.Linear",
    ),
    (
        lambda: Written(state_and_cell, rnn=both(), fc=nn.Linear(8, 2)),
        "torch.cat((h[-2], c[-1]), 1)",
        "cat: expected h[-2] and h[-1] of one bidirectional module, received h[-2] and c[-1];",
    ),
    (
        lambda: Written(cell_and_state, rnn=both()),
        "c[-2] + h[-1]",
        "add: expected h[-2] and h[-1] of one bidirectional module, received c[-2] and h[-1];",
    ),
    (
        lambda: Written(
            of_two_modules,
            one=nn.GRU(3, 4, batch_first=True, bidirectional=True),
            two=nn.GRU(8, 4, batch_first=True, bidirectional=True),
        ),
        "torch.cat((g[-2], h[-1]), 1)",
        "of one bidirectional module, received h[-2] of two and h[-1] of one [E704]",
    ),
    (
        lambda: Written(of_two_layers, rnn=nn.GRU(3, 4, 2, bidirectional=True)),
        "h[1] + h[-1]",
        "add: expected h[-2] and h[-1] of one bidirectional module, received h[-3] and h[-1] [E704",
    ),
    (TwoPacked, "g[-2] + h[-1]", "received h[-2] of two and h[-1] of one [E704]"),
    (
        TwoLengths,
        "rnn.pack_padded_sequence(y, others",
        "expected the lengths of the first packing, 'lengths', received 'others'; a spec has one",
    ),
    (
        replaced,
        "",
        "module: its forward is set on the object, and is not read; expected that of its class",
    ),
    (layer_replaced, "m.fc(", "fc: its forward has been replaced, and is not read; expected that"),
    (Called, "", "module: its class has a __call__ of its own, which is not read"),
    (Closure, "self.rnn(x)", "forward: cannot be traced: expected layers that are called as attr"),
    (
        other_mode,
        "m.rnn(x)",
        "rnn: mode: expected RNN_TANH or RNN_RELU, received GRU, set after construction [E703]",
    ),
    (
        lambda: Written(in_autocast, rnn=lstm(), fc=nn.Linear(4, 2)),
        "m.rnn(x)",
        "rnn: runs in autocast, which rounds; expected it around the call of the module [E703]",
    ),
    (
        lambda: Written(alias, rnn=nn.GRU(3, 3, batch_first=True), fc=nn.Linear(3, 2)),
        "z += x",
        "iadd: changes a tensor in place that is used again under an older name; expected a new",
    ),
    (
        lambda: Written(in_view, rnn=nn.GRU(3, 3, batch_first=True), fc=nn.Linear(3, 2)),
        "y.add_(x)",
        "add_: changes a tensor in place that is used again under an older name; expected a new",
    ),
    (
        lambda: Written(lambda m, x: tanh(m.fc(m.rnn(x)[0])), rnn=lstm(), fc=nn.Linear(4, 2)),
        "tanh(m.fc(",
        "rnnspec does not support the operation 'torch.of_somebody_else.tanh'; take it out",
    ),
    (
        OfPair,
        "h, c",
        "takes a part of the argument 'hidden' of forward; a spec has no input for states, which",
    ),
    (
        OtherPadding,
        "self.emb(x)",
        "emb: padding_idx: expected 0, the token that a spec masks, received 1; exchange the to",
    ),
    (
        lambda: Written(over_length, rnn=nn.GRU(3, 4, batch_first=True)),
        "len(x)",
        "forward: cannot be traced: expected x.size(0) or x.shape[0], received len(x) of a tensor",
    ),
    (
        lambda: Written(over_cells, cell=nn.GRUCell(3, 4)),
        "x[:, step]",
        "cell: rnnspec does not support nn.GRUCell; nn.GRU has the same arrays",
    ),
    (
        lambda: Written(looped_cells, cell=nn.GRUCell(3, 4)),
        "range(x.size(1))",
        "cell: rnnspec does not support nn.GRUCell; nn.GRU has the same arrays",
    ),
    (
        lambda: Written(lambda m, x: F.gelu(m.fc(m.rnn(x)[0])), rnn=lstm(), fc=nn.Linear(4, 2)),
        "F.gelu(m.fc(",
        "gelu: rnnspec does not support the operation 'gelu'; take it out of the module [E701]",
    ),
    (
        lambda: Written(lambda m, x: m.two(m.one(x)[0])[0], one=lstm(), two=nn.GRU(4, 4)),
        "m.two(m.one(x)[0])",
        "two: batch_first=False: expected (steps, batch, features), received (batch, steps, feat",
    ),
    (
        lambda: Written(lambda m, x: F.dropout(m.rnn(x)[1][0][-1], 0.5), rnn=lstm()),
        "F.dropout(m.rnn(x)",
        "dropout: drops in evaluation too; expected training=self.training [E703]",
    ),
    (
        lambda: over_time(lambda y, _: F.max_pool1d(y, y.size(0))),
        "F.max_pool1d(y, ",
        "expected a number, or the steps of the sequence as the kernel size, received another size",
    ),
    (
        lambda: over_time(lambda y, x: F.max_pool1d(y, 3, padding=x.size(1))),
        "F.max_pool1d(y",
        "expected a number, or the steps of the sequence as the kernel size, received another size",
    ),
    (
        lambda: over_time(lambda y, _: F.leaky_relu(y, y.size(1))),
        "F.leaky_relu(y, ",
        "leaky_relu: negative_slope: expected a number, received a size",
    ),
    (
        lambda: over_time(lambda y, _: F.elu(y, 2.0)),
        "F.elu(y, ",
        "elu: expected the default settings, received others [E703]",
    ),
    (
        lambda: over_time(lambda y, _: F.softplus(y, threshold=2)),
        "F.softplus(y, ",
        "softplus: expected the default settings, received others [E703]",
    ),
    (
        lambda: over_time(lambda y, _: y.sum(2) / y.size(1)),
        "y.sum(2) / y",
        "truediv: 'truediv': expected no size beside a vector, received one [E701]",
    ),
    (
        lambda: over_time(lambda y, _: y.view(y.size(0), y.size(2), -1)),
        "y.view(",
        "view: expected no change of shapes, received one",
    ),
    (
        lambda: over_time(lambda y, _: F.leaky_relu(y, "slow")),  # type: ignore[arg-type]
        "F.leaky_relu(y, ",
        "leaky_relu: expected arguments that rnnspec supports, received a sequence, 'slow'",
    ),
    (
        lambda: Features(lambda m, y: y * m.gain + m.offset),
        "y * m.gain",
        "mul: expected layers of PyTorch alone, received an array of the module outside of a layer",
    ),
    (
        lambda: Features(lambda m, y: y * torch.sigmoid(m.gain * y)),
        "m.gain * y",
        "mul: expected layers of PyTorch alone, received an array of the module outside of a layer",
    ),
    (
        lambda: Features(lambda m, y: (y - y.mean(-1, keepdim=True)) * m.gain),
        "y.mean(-1, keepdim=True)",
        "mean: expected the mean over the steps of a sequence, received other axes [E704]",
    ),
    (
        lambda: Features(gain_twice),
        "y.mean(-1, keepdim=True)",
        "mean: expected the mean over the steps of a sequence, received other axes [E704]",
    ),
    (
        lambda: Features(lambda m, y: (y * y.sigmoid() + m.gain) - m.gain),
        "y * y.sigmoid()",
        "mul: rnnspec does not support the operation 'mul'; take it out of the module [E701]",
    ),
    (
        lambda: Features(lambda _, y: y * torch.rsqrt((y * y).mean(-1, keepdim=True) + 1e-6)),
        "y * y",
        "mul: rnnspec does not support the operation 'mul'; take it out of the module [E701]",
    ),
    (
        lambda: Features(lambda m, y: y * torch.sigmoid(m.out(y).sum(-1, keepdim=True))),
        "y * torch.sigmoid(",
        "mul: rnnspec does not support the operation 'mul'; take it out of the module [E701]",
    ),
    (
        lambda: Written(
            lambda m, x: masked_mean(m, m.rnn(m.emb(x))[0], x),
            emb=nn.Embedding(9, 3),
            rnn=nn.GRU(3, 4, batch_first=True, bidirectional=True),
        ),
        "m.rnn(m.emb(x))",
        "rnn: reads padding before the steps of a sequence, backward; expected pack_padded_sequ",
    ),
    (
        lambda: Masked(lambda m, h, x: masked_mean(m, h, x) + h[:, -1]),
        "h[:, -1]",
        "getitem: takes what stands at padding, which masks leave out elsewhere; a spec has one",
    ),
    (
        lambda: Masked(lambda _, h, x: (h * (x != 0).unsqueeze(2)).mean(1)),
        "(h * (x != 0).unsqueeze(2)).mean(1)",
        "mean: counts padding, which masks leave out elsewhere; a spec has one mask [E704]",
    ),
    (
        lambda: Masked(lambda _, h, x: h.masked_fill((x == 0).unsqueeze(2), -1.0).amax(1)),
        "h.masked_fill(",
        "amax: counts padding, which masks leave out elsewhere; a spec has one mask [E704]",
    ),
    (
        lambda: Masked(lambda _, h, x: h * (x == 0).unsqueeze(2)),
        "h * (x == 0)",
        "mul: expected padding that is token 0, or a number in every feature of a step, received",
    ),
    (
        lambda: Masked(lambda _, h, x: h * (x != 0).unsqueeze(1)),
        "h * (x != 0)",
        "mul: expected a condition with the axes of the tensor, received others [E707]",
    ),
    (
        lambda: Masked(lambda _, h, x: (h * (x != 0)[..., None]).sum(1) / (x == 0).sum(1, True)),
        "(h * (x != 0)[..., None]).sum(1) / (x == 0)",
        "truediv: expected the number of real steps of each sequence, received others [E704]",
    ),
    (
        lambda: Masked(lambda _, h, x: h.sum(1) / (x != 0).sum(1, keepdim=True)),
        "h.sum(1) / ",
        "truediv: expected the sum of the real steps divided by their number, received that of all",
    ),
    (
        lambda: Masked(lambda _, h, x: (h * (x != 0)[..., None]).sum(1) / x.size(1)),
        "(h * (x != 0)",
        "truediv: 'truediv': expected no size beside a vector, received one [E701]",
    ),
    (
        LastOfBoth,
        "h[torch.arange(x.size(0)), lengths - 1]",
        "getitem: expected the last step of each sequence, received another one [E704]",
    ),
    (meta, "", "conv.bias: expected numbers, received a tensor of the device 'meta', which has no"),
    (
        lambda: counted(lambda x: (x != 1).sum(1), index=1),
        "x != 1",
        "ne: expected 0, as padding is token 0, received 1; exchange the two tokens in the vocabul",
    ),
    (
        lambda: counted(lambda x: (x > 1).sum(1)),
        "x > 1",
        "gt: expected 0, as padding is token 0, received 1 [E703]",
    ),
    (
        lambda: Written(
            lambda m, x: m.rnn(rnn.pack_padded_sequence(m.emb(x), (x != 0).sum(0), True))[1][-1],
            emb=nn.Embedding(9, 3),
            rnn=nn.GRU(3, 4, batch_first=True),
        ),
        "rnn.pack_padded_sequence(m.emb(x), ",
        "expected the tokens of each sequence counted, received those of a step [E704]",
    ),
    (
        lambda: over_time(lambda y, x: y.max(2)[0] * (x != 0).sum(1)),
        "x != 0",
        "ne: expected the tokens of the input, whose padding is 0, received features; give lengths",
    ),
]
