"""The summary of a network: its layers, shapes and parameter counts, computed from its nodes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rnnspec.backends import honouring
from rnnspec.ir.params import Counts, count, counts
from rnnspec.ir.text import type_name
from rnnspec.shown import html_of, text_of

if TYPE_CHECKING:
    from rnnspec.ir.nodes import Network


TITLES = ("Layer (type)", "Output shape", "Parameters")
"""The titles of ``LayerSummary.cells``."""


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One row of a summary; the first axis of the output shape, the batch, is ``None``."""

    name: str
    type: str
    output_shape: tuple[int | None, ...]
    parameters: int

    @property
    def cells(self) -> tuple[str, str, str]:
        """The row as text."""
        return f"{self.name} ({self.type})", str(self.output_shape), f"{self.parameters:,}"


@dataclass(frozen=True, slots=True)
class Summary:
    """The layers and parameter counts of a network, computed from its spec.

    ``stepwise`` lists, for each backend, the layers that have no fused implementation there and
    run step by step, each with the key that requires it.
    """

    name: str
    layers: tuple[LayerSummary, ...]
    parameters: Counts
    stepwise: dict[str, dict[str, str]]

    def __str__(self) -> str:
        return text_of(self)

    def __repr__(self) -> str:
        return f"Summary({self.name}, {self.parameters.total:,} parameters)"

    def _repr_html_(self) -> str:
        return html_of(self)

    @property
    def remarks(self) -> tuple[str, ...]:
        """A sentence for each backend that runs layers step by step."""
        reasons = {
            backend: ", ".join(f"{layer} ({key})" for layer, key in layers.items())
            for backend, layers in self.stepwise.items()
        }
        return tuple(
            f"Run step by step on {backend}, not fused: {why}" for backend, why in reasons.items()
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain data, as printed by ``rnnspec summary --json``.

        ``stepwise`` is present if a layer runs step by step.
        """
        rows = [
            {**asdict(layer), "output_shape": list(layer.output_shape)} for layer in self.layers
        ]
        return {
            "name": self.name,
            "layers": rows,
            "parameters": self.parameters.as_dict(),
            **({"stepwise": self.stepwise} if self.stepwise else {}),
        }


def totals(given: Counts) -> str:
    """Return the parameter counts of a network as a sentence."""
    return f"{given.total:,} parameters, {given.trainable:,} of them trainable"


def summarize(network: Network) -> Summary:
    """Return the summary of a network."""
    rows = tuple(
        LayerSummary(layer.name, type_name(layer), (None, *layer.output), count(layer))
        for layer in network.layers
    )
    # A backend that refuses the network does not run its layers in any way.
    stepwise = {each.name: each.emitter.stepwise(network) for each in honouring(network)}
    return Summary(
        network.name, rows, counts(network), {name: s for name, s in stepwise.items() if s}
    )
