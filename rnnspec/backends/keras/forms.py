"""The form of a Keras model, functional or sequential, and how deep Keras recurses in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from rnnspec.ir import nodes

if TYPE_CHECKING:
    from rnnspec.ir.forms import Form

PURPOSES: dict[Form, str] = {
    "training": "with initial weights",
    "inference": "for inference; its weights are to be loaded",
    "step": "in step form; its weights are to be loaded",
}
"""The purpose of the model that the source of each form returns."""
_LONGEST_SEQUENTIAL = 100
"""The most layers in a ``Sequential``: loading one rebuilds it after each layer, in O(n^2) time."""
SHALLOW = 250
"""The most layers that leave most of Python's recursion limit, 1,000, to the caller."""


def is_sequential(network: nodes.Network, form: Form) -> bool:
    """Return whether the source is a ``Sequential``: for inference, any chain of Keras's layers.

    For training, the chain must have padding. The summary of a functional model also lists the
    operations that compute the mask (``NotEqual``, ``Any``); that of a ``Sequential`` lists only
    layers. But only a functional model refuses another number of time steps, so for training a spec
    with ``input.length`` needs one.
    """
    chain = len(network.layers) <= _LONGEST_SEQUENTIAL and not any(
        map(_breaks_a_chain, network.layers)
    )
    if form == "training":
        return chain and network.input.masked and network.input.steps is None
    return chain


def recursion(network: nodes.Network) -> int:
    """Return the increase of Python's recursion limit that Keras needs to build the model.

    Keras walks a model from its output to its input by recursion, one call for each layer.
    Source: https://github.com/keras-team/keras/issues/15596.
    """
    return len(network.layers) if len(network.layers) > SHALLOW else 0


def _breaks_a_chain(layer: nodes.Layer) -> bool:
    # A Sequential passes a single tensor through layers: no mask or earlier input beside it, and
    # no function or slice.
    return (
        isinstance(layer, nodes.Residual | nodes.Normalize)
        or pools_masked(layer)
        or takes_last_step(layer)
    )


def pools_masked(layer: nodes.Layer) -> TypeGuard[nodes.Pooling]:
    """Return true if a layer pools only real steps, which no layer of Keras does safely.

    ``GlobalAveragePooling1D`` returns NaN for a sequence of padding only, because it divides by the
    number of real steps, and ``GlobalMaxPooling1D`` includes padding.
    Source: https://github.com/keras-team/keras/issues/18152.
    """
    return isinstance(layer, nodes.Pooling) and layer.masked


def takes_last_step(layer: nodes.Layer) -> bool:
    """Return true if a layer selects the last step, by a slice: Keras has no layer for it."""
    return isinstance(layer, nodes.Pooling) and layer.statistic == "last_step"
