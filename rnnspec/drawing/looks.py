"""The look of each kind of layer: its words, colour and shape, which all pictures share."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, assert_never

from rnnspec.drawing.scene import Role
from rnnspec.ir.nodes import (
    GRU,
    LAYER_NORM_EPSILON,
    LSTM,
    Activate,
    Activation,
    Append,
    Attention,
    AttentionPooling,
    BatchNorm,
    ClippedRelu,
    Conv,
    Dense,
    Dropout,
    Embedding,
    EquationCell,
    Formula,
    InstanceNorm,
    Join,
    LastSteps,
    Layer,
    LayerNorm,
    LeakyRelu,
    Learned,
    Node,
    Normalize,
    Pooling,
    Port,
    Recurrent,
    Repeat,
    Residual,
    Scaling,
    SimpleRNN,
    StepAttention,
    Window,
    WindowPooling,
)
from rnnspec.ir.notation import write_expression
from rnnspec.ir.text import type_name
from rnnspec.words import JoinHow

if TYPE_CHECKING:
    from collections.abc import Sequence

NodeShape = Literal["cell", "box", "slab", "pill", "sum", "line"]
"""The shape of a layer: a ``line`` has no node, and a ``cell`` has a state."""

_BATCH_NORM_EPSILON, _MOMENTUM = 1e-3, 0.99
"""The settings of a batch norm that are not mentioned."""
_JOINS: dict[JoinHow, tuple[str, str]] = {
    "concat": ("concat", "joins"),
    "add": ("+", "adds"),
    "multiply": ("×", "multiplies"),
}
"""The word of each join, and the verb before what it takes."""
_LONGEST_WORD = 7
"""The longest word in a column of characters."""


@dataclass(frozen=True, slots=True)
class Look:
    """The look of a layer.

    ``word`` is in its node, and ``short`` in a node of few characters. ``kind`` describes it, with
    each setting that is not the usual one.
    """

    word: str
    short: str
    role: Role
    shape: NodeShape
    kind: str


def look(layer: Layer | Learned | Port) -> Look:
    """Return the look of a layer, which says whose arrays it shares."""
    own = _look_of_kind(layer)
    if isinstance(layer, Learned | Port | Embedding) or layer.shares is None:
        return own
    return replace(own, kind=_join(own.kind, f"shares {layer.shares}"))


def _look_of_kind(  # noqa: PLR0912 - a row for each kind of layer
    layer: Layer | Learned | Port,
) -> Look:
    """Return the look of a kind. A new kind of layer has a row, or the look that its class has."""
    match layer:
        case Embedding():
            return Look("Embedding", "embed", "embedding", "box", _embedding(layer))
        case Recurrent(cell=EquationCell(name=name)):
            short = name if len(name) <= _LONGEST_WORD else "cell"
            return Look(name, short, _direction(layer), "cell", _recurrent(layer))
        case Recurrent(cell=cell):
            name = type(cell).__name__
            short = name.removeprefix("Simple")
            return Look(name, short, _direction(layer), "cell", _recurrent(layer))
        case Conv():
            return Look("Conv", "conv", "convolution", "box", _conv(layer))
        case WindowPooling(statistic=statistic):
            word = {"max": "max", "average": "mean"}[statistic]
            return Look(word, word, "plain", "pill", _window_pooling(layer, word))
        case BatchNorm():
            return Look("batch norm", "norm", "slab", "slab", _batch_norm(layer))
        case LayerNorm(epsilon=epsilon):
            setting = "" if epsilon == LAYER_NORM_EPSILON else f"epsilon {epsilon:g}"
            kind = _join("layer norm", setting, _lacks(layer))
            return Look("norm", "norm", "slab", "slab", kind)
        case InstanceNorm(epsilon=epsilon):
            padding = "without padding" if layer.masked else ""
            settings = f"epsilon {epsilon:g}", padding, _lacks(layer)
            return Look("norm", "norm", "slab", "slab", _join("instance norm", *settings))
        case Activate(activation=activation):
            kind = activation_name(activation)
            short = kind if len(kind) <= _LONGEST_WORD else "f(x)"
            return Look(kind.split()[0].replace("_", " "), short, "slab", "slab", kind)
        case Join(how=Formula() as formula, of=of):
            return Look("formula", "f", "plain", "pill", _formula(formula, of))
        case Join(how="concat" | "add" | "multiply" as how, of=of):
            word, verb = _JOINS[how]
            return Look(word, word, "plain", "pill", f"{verb} {', '.join(of)}")
        case Append(of=of):
            text = f"one behind the other: {', '.join(of)}"
            return Look("steps", "steps", "plain", "pill", text)
        case Normalize():
            return Look("÷ norm", "x/|x|", "plain", "pill", "divided by its norm")
        case Residual(start=start):
            return Look("+", "+", "plain", "sum", f"adds the input of {start}")
        case Dropout():
            return Look("", "", "dropout", "line", dropout(layer))
        case Pooling(statistic=statistic):
            word = statistic.replace("_", " ")
            return Look(word, word, "plain", "pill", _pooling(layer))
        case AttentionPooling():
            return Look("attention", "attention", "plain", "pill", _attention_pooling(layer))
        case Attention():
            return Look("attention", "attend", "plain", "pill", _attention(layer, layer.input[-1]))
        case Port(state=""):
            kind = f"the context at each step of {layer.layer}"
            return Look("context", "context", "plain", "pill", kind)
        case LastSteps(count=steps):
            word = f"last {steps:,}"
            return Look(word, word, "plain", "pill", f"the last {count_words(steps, 'step')}")
        case Port(state=state):
            return Look(state, state, "plain", "pill", f"the state {state} after the last step")
        case Learned():
            return Look("learned", "learned", "forward", "box", "a first state that is learned")
        case Repeat(like=str() as like):
            times = "T" if layer.steps is None else f"{layer.steps:,}"
            kind = f"as often as {like} has steps"
            return Look(f"repeat × {times}", "repeat", "plain", "pill", kind)
        case Repeat(steps=steps):
            kind = count_words(steps, "time")
            return Look(f"repeat × {steps:,}", "repeat", "plain", "pill", kind)
        case Dense(tied=tied):
            return Look("tied Dense" if tied else "Dense", "dense", "head", "box", _dense(layer))
        case _:
            return _plain(layer)


def _formula(formula: Formula, of: Sequence[str]) -> str:
    pairs = zip(formula.names, of, strict=True)
    inputs = ", ".join(other if name == other else f"{name} = {other}" for name, other in pairs)
    return f"{write_expression(formula.equations.lines[-1].value)} with {inputs}"


def _plain(layer: Layer) -> Look:
    """Return the look of a layer by its class: the name, what it is about, and its own fields."""
    word = type_name(layer)
    word = "".join(f" {c.lower()}" if c.isupper() else c for c in word).strip()
    shared = {field.name for field in fields(Node)}
    settings = (field.name for field in fields(layer) if field.name not in shared)
    about = layer.about.rstrip(".")
    kind = _join(
        about[:1].lower() + about[1:],
        *(f"{name.replace('_', ' ')} {_setting(getattr(layer, name))}" for name in settings),
    )
    return Look(word, word, "plain", "pill", kind)


def _setting(value: object) -> str:
    """Return the value of a field in words."""
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


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


def every(window: Window) -> str:
    """Return how often a window begins, empty if at each step."""
    ends = {2: "nd", 3: "rd"}
    number = window.stride
    end = "th" if number % 100 in (11, 12, 13) else {**ends, 1: "st"}.get(number % 10, "th")
    return f"every {number:,}{end} step" if number > 1 else ""


def count_words(number: int | None, noun: str) -> str:
    """Return a number of things, T if there may be any number: ``1 step``, ``2 steps``."""
    return f"{'T' if number is None else f'{number:,}'} {noun}{'' if number == 1 else 's'}"


def _join(*settings: str) -> str:
    return ", ".join(filter(None, settings))


def _embedding(layer: Embedding) -> str:
    return _join(
        f"{count_words(layer.vocabulary, 'token')} to {layer.dim:,}",
        "" if layer.shares is None else f"shares the vectors of {layer.shares}",
        "" if layer.pretrained is None else "pretrained",
        "" if layer.trainable else "frozen",
    )


def _direction(layer: Recurrent) -> Role:
    return "backward" if layer.backward else "forward"


def _recurrent(layer: Recurrent) -> str:
    cell, ways = layer.cell, "" if layer.merge is None else " each way"
    units = f"{count_words(layer.units, 'unit')}{ways}"
    gates, order = "", ""
    attention = layer.attention
    asks = "" if attention is None else _attention(attention, attention.size)
    match cell:
        case EquationCell(name=name):
            return _join(name, units, "backward" if layer.backward else "", asks)
        case SimpleRNN():
            pass
        case LSTM(recurrent_activation=activation):
            gates = activation
        case GRU(recurrent_activation=activation, reset_after=reset_after):
            gates, order = activation, "" if reset_after else "reset before the product"
        case _:
            assert_never(cell)
    return _join(
        type(cell).__name__,
        units,
        "" if cell.activation == "tanh" else cell.activation,
        f"gates {gates}" if gates not in ("", "sigmoid") else "",
        order,
        "" if layer.bias else "no bias",
        "backward" if layer.backward else "",
        asks,
    )


def _conv(layer: Conv) -> str:
    size, dilation = layer.window.size, layer.window.dilation
    return _join(
        f"{count_words(layer.filters, 'filter')} over {count_words(size, 'step')}",
        f"{dilation:,} apart" if dilation > 1 else "",
        *_window_settings(layer.window, 1),
        _activation(layer.activation),
        "" if layer.bias else "no bias",
        "padding as zeros" if layer.masked else "",
    )


def _window_pooling(layer: WindowPooling, statistic: str) -> str:
    return _join(
        f"{statistic} of {count_words(layer.window.size, 'step')}",
        *_window_settings(layer.window, layer.window.size),
        "without padding" if layer.masked else "",
    )


def _window_settings(window: Window, usual_stride: int) -> tuple[str, str]:
    padding: str
    match window.padding:
        case (before, after):
            padding = f"{before:,} before and {after:,} after"
        case "valid":
            padding = ""
        case _:
            padding = window.padding
    return padding, "" if window.stride == usual_stride else every(window) or "every step"


def _batch_norm(layer: BatchNorm) -> str:
    return _join(
        "batch norm",
        "" if layer.epsilon == _BATCH_NORM_EPSILON else f"epsilon {layer.epsilon:g}",
        "" if layer.momentum == _MOMENTUM else f"momentum {layer.momentum:g}",
        "without padding" if layer.masked else "",
        _lacks(layer),
    )


def _lacks(norm: Scaling) -> str:
    """Return what a norm does not end in."""
    lacks = [name for name, has in (("scale", norm.scale), ("offset", norm.offset)) if not has]
    return f"no {' and no '.join(lacks)}" if lacks else ""


def _attention(attention: Attention | StepAttention, size: int | None) -> str:
    """Return what queries of a ``size`` attend to, and the score.

    A score of products has no name in a layer: the projection of its queries stands beside it.
    """
    score, over, values, heads, more = "", attention.over, "", 1, list[str]()
    if isinstance(attention, StepAttention):
        score = "general" if attention.projects else "dot"
    else:
        heads = attention.heads
        more += [f"{heads} heads"] if heads > 1 else []
        more += ["causal"] if attention.causal else []
        more += [] if attention.gives == "context" else [f"gives the {attention.gives}"]
        has_activation = attention.additive and attention.activation != "tanh"
        more += [activation_name(attention.activation)] if has_activation else []
        own = {f"{attention.name}_keys", f"{attention.name}_values", over}
        if attention.keys not in own:
            over, values = attention.keys, f"values of {over}"
    if attention.scale != 1.0:
        is_usual = size is not None and attention.scale == (size // heads) ** -0.5
        score = "scaled_dot" if is_usual else f"{attention.scale:.3g} times"
    score = "additive" if attention.additive else score
    return _join(
        f"{score} attention over {over}".strip(),
        values,
        *more,
        "without padding" if attention.masked else "",
    )


def _attention_pooling(layer: AttentionPooling) -> str:
    usual = layer.activation == ("linear" if layer.units is None else "tanh")
    return _join(
        f"attention over the steps{' that are not padding' if layer.masked else ''}",
        "" if layer.units is None else count_words(layer.units, "unit"),
        "" if usual else activation_name(layer.activation),
        "" if layer.bias or layer.units is None else "no bias",
        "" if layer.query is None else f"asked by {layer.query}",
    )


def _dense(layer: Dense) -> str:
    return _join(
        count_words(layer.units, "unit"),
        _activation(layer.activation),
        "" if layer.bias else "no bias",
        "" if layer.tied is None else f"shares the vectors of {layer.tied}",
    )


def _pooling(layer: Pooling) -> str:
    real = " that are not padding" if layer.masked else ""
    match layer.statistic:
        case "last_step":
            return "the output at the last step"
        case "first_step":
            return "the output at the first step"
        case "last":
            last = "the last step that is not padding" if layer.masked else "the last step"
            return f"{last}, the first one backward" if layer.backward else last
        case _:
            return f"{layer.statistic} over the steps{real}"


def activation_name(activation: Activation) -> str:
    """Return an activation in words: ``relu``, ``clipped_relu 20``."""
    match activation:
        case LeakyRelu(slope=slope):
            return f"leaky_relu {slope:g}"
        case ClippedRelu(limit=limit):
            return f"clipped_relu {limit:g}"
        case _:
            return activation


def _activation(activation: Activation) -> str:
    return "" if activation == "linear" else activation_name(activation)
