"""Padded batches in PyTorch, as they are usually written by hand, without rnnspec."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.handwritten.torch import Handwritten, Net


class Packed(Handwritten):
    """The idiom of PyTorch's documentation: pack, run, take the final states.

    Dropout masks between the layers need padded sequences, so each layer packs them again.
    """

    def __init__(self, net: Net) -> None:
        super().__init__(net)
        given = {"bidirectional": net.bidirectional}
        self.layers = nn.ModuleList(
            [self.layer(size, **given) for size in net.sizes]
            if net.rate
            else [self.layer(net.dim, num_layers=net.layers, dropout=net.fresh, **given)]
        )
        self.head = nn.Linear(net.out, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        # pack_padded_sequence expects the lengths on the CPU.
        lengths = (tokens != 0).sum(dim=1).cpu()
        x, state = self.embedding(tokens), None
        for number, layer in enumerate(self.layers, 1):
            packed = pack_padded_sequence(
                self.drop(x), lengths, batch_first=True, enforce_sorted=False
            )
            packed, state = layer(packed)
            if number < len(self.layers):
                x, _ = pad_packed_sequence(packed, batch_first=True)
        return self.finish(self.last(state))


class Picked(Handwritten):
    """A run over the padding that picks the last real time step; right padding, one direction."""

    def __init__(self, net: Net) -> None:
        super().__init__(net)
        self.layers = nn.ModuleList(self.layer(size) for size in net.sizes)
        self.head = nn.Linear(net.out, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        for layer in self.layers:
            x, _ = layer(self.drop(x))
        # Right padding only: a backward direction would begin in the padding.
        last = (tokens != 0).sum(dim=1) - 1
        return self.finish(x[torch.arange(len(tokens)), last])
