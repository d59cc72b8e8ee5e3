"""Modules that only differ in one part, and those that change as they run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from importing.torch_modules import (
    both,
    lstm,
    masked,
    masked_mean,
    net,
    of_features,
    over_time,
)
from torch import nn, zeros
from torch.autograd import Variable
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

F = functional


class Written(nn.Module):
    """A module whose ``forward`` is a function of its layers."""

    def __init__(self, forward: Callable[..., Any], **layers: Any) -> None:
        super().__init__()
        self.written = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: Any) -> Any:
        return self.written(self, x)


class LastOf(nn.Module):
    def forward(self, pair: Any) -> Any:
        output, _ = pair
        return output[:, -1]


def sequential() -> nn.Module:
    return nn.Sequential(nn.Embedding(9, 3), lstm(), LastOf(), nn.Linear(4, 2), nn.Softmax(-1))


class Tutorial(nn.Module):
    """The initial states of the PyTorch tutorials, made by ``zeros``."""

    def __init__(self, zeros: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.zeros = zeros
        self.lstm = nn.LSTM(3, 5, 2, batch_first=True)
        self.fc = nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        h0 = self.zeros(self, x)
        out, _ = self.lstm(x, (h0, self.zeros(self, x)))
        return self.fc(out[:, -1, :])


class Leaves(nn.Module):
    """A module that its own ``forward`` changes."""

    number: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("number", torch.zeros(()))
        self.calls, self.lock, self.kept = 0, threading.Lock(), list[Any]()

    def forward(self, x: Any) -> Any:
        self.calls += 1
        self.number += 1
        y, _ = self.rnn(x, torch.zeros(1, 3, 4))
        self.kept.append(y)
        return self.dropout(y)


ZEROS: dict[str, Callable[[Any, Any], Any]] = {
    "zeros": lambda _, x: torch.zeros(2, x.size(0), 5),
    "to a device": lambda _, x: torch.zeros(2, x.size(0), 5).to(x.device),
    "on a device": lambda _, x: torch.zeros(2, x.shape[0], 5, device=x.device),
    "of a dtype": lambda _, x: torch.zeros((2, x.size(0), 5), dtype=x.dtype),
    "of float32": lambda _, x: torch.zeros(2, x.size(0), 5, dtype=torch.float32),
    "cast": lambda _, x: torch.zeros(2, x.size(0), 5).float(),
    "new of the input": lambda _, x: x.new_zeros(2, x.size(0), 5),
    "new of a weight": lambda m, x: next(m.parameters()).new_zeros(2, x.size(0), 5),
    "like others": lambda _, x: torch.zeros_like(torch.zeros(2, x.size(0), 5)),
    "batch first": lambda _, x: zeros(x.size(0), 2, 5).transpose(0, 1).requires_grad_(),
    "in a variable": lambda _, x: Variable(zeros(2, x.size(0), 5)),
    "of a fixed batch": lambda *_: torch.zeros(2, 4, 5),
}


class LanguageModel(nn.Module):
    """Three LSTM layers whose decoder has the weight of the encoder, steps first."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Embedding(9, 4)
        self.drop = nn.Dropout(0.4)
        self.rnns = nn.ModuleList(
            [nn.LSTM(4, 6), nn.LSTM(6, 6), nn.LSTM(6, 4)],
        )
        self.decoder = nn.Linear(4, 9)
        self.decoder.weight = self.encoder.weight

    def forward(self, x: Any) -> Any:
        output = self.drop(self.encoder(x))
        for rnn in self.rnns:
            output, _ = rnn(output)
            output = self.drop(output)
        return self.decoder(output)


