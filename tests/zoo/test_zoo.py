"""The published cells of ``specs/cells``: each is a spec of its own, with its paper."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from cases import cases
from offered import require

import rnnspec
from rnnspec import pipeline
from rnnspec.importing.torch.zoo import zoo_layers
from rnnspec.ir import nodes
from rnnspec.ir.params import params
from rnnspec.spec.write import dump

CELLS = {
    path.stem: path.read_text("utf-8")
    for path in sorted((Path(__file__).parents[2] / "specs" / "cells").glob("*.yaml"))
}
BUILT_IN = {"lstm_np": "lstm"}
"""Cells that are built-in ones, in the names of their papers, and may be read as such."""


def recurrent(name: str) -> nodes.Recurrent:
    layers = pipeline.reads(CELLS[name], name).network.layers
    (layer,) = (layer for layer in layers if isinstance(layer, nodes.Recurrent))
    return layer


def comment(name: str) -> str:
    return " ".join(CELLS[name].partition("version:")[0].replace("#", "").split())


@cases("name", list(CELLS))
def test_each_file_is_one_cell_with_its_paper(name: str) -> None:
    assert list(yaml.safe_load(CELLS[name])["cells"]) == [name]
    assert nodes.cell_type(recurrent(name).cell) in {name, BUILT_IN.get(name, name)}
    assert re.search(
        r"\b(19|20)\d\d\b.*https://\S+\. (Equal to|Checked against|Not compared)", comment(name)
    )


def side_by_side(cells: list[str]) -> rnnspec.Spec:
    """Return a network of several cells, for which a compiler is called once."""
    definitions = {cell: yaml.safe_load(CELLS[cell])["cells"][cell] for cell in cells}
    layers = [
        {
            "type": cell,
            "units": 4,
            "of": dict.fromkeys(definitions[cell].get("inputs", ()), "input") or "input",
            "name": f"of_{cell}",
            **({"over": dict.fromkeys(memory, "input")} if memory else {}),
        }
        for cell in cells
        for memory in [definitions[cell].get("memory")]
    ]
    words = {
        "version": 1,
        "name": "zoo",
        # Some cells have an output or a state of the size of the input.
        "input": {"features": 4},
        "cells": definitions,
        "rnn": [*layers, {"type": "concat", "of": [layer["name"] for layer in layers]}],
        "head": {"pooling": "none", "units": 2},
    }
    return rnnspec.loads(dump(words))


@pytest.mark.parametrize("name", ["onnx", "c"])
def test_cells_are_equal_where_source_is_nodes_or_loops(name: str) -> None:
    """These have the most of their own between a schedule and its numbers."""
    require(name)
    specs = [side_by_side([*CELLS][at : at + 28]) for at in range(0, len(CELLS), 28)]
    report = rnnspec.parity(specs, [name], level="forward", dtype="float32")
    assert report.equal, report.differences


@cases("kind", list(zoo_layers()))
def test_the_arrays_of_torchrecurrent_are_all_parameters_of_their_cells(kind: str) -> None:
    layer = zoo_layers()[kind]
    parameters = {param.name for param in params(recurrent(layer.cell))}
    assert set(" ".join(layer.arrays.values()).split()) == parameters
    settings = yaml.safe_load(CELLS[layer.cell])["cells"][layer.cell].get("settings", {})
    assert set(layer.settings) == set(settings)
    assert f"Equal to {kind} of torchrecurrent" in comment(layer.cell)
