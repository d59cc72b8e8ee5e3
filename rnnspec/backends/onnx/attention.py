"""What a recurrent layer attends to, as nodes in the body of its ``Scan``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.backends.onnx.graph import OnnxValue
from rnnspec.backends.onnx.slots import array
from rnnspec.backends.onnx.verbs import Recipe
from rnnspec.ir import core
from rnnspec.ir.expand import X, attention_of_step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnspec.backends.onnx.graph import Builder
    from rnnspec.ir import nodes


def contexts_of(layer: nodes.Recurrent) -> str:
    """Return the name of the contexts of a layer, (steps, batch, features)."""
    return array(layer.name, "Context_Steps")


@dataclass(frozen=True, slots=True)
class StepContext:
    """The context of a step of a layer.

    ``memory`` has what the recipe of an attention takes of what it attends to; these values are
    outside the body, as ``constants`` are.

    ``is_read`` is true if it is taken by something beside the cell.
    """

    layer: nodes.Recurrent
    attention: nodes.StepAttention
    memory: Mapping[core.Expression, str]
    constants: dict[str, str]
    is_read: bool

    @property
    def output(self) -> OnnxValue:
        """The context as an output of the body."""
        return OnnxValue("float", ("?", self.attention.width), "Context_Output")

    def add(
        self, into: Builder, query: str, name: str = "Context", projected: str = "Query"
    ) -> str:
        """Add the nodes of the context for a query, which has a ``name``, and return it.

        The query is called ``projected`` if it is, too.
        """
        attention = self.attention
        if attention.projects:
            kernel = array(self.layer.owner, "Attention_Kernel")
            query = into.add(projected, "MatMul", query, kernel)
        asking = attention_of_step(self.layer, attention, name)
        score = core.Param(asking.name, "score")
        Recipe(
            into=into,
            layer=asking,
            values={X: query, **self.memory},
            arrays={score: array(self.layer.owner, "Attention_Score")},
            axes="bsf",
            output_axes="bf",
            padding=None,
            padding_after=None,
            stepped=False,
        ).add(asking.name)
        if self.is_read:
            into.add(self.output.name, "Identity", asking.name)
        return asking.name
