"""Modules that rnnspec cannot express by what they are, not by what their ``forward`` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from importing.torch_modules import lstm
from importing.traced import Written, reducing
from torch import nn
from torch.nn.utils import rnn


class Optional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = lstm()

    def forward(self, x: Any, lengths: Any = None) -> Any:
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.rnn(packed)[1][0][-1]


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


def meta() -> nn.Module:
    with torch.device("meta"):
        return reducing(lambda y, _: y.mean(2))


REFUSED: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "shared": (
        shared,
        "",
        "fc.weight: is the same array as one.weight; rnnspec does not support shared weights, but",
    ),
    "a hook": (hooked, "", "rnn: has a hook, whose code is not read [E701]"),
    "nan": (nan, "", "rnn.bias_hh_l0: expected finite numbers, received others [E708]"),
    "a tuple": (
        lambda: nn.Sequential(lstm(), nn.Linear(4, 1)),
        "",
        "1: expected a tensor, received a tuple: nn.RNN, nn.GRU and nn.LSTM return their output",
    ),
    "a layer": (lstm, "", "module: expected a module with a forward of its own, received nn.LSTM"),
    "no lengths": (
        Optional,
        "rnn.pack_padded_sequence(x, lengths, ",
        "pack_padded_sequence: expected lengths that are an argument of forward, received None",
    ),
    "replaced": (
        replaced,
        "",
        "module: its forward is set on the object, and is not read; expected that of its class",
    ),
    "a layer replaced": (
        layer_replaced,
        "m.fc(",
        "fc: its forward has been replaced, and is not read; expected that",
    ),
    "called": (Called, "", "module: its class has a __call__ of its own, which is not read"),
    "a closure": (
        Closure,
        "self.rnn(x)",
        "forward: cannot be traced: expected layers that are called as attr",
    ),
    "another mode": (
        other_mode,
        "m.rnn(x)",
        "rnn: mode: expected RNN_TANH or RNN_RELU, received GRU, set after construction [E703]",
    ),
    "no numbers": (
        meta,
        "",
        "conv.bias: expected numbers, received a tensor of the device 'meta', which has no",
    ),
}
"""Each with the code that is marked, and what is said of it."""
