"""Modules with layers around the recurrent ones that rnnspec cannot express, with the reason.

Each is given with the code that is named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from importing.traced import Written
from importing.untraced import Packed
from torch import nn
from torch.nn import functional
from torch.nn.utils import rnn

F = functional


def behind(first: nn.Module) -> Callable[[], nn.Module]:
    """Return a module with a layer of (batch, features, steps) before a GRU of 4 features."""
    return lambda: Written(
        lambda m, x: m.rnn(m.first(x.transpose(1, 2)).transpose(1, 2))[0],
        first=first,
        rnn=nn.GRU(4, 4, batch_first=True),
    )


def of(forward: Callable[[Any, Any], Any], **layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: Written(forward, rnn=nn.GRU(3, 4, batch_first=True), **layers)


def other_steps(m: Any, x: Any) -> Any:
    h, _ = m.rnn(x)
    weights = torch.softmax(m.score(x), 1)
    return (weights * h).sum(1)


def weights_returned(m: Any, x: Any) -> Any:
    h, _ = m.rnn(x)
    weights = torch.softmax(m.score(h), 1)
    return (weights * h).sum(1), weights


def two_names(m: Any, x: Any) -> Any:
    h, _ = m.rnn(x)
    return {"per step": h, "last": h[:, -1]}


def joined_steps(m: Any, x: Any) -> Any:
    h, _ = m.rnn(x)
    return torch.cat((x, h), 1)


class PackedConv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3, padding=1)
        self.rnn = nn.GRU(4, 4, batch_first=True)

    def forward(self, x: Any, lengths: Any) -> Any:
        x = self.conv(x.transpose(1, 2)).transpose(1, 2)
        return self.rnn(rnn.pack_padded_sequence(x, lengths, batch_first=True))[1][-1]


FIRST = "m.first(x.transpose(1, 2))"
UNSTACKED: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "groups": (
        behind(nn.Conv1d(3, 3, 3, groups=3)), FIRST, "first: groups: expected 1, received 3 [E703]",
    ),
    "padding mode": (
        behind(nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular")), FIRST,
        "first: padding_mode: expected 'zeros', received 'circular' [E703]",
    ),
    "not cut": (
        behind(nn.Conv1d(3, 4, 3, padding=2)), FIRST,
        "transpose: takes 2 steps more than rnnspec supports; expected padding='same', or a causal",
    ),
    "dilated pool": (
        behind(nn.MaxPool1d(2, dilation=2)), FIRST, "first: dilation: expected 1, received 2 [E703",
    ),
    "indices": (
        behind(nn.MaxPool1d(2, return_indices=True)), FIRST, "return_indices: expected False, rec",
    ),
    "ceil mode": (
        behind(nn.MaxPool1d(3, ceil_mode=True)), FIRST,
        "first: ceil_mode: expected 0, or windows of 2 steps with a stride of 2, where it is 'sam",
    ),
    "average of padding": (
        behind(nn.AvgPool1d(3, stride=1, padding=1)), FIRST,
        "first: count_include_pad: expected 0, received 1: in rnnspec, steps outside the seq",
    ),
    "zeros before a pool": (
        behind(nn.Sequential(nn.ZeroPad1d(1), nn.MaxPool1d(3, 1))), FIRST,
        "first.1: pad: expected none, or -inf as 'same' adds it, received 0.0 before and after",
    ),
    "momentum": (
        behind(nn.BatchNorm1d(3, momentum=None)), FIRST,
        "first: momentum: expected a number, received None: rnnspec does not support a",
    ),
    "statistics": (
        behind(nn.BatchNorm1d(3, track_running_stats=False)), FIRST,
        "first: track_running_stats: expected True, received False [E703]",
    ),
    "norm over steps": (
        of(lambda m, x: m.norm(m.rnn(x)[0]), norm=nn.BatchNorm1d(6)), "m.norm(m.rnn(x)[0])",
        "norm: features: expected (any, features, any), received (batch, steps, features) [E704]",
    ),
    "norm over two axes": (
        of(lambda m, x: m.norm(m.rnn(x)[0]), norm=nn.LayerNorm((6, 4))), "m.norm(m.rnn(x)[0])",
        "norm: normalized_shape: expected the last axis, received (6, 4) [E703]",
    ),
    "dense over steps": (
        of(lambda m, x: m.fc(m.rnn(x)[0].transpose(1, 2)), fc=nn.Linear(6, 2)), "m.fc(m.rnn(x)",
        "fc: features: expected (any, any, features), received (batch, features, steps) [E704]",
    ),
    "other steps": (
        lambda: Written(other_steps, rnn=nn.GRU(3, 3, batch_first=True), score=nn.Linear(3, 1)),
        "(weights * h).sum(1)", "sum: expected scores that are made of the steps that are summed",
    ),
    "weights returned": (
        of(weights_returned, score=nn.Linear(4, 1)), "",
        "output: expected one result, or sequences and vectors alone, received the weights of an",
    ),
    "joined steps": (
        lambda: Written(joined_steps, rnn=nn.GRU(3, 3, batch_first=True)),
        "torch.cat((x, h), 1)", "cat: dim: expected the features, received 1 [E703]",
    ),
    "channels flattened": (
        of(lambda m, x: m.fc(m.rnn(x)[0].transpose(1, 2).flatten(1)), fc=nn.Linear(24, 2)),
        "m.rnn(x)[0].transpose(1, 2).flatten(1)",
        "flatten: expected the batch before the steps before the features, received batch before f",
    ),
    "flattened without a length": (
        of(lambda m, x: m.rnn(x)[0].flatten(1)), "m.rnn(x)[0].flatten(1)",
        "flatten: needs a fixed number of steps: give inputs as example= [E704]",
    ),
    "flattened to another size": (
        of(lambda m, x: m.fc(m.rnn(x)[0].flatten(1)), fc=nn.Linear(25, 2)),
        "m.rnn(x)[0].flatten(1)", "flatten: expected a multiple of 4 features, received 25 [E704]",
    ),
    "other limits": (
        of(lambda m, x: m.rnn(x)[0].clamp(-1, 1)), "m.rnn(x)[0].clamp(-1, 1)",
        "clamp: expected limits 0 and a positive number, received -1 and 1 [E703]",
    ),
    "convolution of padding": (
        PackedConv, "self.conv(x.transpose(1, 2))", "conv: sees what padded steps hold, which",
    ),
    "maximum of padding": (
        lambda: Packed(lambda output: output.amax(1)), "output.amax(1)",
        "amax: the max counts the zeros that pad_packed_sequence puts at padding; 'pooling: max'",
    ),
    "no recurrent layer": (
        lambda: Written(lambda m, x: m.fc(x), fc=nn.Linear(3, 2)), "",
        "output: expected a recurrent layer, received none [E704]",
    ),
    "rows": (
        of(lambda m, x: m.rnn(x)[0].reshape(-1, 4)), "",
        "output: expected a sequence or a vector, received the steps of all sequences as one batch",
    ),
    "name of a result": (
        of(two_names), "", "heads: the spec would be wrong: expected a name of at most 64 lower",
    ),
    "reflected": (
        of(lambda m, x: m.rnn(F.pad(x, (0, 0, 1, 1), "replicate"))[0]), "F.pad(x, ",
        "pad: expected zeros, received mode='replicate' and value=None [E703]",
    ),
    "another array": (
        of(lambda m, x: F.linear(m.rnn(x)[0], m.rnn.weight_hh_l0)), "F.linear(m.rnn(x)[0]",
        "linear: expected the weight of the embedding, or nn.Linear; received another array [E701",
    ),
}  # fmt: skip
