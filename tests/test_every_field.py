"""Every change of a field shows in every form of every backend, or the backend refuses it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import GALLERY, ROOT
from covering import covering, features
from graphs import GRAPHS
from offered import require
from small_networks import in_small

from rnnspec import pipeline
from rnnspec.backends import BACKENDS, Backend, in_form, refusals
from rnnspec.backends.contract import DEFAULTS
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_batch
from rnnspec.comparison.case import step_through
from rnnspec.errors import GenerationError
from rnnspec.ir import initializers, nodes
from rnnspec.ir.equations import Equations
from rnnspec.ir.forms import Form, with_steps
from rnnspec.ir.nodes import Network, least_steps
from rnnspec.ir.params import counts, params
from rnnspec.ir.verify import verify
from rnnspec.source.render import render
from rnnspec.weights.initial import draw_fresh, draw_scaled

STEPS, LONG = 6, 24

Step = str | int
Place = tuple[Step, ...]

MORE = """\
version: 1
name: more
input: {length: 7, features: 4, mask_value: 2.0}
rnn:
  - {type: lstm, units: 4, residual: true, layer_norm: true, recurrent_dropout: 0.5}
  - {type: lstm, units: 4, activation: softsign, recurrent_activation: hard_sigmoid, bias: false}
  - {type: gru, units: 4, recurrent_activation: hard_sigmoid, residual: true}
  - {type: simple, units: 4, dropout: 0.25, variational: false}
head: {pooling: mean, hidden: [{units: 3, activation: relu}], units: 2, bias: false}
initializers: {kernel: {normal: 0.5}, recurrent: {uniform: 0.25}, bias: ones, forget_bias: 0.5}
"""
REPEATED = """\
version: 1
name: repeated
input: {features: 4}
rnn:
  - {type: gru, units: 4, activation: elu, reset_after: false}
  - {type: simple, units: 4, activation: relu}
  - {type: repeat, steps: 3}
  - {type: lstm, units: 4}
  - {type: repeat, steps: 2}
  - {type: lstm, units: 3, bidirectional: true, merge: mul}
head: {pooling: mean, units: 2, bias: false}
initializers: {kernel: {normal: 0.5}, recurrent: {uniform: 0.25}, bias: ones, forget_bias: 0.5}
"""
PLAIN = """\
version: 1
name: plain
input: {length: 5, features: 3}
rnn:
  - {type: simple, units: 3}
  - {type: simple, units: 2, activation: relu, bias: false}
head: {pooling: none, hidden: [{units: 3, activation: relu}], units: 2}
initializers: {kernel: {normal: 0.5}, recurrent: {uniform: 0.25}, bias: {constant: 1}}
"""
VECTORS = """\
version: 1
name: vectors
embedding: {vocabulary: 6, dim: 2, mask_zero: true, trainable: false, weights: v.txt, words: w.txt}
rnn: [{type: lstm, units: 2}, {type: gru, units: 2}]
head: {pooling: max, normalize: l2}
initializers: {embedding: zeros, kernel: lecun_uniform, bias: {uniform: 0.5}}
"""
STACK = """\
version: 1
name: stack
input: {length: 24, features: 4, mask_value: 2.0}
rnn:
  - {type: conv, filters: 4, kernel_size: 2, activation: {leaky_relu: 0.1}, bias: false}
  - {type: conv, filters: 4, kernel_size: 3, padding: causal, activation: {clipped_relu: 2}}
  - {type: conv, filters: 3, kernel_size: 3, padding: causal, dilation: 2}
  - {type: max_pool, size: 2}
  - {type: average_pool, size: 3, stride: 1, padding: same}
  - {type: batch_norm}
  - {type: batch_norm, epsilon: 0.1, momentum: 0.5}
  - {type: instance_norm}
  - {type: instance_norm, epsilon: 0.1}
  - {type: dropout, rate: 0.5, variational: true}
  - {type: dropout, rate: 0.25}
  - {type: activation, activation: tanh}
  - {type: dense, units: 4, activation: {clipped_relu: 3}}
  - {type: activation, activation: {leaky_relu: 0.5}}
  - {type: lstm, units: 3, bidirectional: true}
