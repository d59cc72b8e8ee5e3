"""Advice on initial weights that cannot train: units that stay identical, or always 0."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import dropwhile

from rnnspec.ir.initializers import Constant
from rnnspec.ir.nodes import Dense, Dropout, Layer, LayerNorm, Pooling, Recurrent, Repeat, Residual
from rnnspec.lint.context import Context, Finding

# Activations with the value 0 at 0.
_ZERO_AT_ZERO = ("tanh", "relu", "linear", "softsign", "elu", "selu", "silu")

_ZERO = Constant(0.0)


def equal_units(context: Context) -> Iterator[Finding]:
    """Units of a layer that start identical and stay identical."""
    layers = context.network.layers
    if any(isinstance(layer, Residual) for layer in layers):
        # The input that a residual adds may differ from unit to unit.
        return
    path = ("initializers", "kernel")
    for index, layer in enumerate(layers):
        if not isinstance(layer, Recurrent | Dense) or not _kernel_follows(layers[index + 1 :]):
            continue
        if _outputs_zero(layer):
            message = f"{layer.name} only ever outputs 0 and learns nothing; use random kernels"
            yield path, message
            return
        if _starts_identical(layer) and not _drops_units(layers[index + 1 :]):
            message = (
                f"all units of {layer.name} start identical and stay identical; use random kernels"
            )
            yield path, message
            return


def _starts_identical(layer: Recurrent | Dense) -> bool:
    """Return whether all units of a layer start with the same weights and are treated alike."""
    drawn = [layer.kernel_initializer, *([layer.bias_initializer] if layer.bias else [])]
    if isinstance(layer, Recurrent):
        # Recurrent dropout drops each unit of the state on its own.
        if layer.recurrent_dropout:
            return False
        drawn.append(layer.recurrent_initializer)
    return layer.units > 1 and all(isinstance(each, Constant) for each in drawn)


def _outputs_zero(layer: Recurrent | Dense) -> bool:
    """Return whether a layer outputs 0 for any input and any recurrent kernel."""
    activation = layer.cell.activation if isinstance(layer, Recurrent) else layer.activation
    silent = layer.kernel_initializer == _ZERO and activation in _ZERO_AT_ZERO
    return silent and (not layer.bias or layer.bias_initializer == _ZERO)


def _kernel_follows(following: tuple[Layer, ...]) -> bool:
    """Return whether a layer with a kernel follows.

    All kernels have the same initializer, so the next kernel treats identical units identically.
    The units of the output layer have targets of their own, which make them differ.
    """
    return any(isinstance(layer, Recurrent | Dense) for layer in following)


def _drops_units(following: tuple[Layer, ...]) -> bool:
    """Return whether dropout is applied to single units before the next kernel."""
    # These treat all units alike.
    plain = (LayerNorm, Pooling, Repeat)
    after = next(dropwhile(lambda layer: isinstance(layer, plain), following))
    return isinstance(after, Dropout) or (isinstance(after, Recurrent) and after.dropout > 0)
