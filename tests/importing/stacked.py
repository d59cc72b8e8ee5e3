"""Modules with layers around the recurrent ones, as people write them, each with an input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from importing.traced import Inputs, features, padded_tokens, tokens, written
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

F = functional


class ConvLstm(nn.Module):
    """Two blocks of convolution, batch norm, relu and maximum between one pair of permutes."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(3, 6, kernel_size=3, padding=1),
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(6, 8, kernel_size=3, padding="same", dilation=2, bias=False),
            nn.BatchNorm1d(8, momentum=0.01),
            nn.ReLU(inplace=True),
            nn.Dropout1d(0.2),
        )
        self.lstm = nn.LSTM(8, 5, num_layers=2, batch_first=True, dropout=0.3)
        self.fc = nn.Linear(5, 4)

    def forward(self, x: Any) -> Any:
        x = self.features(x.permute(0, 2, 1)).permute(0, 2, 1)
        output, _ = self.lstm(x)
        return self.fc(output[:, -1])


class ChannelsFirst(nn.Module):
    """A network of signals, (batch, channels, steps)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 5, stride=2)
        self.pool = nn.AvgPool1d(2, stride=1)
        self.rnn = nn.GRU(4, 5, batch_first=True, bidirectional=True)
        self.out = nn.Linear(10, 2)

    def forward(self, x: Any) -> Any:
        x = self.pool(F.leaky_relu(self.conv(x), 0.1))
        output, _ = self.rnn(x.transpose(1, 2))
        pooled = F.adaptive_avg_pool1d(output.transpose(1, 2), 1)
        return self.out(pooled.squeeze(-1))


class DeepSpeech(nn.Module):
    """Three dense layers with clipped relu, both directions, two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(3, 6)
        self.fc2 = nn.Linear(6, 6)
        self.fc3 = nn.Linear(6, 7)
        self.birnn = nn.RNN(7, 5, nonlinearity="relu", bidirectional=True)
        self.fc4 = nn.Linear(10, 6)
        self.out = nn.Linear(6, 4)

    def forward(self, x: Any) -> Any:
        x = F.dropout(F.hardtanh(self.fc1(x), 0, 20), 0.1, self.training)
        x = self.fc2(x).clamp(min=0, max=20)
        x = torch.clamp(self.fc3(x), 0, 20)
        x, _ = self.birnn(x.transpose(0, 1))
        x = F.hardtanh(self.fc4(x), 0, 20)
        return F.log_softmax(self.out(x), dim=2).transpose(0, 1)


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


class DanQ(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 3)
        self.pool = nn.MaxPool1d(kernel_size=3, stride=3)
        self.lstm = nn.LSTM(6, 5, bidirectional=True, batch_first=True)
        self.fc1 = nn.Linear(4 * 10, 7)
        self.fc2 = nn.Linear(7, 3)

    def forward(self, x: Any) -> Any:
        x = F.dropout(self.pool(F.relu(self.conv(x))), 0.2, self.training)
        x, _ = self.lstm(x.transpose(1, 2))
        x = F.dropout(x.contiguous().view(-1, 4 * 10), 0.5, self.training)
        return torch.sigmoid(self.fc2(F.relu(self.fc1(x))))


class Attended(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4, padding_idx=0)
        self.lstm = nn.LSTM(4, 5, bidirectional=True, batch_first=True)
        self.attention = nn.Linear(10, 6)
        self.context = nn.Linear(6, 1, bias=False)
        self.fc = nn.Linear(10, 2)

    def forward(self, x: Any) -> Any:
        h, _ = self.lstm(self.emb(x))
        scores = self.context(torch.tanh(self.attention(h)))
        weights = F.softmax(scores, dim=1)
        return self.fc((weights * h).sum(dim=1))