head: {pooling: [sum, {attention: {units: 2, activation: relu}}], units: 2}
initializers: {kernel: {normal: 0.5}, recurrent: {uniform: 0.25}, bias: {constant: 1}}
"""
JOINED = """\
version: 1
name: joined
input: {length: 7, features: 4, mask_value: 2.0}
rnn:
  - {type: gru, units: 4, bidirectional: true, name: one}
  - {type: dense, units: 4, name: two}
  - {type: concat, of: [one, two]}
  - {type: concat, of: [concat_1, two, one]}
  - {type: lstm, units: 3, bidirectional: true}
heads:
  last: {pooling: [last, mean, {attention: {}}], units: 2}
  scored: {pooling: {attention: {units: 3}}, hidden: [{units: 3}, {type: batch_norm}]}
  summed: {pooling: [sum, {attention: {units: 2, activation: relu}}], units: 2}
initializers: {kernel: {normal: 0.5}, recurrent: {uniform: 0.25}, bias: {constant: 1}}
"""
FLAT = """\
version: 1
name: flat
input: {length: 6, features: 3}
rnn:
  - {type: conv, filters: 3, kernel_size: 2, stride: 2, padding: same}
  - {type: average_pool, size: 1}
  - {type: instance_norm, name: own}
  - {type: gru, units: 3, bidirectional: true}
  - {type: batch_norm}
  - {type: activation, activation: tanh}
heads:
  flat: {pooling: flatten, units: 3, activation: relu}
  flatter: {pooling: flatten}
  two: {pooling: {last_steps: 2}, units: 2}
  three: {pooling: {last_steps: 3}}
  scored: {pooling: {attention: {}}}
"""
NORMED = """\
version: 1
name: normed
input: {features: 3, mask_value: 2.0}
rnn:
  - {type: gru, units: 3, layer_norm: {scale: false}}
  - {type: layer_norm, offset: false}
  - {type: layer_norm, scale: false, offset: false}
  - {type: batch_norm, scale: false}
  - {type: batch_norm, offset: false}
  - {type: instance_norm, offset: false}
  - {type: instance_norm, scale: false, offset: false}
  - {type: lstm, units: 2, layer_norm: {offset: false}}
  - {type: layer_norm}
  - {type: batch_norm}
head: {pooling: mean, hidden: [{type: batch_norm, scale: false, offset: false}], units: 2}
"""
TIED = """\
version: 1
name: tied
embedding: {vocabulary: 6, dim: 2, name: tokens}
rnn: {type: lstm, units: 2}
head: {pooling: none, units: 6, tied: true}
"""

# Layers that are equal are those that a backend may fuse.
FUSED = """\
version: 1
name: fused
input: {features: 3}
rnn:
  - {type: lstm, units: 2, layers: 3}
head: {pooling: [last, mean], hidden: [{units: 3}, {units: 3}], units: 2}
"""
CHAIN = """\
version: 1
name: chain
input: {length: 5, features: 2, mask_value: 2.0}
rnn:
  - {type: conv, filters: 2, kernel_size: 2, padding: causal}
  - {type: conv, filters: 2, kernel_size: 2, padding: causal}
  - {type: gru, units: 2, layers: 2}
  - {type: lstm, units: 2, layers: 3}
head: {hidden: [{units: 2}, {units: 2}], units: 2}
"""
TWINS = """\
version: 1
name: twins
embedding: {vocabulary: 6, dim: 3, mask_zero: true}
rnn: {type: gru, units: 3, layers: 2, bidirectional: true}
heads:
  one: {pooling: [last, max], hidden: [{units: 3}], units: 2}
  two: {pooling: [last, max], hidden: [{units: 3}], units: 2}
