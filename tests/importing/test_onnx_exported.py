"""Modules of PyTorch come back from the ONNX files that its tracing exporter writes of them."""

from __future__ import annotations

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from importing.onnx_graphs import imported, kinds
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.errors import ModelError
from rnnspec.importing.run import take

torch: Any = import_later("torch")
import_later("onnxruntime")


def exported(
    folder: Path, module: Any, inputs: tuple[Any, ...], names: list[str], opset: int = 17
) -> Path:
    """Write a module by tracing, with the sizes of batches and the numbers of steps open."""
    path = folder / "traced.onnx"
    open_sizes = {}
    for name, network_input in zip(names, inputs, strict=True):
        # A state has the layers before the batch.
        is_state = network_input.dim() == 3 and len(network_input) == 1
        steps = (
            {1: f"{name}_steps"} if network_input.dim() > 1 and network_input.shape[1] > 4 else {}
        )
        open_sizes[name] = {1: "batch"} if is_state else {0: "batch", **steps}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, inputs, path, dynamo=False, input_names=names, opset_version=opset,
            dynamic_axes=open_sizes,
        )  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("name", "opset"),
    [
        ("classifier", 13),
        ("directions summed by shape", 13),
        # Since opset 17, a layer norm is one node.
        ("norms", 17),
        ("rounded up", 17),
        ("several poolings", 13),
        ("unit length", 13),
        ("packed tagger", 17),
    ],
)
def test_a_module_comes_back(tmp_path: Path, name: str, opset: int) -> None:
    modules = import_module("importing.torch_modules")
    torch.manual_seed(0)
    case = modules.read("accepted.txt")[name]
    module, drawn = case.make().float().eval(), case.draw()
    inputs = tuple(each.float() if each.is_floating_point() else each for each in drawn)
    names = ["x", "lengths"][: len(inputs)]
    found = imported(exported(tmp_path, module, inputs, names, opset))
    expected = pipeline.program(rnnspec.from_torch(module, inputs).spec).network.layers
    # A file has no dropout, and the same shapes of arrays.
    wanted = [type(layer).__name__ for layer in expected if type(layer).__name__ != "Dropout"]
    assert kinds(found) == wanted


def test_both_states_of_a_stack_come_back(tmp_path: Path) -> None:
    modules = import_module("importing.torch_modules")
    module = modules.net(
        lambda m, x: m.out(torch.cat(tuple(m.lstm(m.embed(x))[1][0][-2:]), 1)),
        embed=torch.nn.Embedding(9, 3),
        lstm=modules.both(num_layers=2),
        out=torch.nn.Linear(8, 2),
    )
    found = imported(exported(tmp_path, module.eval(), modules.tokens(), ["x"], 13))
    assert kinds(found) == ["Embedding", "Recurrent", "Recurrent", "Dense"]


GRAPHS = {
    "y: {features: 2}": ([(2, 7, 3), (2, 5, 2)], "of: [one.state, two.state]"),
    "target: {embedding: source}": ([], "initial_state: {of: "),
    "initial_state: learned": ([(2, 7, 3)], "initial_state: learned"),
    "type: multiply": ([(2, 7, 3)], "type: multiply"),
    "head: {pooling: none, name: out, units: 2}": (
        [(2, 7, 3), (1, 2, 4)],
        "initial_state: {h: state}",
    ),
}
"""Graphs of layers by the first line that is in their spec: the sizes of inputs, and a line."""


@pytest.mark.parametrize("line", GRAPHS)
def test_a_graph_of_layers_comes_back(tmp_path: Path, line: str) -> None:
    modules = import_module("importing.torch_modules").read("graphs.txt")
    (module,) = (each.make() for each in modules.values() if each.told[0] == line)
    sizes, expected = GRAPHS[line]
    inputs = tuple(torch.randn(size) for size in sizes)
    inputs = inputs or (torch.randint(1, 9, (2, 7)), torch.randint(1, 9, (2, 5)))
    names = ["x", "state" if len(inputs) == 2 and len(inputs[1]) == 1 else "second"]
    taken = imported(exported(tmp_path, module.eval(), inputs, names[: len(inputs)]))
    assert taken.compared.outcome
    assert expected in " ".join(taken.model.text.split()), taken.model.text


def test_a_cell_in_a_loop_is_refused(tmp_path: Path) -> None:
    def forward(m: Any, x: Any) -> Any:
        h = x.new_zeros(x.shape[0], 4)
        for step in range(x.shape[1]):
            h = m.cell(x[:, step], h)
        return h

    module = import_module("importing.torch_modules").net(forward, cell=torch.nn.GRUCell(3, 4))
    with pytest.raises(ModelError, match="takes 7 steps one by one"):
        take(exported(tmp_path, module, (torch.randn(2, 7, 3),), ["x"]))
