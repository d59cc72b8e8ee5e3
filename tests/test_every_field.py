"""Every field of every node affects each backend, or is listed here with a reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from conftest import GALLERY, ROOT

from rnnspec import pipeline
from rnnspec.backends import BACKENDS, Backend, refusals
from rnnspec.errors import GenerationError, Refusal
from rnnspec.ir import initializers, nodes
from rnnspec.ir.nodes import Network
from rnnspec.ir.params import params

Step = str | int
Place = tuple[Step, ...]

MORE = """\
version: 1
name: more
input: {length: 7, features: 4, mask_value: 2.0}
rnn:
  - {type: lstm, units: 4, residual: true, layer_norm: true, recurrent_dropout: 0.5}
  - {type: lstm, units: 4, residual: true, layer_norm: true}
  - {type: lstm, units: 4, activation: softsign, recurrent_activation: hard_sigmoid, bias: false}
  - {type: gru, units: 4, activation: elu, reset_after: false}
  - {type: gru, units: 4, recurrent_activation: hard_sigmoid, residual: true}
  - {type: simple, units: 4, activation: relu}
  - {type: simple, units: 4, dropout: 0.25, variational: false}
  - {type: repeat, steps: 3}
  - {type: lstm, units: 4}
  - {type: repeat, steps: 2}
  - {type: lstm, units: 3, bidirectional: true, merge: mul}
head: {pooling: mean, hidden: [{units: 3, activation: relu}], units: 2, bias: false}
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
  - {type: dropout, rate: 0.5, variational: true}
  - {type: dropout, rate: 0.25}
  - {type: activation, activation: tanh}
  - {type: dense, units: 4, activation: {clipped_relu: 3}}
  - {type: activation, activation: {leaky_relu: 0.5}}
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
TIED = """\
version: 1
name: tied
embedding: {vocabulary: 6, dim: 2, name: tokens}
rnn: {type: lstm, units: 2}
head: {pooling: none, units: 6, tied: true}
"""

UNUSED = {
    ("torch", "Embedding", "masked"): "the PyTorch source computes the mask from the input",
    ("jax", "Embedding", "masked"): "the JAX source computes the mask from the input",
    ("onnx", "Embedding", "masked"): "the graph computes the mask from the input",
    ("onnx", "BatchNorm", "masked"): "the graph is for inference, where nothing is averaged",
    ("onnx", "BatchNorm", "momentum"): "the graph is for inference, where nothing is averaged",
    ("onnx", "Pooling", "backward"): "the graph takes the states of the recurrent layer",
    ("c", "Embedding", "masked"): "the C source computes the mask from the input",
    ("c", "BatchNorm", "masked"): "the C source is for inference, where nothing is averaged",
    ("c", "BatchNorm", "momentum"): "the C source is for inference, where nothing is averaged",
    **{
        (backend, "Concat", "inputs"): "the sizes follow from the layers that are joined"
        for backend in BACKENDS
        if backend != "c"
    },
}
"""Fields that one backend does not use, and why."""

NOT_SEEN: dict[tuple[str, str], list[Any]] = {
    ("LayerNorm", "epsilon"): [1e-5],
    ("Normalize", "name"): ["other"],
    **{
        (kind, "name"): ["other"]
        for kind in ("Activate", "Attention", "BatchNorm", "Concat", "Conv", "Flatten", "LastSteps")
    },
    **{(kind, "name"): ["other"] for kind in ("LayerNorm", "Residual", "WindowPooling")},
    **{
        (kind, "source"): ["two", "bidirectional_1"] for kind in ("Attention", "Flatten", "Pooling")
    },
    ("Pretrained", "weights"): ["other.txt"],
    ("Pretrained", "words"): ["other.txt"],
    ("Repeat", "name"): ["other"],
}
"""Further values of fields that have the same value in every network of the corpus."""


def programs() -> Iterator[pipeline.Program]:
    paths = [*GALLERY, *sorted((ROOT / "tests" / "goldens").glob("*/spec.yaml"))]
    yield from map(pipeline.read, paths)
    yield from (pipeline.reads(text) for text in (MORE, PLAIN, VECTORS, STACK, FLAT, TIED))


CORPUS = list(programs())


def parts(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield every dataclass inside a network, including the network, with its place."""
    if is_dataclass(value):
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


def node_types() -> list[type]:
    """Return the dataclasses that make up a network."""
    found = [*vars(nodes).values(), *vars(initializers).values()]
    kinds = [each for each in found if isinstance(each, type) and is_dataclass(each)]
    return [kind for kind in kinds if kind is not nodes.Node]


# A layer's input is the output of the layer before it, as the verification of the network ensures.
# Only a layer that begins a head, or is in a list of poolings, has a source.
FIELDS = sorted(
    {
        (kind.__name__, field.name)
        for kind in node_types()
        for field in fields(kind)
        if (field.name != "input" or kind is Network)
        and (field.name != "source" or len(SEEN[kind.__name__, "source"]) > 1)
    }
)


class Refused(tuple[Refusal, ...]):
    """The reasons for which a backend refuses a network."""

    __slots__ = ()


def shown(backend: Backend, program: pipeline.Program, network: Network) -> Any:
    """Return everything that a backend makes from a network, or None if the network is invalid."""
    try:
        if refused := refusals(backend, network):
            return Refused(refused)
        generated = pipeline.generate(replace(program, network=network), backend)
        layers = generated.network.layers
        places = [(backend.slots.module(layer), backend.slots.slots(layer)) for layer in layers]
        return generated.text, places, [params(layer) for layer in layers]
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, GenerationError):
        return None


def effects(backend: Backend, kind: str, field: str) -> Iterator[bool]:
    """Yield, for other values of a field, whether the result of the backend changes.

    A network that is refused for the same reasons with every value shows nothing.
    """
    for program in CORPUS:
        network = program.network
        for place, node in parts(network):
            if type(node).__name__ != kind:
                continue
            before = shown(backend, program, network)
            for value in SEEN[kind, field]:
                if value != getattr(node, field):
                    after = shown(backend, program, with_value(network, (*place, field), value))
                    if after is not None and (after != before or not isinstance(before, Refused)):
                        yield after != before


def refused_everywhere(backend: Backend, kind: str) -> bool:
    """Return whether a backend refuses every network of the corpus that has a node of this kind."""
    networks = [program.network for program in CORPUS]
    holding = [n for n in networks if kind in {type(node).__name__ for _, node in parts(n)}]
    return all(refusals(backend, network) for network in holding)


def acts_in_training(kind: str, field: str) -> bool:
    """Return whether a field acts in training only."""
    return kind == "Dropout" or (kind == "Recurrent" and field.endswith("dropout"))


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=[".".join(each) for each in FIELDS])
def test_a_field_is_looked_at(kind: str, field: str, backend: str) -> None:
    if "training" not in BACKENDS[backend].forms and acts_in_training(kind, field):
        pytest.skip(f"{backend} writes no source for training")
    assert len(SEEN[kind, field]) > 1, f"{kind}.{field} has one value in the corpus: add another"
    changes = compared = False
    for changes in effects(BACKENDS[backend], kind, field):
        compared = True
        if changes:
            break
    if not compared and refused_everywhere(BACKENDS[backend], kind):
        pytest.skip(f"{backend} refuses every network with {kind}")
    unused = (backend, kind, field) in UNUSED
    assert changes or unused, f"{backend} ignores {kind}.{field}"
    assert not (changes and unused), f"{backend} uses {kind}.{field}: remove it from the list"
