"""Handwritten loops for cells without a fused layer in PyTorch, without rnnspec.

The input part of every gate is one product for all time steps. Arrays have the layout of
``nn.LSTM`` and ``nn.GRU``; the gates of the latter are reset, update, new.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn import functional

VOCABULARY, DIM, UNITS = 10_000, 32, 32
Pair = tuple[torch.Tensor, torch.Tensor]


class Arrays(nn.Module):
    """The arrays of a cell with a number of gates."""

    def __init__(self, gates: int) -> None:
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(gates * UNITS, DIM))
        self.weight_hh = nn.Parameter(torch.empty(gates * UNITS, UNITS))
        self.bias = nn.Parameter(torch.empty(gates * UNITS))


class Loop(nn.Module):
    """An embedding, a loop over the time steps and a dense layer; returns logits."""

    gates = 4

    def __init__(self, *, time_major: bool) -> None:
        super().__init__()
        self.time_major = time_major
        self.embedding = nn.Embedding(VOCABULARY, DIM)
        self.cell = Arrays(self.gates)
        self.head = nn.Linear(UNITS, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens.t() if self.time_major else tokens)
        # Time-major tokens make the slices of the loop contiguous.
        share = functional.linear(x, self.cell.weight_ih, self.cell.bias)
        start = x.new_zeros(len(tokens), UNITS)
        logits: torch.Tensor = self.head(
            self.scan(share.unbind(0 if self.time_major else 1), start)
        )
        return logits

    def scan(self, shares: Iterable[torch.Tensor], start: torch.Tensor) -> torch.Tensor:
        """Return the final state, given the input part of the gates at each time step."""
        raise NotImplementedError


class LSTM(Loop):
    """An LSTM with another activation for the gates."""

    gate: Callable[[torch.Tensor], torch.Tensor] = staticmethod(functional.hardsigmoid)

    def scan(self, shares: Iterable[torch.Tensor], start: torch.Tensor) -> torch.Tensor:
        h = c = start
        transposed = self.cell.weight_hh.t()
        for share in shares:
            # addmm adds the input part in the same kernel as the product.
            h, c = self.step(torch.addmm(share, h, transposed).chunk(4, 1), c)
        return h

    def step(self, products: Iterable[torch.Tensor], c: torch.Tensor) -> Pair:
        """Return the output and the cell state after a time step."""
        i, f, g, o = products
        c = torch.addcmul(self.gate(f) * c, self.gate(i), torch.tanh(g))
        return self.gate(o) * torch.tanh(c), c


class DroppedLSTM(LSTM):
    """Recurrent dropout with one mask per gate, as four products per time step."""

    gate = staticmethod(torch.sigmoid)
    rate = 0.2

    def scan(self, shares: Iterable[torch.Tensor], start: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().scan(shares, start)
        masks = self.masks(start)
        weights = [weight.t() for weight in self.cell.weight_hh.chunk(4)]
        h = c = start
        for share in shares:
            parts = zip(share.chunk(4, 1), masks, weights, strict=True)
            h, c = self.step([torch.addmm(x, h * mask, w) for x, mask, w in parts], c)
        return h

    def masks(self, start: torch.Tensor) -> torch.Tensor:
        """Return the dropout masks, (gates, batch, units)."""
        return functional.dropout(start.new_ones(4, *start.shape), self.rate)


class BatchedLSTM(DroppedLSTM):
    """Recurrent dropout with one mask per gate, as one batched product per time step."""

    def scan(self, shares: Iterable[torch.Tensor], start: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().scan(shares, start)
        masks = self.masks(start)
        weights = self.cell.weight_hh.view(4, UNITS, UNITS).transpose(1, 2)
        h = c = start
        for share in shares:
            # A view: the gates become the batch axis of the product without a copy.
            x = share.view(-1, 4, UNITS).transpose(0, 1)
            h, c = self.step(torch.baddbmm(x, h * masks, weights), c)
        return h


class ResetBefore(Loop):
    """A GRU with the reset gate before the recurrent product."""

    gates = 3

    def scan(self, shares: Iterable[torch.Tensor], start: torch.Tensor) -> torch.Tensor:
        h = start
        both, new = (w.t() for w in self.cell.weight_hh.split_with_sizes([2 * UNITS, UNITS]))
        for share in shares:
            x, x_new = share.split_with_sizes([2 * UNITS, UNITS], 1)
            r, z = torch.sigmoid(torch.addmm(x, h, both)).chunk(2, 1)
            candidate = torch.tanh(torch.addmm(x_new, r * h, new))
            # z h + (1 - z) candidate, in one kernel.
            h = torch.lerp(candidate, h, z)
        return h


LOOPS: dict[str, dict[str, type[Loop]]] = {
    "recurrent_dropout": {"four products": DroppedLSTM, "one batched product": BatchedLSTM},
    "reset_before": {"addmm": ResetBefore},
    "hard_gates": {"addmm": LSTM},
}