"""
STEPWISE = """\
version: 1
name: stepwise
embedding: {vocabulary: 6, dim: 3, mask_zero: true}
rnn:
  - {type: gru, units: 3, residual: true, layer_norm: true}
  - {type: simple, units: 3, layers: 2}
  - {type: batch_norm}
  - {type: dense, units: 3}
head: {pooling: [mean, max], hidden: [{units: 3}, {units: 3}], units: 2, normalize: l2}
"""

NOT_SEEN: dict[tuple[str, str], list[Any]] = {
    ("LayerNorm", "epsilon"): [1e-5],
    ("Normalize", "name"): ["other"],
    **{
        (kind, "name"): ["other"]
        for kind in (
            "Activate",
            "Append",
            "AttentionPooling",
            "BatchNorm",
            "Conv",
            "Flatten",
            "Join",
            "LastSteps",
        )
    },
    **{
        (kind, "name"): ["other"]
        for kind in ("LayerNorm", "Residual", "Transpose", "WindowPooling")
    },
    **{
        (kind, "source"): ["two", "bidirectional_1"]
        for kind in ("AttentionPooling", "Flatten", "Pooling")
    },
    ("Activate", "source"): ["scaled"],
    ("Conv", "source"): ["scaled"],
    ("Attention", "keys"): ["encoder"],
    ("Attention", "source"): ["words"],
    ("StepAttention", "keys"): ["known"],
    ("StepAttention", "over"): ["source_embedding", "known"],
    ("Pretrained", "weights"): ["other.txt"],
    ("Pretrained", "words"): ["other.txt"],
    ("Repeat", "name"): ["other"],
    ("Repeat", "like"): ["two"],
}
"""Further values of fields that have the same value in every network of the corpus."""


# Cells of the same parameters, so that one can have the equations of the other.
CELLS = """\
version: 1
name: cells
input: {length: 5, features: 3, mask_value: 2.0}
cells:
  one:
    states: [h, m]
    equations:
      z: sigmoid(W @ x + U @ h + b)
      m: where(x > m, m, P @ (z * h) + x)
      h: z * h + (1 - z) * tanh(Q @ m)
    sizes: {m: features}
  two:
    states: [h, m]
    equations:
      z: softmax(W @ x + U @ h + b)
      m: standardize(x + m, 0.01) + P @ h
      h: z * minimum(h, Q @ m)
    sizes: {m: features}
    initialize: {b: ones, W: 0.125}
  sized:
    states: [h, m]
    equations: {m: tanh(V @ x), h: "R @ concat(h, m)"}
    sizes: {m: memory}
    settings: {memory: 2}
rnn:
  - {type: one, units: 3}
  - {type: two, units: 3, bidirectional: true, merge: sum, recurrent_dropout: 0.5}
  - {type: sized, units: 3, memory: 4}
  - {type: sized, units: 3}
