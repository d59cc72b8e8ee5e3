"""The words of a picture: each layer's kind, shape and number of parameters, and the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from rnnspec.errors import printable
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
    Normalize,
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

HELD = "padding: the state is held"
_MOST_DESCRIBED = 40


@dataclass(frozen=True, slots=True)
class Entry:
    """What the margin says of a layer: its name, its kind, and its shape and parameters.

    The entry of a network is its name.
    """

    name: str
    kind: str = ""
    detail: str = ""

    @property
    def heading(self) -> str:
        """The name and the kind on one line."""
        return f"{self.name}  {self.kind}"

    @property
    def compact_detail(self) -> str:
        """The shape and the number of parameters, closer together."""
        return self.detail.replace("  ·  ", " · ")


def entry(layer: Layer) -> Entry:
    """Return the margin entry of a layer."""
    parameters = count(layer)
    detail = [f"→ {shape(layer.output)}", *([_parameters(parameters)] if parameters else [])]
    return Entry(layer.name, kind(layer), "  ·  ".join(detail))


def hidden_entry(layers: Sequence[Layer]) -> Entry:
    """Return the margin entry of layers that a picture leaves out."""
    first, last = layers[0].name, layers[-1].name
    parameters = sum(map(count, layers))
    return Entry(f"{first} to {last}", f"{len(layers)} layers", _parameters(parameters))


def input_entry(node: Input) -> Entry:
    """Return the margin entry of the input."""
    many = f"{node.steps:,}" if node.steps is not None else "T"
    match node:
        case TokenInput(mask_zero=masked):
            kind = f"{many} token{_plural(node.steps)}"
            return Entry("input", kind, "token 0 is padding" if masked else "")
        case NumericInput(features=features, mask_value=value):
            vector = f"{features:,} feature{_plural(features)}"
            padding = "" if value is None else f"a step of {value:g} alone is padding"
            return Entry("input", f"{many} step{_plural(node.steps)} of {vector}", padding)
        case _:
            assert_never(node)


def kind(layer: Layer) -> str:
    """Return the kind of a layer in words, with each setting that is not the usual one."""
    match layer:
        case Embedding(vocabulary=vocabulary, dim=dim):
            settings = [f"{vocabulary:,} token{_plural(vocabulary)} to {dim:,}"]
            settings += [] if layer.pretrained is None else ["pretrained"]
            settings += [] if layer.trainable else ["frozen"]
            return ", ".join(settings)
        case Recurrent(cell=cell, units=units, merge=merge):
            ways = "" if merge is None else " each way"
            settings = [f"{cell_name(cell)}, {units:,} unit{_plural(units)}{ways}"]
            settings += [*_cell_settings(cell), *([] if layer.bias else ["no bias"])]
            return ", ".join(settings)
        case LayerNorm():
            return "layer norm"
        case Normalize():
            return "divided by its norm"
        case Residual(start=start):
            return f"adds the input of {start}"
        case Dropout():
            return dropout(layer)
        case Pooling(statistic="last_step"):
            return "the output at the last step"
        case Pooling(statistic=statistic, masked=masked):
            return f"{statistic} over the steps{' that are not padding' if masked else ''}"
        case Repeat(steps=steps):
            return f"{steps:,} time{_plural(steps)}"
        case Dense(units=units, activation=activation):
            settings = [f"{units:,} unit{_plural(units)}"]
            settings += [] if activation == "linear" else [activation]
            return ", ".join(settings if layer.bias else [*settings, "no bias"])
        case _:
            assert_never(layer)


def dropout(layer: Dropout | Recurrent) -> str:
    """Return the dropout on the input of a layer, empty if there is none."""
    match layer:
        case Dropout(rate=rate):
            return f"dropout {rate:g}" + (", fresh at each step" if len(layer.input) == 2 else "")
        case Recurrent(dropout=rate):
            return f"dropout {rate:g}" if rate else ""
        case _:
            assert_never(layer)


def recurrent_dropout(layer: Recurrent) -> str:
    """Return the dropout on the state of a layer, empty if there is none."""
    rate = layer.recurrent_dropout
    return f"recurrent dropout {rate:g}" if rate else ""


def remarks(layer: Layer) -> Iterator[str]:
    """Yield remarks on padding and on a last state, which other pictures draw."""
    if isinstance(layer, Recurrent) and layer.masked:
        yield HELD
    if isinstance(layer, Recurrent) and layer.merge is None and not layer.return_sequences:
        yield "last state only"


def last_states(layer: Recurrent) -> tuple[str, str]:
    """Return remarks on the last states of the forward and of the backward direction."""
    steps = layer.input[0]
    # The only step of a sequence is not drawn as padding.
    held = layer.masked and steps != 1
    when = "held over the padding" if held else f"at step {shape((steps,))}"
    both = "last state of the {} direction, {}"
    return both.format("forward", when), both.format("backward", "at step 1")


def state_names(cell: Cell) -> tuple[str, ...]:
    """Return the name of each part of the state of a cell."""
    return ("c", "h") if isinstance(cell, LSTM) else ("h",)


def cell_name(cell: Cell, *, short: bool = False) -> str:
    """Return the name of a cell, as the summary has it, or a shorter one."""
    name = type(cell).__name__
    return name.removeprefix("Simple") if short else name


def shape(sizes: Shape) -> str:
    """Return the sizes of a shape, with T for any length."""
    return " × ".join("T" if size is None else f"{size:,}" for size in sizes)


def total(network: Network) -> tuple[str, str]:
    """Return the number of parameters of a network, and the words that follow it."""
    sums = counts(network)
    rest = f"parameter{_plural(sums.total)} in all"
    if sums.non_trainable:
        rest += f", {sums.trainable:,} trainable"
    return f"{sums.total:,}", rest


def description(network: Network, shown: str) -> str:
    """Return the content of a picture in words, for readers who do not see it."""
    start = input_entry(network.input)
    entries = [f"input: {start.kind}{f' ({start.detail})' if start.detail else ''}"]
    for layer in network.layers[:_MOST_DESCRIBED]:
        row = entry(layer)
        entries.append(f"{row.name}: {row.kind} ({row.detail.replace('  ·  ', ', ')})")
    if more := len(network.layers) - _MOST_DESCRIBED:
        entries += [f"and {more:,} more layers"] if more > 0 else []
    text = safe(network.description)
    return f"{text + ' ' if text else ''}{shown}, from input to output: {'; '.join(entries)}."


def safe(text: str) -> str:
    """Return free text as one line without control characters, format characters included."""
    return printable(" ".join(text.split()))


def _parameters(number: int) -> str:
    return f"{number:,} parameter{_plural(number)}"


def _plural(number: int | None) -> str:
    return "" if number == 1 else "s"


def _cell_settings(cell: Cell) -> list[str]:
    settings = [] if cell.activation == "tanh" else [cell.activation]
    match cell:
        case SimpleRNN():
            return list(settings)
        case LSTM(recurrent_activation=gates):
            return [*settings, *_gates(gates)]
        case GRU(recurrent_activation=gates, reset_after=after):
            return [*settings, *_gates(gates), *([] if after else ["reset before the product"])]
        case _:
            assert_never(cell)


def _gates(activation: str) -> list[str]:
    return [] if activation == "sigmoid" else [f"gates {activation}"]
