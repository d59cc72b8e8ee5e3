"""Checks of the assumptions of code generation.

Shapes chain, residuals add inputs of their own shape, names are valid identifiers, and numbers are
finite. A network that fails here got past validation, so the fault is rnnspec's.
"""

from __future__ import annotations

import keyword
import math
import re
from dataclasses import fields, is_dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from rnnspec.errors import GenerationError
from rnnspec.ir.equations import INPUT, attends_of, evaluate_size
from rnnspec.ir.nodes import (
    Attention,
    AttentionPooling,
    Dense,
    Embedding,
    EquationCell,
    Joined,
    Layer,
    Network,
    Recurrent,
    Residual,
    Shape,
    StepAttention,
    sources,
    width,
)
from rnnspec.ir.params import used_params

if TYPE_CHECKING:
    from collections.abc import Mapping

# As in the spec. Names become identifiers and paths in generated source, so they are checked again.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


def verify(network: Network) -> Network:
    """Return ``network`` unchanged.

    Raises:
        GenerationError: a shape, a name or a number is not one that backends can rely on.
    """
    layer_names = (node.name for node in (*network.inputs, *network.layers))
    names = [network.name, *layer_names, *network.ports, *network.learned]
    # Without the network's own name: it is the name of the class, which a layer may share.
    _require(len(set(names[1:])) == len(names[1:]), "two layers have the same name")
    for name in names:
        # Soft keywords, such as 'match', are valid identifiers.
        valid = _NAME.fullmatch(name) is not None and not keyword.iskeyword(name)
        _require(valid, f"{name!r} is not a valid name")
    inputs: dict[str, Shape] = {}
    outputs = {network_input.name: network_input.shape for network_input in network.inputs}
    by_name = {layer.name: layer for layer in network.layers}
    for layer, taken in zip(network.layers, sources(network).values(), strict=True):
        # A layer takes only what is before it in the list.
        shapes = [outputs.get(name) for name in taken]
        _require(None not in shapes, f"{layer.name} takes {taken}, of which one is not before it")
        shape = shapes[0]
        _require(
            layer.input == shape, f"{layer.name} expects shape {layer.input}, received {shape}"
        )
        kind: Any = type(layer)
        values = [getattr(layer, name) for name in _field_names(kind)]
        finite = all(_is_finite(value) for value in values if not isinstance(value, str))
        _require(finite, f"{layer.name} contains a non-finite number")
        _require_other(layer, shapes, inputs, outputs)
        _require_owner(layer, by_name)
        if isinstance(layer, Dense):
            _require_table(layer, by_name)
        # After the check, so that a residual cannot start at itself.
        inputs[layer.name] = layer.input
        outputs[layer.name] = layer.output
        ports = network.ports_of(layer.name)
        outputs |= {port.name: port.output for port in ports}
    for name, result in network.outputs:
        valid = _NAME.fullmatch(name) is not None and not keyword.iskeyword(name)
        _require(valid and result in outputs, f"{name!r} is not an output of {result}")
    names = [name for name, _ in network.outputs]
    _require(len(set(names)) == len(names), "two outputs have the same name")
    return network


def _require_other(
    layer: Layer,
    shapes: list[Shape | None],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
) -> None:
    """Check what a layer takes beside its input, the first of ``shapes``."""
    _, *others = shapes
    match layer:
        case Recurrent(attention=None):
            _require_states(layer, others)
            _require_questions(layer, None)
        case Recurrent(attention=StepAttention() as attention):
            _require_states(layer, others[: len(layer.begins_as)])
            one_way = not (layer.merge or layer.dropout or layer.recurrent_dropout)
            _require(one_way, f"{layer.name} attends in both directions, or with dropout")
            asked = attention.size if attention.projects else layer.query_size
            _require_questions(layer, attention)
            _require_memory(layer, attention, asked, outputs)
        case Residual(start=start):
            fits = inputs.get(start) == layer.input
            _require(fits, f"{layer.name} adds the input of {start} to shape {layer.input}")
        case Joined():
            fits = list(layer.inputs) == shapes
            _require(fits, f"{layer.name} expects shapes {layer.inputs}, received {shapes}")
        case Attention():
            _require_memory(layer, layer, width(layer.input), outputs)
            _require_attention(layer)
        case AttentionPooling(query=str()):
            size = layer.features if layer.units is None else layer.units
            _require(others == [(size,)], f"{layer.name} asks with {others}")
        case _:
            pass


def _require_owner(layer: Layer, by_name: Mapping[str, Layer]) -> None:
    """Check that a layer can compute with the arrays that it shares."""
    if layer.shares is None:
        return
    other = by_name.get(layer.shares)
    own, its = ([(p.name, p.shape) for p in used_params(e)] for e in (layer, other or layer))
    fits = other is not None and other.shares is None and own == its
    _require(fits, f"{layer.name} shares the arrays of {layer.shares}, which has others")


