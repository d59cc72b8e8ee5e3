"""The networks in PyTorch. Each module returns logits.

Parameters are registered in the order of rnnspec's, so that weights can be copied one by one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.networks import DIM, FEW_WORDS, LSTM_40, UNITS, VOCABULARY

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Net:
    """The sizes of a network.

    ``rate`` drops features with one mask for all time steps of a sequence, ``fresh`` with a new
    mask at each time step. Without a ``vocabulary`` the inputs are features.
    """

    cell: type[nn.LSTM] | type[nn.GRU] | type[nn.RNN] = nn.LSTM
    vocabulary: int = VOCABULARY
    dim: int = DIM
    units: int = UNITS
    layers: int = 1
    bidirectional: bool = False
    rate: float = 0.0
    fresh: float = 0.0

    @property
    def out(self) -> int:
        """The number of output features of a layer."""
        return self.units * (2 if self.bidirectional else 1)

    def layer(self, size: int, **options: Any) -> nn.RNNBase:
        """Return a recurrent layer, in one direction unless ``options`` say otherwise."""
        return self.cell(size, self.units, **{"batch_first": True, **options})

    def separate_layers(self) -> list[nn.RNNBase]:
        """Return a module for each layer."""
        sizes = [self.dim, *[self.out] * (self.layers - 1)]
        return [self.layer(size, bidirectional=self.bidirectional) for size in sizes]

    def one_module(self) -> list[nn.RNNBase]:
        """Return one module of all layers, which has no masks of whole sequences between them."""
        options = {"num_layers": self.layers, "bidirectional": self.bidirectional}
        return [self.layer(self.dim, dropout=self.fresh, **options)]


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
    LSTM_40: Net(vocabulary=0, dim=1, units=40),
}


class BatchFirst(nn.Module):
    """(batch, steps, features) throughout, the layout of the embedding."""

    def __init__(self, net: Net, layers: Iterable[nn.RNNBase] | None = None) -> None:
        super().__init__()
        self.net = net
        self.embedding: nn.Module = nn.Identity()
        if net.vocabulary:
            self.embedding = nn.Embedding(net.vocabulary, net.dim)
        self.layers = nn.ModuleList(layers or net.separate_layers())
        self.head = nn.Linear(net.out, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, state = self.embedding(tokens), None
        for layer in self.layers:
            x, state = layer(self.drop(x))
        return self.finish(self.last(state))

    def drop(self, x: torch.Tensor) -> torch.Tensor:
        """Apply dropout to (batch, steps, features)."""
        if self.training and self.net.rate:
            # One mask for all time steps.
            return x * functional.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.net.rate)
        return functional.dropout(x, self.net.fresh) if self.training and self.net.fresh else x

    def last(self, state: Any) -> torch.Tensor:
        """Return the final state of the last layer, with both directions concatenated."""
        # nn.LSTM returns (h, c), nn.RNN only h.
        h: torch.Tensor = state[0] if isinstance(state, tuple) else state
        return torch.cat([h[-2], h[-1]], dim=1) if self.net.bidirectional else h[-1]

    def finish(self, state: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        if self.training and self.net.fresh:
            state = functional.dropout(state, self.net.fresh)
        logits: torch.Tensor = self.head(state)
        return logits


class TimeMajor(BatchFirst):
    """(steps, batch, features) from transposed tokens, the layout the kernels work in."""

    def __init__(self, net: Net) -> None:
        sizes = [net.dim, *[net.units] * (net.layers - 1)]
        super().__init__(net, [net.layer(size, batch_first=False) for size in sizes])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, rate = self.embedding(tokens.t()), self.net.rate
        for layer in self.layers:
            if self.training and rate:
                # Drawn in place, without the allocations of functional.dropout.
                x = x * x.new_empty(1, *x.shape[1:]).bernoulli_(1 - rate).div_(1 - rate)
            x, _ = layer(x)
        return self.finish(x[-1])


class TwoWays(BatchFirst):
    """A bidirectional layer as two modules, so that each direction has a mask of its own."""

    def __init__(self, net: Net) -> None:
        super().__init__(net, [net.layer(net.dim), net.layer(net.dim)])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, (forward, backward) = self.embedding(tokens), self.layers
        _, (ahead, _) = forward(self.drop(x))
        # The final state of a reversed sequence is that at its first step.
        _, (back, _) = backward(self.drop(x).flip(1))
        return self.finish(torch.cat([ahead[-1], back[-1]], dim=1))


class Packed(BatchFirst):
    """The idiom of PyTorch's documentation for padding: pack, run, take the final states.

    Dropout masks between the layers need padded sequences, so each layer packs them again.
    """

    def __init__(self, net: Net) -> None:
        super().__init__(net, None if net.rate else net.one_module())

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


class Picked(BatchFirst):
    """A run over the padding that picks the last real time step; right padding, one direction."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        for layer in self.layers:
            x, _ = layer(self.drop(x))
        # Right padding only: a backward direction would begin in the padding.
        last = (tokens != 0).sum(dim=1) - 1
        return self.finish(x[torch.arange(len(tokens)), last])


