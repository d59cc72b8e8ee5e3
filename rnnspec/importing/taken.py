"""What a recurrent layer gives beside its output, or learned, while the layers are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnspec.ir import nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken(nodes.Node):
    """A port of a recurrent layer, which is its source, in the place of a layer.

    ``state`` is that of a ``nodes.Port``, and ``size`` the number of features if it is known.
    ``assemble`` puts the port in its place.
    """

    state: str
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedVector(nodes.Node):
    """A vector of ``size`` that is learned, in the place of a layer.

    ``assemble`` makes it an array of the recurrent layer that begins with it.
    """

    time_axis: ClassVar[nodes.TimeAxis] = "dropped"

    size: int


DraftLayer = nodes.Layer | Taken | LearnedVector
"""A layer of a model that is read."""