def written(forward: Callable[[Any, Any], Any], **layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: Written(forward, **layers)


def mode_changed() -> Any:
    module: Any = Written(lambda m, x: m.rnn(x)[0], rnn=nn.RNN(3, 4, batch_first=True))
    module.rnn.mode = "RNN_RELU"
    return module


def reducing(pool: Callable[[Any, Any], Any]) -> nn.Module:
    """Return a module that reduces (batch, features, steps) over a size of its tensors."""
    return Written(lambda m, x: m.fc(pool(m.conv(m.rnn(x)[0].transpose(1, 2)), x)), **over_time())


def unpacked(y: Any, _: Any) -> Any:
    batch, size, steps = y.shape
    return F.max_pool1d(y, steps).view(batch, size)


OVER_TIME: dict[str, Callable[[Any, Any], Any]] = {
    "adaptive": lambda y, _: F.adaptive_max_pool1d(y, 1).squeeze(2),
    "size": lambda y, _: F.max_pool1d(y, y.size(2)).squeeze(2),
    "named": lambda y, _: F.max_pool1d(y, kernel_size=y.size(-1)).squeeze(-1),
    "named axis": lambda y, _: F.max_pool1d(y, y.size(dim=2)).squeeze(),
    "shape": lambda y, _: F.max_pool1d(y, y.shape[2])[:, :, 0],
    "all sizes": lambda y, _: F.max_pool1d(y, y.size()[-1]).flatten(1),
    "list": lambda y, _: F.max_pool1d(y, [y.size(2)], stride=1).squeeze(2),
    "stride": lambda y, _: F.max_pool1d(y, y.size(2), stride=y.size(2)).squeeze(2),
    "of the input": lambda y, x: F.max_pool1d(y, x.size(1)).view(x.size(0), -1),
    "unpacked": unpacked,
}
"""Ways to write the largest value over all steps."""


def with_function(function: Callable[[Any, Any], Any]) -> nn.Module:
    """Return a module with a function of the features between two layers."""
    return Written(
        lambda m, x: m.out(function(m, m.fc(m.rnn(x)[0]))), sigmoid=nn.Sigmoid(), **of_features()
    )


def standardized(y: Any) -> Any:
    return (y - y.mean(-1, keepdim=True)) / (y.var(-1, keepdim=True, unbiased=False) + 1e-6).sqrt()


def mean_of_squares(y: Any) -> Any:
    centered = y - y.mean(dim=2, keepdim=True)
    return centered * torch.rsqrt((centered**2).mean(2, keepdim=True) + 1e-4)


def stable_softmax(_: Any, y: Any) -> Any:
    powers = torch.exp(y - y.amax(-1, keepdim=True))
    return powers / powers.sum(-1, keepdim=True)


WRITTEN_OUT: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "swish": (lambda _, y: y * torch.sigmoid(y), "activation: silu}"),
    "swish of a module": (lambda m, y: m.sigmoid(y) * y, "activation: silu}"),
    "swish as a quotient": (lambda _, y: y / (1 + torch.exp(-y)), "activation: silu}"),
    "sigmoid": (lambda _, y: 1 / (1 + (-y).exp()), "activation: sigmoid}"),
    "sigmoid of tanh": (lambda _, y: 0.5 * torch.tanh(0.5 * y) + 0.5, "activation: sigmoid}"),
    "between limits": (lambda _, y: (y / 6 + 0.5).clamp(0, 1), "activation: hard_sigmoid}"),
    "relu6": (lambda _, y: F.relu6(y + 3) / 6, "activation: hard_sigmoid}"),
    "keras 2": (lambda _, y: (0.2 * y + 0.5).clip(0, 1), "activation: legacy_hard_sigmoid}"),
    "softplus": (lambda _, y: torch.log1p(y.exp()), "activation: softplus}"),
    "softsign": (lambda _, y: y / (1 + y.abs()), "activation: softsign}"),
    "maximum": (lambda _, y: torch.maximum(y, 0.1 * y), "activation: {leaky_relu: 0.1}\n"),
    "two relus": (lambda _, y: F.relu(y) - 0.1 * F.relu(-y), "activation: {leaky_relu: 0.1}\n"),
    "elu": (lambda _, y: F.relu(y) + y.clamp(max=0).exp() - 1, "activation: elu}"),
    "softmax": (stable_softmax, "activation: softmax}"),
    "relu behind it": (
        lambda _, y: F.relu(y * y.sigmoid()),
        "activation: silu}\n  - {type: activation, activation: relu}\n",
    ),
    "norm": (
        lambda m, y: standardized(y) * m.gain + m.offset,
        "- {type: layer_norm, epsilon: 1.0e-06}\n",
    ),
    "norm without arrays": (
        lambda _, y: mean_of_squares(y),
        "- {type: layer_norm, epsilon: 0.0001, scale: false, offset: false}\n",
    ),
}
"""Functions of features that are written out, each with what it is in a spec."""


