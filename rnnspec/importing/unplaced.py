"""Layers without a place: with their settings, and neither shape nor mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.ir import nodes
from rnnspec.ir.initializers import Constant, GlorotUniform, Orthogonal, Uniform

if TYPE_CHECKING:
    from rnnspec.ir.initializers import Initializer
    from rnnspec.lowering.cells import Role
    from rnnspec.words import Merge


CELLS: dict[str, nodes.Cell] = {
    "RNN": nodes.SimpleRNN(activation="tanh"),
    # PyTorch's GRU applies the reset gate after the product, which has a bias of its own.
    "GRU": nodes.GRU(activation="tanh", recurrent_activation="sigmoid", reset_after=True),
    "LSTM": nodes.LSTM(activation="tanh", recurrent_activation="sigmoid", forget_bias=1.0),
}
"""The cells of PyTorch's recurrent modules by their class."""


INITIALIZERS: dict[Role, Initializer] = {
    "kernel": GlorotUniform(),
    "recurrent": Orthogonal(),
    "bias": Constant(0.0),
}
"""Those of layers without a place."""


def embedding(name: str, vocabulary: int, dim: int, *, trainable: bool) -> nodes.Embedding:
    """Return an embedding without a place."""
    return nodes.Embedding(
        name=name,
        input=(),
        vocabulary=vocabulary,
        dim=dim,
        masked=False,
        trainable=trainable,
        initializer=Uniform(0.05),
        pretrained=None,
    )


def recurrent(  # noqa: PLR0913 - the settings of a layer
    name: str,
    cell: nodes.Cell,
    units: int,
    *,
    merge: Merge | None,
    bias: bool,
    return_sequences: bool,
) -> nodes.Recurrent:
    """Return a recurrent layer without a place and without dropout of its own."""
    return nodes.Recurrent(
        name=name,
        input=(),
        cell=cell,
        units=units,
        merge=merge,
        bias=bias,
        dropout=0.0,
        recurrent_dropout=0.0,
        masked=False,
        return_sequences=return_sequences,
        kernel_initializer=GlorotUniform(),
        recurrent_initializer=Orthogonal(),
        bias_initializer=Constant(0.0),
    )


def dense(name: str, units: int, *, activation: nodes.Activation, bias: bool) -> nodes.Dense:
    """Return a dense layer without a place."""
    return nodes.Dense(
        name=name,
        input=(),
        units=units,
        activation=activation,
        bias=bias,
        kernel_initializer=GlorotUniform(),
        bias_initializer=Constant(0.0),
    )


def attention(  # noqa: PLR0913 - the settings of a layer
    name: str, over: str, keys: str, width: int, *, additive: bool, scale: float = 1.0
) -> nodes.Attention:
    """Return an attention without a place, over steps of ``width`` features."""
    return nodes.Attention(
        name=name,
        input=(),
        masked=False,
        over=over,
        keys=keys,
        memory=(None, width),
        additive=additive,
        scale=scale,
        kernel_initializer=GlorotUniform(),
    )


def conv(name: str, filters: int, window: nodes.Window, *, bias: bool) -> nodes.Conv:
    """Return a convolution without a place and without an activation."""
    return nodes.Conv(
        name=name,
        input=(),
        filters=filters,
        window=window,
        activation="linear",
        bias=bias,
        masked=False,
        kernel_initializer=GlorotUniform(),
        bias_initializer=Constant(0.0),
    )
