"""The summary of a network: its layers, shapes and parameter counts, computed from its nodes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rnnspec.backends import BACKENDS, honouring
from rnnspec.display import html_of, text_of
from rnnspec.errors import listed
from rnnspec.ir.nodes import INPUT, Dense, sources
from rnnspec.ir.params import Counts, count, counts
from rnnspec.ir.text import type_name

if TYPE_CHECKING:
    from rnnspec.backends.contract import Stock
    from rnnspec.ir.nodes import Network


TITLES = ("Layer (type)", "Output shape", "Parameters")
"""The titles of ``LayerSummary.cells``."""


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One row of a summary; the first axis of the output shape, the batch, is ``None``.

    ``takes`` names the layers whose output the layer takes, unless it is that of the layer before
    it. ``shares`` is the embedding whose vectors are its kernel.
    """

    name: str
    type: str
    output_shape: tuple[int | None, ...]
    parameters: int
    takes: tuple[str, ...] = ()
    shares: str | None = None

    @property
    def cells(self) -> tuple[str, str, str]:
        """The row as text."""
        return f"{self.name} ({self.type})", str(self.output_shape), f"{self.parameters:,}"


@dataclass(frozen=True, slots=True)
class Summary:
    """The layers and parameter counts of a network, computed from its spec.

    ``stepwise`` lists, for each backend, the layers that have no fused implementation there and
    run step by step, each with the key that requires it. ``outputs`` has the layer of each named
    output. ``stock`` has, for each backend, the layers whose built-in counterpart has another
    number of parameters.
    """

    name: str
    layers: tuple[LayerSummary, ...]
    parameters: Counts
    stepwise: dict[str, dict[str, str]]
    outputs: dict[str, str]
    stock: dict[str, tuple[Stock, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        return text_of(self)

    def __repr__(self) -> str:
        return f"Summary({self.name}, {self.parameters.total:,} parameters)"

    def _repr_html_(self) -> str:
        return html_of(self)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Joins, shared vectors, outputs, slow layers and other counts: all that no row shows."""
        takes = (f"{row.name} takes {', '.join(row.takes)}" for row in self.layers if row.takes)
        shares = (
            f"{row.name} shares the vectors of {row.shares}" for row in self.layers if row.shares
        )
        outputs = (f"Output {name}: {layer}" for name, layer in self.outputs.items())
        reasons = {
            backend: ", ".join(f"{layer} ({key})" for layer, key in layers.items())
            for backend, layers in self.stepwise.items()
        }
        slow = (
            f"Run step by step on {backend}, not fused: {why}" for backend, why in reasons.items()
        )
        return (*takes, *shares, *outputs, *slow, *self.stock_counts)

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

        ``stepwise``, ``stock``, ``outputs``, and the ``takes`` and ``shares`` of a layer are
        present if they are not empty.
        """
        rows = []
        for layer in self.layers:
            row = {**asdict(layer), "output_shape": list(layer.output_shape)}
            takes, shares = row.pop("takes"), row.pop("shares")
            row |= {"takes": list(takes)} if takes else {}
            rows.append(row | ({"shares": shares} if shares else {}))
        return {
            "name": self.name,
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


def totals(parameters: Counts) -> str:
    """Return the parameter counts of a network as a sentence."""
    return f"{parameters.total:,} parameters, {parameters.trainable:,} of them trainable"


def summarize(network: Network) -> Summary:
    """Return the summary of a network."""
    sources_of, before, rows = sources(network), INPUT, list[LayerSummary]()
    for layer in network.layers:
        takes = sources_of[layer.name] if sources_of[layer.name] != (before,) else ()
        shares = layer.tied if isinstance(layer, Dense) else None
        shape = (None, *layer.output)
        rows.append(LayerSummary(layer.name, type_name(layer), shape, count(layer), takes, shares))
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
        dict(network.outputs),
        {name: layers for name, layers in stock.items() if layers},
    )
