"""Forms of generated source, and what each leaves of a network.

Source for inference has no dropout. A model in step form gets a chunk of one or more steps with all
states, and returns the output for the steps so far with the new states. A chunk of only padding
changes no state but the last inputs of a convolution, in which each padded step has its place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from rnnspec.errors import Refusal
from rnnspec.ir.nodes import (
    INPUT,
    Attention,
    BatchNorm,
    Concat,
    Conv,
    Dropout,
    Flatten,
    InstanceNorm,
    LastSteps,
    Layer,
    Network,
    Pooling,
    Recurrent,
    Repeat,
    Residual,
    WindowPooling,
    sources,
    width,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


Form = Literal["training", "inference", "step"]
"""A form of generated source: for training, for inference only, or for one chunk after another."""

FORMS: tuple[Form, ...] = get_args(Form)


def for_inference(network: Network) -> Network:
    """Return ``network`` without dropout, which does nothing in inference.

    The other layers, their names and their arrays stay as they are.
    """
    layers, starts, before = list[Layer](), dict[str, str](), dict[str, str]()
    waiting, previous = list[str](), INPUT
    for layer, (taken, *_) in zip(network.layers, sources(network).values(), strict=True):
        waiting.append(layer.name)
        source = before.get(taken, taken)
        if isinstance(layer, Dropout):
            # What takes its output takes its input instead.
            before[layer.name] = source
            continue
        follows = source == previous or isinstance(layer, Concat)
        result: Layer = replace(layer, source=None if follows else source)
        match result:
            case Recurrent():
                result = replace(result, dropout=0.0, recurrent_dropout=0.0)
            case Residual():
                result = replace(result, start=starts.get(result.start, result.start))
            case BatchNorm():
                # Its moving arrays do not depend on the batch.
                result = replace(result, masked=False)
            case Concat():
                result = replace(result, of=tuple(before.get(name, name) for name in result.of))
            case _:
                pass
        layers.append(result)
        previous = layer.name
        # A residual that starts at a dropout starts at the layer after it.
        starts |= dict.fromkeys(waiting, layer.name)
        waiting.clear()
    outputs = tuple((name, before.get(layer, layer)) for name, layer in network.outputs)
    return replace(network, layers=tuple(layers), outputs=outputs)


@dataclass(frozen=True, slots=True)
class State:
    """An array (batch, size) that a layer hands on to the next chunk, zeros before the first one.

    A recurrent layer has its hidden state ``NAME_h``, and an LSTM its cell state ``NAME_c`` too. A
    mean has the sum ``NAME_sum``, a maximum the highest values so far, ``NAME_max``; both have the
    number of real steps, ``NAME_count``, of size 1. As long as it is 0, ``NAME_max`` is zeros. A
    sum has ``NAME_sum``. A causal convolution has its last inputs, ``NAME_inputs``, which is
    (batch, ``steps``, size).
    """

    layer: str
    kind: str
    size: int
    steps: int | None = None

    @property
    def name(self) -> str:
        """The name of the state."""
        return f"{self.layer}_{self.kind}"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the state of one sequence."""
        return (self.size,) if self.steps is None else (self.steps, self.size)


def for_steps(network: Network) -> Network:
    """Return ``network`` with any number of steps: a chunk has as many as it has."""
    layers = tuple(
        replace(layer, input=(None, layer.input[1])) if len(layer.input) == 2 else layer
        for layer in network.layers
    )
    return replace(network, input=replace(network.input, steps=None), layers=layers)


def states(network: Network) -> tuple[State, ...]:
    """Return the states of a network in the order of its layers."""
    return tuple(state for layer in network.layers for state in states_of(layer))


def states_of(layer: Layer) -> tuple[State, ...]:
    """Return the states of one layer.

    A layer that computes each step by itself has none: padding leaves the state below it as it is,
    and with it what is computed from that state.
    """
    match layer:
        case Recurrent():
            return tuple(State(layer.name, name, size) for name, size in layer.states)
        case Pooling(statistic="mean" | "max" as statistic):
            kind = "sum" if statistic == "mean" else "max"
            count = State(layer.name, "count", 1)
            return (State(layer.name, kind, width(layer.input)), count)
        case Pooling(statistic="sum"):
            return (State(layer.name, "sum", width(layer.input)),)
        case Conv(window=window) if window.reach:
            return (State(layer.name, "inputs", layer.features, window.reach),)
        case _:
            return ()


def step_refusals(network: Network) -> tuple[Refusal, ...]:
    """Return every setting with which no backend can write a network in step form."""
    return tuple(_refusals(network))


_OF_ALL_STEPS: dict[type[Layer], tuple[str, str]] = {
    Repeat: ("repeat", "a repeat would begin before the last step is known"),
    Flatten: ("pooling", "the steps of all chunks would be in one vector"),
    LastSteps: ("pooling", "the last steps would be in other chunks"),
    InstanceNorm: ("type", "the mean of all steps would change with each chunk"),
    Attention: ("pooling", "the weights of all steps would change with each chunk"),
}
"""The key of each layer that computes with all steps at once, and why it cannot with chunks."""


def _refusals(network: Network) -> Iterator[Refusal]:
    if network.outputs:
        reason = "in step form, a network has one output"
        yield Refusal(network.outputs[0][1], "heads", reason)
    owners = {state.name: state.layer for state in states(network)}
    for layer in network.layers:
        match layer:
            case Recurrent(merge=str()):
                reason = "in step form, a backward direction would begin at steps still to come"
                yield Refusal(layer.name, "bidirectional", reason)
            case Conv(window=window) if window.padding != "causal" or window.stride > 1:
                what = "a stride" if window.padding == "causal" else f"padding: {window.padding}"
                key = "stride" if window.padding == "causal" else "padding"
                reason = f"in step form, {what} would need steps of other chunks; only 'causal' "
                yield Refusal(layer.name, key, f"{reason}with stride 1 does not")
            case WindowPooling():
                reason = "in step form, a window would need steps of other chunks"
                yield Refusal(layer.name, f"{layer.statistic}_pool", reason)
            case Pooling(statistic="last", masked=True):
                reason = "in step form, the last real step may be in an earlier chunk"
                yield Refusal(layer.name, "pooling", reason)
            case _:
                for kind, (key, reason) in _OF_ALL_STEPS.items():
                    if isinstance(layer, kind):
                        yield Refusal(layer.name, key, f"in step form, {reason}")
        if owner := owners.get(layer.name):
            yield Refusal(layer.name, "name", f"in step form, a state of {owner} has this name")