head: {pooling: mean, units: 2}
initializers: {kernel: {normal: 0.5}, recurrent: {uniform: 0.25}, bias: {constant: 1}}
"""
TEXTS = (
    *(MORE, REPEATED, PLAIN, VECTORS, STACK, JOINED, FLAT, NORMED, TIED),
    *(FUSED, CHAIN, TWINS, STEPWISE, CELLS, *GRAPHS),
)


def programs() -> Iterator[pipeline.Program]:
    paths = [*GALLERY, *sorted((ROOT / "tests" / "goldens").glob("*/spec.yaml"))]
    yield from map(pipeline.read, paths)
    yield from (pipeline.reads(text) for text in TEXTS)


CORPUS = list(programs())


def parts(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield every dataclass inside a network, including the network, with its place.

    The equations of a cell are one value: their writers match every kind of expression.
    """
    if is_dataclass(value) and not isinstance(value, Equations):
        yield place, value
        for field in fields(value):
            yield from parts(getattr(value, field.name), (*place, field.name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from parts(item, (*place, index))


def with_value(value: Any, place: Place, new: Any) -> Any:
    """Return a network with another value at one place."""
    if not place:
        return new
    step, *rest = place
    if isinstance(step, int):
        changed = with_value(value[step], tuple(rest), new)
        return (*value[:step], changed, *value[step + 1 :])
    return replace(value, **{step: with_value(getattr(value, step), tuple(rest), new)})


def seen_values() -> dict[tuple[str, str], list[Any]]:
    """Return the values of each field that occur in the corpus."""
    seen: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
    for program in CORPUS:
        for _, node in parts(program.network):
            for field in fields(node):
                values = seen[type(node).__name__, field.name]
                if getattr(node, field.name) not in values:
                    values.append(getattr(node, field.name))
    for key, more in NOT_SEEN.items():
        seen[key] += more
    return seen


SEEN = seen_values()


BASES = (nodes.Node, nodes.ComposedNode, nodes.Joined)


def node_types() -> list[type]:
    """Return the dataclasses that make up a network."""
    return [
        kind
        for module in (nodes, initializers)
        for kind in vars(module).values()
        if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.__name__
        # A port follows from its layer, and so does what that learned.
        if kind not in (*BASES, nodes.Port, nodes.Learned)
    ]


# A layer's input is the output of the layer before it, as the verification of the network ensures.
# Only a layer that begins a head, or is in a list of poolings, has a source, and some have arrays
# that another one shares.
DECLARED = ("source", "shares")
FIELDS = sorted(
    {
        (kind.__name__, field.name)
        for kind in node_types()
        for field in fields(kind)
        if (field.name != "input" or kind is Network)
        and (field.name not in DECLARED or len(SEEN[kind.__name__, field.name]) > 1)
    }
)


DECIDED = re.compile(
    r".*\.(input|inputs|masked|layers|source|shares|outputs|result|of)|Embedding\.vocabulary|Pooling\.backward"
    r"|StepAttention\.(size|asks|asked_as)|Network\.streams|VectorInput\.state"
    r"|Attention\.memory|StepAttention\.width"
)
"""Fields that the rest of the network decides; a change of another field changes them too.

Which input comes in chunks, and which is a state, changes no number.
"""
FREE = {
    ("Network", "name"),
    ("Network", "description"),
    ("Recurrent", "state_names"),
    ("Pretrained", "weights"),
    ("Pretrained", "words"),
    *((kind, field) for kind, field in FIELDS if field == "name"),
}
"""Fields that no number depends on. Source has them all the same."""
TRAINED = ("rate", "variational", "dropout", "recurrent_dropout", "pretrained")
"""What acts in training and is not computed by the reference."""


SEQUENTIAL = (
    *(nodes.Recurrent, nodes.Conv, nodes.WindowPooling, nodes.Pooling, nodes.AttentionPooling),
    *(nodes.Flatten, nodes.LastSteps, nodes.Transpose),
)
AXES = {nodes.Repeat: 1, **dict.fromkeys(SEQUENTIAL, 2)}
"""The number of axes of the input of a layer, if it does not take any."""


def refit(  # noqa: PLR0912, PLR0915 - a branch for each kind of layer
    network: Network,
) -> Network:
    """Return a network in which the fields that others decide are as these have it.

    Raises:
        GenerationError: the layers do not fit.
    """
    inputs = {network_input.name: network_input for network_input in network.inputs}
    padded, sources = nodes.masks(network), nodes.sources(network)
    outputs: dict[str, Any] = {
        network_input.name: network_input.shape for network_input in network.inputs
    }
    layers = dict[str, nodes.Layer]()
    for layer in network.layers:
        first, *rest = sources[layer.name]
        masked = first in padded and len(outputs[first]) == 2
        own: dict[str, Any] = {"input": outputs[first]}
        if len(outputs[first]) != AXES.get(type(layer), len(outputs[first])):
            raise GenerationError(f"{layer.name} does not take the output of {first}")
        match layer:
            case nodes.Join():
                own["inputs"] = tuple(outputs[name] for name in (first, *rest))
                require_fit(layer, own["inputs"])
            case nodes.Embedding():
                read = inputs[first]
                assert isinstance(read, nodes.TokenInput | nodes.LabelInput)
                own |= {"masked": read.masked, "vocabulary": read.vocabulary}
            case nodes.Attention(over=over):
                own |= {"memory": outputs[over], "masked": over in padded}
            case nodes.Recurrent(attention=nodes.StepAttention(over=over) as attention):
                sizes = {"width": outputs[over][-1], "size": outputs[attention.keys][-1]}
                own["attention"] = replace(attention, masked=over in padded, **sizes)
                own["masked"] = masked
            case nodes.Dense(tied=str() as tied):
                table = layers.get(tied)
                kernel = layer.units, outputs[first][-1]
                if not isinstance(table, nodes.Embedding) or kernel != (
                    table.vocabulary,
                    table.dim,
                ):
                    raise GenerationError(f"{layer.name} is not the size of {tied}")
            case nodes.Repeat(like=str() as like):
                own["steps"] = outputs[like][0]
            case nodes.Repeat(steps=None):
                raise GenerationError(f"{layer.name} has no number of steps")
            case nodes.Flatten() | nodes.LastSteps() | nodes.Transpose():
                if masked:
                    raise GenerationError(f"the steps of {layer.name} may be padding")
            case nodes.Pooling(statistic="first_step" | "last_step"):
                if masked:
                    raise GenerationError(f"the step of {layer.name} may be padding")
            case nodes.WindowPooling(window=window) if window.dilation > 1:
                raise GenerationError(f"{layer.name} has a dilation")
            case nodes.Pooling(statistic="last"):
                below = layers.get(first)
                if not isinstance(below, nodes.Recurrent) or below.merge not in (None, "concat"):
                    raise GenerationError(f"{layer.name} takes no final state")
                back = below.units if below.merge or below.backward else 0
                own |= {"masked": masked, "backward": back}
            case _ if "masked" in {field.name for field in fields(layer)}:
                own["masked"] = masked
            case _:
                pass
        if isinstance(owner := layers.get(layer.shares or ""), nodes.Dense | nodes.LayerNorm):
            shared = {"activation", "epsilon"} & {field.name for field in fields(owner)}
            own |= {key: getattr(owner, key) for key in shared}
        if isinstance(layer, nodes.Conv | nodes.WindowPooling):
            require_window(layer.window, masked=masked)
        layers[layer.name] = replace(layer, **own)
        outputs[layer.name] = layers[layer.name].output
        if isinstance(recurrent := layers[layer.name], nodes.Recurrent):
            outputs |= {port.name: port.output for port in recurrent.ports}
    streams = network.streams if {*network.streams} <= {*inputs} else (next(iter(inputs)),)
    return verify(whole(replace(network, layers=tuple(layers.values()), streams=streams)))


def whole(network: Network) -> Network:
    """Return a network unchanged, unless it has a sequence of no steps or what nothing reads."""
    for layer in network.layers:
        steps, *features = layer.output
        if features and steps is not None and steps < 1:
            raise GenerationError(f"{layer.name} has no step")
    if any(isinstance(layer, nodes.Conv | nodes.WindowPooling) for layer in network.layers):
        # Windows leave fewer steps of any number, which joins do not see in the shapes.
        lengths = {
            network_input.name: getattr(network_input, "steps", None) or LONG
            for network_input in network.inputs
        }
        for layer in with_steps(network, lengths).layers:
            if isinstance(layer, nodes.Join):
                require_fit(layer, layer.inputs)
    read = {name for names in nodes.sources(network).values() for name in names}
    read |= {layer.name for layer in network.results.values()}
    if unread := {node.name for node in (*network.inputs, *network.layers)} - read:
        raise GenerationError(f"no layer reads {', '.join(sorted(unread))}")
    return network


def require_fit(layer: nodes.Join, shapes: tuple[Any, ...]) -> None:
    """Raise unless arrays of these shapes can be joined."""
    if isinstance(layer.how, nodes.Formula):
        sizes = dict(zip(layer.how.names, shapes, strict=True))
        parameters = layer.how.equations.parameters
        own = {name: shape for name, shape in parameters if name in sizes}
        if {n: (str(s[-1]),) if s[-1] != 1 else () for n, s in sizes.items()} != own:
            raise GenerationError(f"{layer.name} computes something of {shapes}")
        return
    widths = {shape[-1] for shape in shapes}
    allowed = {max(widths), 1} if layer.how == "multiply" else {max(widths)}
    steps = {shape[0] for shape in shapes if len(shape) > 1}
    if len(steps) > 1 or (layer.how != "concat" and not widths <= allowed):
        raise GenerationError(f"{layer.name} joins {shapes}")


def require_window(window: nodes.Window, *, masked: bool) -> None:
    """Raise for padding that no spec has."""
    numbers = window.padding if isinstance(window.padding, tuple) else (0, 0)
    if max(numbers) > window.reach or (masked and window.anchor < 0):
        raise GenerationError(f"no window has the padding {window.padding}")


INVALID = (*(GenerationError, ValueError, LookupError, TypeError, AttributeError, AssertionError),)
"""What is raised for a network that no spec gives."""


INITIAL = tuple(value for value in vars(initializers).values() if isinstance(value, type))


class Change(NamedTuple):
    """A network of the corpus with another value of a field, at one place or at several."""

    program: pipeline.Program
    places: tuple[Place, ...]
    kind: str
    field: str
    value: Any
    network: Network

    def __str__(self) -> str:
        at = " and ".join(".".join(map(str, place)) or "network" for place in self.places)
        return f"{self.program.network.name}: {self.kind}.{self.field} = {self.value!r} at {at}"


def alike(network: Network) -> dict[tuple[type, str, str], tuple[Place, ...]]:
    """Return the places of all nodes that have the same value of a field, for each such value."""
    result = defaultdict[tuple[type, str, str], tuple[Place, ...]](tuple)
    for place, node in parts(network):
        for field in fields(node):
            if not DECIDED.fullmatch(f"{type(node).__name__}.{field.name}"):
                result[type(node), field.name, repr(getattr(node, field.name))] += (place,)
    return result


def with_other(
    network: Network, places: tuple[Place, ...], field: str, turn: int
) -> Iterator[tuple[Any, Network]]:
    """Yield each other value of a field that fits, and its network, beginning with some value."""
    node = dict(parts(network))[places[0]]
    values = [v for v in SEEN[type(node).__name__, field] if v != getattr(node, field)]
    for value in values[turn % len(values) :] + values[: turn % len(values)]:
        changed = network
        for place in places:
            changed = with_value(changed, (*place, field), value)
        try:
            fitting = refit(changed)
            # Equations whose parameters have no initial values.
            counts(fitting)
        except INVALID:
            continue
        yield value, fitting


def words_at(network: Network, place: Place) -> frozenset[Any]:
    """Return the settings of the layer or the input that has a place, without numbers and names."""
    match place:
        case ("layers" | "inputs" as part, int(number), *_):
            return frozenset(features(getattr(network, part)[number]))
        case _:
            return frozenset()


@cache
def changes() -> list[Change]:
    """Return a change of each field of all nodes that are alike, and of every node in ``TEXTS``.

    Another value has its turn at each place. The gallery adds those of layers that are like no
    other before.
    """
    small = [pipeline.reads(in_small(path)) for path in covering(GALLERY)]
    corpus, turns, result = [*CORPUS[len(GALLERY) :], *small], Counter[Any](), list[Change]()
    known = set[Any]()
    for number, program in enumerate(corpus):
        in_gallery = number >= len(corpus) - len(small)
        for (kind, field, _), places in alike(program.network).items():
            # An initializer is that of all layers: the language has one section of them.
            together = in_gallery or kind in INITIAL or field.endswith("initializer")
            likes = {(kind, field, words_at(program.network, place)) for place in places}
            if in_gallery and likes <= known:
                continue
            known |= likes
            for at in dict.fromkeys([*((place,) for place in places if not together), places]):
                turns[kind, field] += 1
                others = with_other(program.network, at, field, turns[kind, field])
                for value, network in islice(others, 1):
                    result.append(Change(program, at, kind.__name__, field, value, network))
    return result


IN_EACH_FORM = 2
"""So many changes of a field are asked about in each form that has them, the others in one form."""


def changes_in(backend: Backend, form: Form) -> Iterator[Change]:
    """Yield the changes for a form of a backend, and all of networks that are fused."""
    turns, taken = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    forms = [(each.name, form) for each in BACKENDS.values() for form in each.forms]
    place = forms.index((backend.name, form))
    has = cache(lambda network: not refusals(backend, network, form))
    for change in changes():
        field = change.kind, change.field
        turns[field] += 1
        fused = change.program.network.name in {"fused", "chain", "twins"}
        # Source has a name of a state only where another layer reads the state.
        if fused or turns[field] % len(forms) == place or change.field == "state_names":
            yield change
        elif taken[field] < IN_EACH_FORM and has(change.program.network) and has(change.network):
            taken[field] += 1
            yield change


@cache
def evidence(network: Network, form: Form) -> Any:
    """Return what a network computes, and for training also how it trains, without any backend."""
    output = outputs(network)
    result = output.shape, output.tobytes()
    if form != "training":
        return result
    arrays, batch = draw_scaled(network, 0), draw_batch(network, np.random.default_rng(0))
    trained = reference.run(network, arrays, batch, training=True)
    first = draw_fresh(network, 0)
    drawn = [*trained.moved.values(), trained.output, *first.values()]
    flags = [param.trainable for layer in network.layers for param in params(layer)]
    others = [getattr(layer, name, None) for layer in network.layers for name in TRAINED]
    return result, [array.tobytes() for array in drawn], flags, others


def emit(backend: Backend, form: Form, network: Network) -> Any:
    """Return the source of a network and the network in this form, or None if it is refused."""
    if refusals(backend, network, form):
        return None
    arranged = backend.emitter.arrange(in_form(network, form), form)
    return backend.emitter.emit(arranged, form, DEFAULTS), arranged


def slots_of(backend: Backend, network: Network) -> list[Any]:
    """Return where a backend keeps the arrays of each layer."""
    return [(backend.slots.module(layer), backend.slots.slots(layer)) for layer in network.layers]


def ignored(backend: Backend, form: Form) -> Iterator[str]:
    """Yield each change that a backend neither shows nor refuses, although the network differs."""
    original = cache(lambda network: emit(backend, form, network))
    free = dict[tuple[str, str], bool]()
    shown = set[tuple[str, str]]()
    for change in changes_in(backend, form):
        if (first := original(change.program.network)) is None:
            continue
        # What no backend can write in a form cannot be arranged for it.
        if (second := emit(backend, form, change.network)) is None:
            continue
        field, in_source = (change.kind, change.field), first[0] != second[0]
        shows = in_source or slots_of(backend, first[1]) != slots_of(backend, second[1])
        if shows and field not in FREE and (not in_source or field in shown):
            continue
        before, after = in_form(change.program.network, form), in_form(change.network, form)
        if before == after:
            continue
        if field in FREE:
            free[field] = free.get(field, False) or shows
        elif not shows:
            if evidence(before, form) != evidence(after, form):
                yield str(change)
        # A template may leave out what its source has, but hardly in one network only.
        elif render(first[0], backend.templates) != render(second[0], backend.templates):
            shown.add(field)
        elif evidence(before, form) != evidence(after, form):
            yield f"{change}, in the template"
    yield from (f"{kind}.{field}" for (kind, field), shows in free.items() if not shows)


PAIRS = [(backend.name, form) for backend in BACKENDS.values() for form in backend.forms]


@pytest.mark.parametrize(("name", "form"), PAIRS)
def test_a_change_is_shown_or_refused(name: str, form: Form) -> None:
    problems = list(ignored(BACKENDS[name], form))
    assert not problems, f"{name} ignores in source for {form}:\n" + "\n".join(problems)


def test_every_field_has_a_change_that_matters() -> None:
    """Otherwise the test above asks nothing of the backends."""
    known = {field for field in FIELDS if not DECIDED.fullmatch(".".join(field))} - FREE
    for change in changes():
        if (change.kind, change.field) in known and evidence(
            change.program.network, "training"
        ) != evidence(change.network, "training"):
            known.remove((change.kind, change.field))
    assert not known, "add another value to the corpus, or what acts in training to TRAINED"


STRUCTURE = ("cell", "merge", "statistic", "return_sequences", "start")
"""Fields that make a network one that shows what others do not, so these stay."""


def batch_of(network: Network) -> Any:
    return draw_batch(network, np.random.default_rng(0), max(STEPS, least_steps(network)))


def outputs(network: Network) -> Any:
    return reference.run(network, draw_scaled(network, 0), batch_of(network)).output


def with_others(backend: Backend, form: Form, network: Network, *, nested: bool) -> Network:
    """Return a network with another value of all fields that change its output.

    Unless they may be ``nested``, it is those of the layers, which leave cells as frameworks have
    them: what a backend fuses stays fused.
    """
    for (_, field, _), places in alike(network).items():
        if field in (*STRUCTURE, "name", "description") or (not nested and len(places[0]) > 2):
            continue
        for _, changed in with_other(network, places, field, 0):
            if refusals(backend, changed, form):
                continue
            before, after = outputs(network), outputs(changed)
            if before.shape != after.shape or np.abs(before - after).max() > 1e-3:
                network = changed
                break
    return network


# Where each network is compiled anew, the forms take turns.
MOVED = [
    pytest.param(name, form, text, nested, id=f"{name}-{form}-{text.split()[3]}")
    for number, (name, form) in enumerate(PAIRS)
    for nested, text in enumerate((FUSED, CHAIN))
    if name not in ("keras", "jax") or number % 2 == nested
    if not refusals(BACKENDS[name], pipeline.reads(text).network, form)
]


@pytest.mark.parametrize(("name", "form", "text", "nested"), MOVED)
def test_changes_move_the_numbers_as_those_of_the_reference(
    name: str, form: Form, text: str, nested: bool, tmp_path: Path
) -> None:
    program = pipeline.reads(text)
    backend = require(name)
    network = with_others(backend, form, program.network, nested=nested)
    generated = pipeline.generate(replace(program, network=network), backend, form)
    model = pipeline.instantiate(generated, backend.dtypes[0], drawn=False)
    generated.store.write(model, draw_scaled(network, 0))
    batch = batch_of(network)
    if form == "step":
        first = max(STEPS // 2, least_steps(network))
        lengths = [length for length in (first, batch.shape[1] - first) if length]
        output = step_through(backend, model, network, batch, lengths)
    else:
        layers = [layer.name for layer in generated.network.layers]
        output = backend.runtime.trace(model, layers, batch).output
    near = 1e-9 if backend.dtypes[0] == "float64" else 1e-4
    np.testing.assert_allclose(output, outputs(network), rtol=near, atol=near)
    if backend.files and not nested and form == backend.forms[0]:
        # A constant may be equal in memory, and in a file an array that no layer has.
        backend.runtime.save(model, tmp_path, network.name, generated.text, text)
        generated.store.read(backend.runtime.reload(tmp_path, network.name, generated.source))