def pooling(pool: Callable[[Any, Any, Any], Any]) -> nn.Module:
    """Return a module that leaves out padding by a mask, without packed sequences."""
    return Written(lambda m, x: m.fc(pool(m, m.rnn(m.emb(x))[0], x)), **masked())


def mean_by_count(_: Any, h: Any, x: Any) -> Any:
    mask = x.ne(0)
    return (mask[:, :, None] * h).sum(dim=1) / mask.sum(1, keepdim=True)


def mean_by_where(_: Any, h: Any, x: Any) -> Any:
    kept = torch.where((x > 0)[..., None], h, 0.0)
    return kept.sum(1) / torch.count_nonzero(x, dim=1).view(-1, 1)


def masked_attention(m: Any, h: Any, x: Any) -> Any:
    scores = m.score(h).squeeze(-1).masked_fill(x == 0, -1e9)
    return torch.bmm(torch.softmax(scores, 1).unsqueeze(1), h).squeeze(1)


def weighted_sum(m: Any, h: Any, x: Any) -> Any:
    scores = m.score(h).masked_fill(~(x != 0).unsqueeze(-1), float("-inf"))
    return (F.softmax(scores, dim=1) * h).sum(1)


MASKED: dict[str, tuple[Callable[[Any, Any, Any], Any], str]] = {
    "mean": (lambda _, h, x: masked_mean(h, x), "pooling: mean"),
    "mean by a count": (mean_by_count, "pooling: mean"),
    "mean by torch.where": (mean_by_where, "pooling: mean"),
    "sum": (lambda _, h, x: (h * (x != 0).unsqueeze(2)).sum(1), "pooling: sum"),
    "max": (
        lambda _, h, x: h.masked_fill((x == 0).unsqueeze(-1), float("-inf")).amax(1),
        "pooling: max",
    ),
    "attention": (masked_attention, "    attention: {}\n"),
    "weighted sum": (weighted_sum, "    attention: {}\n"),
    "each step": (lambda _, h, x: h * x.sign().bool()[:, :, None], "pooling: none"),
}
"""Ways to leave out padding, each with what it is in a spec."""


def counted(lengths: Callable[[Any], Any]) -> nn.Module:
    """Return a module that packs its tokens by lengths which it counts."""

    def forward(m: Any, x: Any) -> Any:
        packed = pack_padded_sequence(m.emb(x), lengths(x), True, enforce_sorted=False)
        return m.fc(m.rnn(packed)[1][-1])

    return Written(forward, **masked())


COUNTS: dict[str, Callable[[Any], Any]] = {
    "operator": lambda x: (x != 0).sum(1),
    "cpu": lambda x: (x != 0).sum(dim=-1).cpu(),
    "method": lambda x: x.ne(0).sum(1).to("cpu"),
    "function": lambda x: torch.sum(torch.ne(x, other=0), dim=1).long(),
    "axis": lambda x: (x != 0).sum(axis=1).tolist(),
    "cast before": lambda x: (x != 0).long().sum(1).detach().data,
    "floats": lambda x: (x != 0).float().sum(1).to(torch.int64),
    "greater": lambda x: (x > 0).sum(1),
    "at least 1": lambda x: x.ge(1).sum(1),
    "bool": lambda x: x.to(torch.bool).sum(1),
    "sign": lambda x: torch.sign(x.long()).sum(1),
    "non-zero": lambda x: torch.count_nonzero(x, dim=1),
}
"""Ways to count the tokens that are no padding."""


