"""Small modules as people write them: those that the language has, each with an input."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import nn, zeros
from torch.autograd import Variable
from torch.nn import functional
from torch.nn.utils import rnn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

F = functional
Inputs = tuple[torch.Tensor, ...]


def features(size: int = 3) -> Inputs:
    return (torch.randn(4, 6, size, dtype=torch.float64),)


def tokens() -> Inputs:
    return (torch.randint(1, 9, (4, 6)),)


def padded_tokens() -> Inputs:
    (drawn,) = tokens()
    lengths = torch.tensor([6, 4, 3, 1])
    return drawn * (torch.arange(6) < lengths[:, None]), lengths


def padded_features() -> Inputs:
    (drawn,) = features()
    lengths = torch.tensor([6, 4, 3, 1])
    return drawn * (torch.arange(6) < lengths[:, None])[..., None], lengths


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4, padding_idx=0)
        self.lstm = nn.LSTM(4, 5, num_layers=2, batch_first=True, dropout=0.3)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        output, (_, _) = self.lstm(input=self.embedding(input=x))
        return self.fc(self.dropout(output[:, -1, :]))


class PackedBoth(nn.Module):
    """Both directions over packed tokens, with the final states of the top layer."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4, padding_idx=0)
        self.rnn = nn.LSTM(4, 5, 2, bidirectional=True, batch_first=True)
        self.out = nn.Linear(10, 2)

    def forward(self, text: Any, lengths: Any) -> Any:
        packed = pack_padded_sequence(
            self.emb(text), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        _, (hidden, _) = self.rnn(packed)
        hidden = torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1)
        return F.log_softmax(self.out(hidden), dim=1)


class PackedTagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.gru = nn.GRU(4, 5, bidirectional=True, batch_first=True)
        self.dropout = nn.Dropout(0.1)
        self.out = nn.Linear(10, 7)

    def forward(self, x: Any, lengths: Any) -> Any:
        packed = pack_padded_sequence(self.emb(x), lengths, True, False)
        output, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True)
        return self.out(self.dropout(output))


class PackedFeatures(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5)
        self.fc = nn.Linear(5, 1)

    def forward(self, x: Any, lengths: Any) -> Any:
        packed = pack_padded_sequence(x.transpose(0, 1), lengths, enforce_sorted=False)
        _, h = self.gru(packed)
        return torch.sigmoid(self.fc(h.squeeze(0)))


class PackedStepsFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4, bidirectional=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x: Any, lengths: Any) -> Any:
        packed = rnn.pack_padded_sequence(x.permute(1, 0, 2), lengths)
        return self.fc(rnn.pad_packed_sequence(self.rnn(packed)[0])[0]).transpose(0, 1)


class Written(nn.Module):
    """A module whose ``forward`` is a function of its layers."""

    def __init__(self, forward: Callable[[Any, Any], Any], **layers: nn.Module) -> None:
        super().__init__()
        self.written = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Any) -> Any:
        return self.written(self, x)


class First(nn.Module):
    def forward(self, pair: Any) -> Any:
        return pair[0]


class LastOf(nn.Module):
    def forward(self, pair: Any) -> Any:
        output, _ = pair
        return output[:, -1]


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4, batch_first=True)

    def forward(self, x: Any, hidden: Any = None) -> Any:
        return self.rnn(x, hidden)[1][-1]


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.head = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))

    def forward(self, x: Any) -> Any:
        return self.head(self.encoder(x)).squeeze(-1)


