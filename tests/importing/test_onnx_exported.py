"""Modules of PyTorch come back from the ONNX files that its tracing exporter writes of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from importing.onnx_graphs import imported, kinds
from offered import import_later

from rnnspec.errors import ModelError
from rnnspec.importing.run import take

torch: Any = import_later("torch")
nn: Any = import_later("torch.nn")
import_later("onnxruntime")


def module(forward: Callable[..., Any], **layers: Any) -> Any:
    """Return a module with some layers, whose ``forward`` is a function of it."""

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            for name, layer in layers.items():
                setattr(self, name, layer)

        def forward(self, *inputs: Any) -> Any:
            return forward(self, *inputs)

    torch.manual_seed(0)
    return Net().eval()


def exported(folder: Path, made: Any, *inputs: Any, opset: int = 17) -> Path:
    """Write a module by tracing, with both sizes of the first input open."""
    path, names = folder / "traced.onnx", ["x", "n"][: len(inputs)]
    sizes = {"x": {0: "batch", 1: "steps"}, "n": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            made, inputs, path, dynamo=False, input_names=names, opset_version=opset,
            dynamic_axes={name: sizes[name] for name in names},
        )  # fmt: skip
    return path


def features() -> Any:
    return torch.randn(2, 7, 3)


def tokens() -> Any:
    return torch.randint(1, 9, (2, 7))


def lstm(**settings: Any) -> Any:
    return nn.LSTM(3, 4, batch_first=True, **settings)


MODULES: dict[str, Callable[[], tuple[Any, tuple[Any, ...], list[str]]]] = {
    "last step": lambda: (
        module(lambda net, x: net.out(net.lstm(x)[0][:, -1]), lstm=lstm(), out=nn.Linear(4, 2)),
        (features(),),
        ["Recurrent", "Dense"],
    ),
    "both states of a stack": lambda: (
        module(
            lambda net, x: net.out(torch.cat(tuple(net.lstm(net.embed(x))[1][0][-2:]), 1)),
            embed=nn.Embedding(9, 3),
            lstm=lstm(num_layers=2, bidirectional=True, dropout=0.5),
            out=nn.Linear(8, 2),
        ),
        (tokens(),),
        ["Embedding", "Recurrent", "Recurrent", "Dense"],
    ),
    "sum of both directions": lambda: (
        module(
            lambda net, x: net.lstm(x)[0].view(x.shape[0], x.shape[1], 2, 4).sum(2),
            lstm=lstm(bidirectional=True),
        ),
        (features(),),
        ["Recurrent"],
    ),
    "norms": lambda: (
        module(
            lambda net, x: net.out(net.after(net.gru(net.before(x))[1][-1])),
            before=nn.LayerNorm(3),
            gru=nn.GRU(3, 4, batch_first=True),
            after=nn.BatchNorm1d(4),
            out=nn.Linear(4, 2),
        ),
        (features(),),
        ["LayerNorm", "Recurrent", "BatchNorm", "Dense"],
    ),
    "convolution": lambda: (
        module(
            lambda net, x: net.lstm(
                net.pool(torch.relu(net.conv(x.transpose(1, 2)))).transpose(1, 2)
            )[0].mean(1),
            conv=nn.Conv1d(3, 3, 3, padding=1),
            pool=nn.MaxPool1d(2),
            lstm=lstm(),
        ),
        (features(),),
        ["Conv", "WindowPooling", "Recurrent", "Pooling"],
    ),
    "attention": lambda: (
        module(
            lambda net, x: (
                torch.softmax(net.query(torch.tanh(net.hidden(y := net.lstm(x)[0]))), 1) * y
            ).sum(1),
            lstm=lstm(),
            hidden=nn.Linear(4, 5),
            query=nn.Linear(5, 1),
        ),
        (features(),),
        ["Recurrent", "Attention"],
    ),
    "functions": lambda: (
        module(
            lambda net, x: nn.functional.normalize(
                nn.functional.silu(net.out(net.lstm(x)[1][0][-1])), dim=1
            ),
            lstm=lstm(),
            out=nn.Linear(4, 2),
        ),
        (features(),),
        ["Recurrent", "Dense", "Normalize"],
    ),
    "packed": lambda: (
        module(
            lambda net, x, n: net.out(
                nn.utils.rnn.pad_packed_sequence(
                    net.lstm(
                        nn.utils.rnn.pack_padded_sequence(
                            net.embed(x), n, batch_first=True, enforce_sorted=False
                        )
                    )[0],
                    batch_first=True,
                )[0]
            ),
            embed=nn.Embedding(9, 3),
            lstm=lstm(bidirectional=True),
            out=nn.Linear(8, 2),
        ),
        (tokens(), torch.tensor([7, 4])),
        ["Embedding", "Recurrent", "Dense"],
    ),
}


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("name", MODULES)
def test_a_module_comes_back(tmp_path: Path, name: str, opset: int) -> None:
    made, inputs, expected = MODULES[name]()
    assert kinds(imported(exported(tmp_path, made, *inputs, opset=opset))) == expected


def test_a_cell_in_a_loop_is_refused(tmp_path: Path) -> None:
    def forward(net: Any, x: Any) -> Any:
        h = x.new_zeros(x.shape[0], 4)
        for step in range(x.shape[1]):
            h = net.cell(x[:, step], h)
        return h

    path = exported(tmp_path, module(forward, cell=nn.GRUCell(3, 4)), features())
    with pytest.raises(ModelError, match="takes 7 steps one by one"):
        take(path)