def selecting(pool: Callable[[Any, Any, Any, Any], Any]) -> Any:
    """Return a classifier of tokens that gets lengths and packs nothing."""
    return net(
        lambda m, x, lengths: m.fc(pool(m, m.rnn(m.emb(x))[0], x, lengths)),
        conv=nn.Conv1d(4, 4, 3, padding=1),
        **masked(),
    )


def real_steps(x: Any, lengths: Any) -> Any:
    return torch.arange(x.size(1))[None, :] < lengths[:, None]


def mean_of_lengths(_: Any, h: Any, x: Any, lengths: Any) -> Any:
    return (h * real_steps(x, lengths).unsqueeze(-1)).sum(1) / lengths.unsqueeze(1).float()


def last_by_gather(_: Any, h: Any, __: Any, lengths: Any) -> Any:
    last = (lengths - 1).view(-1, 1, 1).expand(h.size(0), 1, h.size(2))
    return h.gather(1, last).squeeze(1)


def max_of_lengths(_: Any, h: Any, x: Any, lengths: Any) -> Any:
    return h.masked_fill(~real_steps(x, lengths).unsqueeze(-1), -1e38).amax(1)


def min_of_lengths(_: Any, h: Any, x: Any, lengths: Any) -> Any:
    return torch.where(real_steps(x, lengths).unsqueeze(-1), h, 1e38).min(1).values


def attention_of_lengths(m: Any, h: Any, x: Any, lengths: Any) -> Any:
    scores = m.score(h).squeeze(-1).masked_fill(~real_steps(x, lengths), float("-inf"))
    return (scores.softmax(1).unsqueeze(-1) * h).sum(1)


def behind_convolution(m: Any, _: Any, x: Any, __: Any) -> Any:
    real = (x != 0).unsqueeze(-1)
    steps = m.conv((m.emb(x) * real).transpose(1, 2)).transpose(1, 2)
    return (m.rnn(steps)[0] * real).sum(1) / real.sum(1).clamp(min=1)


SELECTED: dict[str, tuple[Callable[[Any, Any, Any, Any], Any], str]] = {
    "mean": (mean_of_lengths, "pooling: mean"),
    "last": (lambda _, h, x, n: h[torch.arange(x.size(0)), n - 1], "{name: fc, units: 2}"),
    "last by gather": (last_by_gather, "{name: fc, units: 2}"),
    "max": (max_of_lengths, "pooling: max"),
    "min": (min_of_lengths, "pooling: min"),
    "attention": (attention_of_lengths, "    attention: {}\n"),
}
"""Ways to leave out padding by lengths that are not packed, each with what it is in a spec."""


def two_ends(m: Any, x: Any) -> Any:
    ahead, back = m.rnn(x)[0].split(4, -1)
    return m.fc(torch.cat((ahead.select(1, -1), back[:, 0]), 1))


def sizes_of_states(m: Any, x: Any) -> Any:
    steps, state = m.rnn(x)
    return m.fc(steps.reshape(state.size(1), m.fc.weight.size(1)))


PARTS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "sizes of states": (
        written(sizes_of_states, rnn=nn.GRU(3, 4, batch_first=True), fc=nn.Linear(24, 2)),
        "pooling: flatten",
    ),
    "both ends": (written(two_ends, rnn=both(), fc=nn.Linear(8, 2)), "{name: fc, units: 2}"),
    "last two": (
        written(lambda m, x: m.fc(m.rnn(x)[0].narrow(1, -2, 2)), rnn=lstm(), fc=nn.Linear(4, 2)),
        "{last_steps: 2}",
    ),
    "all rows": (
        written(
            lambda m, x: m.fc(m.rnn(x)[0].reshape(x.size(0) * x.size(1), -1)).view(
                x.size(0), x.size(1), -1
            ),
            rnn=lstm(),
            fc=nn.Linear(4, 2),
        ),
        "pooling: none",
    ),
}
"""Parts of tensors and other shapes, each with what it is in a spec."""
