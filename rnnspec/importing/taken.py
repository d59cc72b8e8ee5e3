"""What a model takes beside the output of a recurrent layer, while its layers are read."""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.ir import nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken(nodes.Node):
    """A port of a recurrent layer, which is its source, in the place of a layer.

    ``state`` is that of a ``nodes.Port``, and ``size`` the number of features if it is known.
    ``assemble`` puts the port in its place.
    """

    state: str
    size: int = 0


DraftLayer = nodes.Layer | Taken
"""A layer of a model that is read."""