class MeanAndMax(nn.Module):
    """The last state with the mean and the maximum of all steps (Howard and Ruder, 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.gru = nn.GRU(4, 5, bidirectional=True, batch_first=True)
        self.bn = nn.BatchNorm1d(30)
        self.fc = nn.Linear(30, 2)

    def forward(self, x: Any) -> Any:
        output, h = self.gru(self.emb(x))
        mean = output.mean(1)
        highest, _ = torch.max(output, 1)
        return self.fc(self.bn(torch.cat([h[-2], h[-1], mean, highest], 1)))


class PackedHeads(nn.Module):
    """A dense layer and a batch norm before a packed sequence, and a head for each of its ends."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4, padding_idx=0)
        self.fc = nn.Linear(4, 5)
        self.bn = nn.BatchNorm1d(5)
        self.gru = nn.GRU(5, 3, batch_first=True, bidirectional=True)
        self.tags = nn.Linear(6, 4)
        self.label = nn.Linear(6, 2)

    def forward(self, x: Any, lengths: Any) -> Any:
        x = F.relu(self.bn(self.fc(self.emb(x)).transpose(1, 2))).transpose(1, 2)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, h = self.gru(packed)
        output, _ = pad_packed_sequence(output, batch_first=True)
        label = self.label(torch.cat((h[-2], h[-1]), 1))
        return {"tags": F.log_softmax(self.tags(output), dim=-1), "label": label}


class Tagger(nn.Module):
    """Two heads by name: one label a step, and one a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5, bidirectional=True, batch_first=True)
        self.slots = nn.Linear(10, 6)
        self.intent = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))

    def forward(self, x: Any) -> Any:
        output, (h, _) = self.lstm(self.emb(x))
        pooled = torch.cat((h[-2], h[-1]), dim=-1)
        return {"slots": self.slots(output), "intent": self.intent(pooled)}


class Policy(nn.Module):
    """An actor and a critic on one state and one dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3, 6)
        self.gru = nn.GRU(6, 5, batch_first=True)
        self.shared = nn.Linear(5, 4)
        self.actor = nn.Linear(4, 2)
        self.critic = nn.Linear(4, 1)

    def forward(self, x: Any) -> Any:
        _, h = self.gru(torch.tanh(self.body(x)))
        z = F.relu(self.shared(h.squeeze(0)))
        return torch.softmax(self.actor(z), -1), self.critic(z)


class Chomp(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Any) -> Any:
        return x[:, :, : -self.size].contiguous()


