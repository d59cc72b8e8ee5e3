"""Attention over the steps: the layers that make its scores, and the layer that it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.importing.graph.layer_graph import LayerGraph, Step


@dataclass(frozen=True, slots=True)
class Scores:
    """How scores are made of the steps: ``query`` of a ``hidden`` layer, or of the steps."""

    query: Step
    hidden: Step | None
    activation: nodes.Activation

    def attention(self, units: int | None) -> nodes.Attention:
        """Return the attention with these scores, given the units of the hidden layer."""
        assert isinstance(self.query.layer, nodes.Dense), "it was read"
        return nodes.Attention(
            name="attention",
            input=(),
            units=units,
            activation="tanh" if self.hidden is None else self.activation,
            masked=False,
            kernel_initializer=self.query.layer.kernel_initializer,
            bias_initializer=self.query.layer.bias_initializer,
        )


def read_scores(graph: LayerGraph, at: int, start: int, expected: str) -> Scores:
    """Return how the scores at a place are made of the steps at ``start``.

    A dropout between them is left out, in the account.

    Raises:
        RefusedError: they are made of others, or otherwise; ``expected`` is the message.
    """
    query = graph.steps.get(at)
    if query is None or not isinstance(query.layer, nodes.Dense) or query.layer.tied:
        raise RefusedError(expected)
    activation: nodes.Activation = "linear"
    hidden, place = None, query.sources[0]
    while place not in (start, 0):
        step = graph.steps[place]
        match step.layer:
            case nodes.Activate() if hidden is None and activation == "linear":
                activation = step.layer.activation
            case nodes.Dropout(rate=rate):
                graph.account.leave(f"dropout {rate:g} in an attention")
            case nodes.Dense(tied=None) if hidden is None:
                hidden = step
            case _:
                raise RefusedError(expected)
        place = step.sources[0]
    if place != start or (hidden is None and activation != "linear"):
        raise RefusedError(expected)
    return Scores(query, hidden, activation)