class ZeroStates(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.units = 5
        self.lstm = nn.LSTM(3, self.units, 2, batch_first=True)
        self.fc = nn.Linear(self.units, 1)

    def forward(self, x: Any) -> Any:
        h0 = torch.zeros(2, x.size(0), self.units).to(x.device).to(x.dtype)
        c0 = x.new_zeros(2, x.shape[0], self.units)
        out, _ = self.lstm(x, (h0, c0))
        return self.fc(out[:, -1])


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


class Residuals(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.GRU(3, 4, batch_first=True)
        self.second = nn.LSTM(4, 4, batch_first=True)
        self.norm = nn.LayerNorm(4)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        x = self.first(x)[0]
        y, _ = self.second(F.dropout(x, 0.1, self.training))
        x = x + self.norm(y)
        return self.fc(x.mean(dim=1))


def sum_of_both(m: Any, x: Any) -> Any:
    _, h = m.rnn(x)
    return m.fc(h[0] + h[1])


def backward_first(m: Any, x: Any) -> Any:
    _, h = m.rnn(x)
    return F.relu(m.fc(m.norm(F.dropout(torch.cat((h[-1], h[-2]), 1), 0.3, m.training))))


def random_norm(size: int) -> nn.LayerNorm:
    norm = nn.LayerNorm(size)
    for each in norm.parameters():
        nn.init.normal_(each)
    return norm


def in_place(m: Any, x: Any) -> Any:
    steps = x.size(0)
    steps += 0
    y, _ = m.rnn(x, x.new_zeros(1, steps, 3))
    y += x
    return F.relu(m.fc(y), inplace=True)


def mode_changed() -> Any:
    module: Any = Written(lambda m, x: m.rnn(x)[0], rnn=nn.RNN(3, 4, batch_first=True))
    module.rnn.mode = "RNN_RELU"
    return module


def lstm(**words: Any) -> nn.LSTM:
    return nn.LSTM(3, 4, **{"batch_first": True, **words})


def both(**words: Any) -> nn.LSTM:
    return lstm(bidirectional=True, **words)


def written(forward: Callable[[Any, Any], Any], **layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: Written(forward, **layers)


ACCEPTED: dict[str, tuple[Callable[[], nn.Module], Callable[[], Inputs]]] = {
    "classifier": (Classifier, tokens),
    "packed both": (PackedBoth, padded_tokens),
    "packed tagger": (PackedTagger, padded_tokens),
    "packed features": (PackedFeatures, padded_features),
    "packed steps first": (PackedStepsFirst, padded_features),
    "nested": (Nested, features),
    "zero states": (ZeroStates, features),
    "residuals": (Residuals, features),
    "sequential": (
        lambda: nn.Sequential(
            nn.Embedding(9, 3), lstm(), LastOf(), nn.Linear(4, 2), nn.Softmax(-1)
        ),
        tokens,
    ),
    "a step for each": (lambda: nn.Sequential(lstm(), First(), nn.Linear(4, 2)), features),
    "last step of both": (
        written(lambda m, x: m.fc(m.lstm(x)[0][:, -1, :]), lstm=both(), fc=nn.Linear(8, 2)),
        features,
    ),
    "dense before the last step": (
        written(lambda m, x: m.fc(m.lstm(x)[0])[:, -1], lstm=both(), fc=nn.Linear(8, 2)),
        features,
    ),
    "norm behind the last step": (
        written(
            lambda m, x: m.fc(m.norm(m.lstm(x)[0][:, -1])),
            lstm=both(num_layers=2),
            norm=nn.LayerNorm(8, eps=1e-4),
            fc=nn.Linear(8, 2),
        ),
        features,
    ),
    "steps first": (
        written(
            lambda m, x: m.fc(m.rnn(x.permute(1, 0, 2))[0][-1]),
            rnn=nn.GRU(3, 4),
            fc=nn.Linear(4, 1),
        ),
        features,
    ),
    "back again": (
        written(
            lambda m, x: m.fc(m.rnn(x.transpose(0, 1))[0].transpose(1, 0)),
            rnn=nn.RNN(3, 4, nonlinearity="relu"),
            fc=nn.Linear(4, 2),
        ),
        features,
    ),
    "mean": (
        written(lambda m, x: F.elu(m.fc(m.rnn(x)[0].mean(1))), rnn=both(), fc=nn.Linear(8, 3)),
        features,
    ),
    "max": (
        written(lambda m, x: m.rnn(x)[0].max(dim=1)[0], rnn=nn.GRU(3, 4, batch_first=True)),
        features,
    ),
    "mode changed": (mode_changed, features),
    "max by torch": (
        written(lambda m, x: torch.max(m.rnn(x)[0], 1).values, rnn=both()),
        features,
    ),
    "amax": (written(lambda m, x: m.rnn(x)[0].amax(dim=1), rnn=lstm(bias=False)), features),
    "sum of both": (
        written(
            sum_of_both,
            rnn=nn.GRU(3, 4, batch_first=True, bidirectional=True, bias=False),
            fc=nn.Linear(4, 2),
        ),
        features,
    ),
    "joined by shape": (
        written(
            lambda m, x: m.fc(m.rnn(x)[1].permute(1, 0, 2).reshape(x.size(0), -1)),
            rnn=nn.RNN(3, 4, bidirectional=True, batch_first=True),
            fc=nn.Linear(8, 2),
        ),
        features,
    ),
    "backward first": (
        written(
            backward_first,
            rnn=nn.GRU(3, 4, 2, bidirectional=True, batch_first=True),
            norm=random_norm(8),
            fc=nn.Linear(8, 2),
        ),
        features,
    ),
    "in place": (
        written(in_place, rnn=nn.GRU(3, 3, batch_first=True), fc=nn.Linear(3, 2)),
        features,
    ),
    "normalized": (
        written(
            lambda m, x: F.normalize(m.fc(m.rnn(x)[1][0][-1]), dim=1),
            rnn=lstm(),
            fc=nn.Linear(4, 3),
        ),
        features,
    ),
    "decoder": (
        written(
            lambda m, x: m.fc(m.back(m.rnn(x)[1][0][-1].unsqueeze(1).repeat(1, 5, 1))[0]),
            rnn=lstm(),
            back=nn.LSTM(4, 6, batch_first=True),
            fc=nn.Linear(6, 3),
        ),
        features,
    ),
    "functions": (
        written(
            lambda m, x: torch.tanh(
                m.two(F.relu(m.one(m.rnn(x)[0].contiguous()[:, -1].to(torch.float64))))
            ),
            rnn=nn.RNN(3, 4, 2, batch_first=True, dropout=0.2),
            one=nn.Linear(4, 6),
            two=nn.Linear(6, 1),
        ),
        features,
    ),
}


def over_time(pool: Callable[[Any, Any], Any]) -> nn.Module:
    """Return a module that reduces (batch, features, steps) over a size of its tensors."""

    def forward(m: Any, x: Any) -> Any:
        y = m.conv(m.rnn(x)[0].transpose(1, 2))
        return m.fc(pool(y, x))

    rnn, conv = nn.GRU(3, 4, batch_first=True), nn.Conv1d(4, 5, 3, padding=1)
    return Written(forward, rnn=rnn, conv=conv, fc=nn.Linear(5, 2))


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


def counted(lengths: Callable[[Any], Any], *, index: int = 0) -> nn.Module:
    """Return a module that packs its tokens by lengths which it counts."""

    def forward(m: Any, x: Any) -> Any:
        packed = pack_padded_sequence(m.emb(x), lengths(x), True, enforce_sorted=False)
        return m.fc(m.rnn(packed)[1][-1])

    emb, gru = nn.Embedding(9, 4, padding_idx=index), nn.GRU(4, 5, batch_first=True)
    return Written(forward, emb=emb, rnn=gru, fc=nn.Linear(5, 2))


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
