"""Cases on PyTorch: rnnspec's model and those written by hand, with equal weights."""

from collections.abc import Callable, Iterator
from inspect import signature

import torch
from torch import nn
from torch.nn import functional

import rnnspec
from benchmarks import batch
from benchmarks.handwritten_cells import LOOPS
from benchmarks.handwritten_padding import Packed, Picked
from benchmarks.handwritten_torch import (
    NETS,
    BatchFirst,
    Handwritten,
    Net,
    OneStack,
    TimeMajor,
    TwoWays,
)
from benchmarks.lane import Prepared
from benchmarks.names import OURS, PACKED, SHARED_MASK, TORCH_COMPILE
from benchmarks.networks import Case, text
from benchmarks.race import Run

Forward = Callable[[torch.Tensor], torch.Tensor]


def prepare(case: Case) -> Prepared:
    """Build the contestants of a case; each opponent is shown to be the same network."""
    tokens, labels = map(torch.from_numpy, batch.draw(case.batch, padded=case.padded))
    ours = built(case)
    theirs = dict(_opponents(case))
    with torch.no_grad():
        output = torch.sigmoid(logits(ours.eval())(tokens))
        for model in theirs.values():
            _equal(model, ours, tokens)
    models = {OURS: ours, **theirs}
    batches = tokens, labels
    runs = {name: run_of(case, logits(model), model, *batches) for name, model in models.items()}
    if case.compiled:
        quick = torch.compile(logits(ours))
        runs[TORCH_COMPILE] = run_of(case, quick, ours, *batches)
    return Prepared(runs, output.flatten().tolist())


def built(case: Case) -> nn.Module:
    """Return rnnspec's model."""
    model: nn.Module = rnnspec.build(rnnspec.loads(text(case)), "torch", seed=0)
    return model


def _opponents(case: Case) -> Iterator[tuple[str, nn.Module]]:
    for name, loop in LOOPS.get(case.network, {}).items():
        yield f"loop, {name}", loop(time_major=False)
        yield f"time-major loop, {name}", loop(time_major=True)
    if (net := NETS.get(case.network)) is None:
        return
    yield from _padded(net) if case.padded else _plain(net, training=case.training)


def _padded(net: Net) -> Iterator[tuple[str, nn.Module]]:
    yield PACKED, Packed(net)
    if not net.both:
        yield "last step picked", Picked(net)


def _plain(net: Net, *, training: bool) -> Iterator[tuple[str, nn.Module]]:
    masks = training and net.rate > 0
    yield SHARED_MASK if masks and net.both else "batch first", BatchFirst(net)
    if not net.both:
        yield "time-major", TimeMajor(net)
    elif net.layers == 1:
        yield "a module for each direction", TwoWays(net)
    if net.layers > 1 and not masks:
        yield f"one module of {net.layers} layers", OneStack(net)


def _equal(model: nn.Module, ours: nn.Module, tokens: torch.Tensor) -> None:
    """Give ``model`` the weights of ``ours``, and show that it is the same network."""
    named = list(model.named_parameters())
    if isinstance(model, Handwritten):
        for name, second in named:
            if "bias_hh" in name:
                second.zero_()
        named = [(name, own) for name, own in named if "bias_hh" not in name]
    for (_, mine), given in zip(named, ours.parameters(), strict=True):
        assert mine.shape == given.shape
        mine.copy_(given)
    torch.testing.assert_close(model.eval()(tokens), logits(ours)(tokens), atol=1e-4, rtol=1e-3)


def logits(model: nn.Module) -> Forward:
    """Return what gives logits: a generated class asked for them, or one whose output they are."""
    if "logits" not in signature(model.forward).parameters:
        return model
    return lambda tokens: model(tokens, logits=True)


def run_of(
    case: Case, forward: Forward, model: nn.Module, tokens: torch.Tensor, labels: torch.Tensor
) -> Run:
    """Return a training step, or a pass in inference, on one batch."""
    if not case.training:
        return _inferred(forward, model, tokens)
    optimizer = torch.optim.SGD(model.parameters(), lr=batch.RATE)

    def run() -> None:
        model.train()
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(forward(tokens), labels)
        torch.autograd.backward(loss)
        optimizer.step()

    return run


def _inferred(forward: Forward, model: nn.Module, tokens: torch.Tensor) -> Run:
    def run() -> None:
        model.eval()
        with torch.inference_mode():
            torch.sigmoid(forward(tokens))

    return run