class Causal(nn.Module):
    """Causal convolutions, padded in both usual ways, before a GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv1d(3, 4, 3, padding=2)
        self.chomp = Chomp(2)
        self.two = nn.Conv1d(4, 5, 2, dilation=2, stride=2)
        self.gru = nn.GRU(5, 6, batch_first=True)
        self.norm = nn.LayerNorm(6)

    def forward(self, x: Any) -> Any:
        x = F.relu6(self.chomp(self.one(x.transpose(1, 2))))
        x = self.two(F.pad(x, (2, 0)))
        return self.norm(self.gru(x.transpose(-1, -2))[0])


def many_joins(m: Any, x: Any) -> Any:
    x = m.emb(x)
    one, _ = m.one(x)
    two, _ = m.two(torch.cat([x, one], dim=2))
    return m.fc(torch.cat((one, two, x), -1))


def before_all(m: Any, x: Any) -> Any:
    return m.rnn(torch.cat((torch.softmax(m.input(x), -1), x), -1))[0]


def windows_of_same(m: Any, x: Any) -> Any:
    x = F.max_pool1d(F.pad(x.transpose(1, 2), (0, 1), value=float("-inf")), 2, 1)
    x = F.avg_pool1d(m.pool(x), 3, 1, 1, count_include_pad=False)
    return m.rnn(x.transpose(1, 2))[0]


def scores_without_units(m: Any, x: Any) -> Any:
    h, _ = m.rnn(x)
    weights = torch.softmax(m.score(h).squeeze(-1), dim=-1)
    return m.fc(torch.bmm(weights.unsqueeze(1), h).squeeze(1))


def several_poolings(m: Any, x: Any) -> Any:
    h, _ = m.rnn(m.dense(x))
    weights = torch.softmax(m.score(torch.relu(m.hidden(h))), 1)
    attended = torch.matmul(h.transpose(1, 2), weights).squeeze(2)
    return m.fc(torch.cat([h.sum(1), attended, h[:, -1], h.amax(1)], 1))


def of_the_embedding(m: Any, x: Any) -> Any:
    h, _ = m.rnn(m.emb(x))
    return F.linear(h, m.emb.weight, m.bias)


def product_with_embedding(m: Any, x: Any) -> Any:
    _, h = m.rnn(m.emb(x))
    return F.log_softmax(torch.matmul(h[-1], m.emb.weight.t()), -1)


def with_bias() -> nn.Module:
    module = written(of_the_embedding, emb=nn.Embedding(9, 4), rnn=nn.GRU(4, 4, batch_first=True))()
    module.register_parameter("bias", nn.Parameter(torch.randn(9)))
    return module


def norms(m: Any, x: Any) -> Any:
    x = m.first(m.bn(x.transpose(1, 2)).transpose(1, 2))
    x = m.plain(F.elu(x))
    h, _ = m.rnn(x)
    return m.fc(F.softplus(m.last(h)))


def steps_of_heads(m: Any, x: Any) -> Any:
    h, _ = m.rnn(x.transpose(0, 1))
    mean = h.mean(0)
    return m.one(m.drop(mean)), m.two(m.drop(mean)).squeeze(-1), h.transpose(0, 1)


def steps_as_rows(m: Any, x: Any) -> Any:
    """Compute dense layers as people had to before PyTorch 0.2, when they took matrices alone."""
    h, _ = m.rnn(x)
    rows = h.contiguous().view(h.size(0) * h.size(1), h.size(2))
    scores = F.log_softmax(m.fc(m.bn(torch.tanh(m.one(rows)))), dim=1)
    return scores.view(h.size(0), h.size(1), -1)


def averaged(m: Any, x: Any) -> Any:
    ahead, back = m.rnn(x)[0].chunk(2, dim=-1)
    return m.fc((ahead + back) / 2)


def multiplied(m: Any, x: Any) -> Any:
    h, _ = m.rnn(x)
    return (h[:, :, :4] * h[:, :, 4:]).amax(1)


BOTH: dict[str, Any] = {"bidirectional": True, "batch_first": True}


def two_branches(m: Any, x: Any) -> Any:
    x = x.transpose(1, 2)
    return m.rnn(torch.cat((m.one(x), m.two(x)), 1).transpose(1, 2))[0]


def shared_behind_mean(m: Any, x: Any) -> Any:
    h = m.fc(m.rnn(x)[0].mean(1))
    return m.one(h), m.two(h)


def two_layers(m: Any, x: Any) -> Any:
    below, _ = m.one(x)
    return m.two(below)[0], below


def two_last_steps(m: Any, x: Any) -> Any:
    return torch.cat((m.rnn(x)[0][:, -1], x[:, -1]), 1)


STACKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Inputs]]] = {
    "convolutions": (ConvLstm, lambda: (torch.randn(4, 11, 3).double(),)),
    "channels first": (ChannelsFirst, lambda: (torch.randn(4, 3, 13).double(),)),
    "DeepSpeech": (DeepSpeech, features),
    "language model": (LanguageModel, tokens),
    "DanQ": (DanQ, lambda: (torch.randn(4, 4, 14).double(),)),
    "attention": (Attended, tokens),
    "mean and max": (MeanAndMax, tokens),
    "packed heads": (PackedHeads, padded_tokens),
    "tagger": (Tagger, tokens),
    "policy": (Policy, features),
    "causal": (Causal, features),
    "joins": (
        written(
            many_joins,
            emb=nn.Embedding(9, 3),
            one=nn.LSTM(3, 4, batch_first=True),
            two=nn.GRU(7, 5, **BOTH),
            fc=nn.Linear(17, 2),
        ),
        tokens,
    ),
    "two branches": (
        written(
            two_branches,
            one=nn.Conv1d(3, 2, 1),
            two=nn.Conv1d(3, 2, 1),
            rnn=nn.GRU(4, 4, batch_first=True),
        ),
        features,
    ),
    "two heads behind a pooling": (
        written(
            shared_behind_mean,
            rnn=nn.GRU(3, 4, batch_first=True),
            fc=nn.Linear(4, 4),
            one=nn.Linear(4, 2),
            two=nn.Linear(4, 1),
        ),
        features,
    ),
    "a lower layer behind an upper one": (
        written(
            two_layers,
            one=nn.LSTM(3, 4, batch_first=True),
            two=nn.GRU(4, 4, batch_first=True),
        ),
        features,
    ),
    "two last steps": (written(two_last_steps, rnn=nn.GRU(3, 4, **BOTH)), features),
    "scores without units": (
        written(
            scores_without_units,
            rnn=nn.GRU(3, 4, **BOTH),
            score=nn.Linear(8, 1),
            fc=nn.Linear(8, 2),
        ),
        features,
    ),
    "several poolings": (
        written(
            several_poolings,
            dense=nn.Linear(3, 5, bias=False),
            rnn=nn.GRU(5, 4, **BOTH),
            hidden=nn.Linear(8, 3, bias=False),
            score=nn.Linear(3, 1),
            fc=nn.Linear(32, 2),
        ),
        features,
    ),
    "weight of the embedding": (with_bias, tokens),
    "product with the embedding": (
        written(product_with_embedding, emb=nn.Embedding(9, 4), rnn=nn.GRU(4, 4, batch_first=True)),
        tokens,
    ),
    "norms": (
        written(
            norms,
            bn=nn.BatchNorm1d(3, affine=False, eps=1e-4),
            first=nn.Linear(3, 4),
            plain=nn.LayerNorm(4, elementwise_affine=False),
            rnn=nn.LSTM(4, 5, batch_first=True),
            last=nn.LayerNorm(5, bias=False),
            fc=nn.Linear(5, 2),
        ),
        features,
    ),
    "steps of heads": (
        written(
            steps_of_heads,
            rnn=nn.GRU(3, 4),
            drop=nn.Dropout(0.3),
            one=nn.Linear(4, 2),
            two=nn.Linear(4, 1),
        ),
        features,
    ),
    "steps as rows": (
        written(
            steps_as_rows,
            rnn=nn.GRU(3, 4, **BOTH),
            one=nn.Linear(8, 5),
            bn=nn.BatchNorm1d(5),
            fc=nn.Linear(5, 3),
        ),
        features,
    ),
    "directions averaged": (
        written(
            averaged,
            rnn=nn.LSTM(3, 4, **BOTH),
            fc=nn.Linear(4, 2),
        ),
        features,
    ),
    "directions summed by shape": (
        written(
            lambda m, x: m.fc(m.rnn(x)[0].view(x.size(0), x.size(1), 2, -1).sum(2)),
            rnn=nn.LSTM(3, 4, **BOTH),
            fc=nn.Linear(4, 2),
        ),
        features,
    ),
    "directions multiplied": (
        written(
            multiplied,
            rnn=nn.GRU(3, 4, **BOTH),
        ),
        features,
    ),
    "last steps": (
        written(
            lambda m, x: m.fc(m.rnn(x)[0][:, -3:, :]), rnn=nn.GRU(3, 4, **BOTH), fc=nn.Linear(8, 2)
        ),
        features,
    ),
    "flattened": (
        written(
            lambda m, x: m.fc(torch.relu(m.rnn(x)[0]).reshape(x.size(0), -1)),
            rnn=nn.GRU(3, 4, batch_first=True),
            fc=nn.Linear(24, 2),
        ),
        features,
    ),
    "before all": (
        written(before_all, input=nn.Linear(3, 3), rnn=nn.GRU(6, 4, batch_first=True)),
        features,
    ),
    "without effect": (
        written(
            lambda m, x: m.rnn(m.drop(m.conv(x.transpose(1, 2))).transpose(1, 2))[0],
            conv=nn.Conv1d(3, 4, 1, stride=2, dilation=2),
            drop=nn.Dropout1d(0.0),
            rnn=nn.GRU(4, 4, batch_first=True),
        ),
        features,
    ),
    "windows of same": (
        written(
            windows_of_same,
            pool=nn.MaxPool1d(5, stride=1, padding=2),
            rnn=nn.GRU(3, 4, batch_first=True),
        ),
        features,
    ),
    "rounded up": (
        written(
            lambda m, x: m.rnn(m.pool(m.same(x.transpose(1, 2))).transpose(1, 2))[1][-1],
            same=nn.Conv1d(3, 4, 4, padding="same"),
            pool=nn.MaxPool1d(2, ceil_mode=True),
            rnn=nn.GRU(4, 4, batch_first=True),
        ),
        features,
    ),
}
TURNED = {
    "channels first": (0, 2, 1),
    "DanQ": (0, 2, 1),
    "language model": (1, 0),
}
"""Modules whose input is not (batch, steps, features), with the axes that make it so."""
RESULTS = {"language model": (1, 0, 2)}
"""Modules whose result is not batch first, with the axes that make it so."""
