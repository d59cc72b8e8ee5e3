"""The states that recurrent layers begin with: vectors, learned ones, and those of other layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rnnspec.importing.assemble import is_input_name, rename_layer
from rnnspec.importing.graph.joins import join
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.values import CarriedStates, ExtraInput, Known, Tensor
from rnnspec.importing.taken import LearnedVector, Taken
from rnnspec.importing.torch import loops
from rnnspec.importing.torch.values import (
    LENGTHS,
    NO_STATES,
    FeatureSlice,
    GivenStates,
    LearnedRows,
    Ref,
    StackedRows,
    Zeros,
    describe,
)
from rnnspec.importing.unplaced import CELLS
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rnnspec.importing.arrange import Arranged
    from rnnspec.importing.taken import DraftLayer
    from rnnspec.importing.torch.scope import ModuleScope
    from rnnspec.importing.torch.values import Op

First = tuple[int, int | None] | None
"""The place of a vector, with the half of it that is taken; None for zeros."""


def find_given(operations: Sequence[Op], example: Mapping[str, Any]) -> dict[str, GivenStates]:
    """Return the arguments of ``forward`` that are first states of recurrent modules.

    Args:
        operations: what ``forward`` does.
        example: inputs of ``forward`` by the names of its arguments, which tell what each is.
    """
    found = dict[str, GivenStates]()
    for op in operations:
        if op.kind != "input":
            continue
        use = _use_as_state(operations, op.name)
        if use is None:
            continue
        module, parts, is_cut, swapped = use
        is_layer = hasattr(module, "num_layers")
        directions = 1 + (is_layer and module.bidirectional)
        # An argument that is cut has the states of several modules.
        rows = 0 if is_cut else module.num_layers * directions if is_layer else 1
        given = GivenStates(parts, rows, directions, module.hidden_size, swapped)
        if (value := example.get(op.target)) is not None:
            several = value if isinstance(value, list | tuple) else (value,)
            shapes = {tuple(getattr(tensor, "shape", ())) for tensor in several}
            if len(shapes) != 1 or len(shape := shapes.pop()) not in (2, 3):
                continue
            flat = len(shape) == 2
            shape = (1, *shape) if flat else shape
            if shape[swapped] % directions:
                continue
            number = len(several) if isinstance(value, list | tuple) else 0
            given = replace(given, parts=number, rows=shape[swapped], flat=flat)
        found[op.target] = given
    return found


def rows_of(value: Any) -> int:
    """Return the number of sequences that first states are of, 0 if that is not known."""
    first = value[0] if isinstance(value, list | tuple) and value else value
    shape = tuple(getattr(first, "shape", ()))
    return int(shape[-2]) if len(shape) > 1 else 0


def _use_as_state(  # noqa: PLR0912 - a branch for each function
    operations: Sequence[Op], name: str
) -> tuple[Any, int, bool, bool] | None:
    """Return the module that begins with a value, and how many states it is: 0 for a tensor.

    Then, whether it begins with a part of these, and whether the batch comes first.
    """
    reached, items, is_cut = {name: (False, False)}, set[int](), False
    for op in operations:
        source = next((one.name for one in op.args[:1] if isinstance(one, Ref)), "")
        if op.layer in CELLS or op.layer in loops.CELLS:
            hx = op.args[1] if len(op.args) > 1 else op.kwargs.get("hx")
            apart = hx if isinstance(hx, tuple) else ()
            for one in (hx, *apart):
                if isinstance(one, Ref) and one.name in reached:
                    is_tuple, swapped = reached[one.name]
                    whole = not apart and op.layer.startswith("LSTM") and not is_tuple
                    number = 2 if whole else max(items, default=0) + 1 if is_tuple else 0
                    return op.module, number, is_cut, swapped
        if source not in reached:
            continue
        is_tuple, swapped = reached[source]
        match op.target, op.args[1:]:
            case "getitem", (int(index),):
                reached[op.name] = (True, swapped)
                items.add(index)
            case "getitem", _:
                reached[op.name], is_cut = (is_tuple, swapped), True
            case (("view" | "reshape"), (-1, int()) | ((-1, int()),)):
                reached[op.name] = (is_tuple, swapped)
            case "transpose", (0, 1) | (1, 0):
                reached[op.name] = (is_tuple, not swapped)
            case "permute", (1, 0, 2) | ((1, 0, 2),):
                reached[op.name] = (is_tuple, not swapped)
            case ("getattr", ("data",)) | (("contiguous" | "detach" | "clone" | "cpu" | "cuda"), _):
                reached[op.name] = (is_tuple, swapped)
            case (("to" | "float" | "double" | "type_as"), _):
                reached[op.name] = (is_tuple, swapped)
            case _:
                pass
    return None


def add_given(scope: ModuleScope, argument: str, given: GivenStates) -> tuple[GivenStates, Any]:
    """Add the inputs of the network that an argument with first states is, and return its value."""
    if not given.rows:
        message = f"has the states of several modules in the argument '{argument}'"
        raise RefusedError(f"{message}; give example=, which tells its shape")
    names, parts = list[tuple[str, ...]](), list[Any]()
    name = argument if is_input_name(argument) else f"{argument}_state"
    size = given.units * given.directions
    for part in range(given.parts or 1):
        own = list[str]()
        rows = list[Tensor]()
        for level in range(given.levels):
            several = (part,) * (given.parts > 1) + (level,) * (given.levels > 1)
            own.append("_".join((name, *map(str, several))))
            at = scope.add_input(own[-1], size)
            scope.given.add(at)
            vector = Tensor(at, ("B", "F"))
            axes = ("D", "B", "U") if given.directions == 2 else ("", "B", "F")
            vector = vector if given.flat else replace(vector, axes=axes)
            if given.swapped:
                first, second, *others = vector.axes
                vector = replace(vector, axes=(second, first, *others))
            rows.append(vector)
        names.append(tuple(own))
        sizes, axis = (given.directions,) * len(rows), int(given.swapped)
        parts.append(rows[0] if len(rows) == 1 else CarriedStates(tuple(rows), sizes, axis))
    value = tuple(parts) if given.parts else parts[0]
    return replace(given, names=tuple(names)), value


def hand_on(
    arranged: Arranged, inputs: Sequence[nodes.Input]
) -> tuple[Arranged, tuple[nodes.Input, ...], list[str], list[int]]:
    """Have layers begin with given states if their first states are arguments, their last results.

    Returns the layers, the inputs, what these were called, and the places of the results, in the
    order of the network.

    Args:
        arranged: the layers.
        inputs: the inputs of the network.
    """
    given = {
        network_input.name
        for network_input in inputs
        if isinstance(network_input, nodes.VectorInput)
    }
    layers = {step.layer.name: step.layer for step in arranged.steps}
    taken = Counter(source for step in arranged.steps for source in step.sources if source <= 0)
    names, last = dict[str, str](), dict[int, str]()
    for step in arranged.steps:
        layer = step.layer
        if not isinstance(layer, nodes.Recurrent) or None in layer.initial:
            continue
        vectors = replace(layer, input=(None, 1)).first_states
        ends = {
            state: place
            for state in vectors
            for place, (_, result) in reversed(list(enumerate(arranged.outputs)))
            if place not in last and _is_last(layers[result], layer, state)
        }
        alone = all(taken[source] == 1 for source in step.sources[1:])
        if given >= {*vectors.values()} and alone and ends.keys() == vectors.keys():
            names |= {vector: f"{layer.name}_{state}" for state, vector in vectors.items()}
            last |= {ends[state]: f"{layer.name}_{state}_next" for state in vectors}
    others = {place: name for place, (name, _) in enumerate(arranged.outputs) if place not in last}
    if not names or not others:
        # A single result has no name.
        places = [*range(len(arranged.outputs) or 1)]
        return arranged, tuple(inputs), [network_input.name for network_input in inputs], places
    if len(others) == 1:
        others = dict.fromkeys(others, "output")
    states = list(names)
    declared = [network_input.name for network_input in inputs if network_input.name not in names]
    if len(declared) == 1:
        names[declared[0]] = nodes.INPUT
    by_name = {network_input.name: network_input for network_input in inputs}
    renamed = {name: replace(value, name=names.get(name, name)) for name, value in by_name.items()}
    vector_inputs = [
        value for name in states if isinstance(value := renamed[name], nodes.VectorInput)
    ]
    result = replace(
        arranged,
        steps=tuple(
            # Neither a port of a layer nor what it learned is an input.
            step
            if isinstance(step.layer, Taken | LearnedVector)
            else replace(step, layer=rename_layer(step.layer, names))
            for step in arranged.steps
        ),
        outputs=tuple((name, arranged.outputs[at][1]) for at, name in (others | last).items()),
    )
    ordered = (
        *(renamed[name] for name in declared),
        *(replace(vector, state=True) for vector in vector_inputs),
    )
    return result, ordered, [*declared, *states], [*others, *last]


def _is_last(result: DraftLayer, layer: nodes.Layer, state: str) -> bool:
    """True if the output of a layer is the last value of a state of another one."""
    match result:
        case Taken(source=source, state=taken):
            return source == layer.name and taken == state
        case nodes.Recurrent(name=name, return_sequences=False):
            return name == layer.name and state == result.states[0][0]
        case _:
            return False


def check_zeros(scope: ModuleScope, hx: Any) -> None:
    """Check that first states are zeros.

    Raises:
        RefusedError: they are others.
    """
    parts = hx if isinstance(hx, tuple) else (hx,)
    for part in parts:
        if _vectors(scope, part, 1) != [None]:
            raise RefusedError("expected initial states of zeros, received others")


def first_vectors(  # noqa: PLR0913, PLR0917 - the sizes of a module
    scope: ModuleScope, hx: Any, parts: int, number: int, directions: int, units: int
) -> list[list[int | None]]:
    """Return the vector that each layer of a module begins with, for each part of its state.

    Args:
        scope: the layers.
        hx: the states that the module is given.
        parts: the number of states of its cell.
        number: the number of its layers and directions.
        directions: the number of its directions.
        units: the units of each layer.

    Raises:
        RefusedError: they are no vectors of its size.
    """
    if hx is None or isinstance(hx, Zeros):
        values: tuple[Any, ...] = (hx,) * parts
    elif parts == 1:
        values = (hx,)
    else:
        values = hx if isinstance(hx, tuple) else ()
        if len(values) != parts:
            _refuse(hx)
    result = list[list[int | None]]()
    for value in values:
        vectors = _vectors(scope, value, number)
        pairs = [vectors[i : i + directions] for i in range(0, number, directions)]
        result.append([_side_by_side(scope, pair, units) for pair in pairs])
    return result


def _refuse(value: Any) -> None:
    match value:
        case ExtraInput(name=name) | Known(name=name) if name:
            name = name.removeprefix(LENGTHS)
            raise RefusedError(
                f"its initial states are made of the argument '{name}' of forward; expected the "
                f"argument as it is; {NO_STATES}"
            )
        case _:
            raise RefusedError(
                "expected initial states of zeros, or a vector for each layer, received "
                f"{describe(value)}"
            )


def _vectors(scope: ModuleScope, value: Any, number: int) -> list[First]:
    """Return what each layer and direction begins with."""
    match value:
        case None:
            return [None] * number
        case Zeros(batch=batch):
            scope.batch = scope.batch or batch
            return [None] * number
        case StackedRows(items) if len(items) == number:
            return [_vector(scope, item) for item in items]
        case CarriedStates(parts, sizes, axis=0) if sum(sizes) == number:
            return [first for part in parts for first in _vectors_of(scope, part)]
        case Tensor(axes=("", "B", "F") | ("B", "F")) if number == 1:
            return _vectors_of(scope, value)
        case Tensor(axes=("D", "B", "U")) if number == 2:
            return _vectors_of(scope, value)
        case LearnedRows(path=path, rows=rows) if len(rows) == number:
            return [(learned_vector(scope, path, (row,)), None) for row in rows]
        case _:
            _refuse(value)
            raise AssertionError("it was refused")


def _vectors_of(scope: ModuleScope, value: Tensor) -> list[First]:
    """Return the vectors of one or both directions of a layer."""
    if "D" not in value.axes:
        return [_vector(scope, replace(value, axes=("B", "F")))]
    whole = replace(value, axes=("B", "F"))
    at = scope.state(whole) if value.is_final else scope.settle(whole).at
    return [(at, 0), (at, 1)]


def _vector(scope: ModuleScope, value: Any) -> First:
    """Return a vector of one layer and direction."""
    match value:
        case None | Zeros():
            return None
        case FeatureSlice(vector=vector, start=start, stop=stop):
            width = scope.features(vector)
            if (start, stop) not in ((0, width // 2), (width // 2, width)) or width % 2:
                raise RefusedError("expected one half of a vector, received another part of it")
            return vector.at, int(start > 0)
        case Tensor(is_final=True, formula=None, rows=None) if value.merge == "concat":
            return scope.final(value.at, value.part or "h"), value.half
        case Tensor(axes=("B", "F")):
            solid = scope.layer_output(value)
            if scope.is_sequence(solid.at):
                raise RefusedError(f"expected a vector, received {describe(value)}")
            return solid.at, None
        case _:
            _refuse(value)
            raise AssertionError("it was refused")


def learned_vector(scope: ModuleScope, path: str, rows: tuple[int, ...]) -> int:
    """Return the place of a vector that is learned: the rows of an array, one behind the other."""
    key = (path, rows)
    if key not in scope.learned:
        size = scope.tensors[path].shape[-1] * len(rows)
        layer = LearnedVector(name=f"{path}_{len(scope.learned)}", input=(), size=size)
        scope.learned[key] = scope.add(layer, 0, modules=())
        scope.steps[scope.learned[key]].arrays = {"vector": key}
    return scope.learned[key]


def _side_by_side(scope: ModuleScope, pair: Sequence[First], units: int) -> int | None:
    """Return the place of the vector of a layer, both directions side by side."""
    first, *rest = pair
    if not rest:
        if first is None:
            return None
        if first[1] is not None:
            raise RefusedError("expected a vector of one layer, received a half of one")
        scope.fit_features(first[0], units)
        return first[0]
    (second,) = rest
    if first is None and second is None:
        return None
    if first is None or second is None:
        raise RefusedError("expected vectors for both directions or for none")
    if first[0] == second[0] and (first[1], second[1]) == (0, 1):
        scope.fit_features(first[0], 2 * units)
        return first[0]
    learned = {at: key for key, at in scope.learned.items()}
    one, two = (learned.get(part[0]) for part in (first, second))
    if one and two and one[0] == two[0]:
        # A parameter has a row for each direction.
        return learned_vector(scope, one[0], one[1] + two[1])
    if first[1] is not None or second[1] is not None:
        raise RefusedError("expected the states of both directions of one layer, in their order")
    parts = [Tensor(part[0], ("B", "F")) for part in (first, second)]
    for part in parts:
        scope.fit_features(part.at, units)
    return join(scope, "concat", parts, 1).at


def add_recurrent(
    scope: ModuleScope,
    layer: nodes.Recurrent,
    at: int,
    first: Sequence[int | None],
    paths: tuple[str, ...],
) -> int:
    """Add a recurrent layer that begins with vectors, and return its place."""
    vectors = [vector for vector in first if vector is not None]
    if vectors:
        # Their names are not known yet.
        initial = tuple(None if vector is None else "first" for vector in first)
        layer = replace(layer, initial=initial)
        _place_learned(scope, at, vectors)
    return scope.add(layer, at, *vectors, modules=paths)


def _place_learned(scope: ModuleScope, at: int, vectors: Sequence[int]) -> None:
    """Have vectors that are learned take what the layer takes that begins with them."""
    for vector in vectors:
        if vector > 0 and isinstance(scope.steps[vector].layer, LearnedVector):
            scope.steps[vector].sources = (at,)
