"""The summary of a network: its layers, shapes and parameter counts, computed from its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from rnnspec import pipeline
from rnnspec.backends import BACKENDS, honouring
from rnnspec.display import html_of, text_of
from rnnspec.errors import listed
from rnnspec.ir.nodes import (
    Dense,
    EquationCell,
    Recurrent,
    SimpleRNN,
    sources,
)
from rnnspec.ir.params import Counts, count, counts, directions, params
from rnnspec.ir.text import type_name
from rnnspec.lowering import array_places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends.contract import Stock
    from rnnspec.ir.nodes import Layer, Network
    from rnnspec.pipeline import Source


TITLES = ("Layer (type)", "Output shape", "Parameters")
"""The titles of ``LayerSummary.cells``."""


@dataclass(frozen=True, slots=True)
class ArraySummary:
    """A parameter of a cell by equations, as the equations have it, in each of ``directions``.

    ``place`` is the array of which it is a part, transposed, if the cell is one of the language.
    """

    name: str
    shape: tuple[int, ...]
    directions: int
    place: str = ""

    @property
    def cells(self) -> tuple[str, str, str]:
        """The row as text."""
        times = f"{self.directions} x " if self.directions > 1 else ""
        place = f" = {self.place}" if self.place else ""
        count = f"{self.directions * prod(self.shape):,}"
        return f"  {self.name}{place}", f"{times}{self.shape}", count


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One row of a summary; the first axis of the output shape, the batch, is ``None``.

    ``takes`` names the layers whose output the layer takes, unless it is that of the layer before
    it. ``shares`` is the layer whose arrays it has, of a tied kernel the embedding. ``arrays`` are
    the parameters of a cell of the spec, and the states that the layer learned to begin as.
    """

    name: str
    type: str
    output_shape: tuple[int | None, ...]
    parameters: int
    takes: tuple[str, ...] = ()
    shares: str | None = None
    arrays: tuple[ArraySummary, ...] = ()

    @property
    def cells(self) -> tuple[tuple[str, str, str], ...]:
        """The row as text, and one for each array."""
        row = f"{self.name} ({self.type})", str(self.output_shape), f"{self.parameters:,}"
        return (row, *(array.cells for array in self.arrays))


