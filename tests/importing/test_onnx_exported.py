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
        ["Recurrent", "AttentionPooling"],
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


def denoise(net: Any, x: Any) -> Any:
    """Return two outputs of a graph in which each layer takes several others."""
    dense = torch.tanh(net.dense(x))
    voice = net.voice(dense)[0]
    noise = net.noise(torch.cat([dense, voice, x], 2))[0]
    return torch.sigmoid(net.out(torch.cat([voice, noise], 2))), torch.sigmoid(net.vad(voice))


def with_attributes(net: Any, x: Any, attributes: Any) -> Any:
    beside = attributes[:, None].expand(-1, x.shape[1], -1)
    return net.out(
        net.rnn(torch.cat([x, beside], 2))[0] * torch.sigmoid(net.gate(attributes))[:, None]
    )


def with_states(net: Any, x: Any, h: Any, c: Any) -> Any:
    output, (h, c) = net.rnn(x, (h, c))
    return net.out(output), h, c


def translate(net: Any, source: Any, target: Any) -> Any:
    return net.out(net.decoder(target, net.encoder(source)[1])[0])


def learn_state(net: Any, x: Any) -> Any:
    first = net.rnn.first.expand(-1, x.shape[0], -1).contiguous()
    return net.out(net.rnn(x, first)[0][:, -1])


def learned() -> Any:
    rnn = nn.GRU(3, 4, batch_first=True)
    rnn.first = nn.Parameter(torch.randn(1, 1, 4))
    return module(learn_state, rnn=rnn, out=nn.Linear(4, 2))


def gru(features: int, units: int = 4, **settings: Any) -> Any:
    return nn.GRU(features, units, batch_first=True, **settings)


GRAPHS: dict[str, Callable[[], tuple[Any, tuple[Any, ...], str]]] = {
    "a trunk with branches": lambda: (
        module(
            denoise, dense=nn.Linear(3, 5), voice=gru(5), noise=gru(12, 6), out=nn.Linear(10, 3),
            vad=nn.Linear(4, 1),
        ),
        (features(),),
        "of: [voice, ",
    ),
    "attributes": lambda: (
        module(with_attributes, rnn=gru(7), gate=nn.Linear(4, 4), out=nn.Linear(4, 2)),
        (features(), torch.randn(2, 4)),
        "of: [input_1, second]",
    ),
    "states": lambda: (
        module(with_states, rnn=lstm(), out=nn.Linear(4, 2)),
        (features(), torch.randn(1, 2, 4), torch.randn(1, 2, 4)),
        "initial_state: {h: second, c: third}",
    ),
    "encoder and decoder": lambda: (
        module(
            translate, encoder=gru(3, num_layers=2), decoder=gru(3, num_layers=2),
            out=nn.Linear(4, 2),
        ),
        (features(), torch.randn(2, 5, 3)),
        "initial_state: {of: ",
    ),
    "learned state": lambda: (learned(), (features(),), "initial_state: learned"),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_of_layers_comes_back(tmp_path: Path, name: str) -> None:
    made, inputs, expected = GRAPHS[name]()
    names = ["x", "second", "third"][: len(inputs)]
    open_sizes = {
        name: {0: "batch", 1: f"{name}_steps"} if size.dim() == 3 and len(size) > 1 else
        {1 if size.dim() == 3 else 0: "batch"}
        for name, size in zip(names, inputs, strict=True)
    }  # fmt: skip
    path = tmp_path / "traced.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            made, inputs, path, dynamo=False, input_names=names, dynamic_axes=open_sizes
        )
    taken = imported(path)
    assert taken.compared.outcome
    assert expected in " ".join(taken.model.text.split())


@pytest.mark.parametrize("name", MODULES)
def test_a_module_comes_back(tmp_path: Path, name: str) -> None:
    made, inputs, expected = MODULES[name]()
    # Since opset 17, a layer norm is one node.
    opset = 17 if name in ("norms", "convolution", "packed") else 13
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
