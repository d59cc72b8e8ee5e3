"""The stacked LSTM in PyTorch, as an expert would write it by hand: no rnnspec in here.

Each returns logits, and drops features with one mask for all steps of a sequence.
"""

import torch
from torch import nn
from torch.nn import functional

VOCABULARY, DIM, UNITS, LAYERS, RATE = 10_000, 32, 32, 3, 0.2


class BatchFirst(nn.Module):
    """(batch, steps, features) throughout, the layout of the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, DIM)
        sizes = [DIM, *[UNITS] * (LAYERS - 1)]
        self.layers = nn.ModuleList(nn.LSTM(size, UNITS, batch_first=True) for size in sizes)
        self.head = nn.Linear(UNITS, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        for layer in self.layers:
            if self.training:
                x = x * functional.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), RATE)
            x, (state, _) = layer(x)
        logits: torch.Tensor = self.head(state[-1])
        return logits


class TimeMajor(nn.Module):
    """(steps, batch, features) after turning the tokens, the layout that the kernels work in."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, DIM)
        self.layers = nn.ModuleList(nn.LSTM(size, UNITS) for size in [DIM, *[UNITS] * (LAYERS - 1)])
        self.head = nn.Linear(UNITS, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens.t())
        for layer in self.layers:
            if self.training:
                x = x * x.new_empty(1, *x.shape[1:]).bernoulli_(1 - RATE).div_(1 - RATE)
            x, _ = layer(x)
        logits: torch.Tensor = self.head(x[-1])
        return logits


class OneStack(nn.Module):
    """All layers in one ``nn.LSTM``, no masks between them: the same network in inference only."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, DIM)
        self.stack = nn.LSTM(DIM, UNITS, num_layers=LAYERS, batch_first=True)
        self.head = nn.Linear(UNITS, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        _, (state, _) = self.stack(self.embedding(tokens))
        logits: torch.Tensor = self.head(state[-1])
        return logits


TRAINABLE: dict[str, type[nn.Module]] = {"batch first": BatchFirst, "time-major": TimeMajor}
INFERRING: dict[str, type[nn.Module]] = {**TRAINABLE, "one nn.LSTM(num_layers=3)": OneStack}
