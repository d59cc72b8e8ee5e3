"""The nodes that PyTorch's modules become, with the settings that PyTorch does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.ir import nodes
from rnnspec.ir.initializers import Constant, GlorotUniform, Orthogonal, Uniform

if TYPE_CHECKING:
    from rnnspec.words import Activation, Merge

CELLS: dict[str, nodes.Cell] = {
    "simple_rnn": nodes.SimpleRNN(activation="tanh"),
    # PyTorch's GRU applies the reset gate after the product, which has a bias of its own.
    "gru": nodes.GRU(activation="tanh", recurrent_activation="sigmoid", reset_after=True),
    "lstm": nodes.LSTM(activation="tanh", recurrent_activation="sigmoid", forget_bias=1.0),
}
"""The cells of PyTorch, by the names that lowering gives to their layers."""


def embedding(
    name: str, shape: nodes.Shape, vocabulary: int, dim: int, *, trainable: bool
) -> nodes.Embedding:
    """Return an embedding without padding."""
    return nodes.Embedding(
        name=name,
        input=shape,
        vocabulary=vocabulary,
        dim=dim,
        masked=False,
        trainable=trainable,
        initializer=Uniform(0.05),
        pretrained=None,
    )


def recurrent(  # noqa: PLR0913 - the settings of a layer
    name: str,
    shape: nodes.Shape,
    cell: nodes.Cell,
    units: int,
    *,
    merge: Merge | None,
    bias: bool,
    return_sequences: bool,
) -> nodes.Recurrent:
    """Return a recurrent layer without padding and without dropout of its own."""
    return nodes.Recurrent(
        name=name,
        input=shape,
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


def dense(
    name: str, shape: nodes.Shape, units: int, *, activation: Activation, bias: bool
) -> nodes.Dense:
    """Return a dense layer."""
    return nodes.Dense(
        name=name,
        input=shape,
        units=units,
        activation=activation,
        bias=bias,
        kernel_initializer=GlorotUniform(),
        bias_initializer=Constant(0.0),
    )
