"""PyTorch: cuDNN shows as an operation of the profiler."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.gpu.work import CELLS, LARGE, SMALL, Found, Sizes, batch, built
from benchmarks.race import Run


def gpu() -> str:
    """Return the name of the GPU, empty if there is none."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def found() -> list[Found]:
    """Check and measure every cell."""
    return [_cell(cell, LARGE if gpu() else SMALL) for cell in CELLS]


def _cell(cell: str, sizes: Sizes) -> Found:
    device = torch.device("cuda" if gpu() else "cpu")
    case, live = built("torch", cell, sizes)
    ours, found = live.model.to(device), Found(cell)
    stock = _Stock(cell, sizes).to(device)
    # The same names; stock layers have a second bias beside.
    missing = stock.load_state_dict({_named(k): v for k, v in ours.state_dict().items()}, False)
    for name in missing.missing_keys:
        nn.init.zeros_(stock.get_parameter(name))
    x = torch.from_numpy(batch(sizes)).to(device)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), stock(x), atol=1e-4, rtol=1e-3)
        found.path = _path(ours, x)
        found.fused = found.path == "aten::_cudnn_rnn" if gpu() else None
        found.compare(case, _use_tf32, lambda: ours(x).cpu())
    found.measure("inference", _inferred(ours, x), _inferred(stock, x), sizes)
    found.measure("training", _trained(ours, x), _trained(stock, x), sizes)
    return found


class _Stock(nn.Module):
    def __init__(self, cell: str, sizes: Sizes) -> None:
        super().__init__()
        made = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.rnn = made(sizes.features, sizes.units, num_layers=2, batch_first=True)
        self.dense = nn.Linear(sizes.units, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.dense(self.rnn(x)[0][:, -1])
        return found


def _named(key: str) -> str:
    layer, _, name = key.partition(".")
    return f"{'dense' if layer.startswith('dense') else 'rnn'}.{name}"


def _path(model: nn.Module, x: torch.Tensor) -> str:
    """Return the operation that runs the recurrent layers."""
    with torch.profiler.profile() as profile:
        model(x)
    keys = {event.key for event in profile.key_averages()}
    fused = ("aten::_cudnn_rnn", "aten::mkldnn_rnn_layer", "aten::lstm", "aten::gru")
    return next((name for name in fused if name in keys), "a loop")


def _use_tf32(allowed: bool) -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed


def _inferred(model: nn.Module, x: torch.Tensor) -> Run:
    def run() -> None:
        with torch.inference_mode():
            model(x)
        _wait()

    return run


def _trained(model: nn.Module, x: torch.Tensor) -> Run:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def run() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(model(x).square().mean())
        optimizer.step()
        _wait()

    return run


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
