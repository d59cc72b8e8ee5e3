"""Forms of generated source, and what each leaves of a network.

Source for inference has no dropout. A model in step form gets a chunk of one or more steps with all
states, and returns the output for the steps so far with the new states. A chunk of only padding
changes no state but the last inputs of a convolution, in which each padded step has its place.
What does not depend on the input that comes in chunks is computed once, before the first one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from rnnspec.errors import Refusal, listed
from rnnspec.ir.nodes import (
    Attention,
    AttentionPooling,
    BatchNorm,
    Conv,
    Dropout,
    Input,
    Joined,
    Layer,
    Network,
    Pooling,
    Port,
    Recurrent,
    Repeat,
    Residual,
    SequenceInput,
    Shape,
    StepAttention,
    VectorInput,
    Window,
    WindowPooling,
    attention_of,
    sources,
    width,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


Form = Literal["training", "inference", "step"]
"""A form of generated source: for training, for inference only, or for one chunk after another."""

FORMS: tuple[Form, ...] = get_args(Form)


def for_inference(network: Network) -> Network:
    """Return ``network`` without dropout, which does nothing in inference.

    The other layers, their names and their arrays stay as they are.
    """
    layers, starts, before = list[Layer](), dict[str, str](), dict[str, str]()
    chains, previous = dict[str, tuple[str, ...]](), network.inputs[0].name
    for layer, (taken, *_) in zip(network.layers, sources(network).values(), strict=True):
        source = before.get(taken, taken)
        if isinstance(layer, Dropout):
            # What takes its output takes its input instead.
            before[layer.name] = source
            chains[layer.name] = (*chains.get(taken, ()), layer.name)
            continue
        # A residual that starts at a dropout starts at the first that takes its output.
        starts = dict.fromkeys(chains.get(taken, ()), layer.name) | starts
        is_implied = source == previous or isinstance(layer, Joined)
        result: Layer = replace(layer, source=None if is_implied else source)
        match result:
            case Recurrent():
                result = replace(result, dropout=0.0, recurrent_dropout=0.0)
                if result.initial != "learned":
                    initial = tuple(name and before.get(name, name) for name in result.initial)
                    result = replace(result, initial=initial)
                if result.attention:
                    own = _without(result.attention, before)
                    result = replace(result, attention=own)
            case Residual():
                result = replace(result, start=starts.get(result.start, result.start))
            case BatchNorm():
                # Its moving arrays do not depend on the batch.
                result = replace(result, masked=False)
            case Joined():
                result = replace(result, of=tuple(before.get(name, name) for name in result.of))
            case Attention():
                result = _without(result, before)
            case AttentionPooling(query=str() as query):
                result = replace(result, query=before.get(query, query))
            case Repeat(like=str() as like):
                result = replace(result, like=before.get(like, like))
            case _:
                pass
        layers.append(result)
        previous = layer.name
    outputs = tuple((name, before.get(layer, layer)) for name, layer in network.outputs)
    last = before.get(network.last, network.last)
    only = "" if outputs or last == previous else last
    return replace(network, layers=tuple(layers), outputs=outputs, result=only)


_Attending = TypeVar("_Attending", Attention, StepAttention)


def _without(attention: _Attending, before: Mapping[str, str]) -> _Attending:
    """Return an attention to what is before the layers that are left out."""
    over, keys = attention.over, attention.keys
    return replace(attention, over=before.get(over, over), keys=before.get(keys, keys))


@dataclass(frozen=True, slots=True)
class State:
    """An array that a layer hands on to the next chunk, (batch, size) unless said otherwise.

    It is zeros before the first chunk, unless a recurrent layer says otherwise.
    A recurrent layer has its hidden state ``NAME_h``, and an LSTM its cell state ``NAME_c`` too. A
    mean has the sum ``NAME_sum``, a maximum the highest values so far, ``NAME_max``; both have the
    number of real steps, ``NAME_count``, of size 1. As long as it is 0, ``NAME_max`` is zeros. A
    sum has ``NAME_sum``, and the last of steps with padding ``NAME_last``. A convolution has its
    last inputs, ``NAME_inputs``, which is (batch, steps, size); before the first chunk, it has
    ``first_shape``, which may be fewer steps.
    What does not depend on the chunks has its value, ``NAME_value``, which stays as it is: a
    vector, or the steps of a memory, with ``NAME_mask``, (batch, steps), true at its real steps, if
    it may have others. ``shape`` is without the batch; None stands for any number of steps.
    """

    layer: str
    kind: str
    shape: Shape
    fewer: Shape | None = None

    @property
    def name(self) -> str:
        """The name of the state."""
        return f"{self.layer}_{self.kind}"

    @property
    def size(self) -> int:
        """The number of features."""
        return width(self.shape)

    @property
    def first_shape(self) -> Shape:
        """The shape of the state of one sequence before the first chunk."""
        return self.shape if self.fewer is None else self.fewer


def for_steps(network: Network) -> Network:
    """Return ``network`` with any number of steps in a chunk: it has as many as it has."""
    return with_steps(network, dict.fromkeys(network.streams))


def with_steps(network: Network, steps: Mapping[str, int | None]) -> Network:
    """Return ``network`` with other numbers of steps of some of its inputs."""
    inputs = tuple(
        replace(network_input, steps=steps[network_input.name])
        if network_input.name in steps and isinstance(network_input, SequenceInput)
        else network_input
        for network_input in network.inputs
    )
    shapes: dict[str, Shape] = {network_input.name: network_input.shape for network_input in inputs}
    layers = list[Layer]()
    for layer, names in zip(network.layers, sources(network).values(), strict=True):
        result: Layer = replace(layer, input=shapes[names[0]])
        match result:
            case Joined():
                result = replace(result, inputs=tuple(shapes[name] for name in names))
            case Repeat(like=str()):
                result = replace(result, steps=shapes[names[1]][0])
            case Attention(over=over):
                result = replace(result, memory=shapes[over])
            case _:
                pass
        layers.append(result)
        shapes[layer.name] = result.output
        if isinstance(result, Recurrent):
            shapes |= {
                port.name: port.output for port in result.ports if port.name in network.ports
            }
    return replace(network, inputs=inputs, layers=tuple(layers))


def streamed(network: Network) -> frozenset[str]:
    """Return the names of the inputs that come in chunks, and of all values that depend on them.

    In step form, all other layers are computed once, before the first chunk.
    """
    known = {*network.streams}
    for layer, names in zip(network.layers, sources(network).values(), strict=True):
        if known.intersection(names):
            known.add(layer.name)
            known.update(port.name for port in network.ports_of(layer.name))
    return frozenset(known)


def states(network: Network) -> tuple[State, ...]:
    """Return the states of a network in the order of its layers, and the values before them."""
    in_chunks = streamed(network)
    layers = [layer for layer in network.layers if layer.name in in_chunks]
    return (*held_values(network), *(state for layer in layers for state in states_of(layer)))


def held_values(network: Network) -> tuple[State, ...]:
    """Return what layers of the chunks take, and what does not depend on the chunks.

    These are vectors, and the memories of attentions, with their masks.
    """
    in_chunks, taken = streamed(network), sources(network)
    held: dict[str, None] = {}
    masked = set[str]()
    for layer in network.layers:
        if layer.name not in in_chunks:
            continue
        names = taken[layer.name]
        if isinstance(layer, Recurrent):
            # The vectors that a recurrent layer begins with are no longer needed.
            names = (names[0], *names[1 + len(layer.begins_as) :])
        held |= dict.fromkeys(name for name in names if name not in in_chunks)
        attention = attention_of(layer)
        if attention and attention.masked:
            masked.add(attention.over)
    results = (layer.name for layer in network.results.values())
    held |= dict.fromkeys(name for name in results if name not in in_chunks)
    held_states = list[State]()
    for name in held:
        held_states.append(State(name, "value", network.shapes[name]))
        if name in masked:
            held_states.append(State(name, "mask", network.shapes[name][:1]))
    return tuple(held_states)


def states_of(layer: Layer) -> tuple[State, ...]:
    """Return the states of one layer.

    A layer that computes each step by itself has none: padding leaves the state below it as it is,
    and with it what is computed from that state.
    """
    match layer:
        case Recurrent():
            return tuple(State(layer.name, name, (size,)) for name, size in layer.states)
        case Pooling(statistic="last", masked=False):
            return ()
        case Pooling(reduction=reduction):
            size = width(layer.input)
            return tuple(
                State(layer.name, kind, (1 if kind == "count" else size,))
                for kind in reduction.states.values()
            )
        case Conv(window=window) if window.reach:
            first = min(window.reach - window.anchor, window.reach)
            shape, fewer = (window.reach, layer.features), (first, layer.features)
            return (State(layer.name, "inputs", shape, None if fewer == shape else fewer),)
        case _:
            return ()


def step_refusals(network: Network) -> tuple[Refusal, ...]:
    """Return every setting with which no backend can write a network in step form."""
    return tuple(_refusals(network))


def _refusals(network: Network) -> Iterator[Refusal]:
    if not network.streams:
        names = listed(
            [
                network_input.name
                for network_input in network.inputs
                if isinstance(network_input, SequenceInput)
            ]
        )
        reason = f"in step form, inputs come in chunks: name them under 'stream', {names}"
        yield Refusal(network.name, "stream", reason)
        return
    in_chunks, taken = streamed(network), sources(network)
    values = (*network.layers, *network.ports.values())
    vectors = {value.name for value in values if len(value.output) == 1} & in_chunks
    others = {node.name for node in (*network.inputs, *values) if _has_steps(node)} - in_chunks
    owners = {state.name: state.layer for state in states(network)}
    for layer in network.layers:
        if layer.name in in_chunks:
            sees_steps = isinstance(layer, Recurrent) or len(layer.output) == 2
            late = [name for name in taken[layer.name] if name in vectors and sees_steps]
            if isinstance(layer, Repeat) and not layer.like:
                late.clear()
            for name in late:
                reason = f"in step form, {name} would be known only after the last step"
                key = "initial_state" if isinstance(layer, Recurrent) else "of"
                yield Refusal(layer.name, key, reason)
            yield from _attention_refusals(layer, in_chunks)
            if isinstance(layer, Joined):
                for name in (name for name in layer.of if name in others):
                    reason = f"in step form, {name} would have to come in chunks too"
                    yield Refusal(layer.name, "of", reason)
            yield from _refusals_of(layer)
        if owner := owners.get(layer.name):
            yield Refusal(layer.name, "name", f"in step form, a state of {owner} has this name")
    for result in network.results.values():
        if result.name in others:
            reason = "in step form, a sequence that does not come in chunks is no output"
            yield Refusal(result.name, "of", reason)
    # The first state of a layer has the name of the state.
    states_given = {
        network_input.name
        for network_input in network.inputs
        if isinstance(network_input, VectorInput) and network_input.state
    }
    for name in (*(network_input.name for network_input in network.inputs), *network.ports):
        if name not in states_given and (owner := owners.get(name)):
            yield Refusal(owner, "name", f"in step form, a state would have the name {name}")


def _attention_refusals(layer: Layer, in_chunks: frozenset[str]) -> Iterator[Refusal]:
    attention = attention_of(layer)
    if attention is None:
        return
    is_causal = isinstance(attention, Attention) and attention.causal
    reason = ""
    if in_chunks & {attention.over, attention.keys}:
        reason = "the weights of all steps would change with each chunk"
        reason = "all earlier steps would have to be kept" if is_causal else reason
    elif is_causal:
        reason = f"{attention.over} would have to come in chunks too"
    if reason:
        key = "over" if layer is attention else "attention"
        yield Refusal(layer.name, key, f"in step form, {reason}")


def _has_steps(value: Input | Layer | Port) -> bool:
    if isinstance(value, Input):
        return isinstance(value, SequenceInput)
    return len(value.output) > 1


def _refusals_of(layer: Layer) -> Iterator[Refusal]:
    """Yield each setting with which a layer cannot be computed in chunks."""
    match layer:
        case Recurrent(merge=str()):
            reason = "in step form, a backward direction would begin at steps still to come"
            yield Refusal(layer.name, "bidirectional", reason)
        case Recurrent(backward=True):
            reason = "in step form, a backward direction would begin at steps still to come"
            yield Refusal(layer.name, "direction", reason)
        case Conv(window=window):
            yield from _window_refusals(layer, window)
        case WindowPooling():
            reason = "in step form, a window would need steps of other chunks"
            yield Refusal(layer.name, f"{layer.statistic}_pool", reason)
        case Pooling(reduction=reduction):
            if reason := reduction.no_step_form:
                yield Refusal(layer.name, "pooling", f"in step form, {reason}")
        case Repeat(like=str()):
            # Of a vector that is known before the chunks.
            pass
        case _:
            if layer.no_step_form:
                key, reason = layer.no_step_form
                yield Refusal(layer.name, key, f"in step form, {reason}")


def _window_refusals(layer: Conv, window: Window) -> Iterator[Refusal]:
    what = window.padding if isinstance(window.padding, str) else list(window.padding)
    if window.stride > 1:
        reason = "in step form, a stride would need steps of other chunks"
        yield Refusal(layer.name, "stride", reason)
    # Of any number of steps, as the stride is 1.
    elif window.anchor < 0 or window.added(window.reach + 1)[1]:
        reason = f"in step form, padding: {what} would need steps of later chunks"
        yield Refusal(layer.name, "padding", f"{reason}; 'causal' and 'valid' do not")
    elif window.anchor and layer.masked:
        reason = f"in step form, padding: {what} gives fewer outputs than the mask has steps"
        remedy = "use 'causal', or an input without mask_zero and mask_value"
        yield Refusal(layer.name, "padding", f"{reason}; {remedy}")
