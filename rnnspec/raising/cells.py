"""The sections of a spec with the cells and the initializers of a network."""

from __future__ import annotations

from itertools import chain, count
from typing import TYPE_CHECKING

from rnnspec.ir import initializers, nodes
from rnnspec.ir.cells import named_equations, place
from rnnspec.ir.definition import write_initializers as write_values
from rnnspec.lowering.cells import roles, write_cell
from rnnspec.raising.graph import Words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


Drawn = initializers.Initializer | float


def name_cells(network: nodes.Network) -> tuple[dict[str, str], dict[str, Words]]:
    """Return the type of each layer with a cell by equations, and the cells under these names.

    So has one of the language whose states have other names. Cells that differ in more than sizes
    have different names.
    """
    types, cells = dict[str, str](), dict[str, Words]()
    named = dict[str, tuple[object, ...]]()
    for layer in network.layers:
        if not isinstance(layer, nodes.Recurrent):
            continue
        if isinstance(layer.cell, nodes.EquationCell):
            cell = layer.cell
        elif layer.state_names:
            cell = _write_out(layer)
        else:
            continue
        drawn = (layer.kernel_initializer, layer.recurrent_initializer, layer.bias_initializer)
        content = (cell.equations, repr(cell.initializers), repr(drawn))
        candidates = chain([cell.name], (f"{cell.name}_{number}" for number in count(2)))
        name = next(other for other in candidates if named.setdefault(other, content) == content)
        types[layer.name] = name
        if name not in cells:
            cells[name] = write_cell(
                cell,
                {
                    "kernel": layer.kernel_initializer,
                    "recurrent": layer.recurrent_initializer,
                    "bias": layer.bias_initializer,
                },
            )
    return types, cells


def _write_out(layer: nodes.Recurrent) -> nodes.EquationCell:
    """Return the cell of a layer by its equations, with the names that its states have."""
    cell = layer.standard_cell
    values: list[tuple[str, initializers.Initializer]] = []
    equations = named_equations(layer)
    for name, _ in equations.parameters:
        array, gate = place(name)
        match array:
            case "kernel":
                value = layer.kernel_initializer
            case "recurrent_kernel":
                value = layer.recurrent_initializer
            case _:
                value = layer.bias_initializer
        if isinstance(cell, nodes.LSTM) and (array, gate) == ("bias", "f"):
            value = initializers.Constant(cell.forget_bias)
        values.append((name, value))
    return nodes.EquationCell(
        name=f"{nodes.cell_type(cell)}_cell",
        equations=equations,
        initializers=tuple(values),
        sizes=(),
    )


def write_initializers(
    network: nodes.Network, refuse: Callable[[str, str], None], *, complete: bool = False
) -> Words:
    """Return the section ``initializers``: one for each role, the same in every layer.

    With ``complete``, it has those at their default too, and those of biases that no layer has.
    """
    words: Words = {}
    for key, default, drawn in _roles(network, complete=complete):
        # By their text, because -0.0 equals 0.0.
        different = {repr(source): source for source in drawn}
        if len(different) > 1:
            message = f"expected one {key} initializer for the network, received {len(different)}"
            refuse("initializers", message)
        for text, source in different.items():
            if complete or text != repr(default):
                words[key] = source if isinstance(source, float) else initializers.in_words(source)
    return words


def write_parameters(network: nodes.Network, layer: nodes.LearnedFormula) -> Words:
    """Return the keys of the arrays of a formula: their shapes, and how they begin."""
    shapes = {name: list(map(int, shape)) for name, shape in layer.arrays}
    first = {
        key: (drawn or [default])[0] for key, default, drawn in _roles(network, complete=False)
    }
    kinds = {
        name: first[role] for name, role in roles(layer.how.equations).items() if name in shapes
    }
    initial = {name: value for name, value in kinds.items() if not isinstance(value, float)}
    return {
        "parameters": {name: shape or "scalar" for name, shape in shapes.items()},
        **write_values(layer.initializers, initial),
    }


def _roles(network: nodes.Network, *, complete: bool) -> Iterator[tuple[str, Drawn, list[Drawn]]]:
    """Yield each key of the section with its default, and the initializers of the layers."""
    recurrent = [layer for layer in network.layers if isinstance(layer, nodes.Recurrent)]
    drawn = [layer for layer in network.layers if isinstance(layer, _DRAWN)]
    yield "kernel", initializers.GlorotUniform(), [layer.kernel_initializer for layer in drawn]
    recurrent_kernels = [layer.recurrent_initializer for layer in recurrent]
    yield "recurrent", initializers.Orthogonal(), list(recurrent_kernels)
    biases = [
        layer.bias_initializer
        for layer in drawn
        if not isinstance(layer, nodes.Attention)
        if complete
        or (layer.bias and not (isinstance(layer, nodes.AttentionPooling) and layer.units is None))
    ]
    yield "bias", initializers.Constant(0.0), list(biases)
    cells = [layer.cell for layer in recurrent if complete or layer.bias]
    yield "forget_bias", 1.0, [cell.forget_bias for cell in cells if isinstance(cell, nodes.LSTM)]
    embeddings = [layer for layer in network.layers if isinstance(layer, nodes.Embedding)]
    yield "embedding", initializers.Uniform(0.05), [layer.initializer for layer in embeddings]


_DRAWN = (nodes.Recurrent, nodes.Conv, nodes.Dense, nodes.AttentionPooling, nodes.Attention)
"""Layers with kernels."""
