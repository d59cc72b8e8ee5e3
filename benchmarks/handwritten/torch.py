"""The networks in PyTorch, as an expert would write them by hand, without rnnspec.

Each returns logits. ``rate`` drops features with one mask for all time steps of a sequence, and
``fresh`` with a new mask at each time step.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Net:
    """The sizes of a network."""

    cell: type[nn.LSTM] | type[nn.RNN] = nn.LSTM
    vocabulary: int = 10_000
    dim: int = 32
    units: int = 32
    layers: int = 1
    bidirectional: bool = False
    rate: float = 0.0
    fresh: float = 0.0

    @property
    def out(self) -> int:
        """The number of output features of a layer."""
        return self.units * (2 if self.bidirectional else 1)

    @property
    def sizes(self) -> list[int]:
        """The number of input features of each layer."""
        return [self.dim, *[self.out] * (self.layers - 1)]


NETS = {
    "stacked_lstm": Net(layers=3, rate=0.2),
    "standard_rnn": Net(nn.RNN),
    "bidirectional_lstm": Net(bidirectional=True, rate=0.2),
    "imdb_bidirectional_lstm": Net(
        vocabulary=20_000, dim=128, units=64, layers=2, bidirectional=True
    ),
    "packed_sentiment_lstm": Net(
        vocabulary=25_002, dim=100, units=256, layers=2, bidirectional=True, fresh=0.5
    ),
    "three_lstm": Net(layers=3),
}


class Handwritten(nn.Module):
    """An embedding, the recurrent part that a subclass adds, and a dense layer."""

    head: nn.Module

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
        self.embedding = nn.Embedding(net.vocabulary, net.dim)

    def layer(self, size: int, **given: Any) -> nn.RNNBase:
        """Return a recurrent layer of the network's type."""
        return self.net.cell(size, self.net.units, batch_first=True, **given)

    def drop(self, x: torch.Tensor) -> torch.Tensor:
        """Apply dropout to (batch, steps, features)."""
        if self.training and self.net.rate:
            # One mask for all time steps.
            return x * functional.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.net.rate)
        return functional.dropout(x, self.net.fresh, self.training)

    def last(self, found: Any) -> torch.Tensor:
        """Return the final state of the last layer, with both directions concatenated."""
        # nn.LSTM returns (h, c), nn.RNN only h.
        state: torch.Tensor = found[0] if isinstance(found, tuple) else found
        return torch.cat([state[-2], state[-1]], dim=1) if self.net.bidirectional else state[-1]

    def finish(self, state: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        dropped = functional.dropout(state, self.net.fresh, self.training)
        logits: torch.Tensor = self.head(dropped)
        return logits


class BatchFirst(Handwritten):
    """(batch, steps, features) throughout, the layout of the embedding; one module per layer."""

    def __init__(self, net: Net) -> None:
        super().__init__(net)
        layers = (self.layer(size, bidirectional=net.bidirectional) for size in net.sizes)
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(net.out, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, state = self.embedding(tokens), None
        for layer in self.layers:
            x, state = layer(self.drop(x))
        return self.finish(self.last(state))


class TimeMajor(Handwritten):
    """(steps, batch, features) from transposed tokens, the layout the kernels work in."""

    def __init__(self, net: Net) -> None:
        super().__init__(net)
        self.layers = nn.ModuleList(net.cell(size, net.units) for size in net.sizes)
        self.head = nn.Linear(net.out, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, rate = self.embedding(tokens.t()), self.net.rate
        for layer in self.layers:
            if self.training and rate:
                # Drawn in place, without the allocations of functional.dropout.
                x = x * x.new_empty(1, *x.shape[1:]).bernoulli_(1 - rate).div_(1 - rate)
            x, _ = layer(x)
        return self.finish(x[-1])


class OneStack(Handwritten):
    """All layers in one module, without masks between them, which inference does not need."""

    def __init__(self, net: Net) -> None:
        super().__init__(net)
        self.stack = self.layer(
            net.dim, num_layers=net.layers, bidirectional=net.bidirectional, dropout=net.fresh
        )
        self.head = nn.Linear(net.out, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        _, state = self.stack(self.drop(self.embedding(tokens)))
        return self.finish(self.last(state))


class TwoWays(Handwritten):
    """A bidirectional layer as two modules, so that each direction has a mask of its own."""

    def __init__(self, net: Net) -> None:
        super().__init__(net)
        self.forward_layer = self.layer(net.dim)
        self.backward_layer = self.layer(net.dim)
        self.head = nn.Linear(net.out, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        _, (ahead, _) = self.forward_layer(self.drop(x))
        # The final state of a reversed sequence is that at its first step.
        _, (back, _) = self.backward_layer(self.drop(x).flip(1))
        return self.finish(torch.cat([ahead[-1], back[-1]], dim=1))
