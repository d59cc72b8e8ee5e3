"""Advice on weights from which nothing can be learnt: units that are alike, or always 0."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import dropwhile

from rnnspec.ir.initializers import Constant
from rnnspec.ir.nodes import Dense, Dropout, Layer, LayerNorm, Pooling, Recurrent, Repeat, Residual
from rnnspec.lint.context import Context, Finding

_PASSES_ZERO = ("tanh", "relu", "linear", "softsign", "elu")
"""Activations of a cell or a layer that are 0 at 0."""

_ZERO = Constant(0.0)


def equal_units(context: Context) -> Iterator[Finding]:
    """Units of one layer that start alike and stay alike."""
    layers = context.network.layers
    if any(isinstance(layer, Residual) for layer in layers):
        # What is added to the units need not be alike.
        return
    path = ("initializers", "kernel")
    for index, layer in enumerate(layers):
        if not isinstance(layer, Recurrent | Dense) or not _learns_after(layers[index + 1 :]):
            continue
        if _is_shut(layer):
            yield path, f"nothing but 0 ever leaves {layer.name}, and nothing is learnt; draw them"
            return
        if _starts_alike(layer) and not _draws_apart(layers[index + 1 :]):
            message = f"all units of {layer.name} start alike and stay alike, as one; draw them"
            yield path, message
            return


def _starts_alike(layer: Recurrent | Dense) -> bool:
    """Tell whether all units of a layer hold the same weights, and none has a part of its own."""
    drawn = [layer.kernel_initializer, *([layer.bias_initializer] if layer.bias else [])]
    if isinstance(layer, Recurrent):
        # Each number of the state is dropped by itself.
        if layer.recurrent_dropout:
            return False
        drawn.append(layer.recurrent_initializer)
    return layer.units > 1 and all(isinstance(each, Constant) for each in drawn)


def _is_shut(layer: Recurrent | Dense) -> bool:
    """Tell whether 0 leaves a layer whatever enters it, however its state is multiplied."""
    activation = layer.cell.activation if isinstance(layer, Recurrent) else layer.activation
    silent = layer.kernel_initializer == _ZERO and activation in _PASSES_ZERO
    return silent and (not layer.bias or layer.bias_initializer == _ZERO)


def _learns_after(following: tuple[Layer, ...]) -> bool:
    """Tell whether a layer with a kernel follows: an output itself is drawn apart by its targets.

    Kernels are all initialized alike, so that its rows are as alike as what enters it.
    """
    return any(isinstance(layer, Recurrent | Dense) for layer in following)


def _draws_apart(following: tuple[Layer, ...]) -> bool:
    """Tell whether units are dropped one by one before the next kernel."""
    plain = (LayerNorm, Pooling, Repeat)
    after = next(dropwhile(lambda layer: isinstance(layer, plain), following))
    return isinstance(after, Dropout) or (isinstance(after, Recurrent) and after.dropout > 0)
