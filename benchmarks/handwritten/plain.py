"""The founding networks in plain PyTorch with stock layers, without rnnspec.

Nothing is checked and nothing is shared, so that a call costs only what its layers cost. Each
returns logits.
"""

import torch
from torch import nn
from torch.nn import functional


class StandardRNN(nn.Module):
    """One simple layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10_000, 32)
        self.rnn = nn.RNN(32, 32, batch_first=True)
        self.head = nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embedding(x)
        _, h = self.rnn(x)
        logits: torch.Tensor = self.head(h[-1])
        return logits


class StackedLSTM(nn.Module):
    """Three LSTM layers, each after dropout with one mask per sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10_000, 32)
        self.first = nn.LSTM(32, 32, batch_first=True)
        self.second = nn.LSTM(32, 32, batch_first=True)
        self.third = nn.LSTM(32, 32, batch_first=True)
        self.head = nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embedding(x)
        if self.training:
            x = x * functional.dropout(x.new_ones(len(x), 1, 32), 0.2)
        x, _ = self.first(x)
        if self.training:
            x = x * functional.dropout(x.new_ones(len(x), 1, 32), 0.2)
        x, _ = self.second(x)
        if self.training:
            x = x * functional.dropout(x.new_ones(len(x), 1, 32), 0.2)
        _, (h, _) = self.third(x)
        logits: torch.Tensor = self.head(h[-1])
        return logits


class BidirectionalLSTM(nn.Module):
    """An LSTM layer for each direction, each after dropout with a mask of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10_000, 32)
        self.ahead = nn.LSTM(32, 32, batch_first=True)
        self.back = nn.LSTM(32, 32, batch_first=True)
        self.head = nn.Linear(64, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embedding(x)
        first = second = x
        if self.training:
            first = x * functional.dropout(x.new_ones(len(x), 1, 32), 0.2)
            second = x * functional.dropout(x.new_ones(len(x), 1, 32), 0.2)
        _, (first, _) = self.ahead(first)
        # Only the final state is used, so the output need not be flipped back.
        _, (second, _) = self.back(second.flip(1))
        logits: torch.Tensor = self.head(torch.cat([first[-1], second[-1]], dim=1))
        return logits


PLAIN: dict[str, type[nn.Module]] = {
    "standard_rnn": StandardRNN,
    "stacked_lstm": StackedLSTM,
    "bidirectional_lstm": BidirectionalLSTM,
}