class Loop(nn.Module):
    """An embedding, a loop over the time steps of a cell without a fused layer, and a dense layer.

    The input part of every gate is one product for all time steps. Arrays have the layout of
    ``nn.LSTM`` and ``nn.GRU``; the gates of the latter are reset, update, new.
    """

    gates = 4

    def __init__(self, *, time_major: bool) -> None:
        super().__init__()
        self.time_major = time_major
        self.embedding = nn.Embedding(VOCABULARY, DIM)
        # In a module, because parameters of this one would come before those of the embedding.
        size = self.gates * UNITS
        shapes = {"weight_ih": (size, DIM), "weight_hh": (size, UNITS), "bias": (size,)}
        # Pairs, because the keys of a dictionary would be sorted.
        self.cell = nn.ParameterDict([(name, torch.empty(shapes[name])) for name in shapes])
        self.head = nn.Linear(UNITS, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens.t() if self.time_major else tokens)
        # Time-major tokens make the slices of the loop contiguous.
        share = functional.linear(x, self.cell["weight_ih"], self.cell["bias"])
        steps = share.unbind(0 if self.time_major else 1)
        logits: torch.Tensor = self.head(self.scan(steps, x.new_zeros(len(tokens), UNITS)))
        return logits

    def scan(self, shares: Iterable[torch.Tensor], start: torch.Tensor) -> torch.Tensor:
        """Return the final state, given the input part of the gates at each time step."""
        raise NotImplementedError


class LSTM(Loop):
    """An LSTM with another activation for the gates."""

    gate: Callable[[torch.Tensor], torch.Tensor] = staticmethod(functional.hardsigmoid)

    def scan(self, shares: Iterable[torch.Tensor], start: torch.Tensor) -> torch.Tensor:
        h = c = start
        transposed = self.cell["weight_hh"].t()
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
        weights = [weight.t() for weight in self.cell["weight_hh"].chunk(4)]
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
        weights = self.cell["weight_hh"].view(4, UNITS, UNITS).transpose(1, 2)
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
        both, new = (w.t() for w in self.cell["weight_hh"].split_with_sizes([2 * UNITS, UNITS]))
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