@dataclass(frozen=True, slots=True)
class Summary:
    """The layers and parameter counts of a network, computed from its spec.

    ``stepwise`` lists, for each backend, the layers that have no fused implementation there and
    run step by step, each with the key that requires it. ``outputs`` has the layer of each named
    output. ``stock`` has, for each backend, the layers whose built-in counterpart has another
    number of parameters. ``inputs`` has the shape of each input, if they have names.
    """

    name: str
    layers: tuple[LayerSummary, ...]
    parameters: Counts
    stepwise: dict[str, dict[str, str]]
    outputs: dict[str, str]
    stock: dict[str, tuple[Stock, ...]] = field(default_factory=dict)
    inputs: dict[str, tuple[int | None, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        return text_of(self)

    def __repr__(self) -> str:
        return f"Summary({self.name}, {self.parameters.total:,} parameters)"

    def _repr_html_(self) -> str:
        return html_of(self)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Inputs, joins, shared vectors, outputs, slow layers, other counts: what no row shows."""
        inputs = (f"Input {name}: {shape}" for name, shape in self.inputs.items())
        takes = (f"{row.name} takes {', '.join(row.takes)}" for row in self.layers if row.takes)
        tables = {row.name for row in self.layers if row.type == "Embedding"}
        what = {row.name: "vectors" if row.shares in tables else "arrays" for row in self.layers}
        shares = (
            f"{row.name} shares the {what[row.name]} of {row.shares}"
            for row in self.layers
            if row.shares
        )
        outputs = (f"Output {name}: {layer}" for name, layer in self.outputs.items())
        reasons = {
            backend: ", ".join(f"{layer} ({key})" for layer, key in layers.items())
            for backend, layers in self.stepwise.items()
        }
        slow = (
            f"Run step by step on {backend}, not fused: {why}" for backend, why in reasons.items()
        )
        return (*inputs, *takes, *shares, *outputs, *slow, *self.stock_counts)

    @property
    def stock_counts(self) -> tuple[str, ...]:
        """The number of parameters of each framework's built-in layers, if it is another one."""
        rows = {row.name: row.parameters for row in self.layers}
        lines = []
        for backend, layers in self.stock.items():
            more = sum(layer.parameters - rows[layer.layer] for layer in layers)
            title, total = BACKENDS[backend].title, self.parameters.total + more
            adds = listed(sorted({layer.adds for layer in layers}))
            types = listed(sorted({layer.type for layer in layers}))
            built_in = f"Built-in layers of {title} would have {total:,} parameters"
            lines.append(f"{built_in}, with {adds} in {types}")
        return tuple(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain data, as printed by ``rnnspec summary --json``.

        ``inputs``, ``stepwise``, ``stock``, ``outputs``, and the ``takes``, ``shares`` and
        ``arrays`` of a layer are present if they are not empty.
        """
        rows = []
        for layer in self.layers:
            row = {**asdict(layer), "output_shape": list(layer.output_shape)}
            takes, shares, arrays = row.pop("takes"), row.pop("shares"), row.pop("arrays")
            row |= {"takes": list(takes)} if takes else {}
            row |= {"arrays": [{**a, "shape": list(a["shape"])} for a in arrays]} if arrays else {}
            rows.append(row | ({"shares": shares} if shares else {}))
        return {
            "name": self.name,
            **({"inputs": {n: list(s) for n, s in self.inputs.items()}} if self.inputs else {}),
            "layers": rows,
            "parameters": self.parameters.as_dict(),
            **({"outputs": self.outputs} if self.outputs else {}),
            **({"stepwise": self.stepwise} if self.stepwise else {}),
            **(
                {"stock": {n: [asdict(s) for s in layers] for n, layers in self.stock.items()}}
                if self.stock
                else {}
            ),
        }


Places = Mapping[str, Mapping[str, tuple[str, str]]]


def _arrays(layer: Layer, places: Mapping[str, tuple[str, str]]) -> Iterator[ArraySummary]:
    """Yield the parameters of a cell of the spec, and the states that a layer learned."""
    if not isinstance(layer, Recurrent):
        return
    yield from _of_cell(layer, places)
    for vector in layer.learned:
        yield ArraySummary(vector.param, (vector.size,), 1)


def _of_cell(layer: Recurrent, places: Mapping[str, tuple[str, str]]) -> Iterator[ArraySummary]:
    ways, learned = directions(layer), {vector.param for vector in layer.learned}
    if isinstance(layer.cell, EquationCell):
        for param in params(layer):
            if param.name.startswith(ways[0]) and param.name not in learned:
                yield ArraySummary(param.name.removeprefix(ways[0]), param.shape, len(ways))
        return
    sizes = {"kernel": (layer.units, layer.features), "recurrent_kernel": (layer.units,) * 2}
    for name, (array, gate) in places.items():
        place = array if isinstance(layer.cell, SimpleRNN) else f"{array}, gate {gate}"
        yield ArraySummary(name, sizes.get(array, (layer.units,)), len(ways), place)


def totals(parameters: Counts) -> str:
    """Return the parameter counts of a network as a sentence."""
    return f"{parameters.total:,} parameters, {parameters.trainable:,} of them trainable"


def summarize(network: Network, places: Places | None = None) -> Summary:
    """Return the summary of a network; ``places`` are those of ``lowering.array_places``."""
    sources_of, rows = sources(network), list[LayerSummary]()
    # The first layer need not say which input it takes if there is only one.
    before = network.inputs[0].name if len(network.inputs) == 1 else ""
    for layer in network.layers:
        takes = sources_of[layer.name]
        takes = () if takes == (before,) else takes
        takes = tuple(map(network.called, takes))
        shares = (layer.tied if isinstance(layer, Dense) else None) or layer.shares
        shape = (None, *layer.output)
        arrays = tuple(_arrays(layer, (places or {}).get(layer.name, {})))
        kind, number = type_name(layer), count(layer)
        rows.append(LayerSummary(layer.name, kind, shape, number, takes, shares, arrays))
        before = layer.name
    # A backend that refuses the network does not run its layers in any way.
    able = honouring(network)
    stepwise = {backend.name: backend.emitter.stepwise(network) for backend in able}
    stock = {backend.name: backend.emitter.stock(network) for backend in able}
    return Summary(
        network.name,
        tuple(rows),
        counts(network),
        {name: s for name, s in stepwise.items() if s},
        {name: network.called(value) for name, value in network.outputs},
        {name: layers for name, layers in stock.items() if layers},
        {
            network_input.name: (None, *network_input.shape)
            for network_input in network.named_inputs
        },
    )


def summary(spec: Source) -> Summary:
    """Return layers, output shapes and parameter counts; no framework is needed.

    Raises:
        SpecError: the spec is invalid.
        UsageError: ``spec`` is not a spec, or the file cannot be read.
    """
    known = pipeline.program(spec)
    return summarize(known.network, array_places(known.spec))
