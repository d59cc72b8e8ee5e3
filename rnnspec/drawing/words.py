"""The words of a picture: each layer's kind, shape and number of parameters, and the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from rnnspec.errors import printable
from rnnspec.ir.nodes import (
    GRU,
    INPUT,
    LAYER_NORM_EPSILON,
    LSTM,
    Activate,
    Activation,
    Attention,
    BatchNorm,
    Cell,
    ClippedRelu,
    Concat,
    Conv,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
    LastSteps,
    Layer,
    LayerNorm,
    LeakyRelu,
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
    Window,
    WindowPooling,
    sources,
)
from rnnspec.ir.params import count, counts

HELD = "padding: the state is held"
_BATCH_NORM_EPSILON, _MOMENTUM = 1e-3, 0.99
"""The settings of a batch norm that are not mentioned."""
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


def lengths(network: Network) -> dict[str, str]:
    """Return the number of time steps after the input and each layer: ``500``, ``T``, ``T'``.

    T is the length of an input of any length; each window that changes it adds a prime.
    """
    steps = network.input.steps
    result = {INPUT: "T" if steps is None else str(steps)}
    for layer, (first, *_) in zip(network.layers, sources(network).values(), strict=True):
        name, steps = result[first], layer.output[0]
        if len(layer.output) < 2:
            pass  # a vector; the name is that of the sequence before it
        elif steps is not None:
            name = str(steps)
        elif isinstance(layer, Conv | WindowPooling) and not layer.window.keeps_steps:
            name += "'"
        result[layer.name] = name
    return result


def entry(layer: Layer, length: str = "T", head: str = "") -> Entry:
    """Return the margin entry of a layer of a named ``head``, with an output of any ``length``."""
    parameters = count(layer)
    sizes = shape(layer.output, length)
    detail = [f"→ {sizes}", *([_parameters(parameters)] if parameters else [])]
    detail += [f"head {head}"] if head else []
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


def kind(layer: Layer) -> str:  # noqa: PLR0912 - a branch for each kind of layer
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
        case Conv():
            filters = f"{layer.filters:,} filter{_plural(layer.filters)}"
            settings = [f"{filters} over {steps_text(layer.window.size)}"]
            if layer.window.dilation > 1:
                settings.append(f"{layer.window.dilation:,} apart")
            settings += _window_settings(layer.window, 1)
            settings += _activation(layer.activation) + ([] if layer.bias else ["no bias"])
            settings += ["padding as zeros"] if layer.masked else []
            return ", ".join(settings)
        case WindowPooling():
            statistic = {"max": "max", "average": "mean"}[layer.statistic]
            settings = [f"{statistic} of {steps_text(layer.window.size)}"]
            settings += _window_settings(layer.window, layer.window.size)
            settings += ["without padding"] if layer.masked else []
            return ", ".join(settings)
        case BatchNorm(epsilon=epsilon, momentum=momentum, masked=masked):
            settings = ["batch norm"]
            settings += [] if epsilon == _BATCH_NORM_EPSILON else [f"epsilon {epsilon:g}"]
            settings += [] if momentum == _MOMENTUM else [f"momentum {momentum:g}"]
            settings += ["without padding"] if masked else []
            return ", ".join(settings)
        case LayerNorm(epsilon=epsilon):
            usual = epsilon == LAYER_NORM_EPSILON
            return "layer norm" if usual else f"layer norm, epsilon {epsilon:g}"
        case Activate(activation=activation):
            return activation_name(activation)
        case Concat(of=of):
            return f"joins {', '.join(of)}"
        case Normalize():
            return "divided by its norm"
        case Residual(start=start):
            return f"adds the input of {start}"
        case Dropout():
            return dropout(layer)
        case Pooling():
            return _pooling(layer)
        case Attention(units=units, activation=activation, masked=masked):
            settings = [f"attention over the steps{' that are not padding' if masked else ''}"]
            settings += [] if units is None else [f"{units:,} unit{_plural(units)}"]
            usual = units is None or activation == "tanh"
            settings += [] if usual else [activation_name(activation)]
            return ", ".join(settings)
        case Flatten():
            return "all steps in one vector"
        case LastSteps(count=steps):
            return f"the last {steps_text(steps)}"
        case Repeat(steps=steps):
            return f"{steps:,} time{_plural(steps)}"
        case Dense(units=units, activation=activation, tied=tied):
            settings = [f"{units:,} unit{_plural(units)}", *_activation(activation)]
            settings += [] if layer.bias else ["no bias"]
            settings += [] if tied is None else [f"shares the vectors of {tied}"]
            return ", ".join(settings)
        case _:
            assert_never(layer)


def dropout(layer: Dropout | Recurrent) -> str:
    """Return the dropout on the input of a layer, empty if there is none."""
    match layer:
        case Dropout(rate=rate):
            words = "one mask for all steps" if layer.variational else "fresh at each step"
            return f"dropout {rate:g}" + (f", {words}" if len(layer.input) == 2 else "")
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


def last_states(layer: Recurrent, length: str) -> tuple[str, str]:
    """Return remarks on the last states of the forward and of the backward direction.

    ``length`` is the name of the last step if there may be any number of them.
    """
    steps = layer.input[0]
    # The only step of a sequence is not drawn as padding.
    held = layer.masked and steps != 1
    when = "held over the padding" if held else f"at step {shape((steps,), length)}"
    both = "last state of the {} direction, {}"
    return both.format("forward", when), both.format("backward", "at step 1")


def state_names(cell: Cell) -> tuple[str, ...]:
    """Return the name of each part of the state of a cell."""
    return ("c", "h") if isinstance(cell, LSTM) else ("h",)


def cell_name(cell: Cell, *, short: bool = False) -> str:
    """Return the name of a cell, as the summary has it, or a shorter one."""
    name = type(cell).__name__
    return name.removeprefix("Simple") if short else name


def shape(sizes: Shape, length: str = "T") -> str:
    """Return the sizes of a shape, with ``length`` for any number of steps."""
    return " × ".join(length if size is None else f"{size:,}" for size in sizes)


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
    names = lengths(network)
    for layer in network.layers[:_MOST_DESCRIBED]:
        row = entry(layer, names[layer.name])
        entries.append(f"{row.name}: {row.kind} ({row.detail.replace('  ·  ', ', ')})")
    if more := len(network.layers) - _MOST_DESCRIBED:
        entries += [f"and {more:,} more layers"] if more > 0 else []
    text = safe(network.description)
    return f"{text + ' ' if text else ''}{shown}, from input to output: {'; '.join(entries)}."


def safe(text: str) -> str:
    """Return free text as one line without control characters, format characters included."""
    return printable(" ".join(text.split()))


def steps_text(number: int) -> str:
    """Return a number of steps."""
    return f"{number:,} step{_plural(number)}"


def every(window: Window) -> str:
    """Return how often a window begins, empty if at each step."""
    ends = {2: "nd", 3: "rd"}
    number = window.stride
    end = "th" if number % 100 in (11, 12, 13) else {**ends, 1: "st"}.get(number % 10, "th")
    return f"every {number:,}{end} step" if number > 1 else ""


def _window_settings(window: Window, stride: int) -> list[str]:
    """Return the settings of a window that are not the usual ones; ``stride`` is."""
    settings: list[str] = [] if window.padding == "valid" else [window.padding]
    return settings if window.stride == stride else [*settings, every(window) or "every step"]


def _pooling(layer: Pooling) -> str:
    real = " that are not padding" if layer.masked else ""
    match layer.statistic:
        case "last_step":
            return "the output at the last step"
        case "last":
            last = "the last step that is not padding" if layer.masked else "the last step"
            return f"{last}, the first one backward" if layer.backward else last
        case "mean" | "max" | "sum":
            return f"{layer.statistic} over the steps{real}"
        case _:
            assert_never(layer.statistic)


def activation_name(activation: Activation) -> str:
    """Return an activation in words: ``relu``, ``clipped_relu 20``."""
    match activation:
        case LeakyRelu(slope=slope):
            return f"leaky_relu {slope:g}"
        case ClippedRelu(limit=limit):
            return f"clipped_relu {limit:g}"
        case _:
            return activation


def _activation(activation: Activation) -> list[str]:
    return [] if activation == "linear" else [activation_name(activation)]


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
