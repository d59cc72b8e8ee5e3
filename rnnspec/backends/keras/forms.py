"""The form of a Keras model, functional or sequential, and how deep Keras recurses in it."""

from __future__ import annotations

from typing import TypeGuard

from rnnspec.ir import nodes

_LONGEST_SEQUENTIAL = 100
"""Layers in a ``Sequential``: loading one adds layer after layer, and rebuilds it at each."""
SHALLOW = 250
"""Layers that leave most of Python's own recursion limit, 1,000, to whoever makes the model."""


def is_sequential(network: nodes.Network) -> bool:
    """Tell whether the source is a ``Sequential``: a chain of Keras's own layers over padding.

    The summary of a functional model lists every operation, those that make the mask too
    (``NotEqual``, ``Any``); that of a ``Sequential`` lists the layers and nothing else. But only a
    functional model refuses another number of steps, where the spec has one.
    """
    return (
        network.input.masked
        and network.input.steps is None
        and len(network.layers) <= _LONGEST_SEQUENTIAL
        and not any(map(_is_no_link_of_a_chain, network.layers))
    )


def recursion(network: nodes.Network) -> int:
    """Return by how much Python's recursion limit has to rise for Keras to make the model.

    Keras walks a model from its output to its input by recursion, one call for each layer.
    Source: Keras's issue 15596.
    """
    return len(network.layers) if len(network.layers) > SHALLOW else 0


def _is_no_link_of_a_chain(layer: nodes.Layer) -> bool:
    """Return whether a layer takes more than one tensor, or is a function."""
    return isinstance(layer, nodes.Residual | nodes.Normalize) or pools_masked(layer)


def pools_masked(layer: nodes.Layer) -> TypeGuard[nodes.Pooling]:
    """Tell whether a layer pools the real steps alone, which no layer of Keras does safely.

    ``GlobalAveragePooling1D`` gives NaN for a row of padding alone, and ``GlobalMaxPooling1D``
    takes padding for real.
    """
    return isinstance(layer, nodes.Pooling) and layer.masked