def _require_table(layer: Dense, by_name: Mapping[str, Layer]) -> None:
    """Check the vectors of an embedding that a layer is tied to."""
    if layer.tied is not None:
        table = by_name.get(layer.tied)
        fits = isinstance(table, Embedding) and table.dim == layer.features
        _require(fits, f"{layer.name} is tied to {layer.tied}, which has other vectors")


def _require_states(layer: Recurrent, shapes: list[Shape | None]) -> None:
    """Check the arrays of a recurrent layer, given the shapes of its first states."""
    if isinstance(layer.cell, EquationCell):
        parameters = [name for name, _ in layer.cell.equations.parameters]
        fits = [name for name, _ in layer.cell.initializers] == parameters
        _require(fits, f"{layer.name} has initial values of other parameters")
    if layer.state_names:
        own, names = replace(layer, state_names=()).states, set(layer.state_names)
        fits = len(own) == len(names) == len(layer.state_names)
        fits = fits and not isinstance(layer.cell, EquationCell)
        _require(fits, f"{layer.name} has {len(own)} states, and not these: {layer.state_names}")
    _require(not (layer.backward and layer.merge), f"{layer.name} has both directions")
    expected = [(layer.ways * n,) for name, n in layer.begins if name in layer.begins_as]
    _require(shapes == expected, f"{layer.name} begins with {shapes}, expected {expected}")


def _require_questions(layer: Recurrent, attention: StepAttention | None) -> None:
    """Check that the equations of a cell ask what its layer attends to."""
    cell = layer.cell
    asking = tuple(attends_of(cell.equations)) if isinstance(cell, EquationCell) else ()
    asked = {part.memory for part in asking}
    expected = {attention.asked_as} - {""} if attention else set[str]()
    _require(asked == expected, f"{layer.name} asks {sorted(asked)}, expected {sorted(expected)}")
    if not asking or not attention or not isinstance(cell, EquationCell):
        return
    # Imported here because few cells attend, and 'validate' is to start quickly.
    from rnnspec.ir.schedule import shape_of

    lines = cell.equations
    shapes = {INPUT: ("features",), **dict(lines.parameters), **dict(lines.shapes)}
    known = {"units": layer.units, "features": layer.features, **dict(cell.sizes)}
    sizes = {
        (evaluate_size(shape_of(part.query, shapes)[0], known), evaluate_size(part.size, known))
        for part in asking
    }
    own = {(attention.asks, attention.width)}
    _require(sizes == own, f"{layer.name} asks with the sizes {sizes}, expected {own}")


def _require_memory(
    layer: Attention | Recurrent,
    attention: Attention | StepAttention,
    size: int,
    outputs: Mapping[str, Shape],
) -> None:
    """Check what a layer attends to, given the size of its queries."""
    memory, keys = outputs[attention.over], outputs[attention.keys]
    expected = (memory[0] if memory else None, size)
    declared = attention.memory if isinstance(attention, Attention) else attention.width
    fits = len(memory) > 1 and declared in (memory, memory[-1])
    _require(fits, f"{layer.name} attends to shape {memory}, expected {declared}")
    _require(keys == expected, f"{layer.name} has keys of shape {keys}, expected {expected}")


def _require_attention(layer: Attention) -> None:
    """Check the settings of an attention, given that it fits what it takes."""
    name, size, memory = layer.name, width(layer.input), layer.memory
    _require(layer.additive or layer.activation == "tanh", f"{name} adds nothing to activate")
    if layer.heads != 1:
        products = not layer.additive and layer.gives == "context"
        _require(products, f"{name} has heads, which score by products and give contexts")
        fits = layer.heads > 0 and size % layer.heads == width(memory) % layer.heads == 0
        _require(fits, f"{name} has {layer.heads} heads, which do not divide {size} and {memory}")
    fixed = layer.gives == "context" or len(layer.input) == 1 or memory[0] is not None
    _require(fixed, f"{name} gives as many features as {memory} has steps")
    fits = not layer.causal or layer.input[:-1] == memory[:-1]
    _require(fits, f"{name} is causal over {memory}, asked by {layer.input}")


# Layers differ in their names, but share most cells, rates and initializers: cache by value.
@lru_cache(maxsize=1024)
def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    # Integers, flags and None have no fields, and pass.
    kind: Any = type(value)
    return all(_is_finite(getattr(value, name)) for name in _field_names(kind))


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    """Return the field names of a dataclass, empty for any other type."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise GenerationError(message)
