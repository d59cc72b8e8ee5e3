"""``python -m benchmarks.padding [--quick]``: a padded batch on PyTorch, against what is usual.

An LSTM of 32 units over 32 sequences of 50 to 500 tokens, padded on the right to 500 steps:
rnnspec's model of a spec with ``mask_zero``, against ``pack_padded_sequence`` written by hand, and
in one direction also against the output picked at each row's last real step.
"""

import argparse
from collections.abc import Callable
from itertools import chain

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

import rnnspec
from benchmarks import batch
from benchmarks.machine import machine
from benchmarks.race import Effort, Race, Run, race
from benchmarks.ratio import against_each
from benchmarks.report import markdown

DIM, UNITS, SHORTEST = 32, 32, 50
SPEC = """\
version: 1
name: padded
input: {{length: {steps}}}
embedding: {{vocabulary: {vocabulary}, dim: {dim}, mask_zero: true}}
rnn: {{type: lstm, units: {units}, bidirectional: {both}}}
head: {{units: 1, activation: sigmoid}}
"""


class Packed(nn.Module):
    """The idiom of PyTorch's documentation: pack, run, take the final states."""

    def __init__(self, both: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(batch.VOCABULARY, DIM)
        self.lstm = nn.LSTM(DIM, UNITS, batch_first=True, bidirectional=both)
        self.head = nn.Linear(UNITS * (1 + both), 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        lengths = (tokens != 0).sum(dim=1).cpu()
        packed = pack_padded_sequence(
            self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False
        )
        _, (state, _) = self.lstm(packed)
        logits: torch.Tensor = self.head(torch.cat(list(state), dim=-1))
        return logits


class Picked(nn.Module):
    """Padding on the right alone, one direction alone: run over it, pick the last real step."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(batch.VOCABULARY, DIM)
        self.lstm = nn.LSTM(DIM, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        outputs, _ = self.lstm(self.embedding(tokens))
        last = (tokens != 0).sum(dim=1) - 1
        logits: torch.Tensor = self.head(outputs[torch.arange(len(tokens)), last])
        return logits


def main() -> None:
    """Race in one direction and in both, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.padding", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to try, not to quote")
    quick = parser.parse_args().quick
    effort = Effort(seconds=3, least=4, most=40) if quick else Effort(45, least=12, most=200)
    found = [*_races("one direction", effort, both=False), *_races("both", effort, both=True)]
    ratios = list(chain.from_iterable(map(against_each, found)))
    print(markdown(machine(), ratios), end="")


def _races(title: str, effort: Effort, *, both: bool) -> list[Race]:
    ours = _built(both=both)
    theirs: dict[str, nn.Module] = {"pack_padded_sequence": Packed(both)}
    if not both:
        theirs["last step picked"] = Picked()
    tokens, labels = _batch()
    for model in theirs.values():
        _equal(model, ours, tokens)
    return [
        race(
            f"Padded batch, {title}, {what}",
            {"rnnspec.build": timed(ours, tokens, labels)},
            {name: timed(model, tokens, labels) for name, model in theirs.items()},
            effort,
        )
        for what, timed in (("training step", _trained), ("inference", _inferred))
    ]


def _built(*, both: bool) -> nn.Module:
    text = SPEC.format(
        steps=batch.STEPS,
        vocabulary=batch.VOCABULARY,
        dim=DIM,
        units=UNITS,
        both=str(both).lower(),
    )
    model: nn.Module = rnnspec.build(rnnspec.loads(text), "torch", seed=0)
    return model


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    tokens, labels = batch.draw()
    lengths = np.random.default_rng(1).integers(SHORTEST, batch.STEPS + 1, (batch.SIZE, 1))
    real = np.where(np.arange(batch.STEPS) < lengths, np.maximum(tokens, 1), 0)
    return torch.from_numpy(real), torch.from_numpy(labels)


def _equal(model: nn.Module, ours: nn.Module, tokens: torch.Tensor) -> None:
    """Give ``model`` the weights of ``ours``, and show that it is the same network."""
    with torch.no_grad():
        own = [p for name, p in model.named_parameters() if "bias_hh" not in name]
        for name, second in model.named_parameters():
            if "bias_hh" in name:
                second.zero_()
        for mine, given in zip(own, ours.parameters(), strict=True):
            assert mine.shape == given.shape
            mine.copy_(given)
        torch.testing.assert_close(model.eval()(tokens), _logits(ours.eval())(tokens))


def _logits(model: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    found: Callable[[torch.Tensor], torch.Tensor] = getattr(model, "logits", model)
    return found


def _trained(model: nn.Module, tokens: torch.Tensor, labels: torch.Tensor) -> Run:
    optimizer = torch.optim.SGD(model.parameters(), lr=batch.RATE)
    logits = _logits(model)

    def run() -> None:
        model.train()
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(logits(tokens), labels)
        torch.autograd.backward(loss)
        optimizer.step()

    return run


def _inferred(model: nn.Module, tokens: torch.Tensor, labels: torch.Tensor) -> Run:  # noqa: ARG001
    logits = _logits(model)

    def run() -> None:
        model.eval()
        with torch.inference_mode():
            torch.sigmoid(logits(tokens))

    return run


if __name__ == "__main__":
    main()
