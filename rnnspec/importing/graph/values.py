"""What the values of every reader of graphs have in common."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rnnspec.importing.graph.layer_graph import RefusedError

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True, slots=True, eq=False)
class LayerOutput:
    """What follows from the output of the layer at ``at`` in the graph of layers; 0 is the input.

    ``pad`` is how often the next window sees ``pad_value`` before and after the steps, and
    ``surplus`` is the number of steps at the end that a causal convolution does not have.
    ``filler`` is what padded steps hold, None for anything.
    """

    at: int
    pad: tuple[int, int] = field(default=(0, 0), kw_only=True)
    pad_value: float = field(default=0.0, kw_only=True)
    surplus: int = field(default=0, kw_only=True)
    filler: float | None = field(default=None, kw_only=True)

    def add_steps(self, before: int, after: int, number: float) -> Self:
        """Return it with steps of a number before and after, for a window.

        Raises:
            RefusedError: it has steps of another number there.
        """
        if any(self.pad) and self.pad_value != number:
            raise RefusedError("pad: expected one number at all steps that are added")
        pad = (self.pad[0] + before, self.pad[1] + after)
        return replace(self, pad=pad, pad_value=number)

    def check_zeros_added(self) -> None:
        """Check that the steps that are added are zeros, as a convolution has them.

        Raises:
            RefusedError: they are others.
        """
        if any(self.pad) and self.pad_value:
            message = f"expected zeros before and after, received {self.pad_value}"
            raise RefusedError(message, "E703")

    def check_steps(self, advice: str, *, with_pad: bool = False) -> None:
        """Check that it has the steps of its layer.

        Args:
            advice: what is expected of a causal convolution.
            with_pad: whether steps may be added, for a window.

        Raises:
            RefusedError: it has others.
        """
        if self.surplus:
            message = f"takes {self.surplus} steps more than the language has; expected"
            raise RefusedError(f"{message} {advice}")
        if any(self.pad) and not with_pad:
            raise RefusedError("expected a convolution or a pool behind steps that are added")
