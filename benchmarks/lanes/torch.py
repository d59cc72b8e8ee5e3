"""Cases on PyTorch: the model of rnnspec and the handwritten ones, with equal weights."""

from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.handwritten.torch import (
    AROUND,
    LOOPS,
    NETS,
    BatchFirst,
    Cells,
    Net,
    Packed,
    Picked,
    TimeMajor,
    TwoWays,
)
from benchmarks.lanes.steps import prepare_loops, tokens
from benchmarks.networks import (
    LAYERS,
    OURS,
    PACKED,
    PICKED,
    RATE,
    SHARED_MASK,
    STOCK,
    TORCH_COMPILE,
    Case,
)
from benchmarks.processes import Prepared
from benchmarks.race import Run

Forward = Callable[[torch.Tensor], torch.Tensor]
# Read before the first case changes it.
_THREADS = torch.get_num_threads()


def prepare(case: Case) -> Prepared:
    """Build the contestants of a case, and check that they are the same network."""
    torch.set_num_threads(1 if case.single else _THREADS)
    if case.stepped:
        return _prepare_steps(case)
    if case.network in LAYERS:
        return _prepare_layers(case)
    batch, labels = map(torch.from_numpy, case.draw())
    ours = case.build("torch")
    theirs = dict(_opponents(case))
    with torch.no_grad():
        output = torch.sigmoid(logits(ours.eval())(batch))
        for model in theirs.values():
            equalize(model, ours, batch)
    runs = {
        name: run_of(case, logits(model), model, batch, labels)
        for name, model in {OURS: ours, **theirs}.items()
    }
    if case.compiled:
        runs[TORCH_COMPILE] = run_of(case, torch.compile(logits(ours)), ours, batch, labels)
    return Prepared(runs, output.flatten().tolist())


def _opponents(case: Case) -> Iterator[tuple[str, nn.Module]]:
    for name, loop in LOOPS.get(case.network, {}).items():
        yield f"loop, {name}", loop(time_major=False)
        yield f"time-major loop, {name}", loop(time_major=True)
    net = NETS.get(case.network)
    if net and case.single:
        yield STOCK, stock(net)
    elif net and case.padded:
        yield PACKED, Packed(net)
        if not net.bidirectional:
            yield PICKED, Picked(net)
    elif net:
        # A module of several layers, or of both directions, cannot draw a mask per sequence each.
        masks = case.training and net.rate > 0
        yield SHARED_MASK if masks and net.bidirectional else "batch first", BatchFirst(net)
        if not net.bidirectional:
            yield "time-major", TimeMajor(net)
        elif net.layers == 1:
            yield "a module for each direction", TwoWays(net)
        if net.layers > 1 and not masks:
            yield f"one module of {net.layers} layers", BatchFirst(net, net.one_module())


def stock(net: Net) -> nn.Module:
    """Return the plainest module of stock layers with a mask of its own for each of them."""
    return TwoWays(net) if net.bidirectional else BatchFirst(net)


def equalize(model: nn.Module, ours: nn.Module, batch: torch.Tensor) -> None:
    """Give ``model`` the weights of ``ours``, and check that its output is the same."""
    copy_parameters(model, ours)
    torch.testing.assert_close(model.eval()(batch), logits(ours)(batch), atol=1e-4, rtol=1e-3)


def copy_parameters(model: nn.Module, ours: nn.Module) -> None:
    """Give ``model`` the parameters of ``ours``, which come in the same order."""
    values, parameters = list(ours.parameters()), dict(model.named_parameters())
    if len(parameters) > len(values):
        # Stock layers have a second bias. rnnspec keeps it at zero, and it is no parameter.
        for name in [name for name in parameters if "bias_hh" in name]:
            nn.init.zeros_(parameters.pop(name))
    with torch.no_grad():
        for parameter, value in zip(parameters.values(), values, strict=True):
            assert parameter.shape == value.shape
            parameter.copy_(value)


def logits(model: nn.Module) -> Forward:
    """Return the function that returns logits, of a generated class or of a handwritten module."""
    if "logits" not in signature(model.forward).parameters:
        return model
    return lambda tokens: model(tokens, logits=True)


def run_of(
    case: Case, forward: Forward, model: nn.Module, batch: torch.Tensor, labels: torch.Tensor
) -> Run:
    """Return a training step, or an inference pass, on one batch."""
    if not case.training:

        def infer() -> None:
            # Inside the measured part on both sides, because another run may have left it in
            # the other mode.
            model.eval()
            with torch.inference_mode():
                torch.sigmoid(forward(batch))

        return infer
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def train() -> None:
        model.train()
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(forward(batch), labels)
        # mypy --strict rejects loss.backward(), which PyTorch does not annotate.
        torch.autograd.backward(loss)
        optimizer.step()

    return train


def equal_cells(ours: nn.Module) -> Cells:
    """Return handwritten cells with the weights of a model of the founding stack."""
    cells = Cells().eval()
    copy_parameters(cells, ours)
    return cells


def _prepare_steps(case: Case) -> Prepared:
    """Build the step form, and a loop of ``nn.LSTMCell``."""
    ours = case.build("torch").eval()
    cells, (chunks, singles) = equal_cells(ours), tokens(case, torch.from_numpy)
    with torch.inference_mode():
        loops = {
            OURS: (ours, chunks, None),
            "loop of nn.LSTMCell": (cells, singles, cells.zeros(case.batch)),
        }
        prepared = prepare_loops(loops)
    runs = {name: torch.inference_mode()(run) for name, run in prepared.runs.items()}
    return Prepared(runs, prepared.output)


def _prepare_layers(case: Case) -> Prepared:
    """Build a network with layers around the recurrent ones, and the same in stock modules."""
    batch = torch.from_numpy(case.draw()[0])
    ours, theirs = case.build("torch"), AROUND[case.network](padded=case.padded)
    copy_parameters(theirs, ours)
    with torch.no_grad():
        # First as in inference: a pass in training changes moving arrays.
        for training in (False, True) if case.training else (False,):
            pair = [outputs(model.train(training)(batch)) for model in (ours, theirs)]
            for mine, other in zip(*pair, strict=True):
                # The output of a padded step is up to each.
                real = batch != 0 if mine.ndim > 2 else ...
                torch.testing.assert_close(mine[real], other[real], atol=1e-4, rtol=1e-3)
    models = {OURS: ours, STOCK: theirs}
    return Prepared({name: _run_layers(case, models[name], batch) for name in models}, [])


def outputs(output: Any) -> list[torch.Tensor]:
    """Return the outputs of a model, which may be named."""
    return [*output.values()] if isinstance(output, dict) else [output]


def _run_layers(case: Case, model: nn.Module, batch: torch.Tensor) -> Run:
    """Return a training step that makes the outputs small, or an inference pass."""
    model.train(case.training)
    if not case.training:
        return torch.inference_mode()(lambda: model(batch))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def train() -> None:
        optimizer.zero_grad()
        losses = [output.square().mean() for output in outputs(model(batch))]
        torch.autograd.backward(torch.stack(losses).sum())
        optimizer.step()

    return train
