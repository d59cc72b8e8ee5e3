"""Cases on PyTorch: the model of rnnspec and the handwritten ones, with equal weights."""

from collections.abc import Callable, Iterator
from inspect import signature

import torch
from torch import nn
from torch.nn import functional

import rnnspec
from benchmarks import batch
from benchmarks.handwritten.cells import LOOPS
from benchmarks.handwritten.padding import Packed, Picked
from benchmarks.handwritten.plain import PLAIN
from benchmarks.handwritten.torch import (
    NETS,
    BatchFirst,
    Net,
    OneStack,
    TimeMajor,
    TwoWays,
)
from benchmarks.lane import Prepared
from benchmarks.names import OURS, PACKED, PICKED, SHARED_MASK, STOCK, TORCH_COMPILE
from benchmarks.networks import Case, text
from benchmarks.race import Run

Forward = Callable[[torch.Tensor], torch.Tensor]
# Read before the first case changes it.
_THREADS = torch.get_num_threads()


def prepare(case: Case) -> Prepared:
    """Build the contestants of a case, and check that they are the same network."""
    torch.set_num_threads(1 if case.single else _THREADS)
    tokens, labels = map(torch.from_numpy, batch.draw(case.batch, padded=case.padded))
    ours = built(case)
    theirs = dict(_opponents(case))
    with torch.no_grad():
        output = torch.sigmoid(logits(ours.eval())(tokens))
        for model in theirs.values():
            equal(model, ours, tokens)
    models = {OURS: ours, **theirs}
    batches = tokens, labels
    runs = {name: run_of(case, logits(model), model, *batches) for name, model in models.items()}
    if case.compiled:
        quick = torch.compile(logits(ours))
        runs[TORCH_COMPILE] = run_of(case, quick, ours, *batches)
    return Prepared(runs, output.flatten().tolist())


def built(case: Case) -> nn.Module:
    """Return the model of rnnspec."""
    form = "inference" if case.deployed else "training"
    model: nn.Module = rnnspec.build(rnnspec.loads(text(case)), "torch", seed=0, form=form)
    return model


def _opponents(case: Case) -> Iterator[tuple[str, nn.Module]]:
    for name, loop in LOOPS.get(case.network, {}).items():
        yield f"loop, {name}", loop(time_major=False)
        yield f"time-major loop, {name}", loop(time_major=True)
    if case.single:
        yield STOCK, PLAIN[case.network]()
        return
    if (net := NETS.get(case.network)) is None:
        return
    yield from _padded(net) if case.padded else _plain(net, training=case.training)


def _padded(net: Net) -> Iterator[tuple[str, nn.Module]]:
    yield PACKED, Packed(net)
    if not net.bidirectional:
        yield PICKED, Picked(net)


def _plain(net: Net, *, training: bool) -> Iterator[tuple[str, nn.Module]]:
    # A module of several layers, or of both directions, cannot draw one mask per sequence for each.
    masks = training and net.rate > 0
    yield SHARED_MASK if masks and net.bidirectional else "batch first", BatchFirst(net)
    if not net.bidirectional:
        yield "time-major", TimeMajor(net)
    elif net.layers == 1:
        yield "a module for each direction", TwoWays(net)
    if net.layers > 1 and not masks:
        yield f"one module of {net.layers} layers", OneStack(net)


def equal(model: nn.Module, ours: nn.Module, tokens: torch.Tensor) -> None:
    """Give ``model`` the weights of ``ours``, and check that its output is the same."""
    # Only stock layers have a second bias. rnnspec keeps it at zero, and it is no parameter.
    for name, second in model.named_parameters():
        if "bias_hh" in name:
            second.zero_()
    for mine, given in zip(_first_biases(model), _first_biases(ours), strict=True):
        assert mine.shape == given.shape
        mine.copy_(given)
    torch.testing.assert_close(model.eval()(tokens), logits(ours)(tokens), atol=1e-4, rtol=1e-3)


def _first_biases(model: nn.Module) -> list[nn.Parameter]:
    return [each for name, each in model.named_parameters() if "bias_hh" not in name]


def logits(model: nn.Module) -> Forward:
    """Return the function that returns logits, of a generated class or of a handwritten module."""
    if "logits" not in signature(model.forward).parameters:
        return model
    return lambda tokens: model(tokens, logits=True)


def run_of(
    case: Case, forward: Forward, model: nn.Module, tokens: torch.Tensor, labels: torch.Tensor
) -> Run:
    """Return a training step, or an inference pass, on one batch."""
    if not case.training:
        return _inferred(forward, model, tokens)
    optimizer = torch.optim.SGD(model.parameters(), lr=batch.RATE)

    def run() -> None:
        # Inside the measured part on both sides, because another run may have left it in inference.
        model.train()
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(forward(tokens), labels)
        # mypy --strict rejects loss.backward(), which PyTorch does not annotate.
        torch.autograd.backward(loss)
        optimizer.step()

    return run


def _inferred(forward: Forward, model: nn.Module, tokens: torch.Tensor) -> Run:
    def run() -> None:
        model.eval()
        with torch.inference_mode():
            torch.sigmoid(forward(tokens))

    return run
