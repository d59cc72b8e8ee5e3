"""The words beside a picture: the kind of a layer, its shape and its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from rnnspec.ir.nodes import (
    GRU,
    LSTM,
    Cell,
    Dense,
    Dropout,
    Embedding,
    Input,
    Layer,
    LayerNorm,
    Network,
    NumericInput,
    Pooling,
    Recurrent,
    Repeat,
    Residual,
    Shape,
    SimpleRNN,
    TokenInput,
)
from rnnspec.ir.params import count, counts


def cell_word(cell: Cell) -> str:
    """Return the short name of a cell."""
    match cell:
        case SimpleRNN():
            return "RNN"
        case LSTM():
            return "LSTM"
        case GRU():
            return "GRU"
        case _:
            assert_never(cell)


def kind_words(layer: Layer) -> str:
    """Return the kind of a layer, such as ``LSTM, 32 units``, where its name does not say it."""
    match layer:
        case Embedding():
            frozen = "" if layer.trainable else ", frozen"
            return f"{layer.vocabulary:,} tokens to {layer.dim:,}{frozen}"
        case Recurrent():
            both = "" if layer.merge is None else " each way"
            return f"{cell_word(layer.cell)}, {_units(layer.units)}{both}"
        case Dense():
            after = "" if layer.activation == "linear" else f", {layer.activation}"
            return f"{_units(layer.units)}{after}"
        case Repeat():
            return f"{layer.steps:,} times"
        case LayerNorm():
            return ""
        case Residual():
            return f"adds the input of {layer.start}"
        case Dropout():
            return f"dropout {layer.rate:g}"
        case Pooling():
            return f"{layer.statistic} of all steps{' but padding' if layer.masked else ''}"
        case _:
            assert_never(layer)


def size_words(layer: Layer) -> str:
    """Return the output shape and the number of parameters."""
    number = count(layer)
    parameters = f" · {number:,} {_plural('parameter', number)}" if number else ""
    return f"→ {_shape_words(layer.output)}{parameters}"


def dropout_words(layer: Layer) -> Iterator[str]:
    """Yield each dropout on the input and on the state of a layer."""
    if isinstance(layer, Recurrent) and layer.dropout:
        yield f"dropout {layer.dropout:g}"
    if isinstance(layer, Recurrent) and layer.recurrent_dropout:
        yield f"recurrent dropout {layer.recurrent_dropout:g}"


def remarks(layer: Layer) -> Iterator[str]:
    """Yield remarks on padding and on the last state of a layer."""
    if isinstance(layer, Recurrent) and layer.masked:
        yield "padding: the state is held"
    if isinstance(layer, Recurrent) and not layer.return_sequences:
        both = "last states only, the backward one at step 1"
        yield "last state only" if layer.merge is None else both


def input_words(given: Input) -> str:
    """Return the kind and the number of inputs."""
    steps = "any number of" if given.steps is None else f"{given.steps:,}"
    match given:
        case TokenInput(mask_zero=masked):
            return f"{steps} {_plural('token', given.steps)}{', 0 is padding' if masked else ''}"
        case NumericInput(mask_value=value):
            padding = "" if value is None else f", {value:g} is padding"
            size = f"{given.features:,} {_plural('feature', given.features)}"
            return f"{steps} {_plural('step', given.steps)} of {size}{padding}"
        case _:
            assert_never(given)


def total_words(network: Network) -> str:
    """Return the number of all parameters."""
    total = counts(network).total
    return f"{total:,} {_plural('parameter', total)} in all"


def _shape_words(shape: Shape) -> str:
    return " × ".join("any" if size is None else f"{size:,}" for size in shape)


def _units(number: int) -> str:
    return f"{number:,} {_plural('unit', number)}"


def _plural(noun: str, number: int | None) -> str:
    return noun if number == 1 else f"{noun}s"
