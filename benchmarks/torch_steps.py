"""One training step and one inference pass on PyTorch."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

import rnnspec
from benchmarks import batch
from benchmarks.cold import ROOT, SPEC
from benchmarks.handwritten_torch import INFERRING, TRAINABLE
from benchmarks.race import Effort, Race, Run, race

Forward = Callable[[torch.Tensor], torch.Tensor]


def races(effort: Effort) -> list[Race]:
    """Race rnnspec's model against those written by hand, all with the same weights."""
    ours: nn.Module = rnnspec.build(ROOT / SPEC, "torch", seed=0)
    theirs = {name: _equal(make(), ours) for name, make in INFERRING.items()}
    training = {name: _trained(theirs[name]) for name in TRAINABLE}
    inference = {name: _inferred(model) for name, model in theirs.items()}
    return [
        race("PyTorch training step", {"rnnspec.build": _trained(ours)}, training, effort),
        race("PyTorch inference", {"rnnspec.build": _inferred(ours)}, inference, effort),
    ]


def _equal(model: nn.Module, ours: nn.Module) -> nn.Module:
    """Return ``model`` with the weights of ``ours``, shown to be the same network."""
    with torch.no_grad():
        second = [p.zero_() for name, p in model.named_parameters() if "bias_hh" in name]
        own = [p for p in model.parameters() if not any(p is zero for zero in second)]
        for mine, given in zip(own, ours.parameters(), strict=True):
            assert mine.shape == given.shape
            mine.copy_(given)
        tokens, _ = _batch()
        torch.testing.assert_close(model.eval()(tokens), _logits(ours.eval())(tokens))
    return model


def _logits(model: nn.Module) -> Forward:
    """Return what gives logits: a generated class's method, or a hand-written one itself."""
    found: Forward = getattr(model, "logits", model)
    return found


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    tokens, labels = batch.draw()
    return torch.from_numpy(tokens), torch.from_numpy(labels)


def _trained(model: nn.Module) -> Run:
    optimizer = torch.optim.SGD(model.parameters(), lr=batch.RATE)
    logits, (tokens, labels) = _logits(model), _batch()

    def run() -> None:
        model.train()
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(logits(tokens), labels)
        torch.autograd.backward(loss)
        optimizer.step()

    return run


def _inferred(model: nn.Module) -> Run:
    logits, (tokens, _) = _logits(model), _batch()

    def run() -> None:
        model.eval()
        with torch.inference_mode():
            torch.sigmoid(logits(tokens))

    return run