class Cells(nn.Module):
    """The founding stack as cells, for one step at a time; returns probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, DIM)
        self.cells = nn.ModuleList(nn.LSTMCell(UNITS, UNITS) for _ in range(3))
        self.head = nn.Linear(UNITS, 1)

    def forward(self, tokens: torch.Tensor, states: list[Pair]) -> tuple[torch.Tensor, list[Pair]]:
        """Return the output for tokens (batch,), and the new states."""
        x, after = self.embedding(tokens), []
        for cell, state in zip(self.cells, states, strict=True):
            x, c = cell(x, state)
            after.append((x, c))
        return torch.sigmoid(self.head(x)), after

    def zeros(self, size: int) -> list[Pair]:
        """Return the states before the first step."""
        return [(torch.zeros(size, UNITS), torch.zeros(size, UNITS)) for _ in self.cells]


class Around(nn.Module):
    """A network with layers around the recurrent ones; padding is on the right, with token 0."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__()
        self.padded = padded
        self.embedding = nn.Embedding(FEW_WORDS, DIM)

    def read(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the vectors of tokens, and True at real steps, (batch, steps, 1), if padded."""
        return self.embedding(tokens), (tokens != 0).unsqueeze(-1) if self.padded else None

    @staticmethod
    def run(
        layer: nn.LSTM, x: torch.Tensor, real: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the outputs of a layer, and its final states side by side."""
        if real is None:
            x, (h, _) = layer(x)
        else:
            lengths = real.sum(dim=(1, 2)).cpu()
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            packed, (h, _) = layer(packed)
            x, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
        return x, torch.cat([h[-2], h[-1]], dim=-1) if layer.bidirectional else h[-1]

    @staticmethod
    def mean(x: torch.Tensor, real: torch.Tensor | None) -> torch.Tensor:
        """Return the mean of the real steps."""
        return x.mean(dim=1) if real is None else (x * real).sum(dim=1) / real.sum(dim=1)


class ConvNormPool(Around):
    """A convolution, a batch norm and a pool before a bidirectional layer."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.conv = nn.Conv1d(DIM, UNITS, 5, padding="same")
        self.norm = nn.BatchNorm1d(UNITS, eps=1e-3, momentum=0.01)
        self.pool = nn.MaxPool1d(2)
        self.layer = nn.LSTM(UNITS, UNITS, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * UNITS, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, real = self.read(tokens)
        if real is None:
            x = self.pool(self.norm(torch.relu(self.conv(x.transpose(1, 2))))).transpose(1, 2)
        else:
            x = torch.relu(self.conv((x * real).transpose(1, 2))).transpose(1, 2)
            normed, steps = torch.full_like(x, -torch.inf), real.squeeze(-1)
            # nn.BatchNorm1d takes no mask, but a list of steps.
            normed[steps] = self.norm(x[steps])
            real = real[:, 1::2]
            # A window is padding if its last step is.
            x = self.pool(normed.transpose(1, 2)).transpose(1, 2).masked_fill(~real, 0)
        _, state = self.run(self.layer, x, real)
        logits: torch.Tensor = self.head(state)
        return logits


class AttentionPooling(Around):
    """The mean of the steps, weighted by a softmax of their scores."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.layer = nn.LSTM(DIM, UNITS, batch_first=True)
        self.hidden = nn.Linear(UNITS, UNITS)
        self.query = nn.Linear(UNITS, 1, bias=False)
        self.head = nn.Linear(UNITS, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, real = self.read(tokens)
        x, _ = self.run(self.layer, x, real)
        scores = self.query(torch.tanh(self.hidden(x)))
        if real is not None:
            scores = scores.masked_fill(~real, -torch.inf)
        logits: torch.Tensor = self.head((torch.softmax(scores, dim=1) * x).sum(dim=1))
        return logits


class ListOfPoolings(Around):
    """The mean, the maximum and the final states of a bidirectional layer, side by side."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.layer = nn.LSTM(DIM, UNITS, batch_first=True, bidirectional=True)
        self.head = nn.Linear(6 * UNITS, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, real = self.read(tokens)
        x, state = self.run(self.layer, x, real)
        candidates = x if real is None else x.masked_fill(~real, -torch.inf)
        poolings = [self.mean(x, real), candidates.amax(dim=1), state]
        logits: torch.Tensor = self.head(torch.cat(poolings, dim=-1))
        return logits


class TiedOutput(Around):
    """A language model with one matrix for the embedding and the output."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.layer = nn.LSTM(DIM, UNITS, batch_first=True)
        self.head = nn.Linear(DIM, FEW_WORDS)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, _ = self.run(self.layer, *self.read(tokens))
        logits: torch.Tensor = self.head(x)
        return logits


class TwoHeads(Around):
    """A tag for each step and a topic for the whole sequence."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.layer = nn.LSTM(DIM, UNITS, batch_first=True)
        self.tags, self.topic = nn.Linear(UNITS, 9), nn.Linear(UNITS, 5)

    def forward(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        x, real = self.read(tokens)
        x, _ = self.run(self.layer, x, real)
        return {"tags": self.tags(x), "topic": self.topic(self.mean(x, real))}


class ConcatJoin(Around):
    """A second layer over the vectors and the outputs of the first one."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.first = nn.LSTM(DIM, UNITS, batch_first=True)
        self.second = nn.LSTM(DIM + UNITS, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        vectors, real = self.read(tokens)
        x, _ = self.run(self.first, vectors, real)
        _, state = self.run(self.second, torch.cat([vectors, x], dim=-1), real)
        logits: torch.Tensor = self.head(state)
        return logits


class DenseLayerNorm(Around):
    """A dense layer with a leaky relu and a layer norm before the recurrent layer."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__(padded=padded)
        self.dense = nn.Linear(DIM, UNITS)
        self.norm = nn.LayerNorm(UNITS, eps=1e-3)
        self.layer = nn.LSTM(UNITS, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, real = self.read(tokens)
        x = self.norm(functional.leaky_relu(self.dense(x), 0.1))
        _, state = self.run(self.layer, x, real)
        logits: torch.Tensor = self.head(state)
        return logits


AROUND: dict[str, type[Around]] = {
    "conv_norm_pool": ConvNormPool,
    "attention": AttentionPooling,
    "poolings": ListOfPoolings,
    "tied_output": TiedOutput,
    "two_heads": TwoHeads,
    "concat_join": ConcatJoin,
    "dense_layer_norm": DenseLayerNorm,
}


def _linear(weight: torch.Tensor, bias: torch.Tensor | None = None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


class PeepholeLSTM(nn.Module):
    """The LSTM of Gers, Schraudolph and Schmidhuber (2002), which returns its last output."""

    def __init__(self, arrays: dict[str, torch.Tensor]) -> None:
        super().__init__()
        weight, recurrent, bias = (
            torch.cat([arrays[f"{letter}_{gate}"] for gate in "ifgo"]) for letter in "WUb"
        )
        self.units = recurrent.shape[1]
        self.input, self.recurrent = _linear(weight, bias), _linear(recurrent)
        self.p_i, self.p_f, self.p_o = (nn.Parameter(arrays[f"p_{gate}"]) for gate in "ifo")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = c = x.new_zeros(x.shape[0], self.units)
        for step in self.input(x).unbind(1):
            i, f, g, o = (step + self.recurrent(h)).chunk(4, dim=-1)
            i = torch.sigmoid(i + self.p_i * c)
            f = torch.sigmoid(f + self.p_f * c)
            c = f * c + i * torch.tanh(g)
            h = torch.sigmoid(o + self.p_o * c) * torch.tanh(c)
        return h


class MGU(nn.Module):
    """The minimal gated unit of Zhou et al. (2016)."""

    def __init__(self, arrays: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.units = len(arrays["b_f"])
        weight = torch.cat([arrays["W_f"], arrays["W_n"]])
        self.input = _linear(weight, torch.cat([arrays["b_f"], arrays["b_n"]]))
        self.forget, self.candidate = _linear(arrays["U_f"]), _linear(arrays["U_n"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.new_zeros(x.shape[0], self.units)
        f_steps, n_steps = self.input(x).chunk(2, dim=-1)
        for f_step, n_step in zip(f_steps.unbind(1), n_steps.unbind(1), strict=True):
            f = torch.sigmoid(f_step + self.forget(h))
            n = torch.tanh(n_step + self.candidate(f * h))
            h = (1 - f) * h + f * n
        return h


class CoRNN(nn.Module):
    """The coupled oscillators of Rusch and Mishra (2021)."""

    def __init__(self, arrays: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.units = len(arrays["b"])
        self.input = _linear(arrays["V"], arrays["b"])
        self.position, self.velocity = _linear(arrays["W"]), _linear(arrays["U"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = z = x.new_zeros(x.shape[0], self.units)
        for step in self.input(x).unbind(1):
            force = torch.tanh(self.position(y) + self.velocity(z) + step)
            z = z + 0.042 * (force - 2.7 * y - 4.7 * z)
            y = y + 0.042 * z
        return y


CELLS_BY_EQUATION = {"peephole_lstm": PeepholeLSTM, "mgu": MGU, "cornn": CoRNN}
