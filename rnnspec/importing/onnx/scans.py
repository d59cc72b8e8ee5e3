"""A ``Scan`` that is a recurrent layer: its body is one that rnnspec writes for some cell."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from rnnspec.backends.onnx.equations import EquationSteps
from rnnspec.backends.onnx.graph import Builder
from rnnspec.backends.onnx.slots import path_of
from rnnspec.importing.graph.graph import Graph
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.masks import LOWEST
from rnnspec.importing.graph.parts import current_steps
from rnnspec.importing.graph.values import Known, Tensor, describe
from rnnspec.importing.onnx.recurrent import first_state
from rnnspec.importing.taken import Taken
from rnnspec.importing.unplaced import recurrent
from rnnspec.ir import nodes
from rnnspec.ir.cells import ARRAYS, gates, has_recurrent_bias
from rnnspec.words import CellActivation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode
    from rnnspec.importing.graph.scope import Scope
    from rnnspec.importing.graph.values import Value

    Form = tuple[tuple[Any, ...], ...]
    """A body without names: each node with the places of what it takes, the outputs last."""

_MOST_NODES = 60
"""The most nodes of a body; those that rnnspec writes have fewer."""
_AXES = ("scan_input_axes", "scan_output_axes")
_DIRECTIONS = ("scan_input_directions", "scan_output_directions")


@dataclass(frozen=True, slots=True)
class _Asking:
    """The names that an attention in a body takes from outside: of the graph around it."""

    values: str
    keys: str
    mask: str
    kernel: str
    score: str
    scale: str
    first: str
    axis: str
    zero: str
    lowest: str


@dataclass(frozen=True, slots=True)
class ScanBody:
    """The cell of a ``Scan``, and the names that its body takes from outside.

    ``outer`` has them by their names in what rnnspec writes. ``results`` are what it gives of each
    step: "every" output, and "contexts".
    """

    cell: nodes.StandardCell
    outer: Mapping[str, str]
    asking: _Asking | None
    results: tuple[str, ...]


def body_of(node: GraphNode) -> ScanBody | None:
    """Return what the body of a ``Scan`` computes, None if that is no cell that rnnspec writes."""
    body = node.attributes.get("body")
    if not isinstance(body, Graph) or len(body.nodes) > _MOST_NODES or body.arrays:
        return None
    scanned = node.attributes.get("num_scan_inputs", 0)
    states = len(node.inputs) - scanned
    if states not in (1, 2) or scanned not in (1, 2) or len(body.inputs) != len(node.inputs):
        return None
    steps = [(step.op, step.attributes, step.inputs, step.outputs) for step in body.nodes]
    inputs, outputs = ([info.name for info in infos] for infos in (body.inputs, body.outputs))
    x, kinds = inputs[states], ["every" for _ in outputs[states:]]
    asked = _read_asking(body.nodes, inputs[0], x)
    if asked is not None:
        # The rest is the body of a layer without the attention.
        _, context, attending = asked
        copies = {step.outputs[0] for step in body.nodes if step.inputs == (context,)}
        kinds = ["contexts" if name in copies else "every" for name in outputs[states:]]
        steps = [
            (op, settings, tuple(x if name == attending else name for name in taken), made)
            for op, settings, taken, made in steps
            if attending not in made
        ]
    every = [name for name, kind in zip(outputs[states:], kinds, strict=True) if kind == "every"]
    # Where nothing takes the first state of each step, the form has it all the same.
    form, outer = _form(steps, inputs, [*outputs[:states], *(every or outputs[:1])])
    cells = _cells(states, masked=scanned == 2, attends=asked is not None)
    if form not in cells:
        return None
    cell, names = cells[form]
    named = dict(zip(names, outer, strict=True))
    return ScanBody(cell, named, None if asked is None else asked[0], tuple(kinds))


def _read_asking(body: Sequence[GraphNode], state: str, x: str) -> tuple[_Asking, str, str] | None:
    """Return what an attention in a body takes, its context, and what the cell takes for ``x``.

    None if there is none as rnnspec writes it: the context is behind ``x``.
    """
    makers = {name: node for node in body for name in node.outputs}

    def inputs(name: str, op: str, **settings: Any) -> tuple[str, ...] | None:
        node = makers.get(name)
        fits = node is not None and node.op == op
        if (
            node is None
            or not fits
            or any(node.attributes.get(k) != v for k, v in settings.items())
        ):
            return None
        return node.inputs

    def through(name: str, op: str, place: int = 0, **settings: Any) -> tuple[str, ...]:
        """Return what an operator takes at a place, and the others, if it makes a value."""
        taken = inputs(name, op, **settings)
        # One more, so that none may be missing.
        return (
            (name, "", "")
            if taken is None
            else (taken[place], *taken[:place], *taken[place + 1 :], "")
        )

    for node in body:
        if node.op != "Concat" or node.inputs[0] != x or len(node.inputs) != 2:
            continue
        context = node.inputs[1]
        mean, first, *_ = through(context, "Gather", axis=1)
        weights, values, *_ = through(mean, "MatMul")
        weights, kept, zero, *_ = through(weights, "Where", 1)
        scores, *_ = through(weights, "Softmax", axis=-1)
        scores, mask, lowest, *_ = through(scores, "Where", 1)
        turned, *_ = through(scores, "Transpose", perm=(0, 2, 1))
        scale = score = ""
        if turned != scores:
            hidden, score, *_ = through(turned, "MatMul")
            sums, *_ = through(hidden, "Tanh")
            query, keys, *_ = through(sums, "Add")
        else:
            scores, scale, *_ = through(scores, "Mul")
            query, keys, *_ = through(scores, "MatMul")
        query, axis, *_ = through(query, "Unsqueeze")
        query, kernel, *_ = through(query, "MatMul")
        asking = _Asking(values, keys, mask, kernel, score, scale, first, axis, zero, lowest)
        outside = {getattr(asking, field.name) for field in fields(_Asking)}
        complete = all((first, axis, values, keys, query == state, kept == mask))
        if complete and not outside & makers.keys():
            return asking, context, node.outputs[0]
    return None


_ASKING = nodes.StepAttention(
    over="", keys="", width=1, size=1, projects=False, additive=False, scale=1.0, masked=False
)


@cache
def _cells(
    states: int, *, masked: bool, attends: bool
) -> dict[Form, tuple[nodes.StandardCell, tuple[str, ...]]]:
    """Return the cells with a number of states by the forms of their bodies.

    With each are the names that its body takes from outside, for a layer of one unit.
    """
    words: tuple[CellActivation, ...] = get_args(CellActivation)
    cells: list[nodes.StandardCell] = []
    if states == 1:
        cells += [nodes.SimpleRNN(activation=word) for word in words]
    for word, gate in product(words, words):
        if states == 2:
            cells.append(nodes.LSTM(activation=word, recurrent_activation=gate, forget_bias=1.0))
        else:
            cells += [
                nodes.GRU(activation=word, recurrent_activation=gate, reset_after=after)
                for after in (False, True)
            ]
    forms: dict[Form, tuple[nodes.StandardCell, tuple[str, ...]]] = {}
    for cell in cells:
        for bias in {False, attends or has_recurrent_bias(cell)}:
            layer = recurrent("r", cell, 1, merge=None, bias=bias, return_sequences=True)
            layer = replace(layer, input=(None, 1), attention=_ASKING if attends else None)
            loop = EquationSteps(Builder(), layer, "", "", "x")
            body = loop.body(masked=masked, with_output=True, context=None)
            steps = [
                (call.operator, dict(call.attributes), call.inputs, call.outputs)
                for block in body.blocks
                for call in block
                if not hasattr(call, "text")
            ]
            names = ([value.name for value in values] for values in (body.inputs, body.outputs))
            form, outer = _form(steps, *names)
            forms[form] = cell, outer
    return forms


def _form(
    steps: Sequence[tuple[str, Mapping[str, Any], tuple[str, ...], tuple[str, ...]]],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> tuple[Form, tuple[str, ...]]:
    """Return the form of a graph, and the names that it takes from outside."""
    makers = {name: step for step in steps for name in step[3] if name}
    places: dict[str, Any] = {name: ("input", i) for i, name in enumerate(inputs)}
    form, outer, waiting = list[tuple[Any, ...]](), list[str](), [*reversed(outputs)]
    while waiting:
        name = waiting[-1]
        step = makers.get(name)
        if name in places or step is None:
            waiting.pop()
            if name not in places:
                places[name] = ("outside", len(outer))
                outer.append(name)
            continue
        op, attributes, taken, made = step
        if missing := [name for name in taken if name and name not in places]:
            waiting += reversed(missing)
            continue
        waiting.pop()
        values = tuple(places.get(name) for name in taken)
        if op == "Identity":
            places[name] = values[0]
            continue
        # A file has its numbers in float32.
        settings = tuple(
            (key, float(np.float32(value)) if isinstance(value, float) else value)
            for key, value in sorted(attributes.items())
        )
        form.append((op, settings, values))
        places |= {name: (len(form), i) for i, name in enumerate(made) if name}
    return (*form, tuple(places[name] for name in outputs)), tuple(outer)


def read_scan(
    scope: Scope, node: GraphNode, inputs: Sequence[Value], find: Callable[[str], Value]
) -> tuple[Value, ...]:
    """Return the outputs of a ``Scan``: the final states, and all of the first one.

    Args:
        scope: the layers so far.
        node: the node.
        inputs: the values that it takes: states, the products of the kernel, perhaps a mask.
        find: returns a value of the graph around it.

    Raises:
        RefusedError: it is no recurrent layer, or takes other values.
    """
    body = body_of(node)
    if body is None:
        raise RefusedError("Scan is a loop, and its body is none of a cell that rnnspec writes")
    cell, outer, asking = body.cell, body.outer, body.asking
    backward = _is_backward(node)
    scanned = node.attributes["num_scan_inputs"]
    states, (taken, *_) = inputs[:-scanned], inputs[-scanned:]
    value = scope.sequence(taken, "TBF")
    arrays, units = _outer_arrays(outer, find)
    source = value.at
    if asking is None:
        kernel, bias, source = _product(scope, value)
        arrays |= {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias}
    has_bias = _complete(arrays, cell, units)
    initial = [_first_state(scope, state, units, source) for state in states]
    vectors = [place for place in initial if place is not None]
    real = inputs[-1] if scanned > 1 else None
    masked = _check_steps(scope, value, real)
    layer = recurrent(
        node.op.lower(), cell, units, merge=None, bias=has_bias, return_sequences=True
    )
    if vectors:
        # Their names are not known yet.
        layer = replace(layer, initial=tuple(None if at is None else "first" for at in initial))
    if asking is None:
        at = scope.add(layer, source, *vectors, arrays=arrays)
    else:
        attention, memory = _attention(scope, asking, units, find, arrays)
        layer = replace(layer, attention=attention, backward=backward)
        at = scope.add(layer, source, *vectors, *memory, arrays=arrays)
    scope.masked[at] = masked
    if backward and asking is None:
        scope.backward.add(at)
    half = None if asking is not None else int(backward)
    every = Tensor(at, ("T", "B", "F"), half=half, steps=value.steps)
    final = Tensor(at, ("B", "F"), half=half, is_final=True)
    results: list[Value] = [final, *[replace(final, part="c")] * (len(states) - 1)]
    for result in body.results:
        if result == "contexts":
            assert asking is not None
            contexts = Taken(name="context", input=(), state="", size=attention.width)
            results.append(replace(every, at=scope.add(contexts, at)))
        else:
            results.append(every)
    return tuple(results)


def _outer_arrays(
    outer: Mapping[str, str], find: Callable[[str], Value]
) -> tuple[dict[str, Array], int]:
    """Return the canonical arrays that a body takes from outside, and the number of units.

    Raises:
        RefusedError: one is no array of the file, or has other parts.
    """
    found = {name: _array(find(own)) for name, own in outer.items()}
    arrays = {name: found[path] for name in ARRAYS.values() if (path := path_of(name)) in found}
    units = arrays["recurrent_kernel"].shape[0]
    for name, sizes in found.items():
        # The name has the sizes of the parts for one unit.
        word, *parts = name.split("_")
        if word == "Sizes" and sizes.tolist() != [int(part) * units for part in parts]:
            raise RefusedError(f"expected parts of {units} units, received others", "E707")
    return arrays, units


def _complete(arrays: dict[str, Array], cell: nodes.StandardCell, units: int) -> bool:
    """Add the biases that are zeros, and return true if a cell has any.

    Raises:
        RefusedError: an array has another shape.
    """
    width = len(gates(cell)) * units
    expected: dict[str, tuple[int, ...]] = {
        "recurrent_kernel": (units, width),
        "kernel": (arrays["kernel"].shape[0], width),
    }
    has_bias = "bias" in arrays or "recurrent_bias" in arrays
    if has_bias:
        names = ["bias", *(["recurrent_bias"] if has_recurrent_bias(cell) else [])]
        expected |= dict.fromkeys(names, (width,))
        for name in names:
            arrays.setdefault(name, np.zeros(width, np.float32))
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            message = f"{name}: expected {shape}, received {arrays[name].shape}"
            raise RefusedError(message, "E707")
    return has_bias


def _first_state(scope: Scope, value: Value, units: int, source: int) -> int | None:
    """Return the place of the vector that a state begins with, None if that is zeros."""
    # A graph whose states are inputs is that of a step, and no network by itself.
    if isinstance(value, Tensor) and value.at > 0:
        return first_state(scope, value, (1, units), 0, source)
    _check_zeros(scope, value, units)
    return None


def _attention(
    scope: Scope,
    asking: _Asking,
    units: int,
    find: Callable[[str], Value],
    arrays: dict[str, Array],
) -> tuple[nodes.StepAttention, tuple[int, ...]]:
    """Return what a layer attends to, with the places of its memory; its arrays are added.

    Raises:
        RefusedError: it is no attention of rnnspec.
    """
    values, keys = (scope.in_place(scope.settle(find(n))) for n in (asking.values, asking.keys))
    over, width = values.at, scope.features(values)
    additive, size = bool(asking.score), scope.features(keys)
    expected = ("B", "T", "F") if additive else ("B", "F", "T")
    if values.axes != ("B", "T", "F") or keys.axes != expected:
        raise RefusedError("expected the steps of a sequence and their keys, received others")
    if asking.kernel:
        arrays["attention.kernel"] = _array(find(asking.kernel))
    shape = arrays["attention.kernel"].shape if asking.kernel else (units, units)
    if shape != (units, size):
        raise RefusedError(f"expected queries of {size} features, received {shape[1]}", "E707")
    _check_numbers(find, asking)
    scale = 1.0
    if additive:
        arrays["attention.score"] = _array(find(asking.score))
        if arrays["attention.score"].shape != (size, 1):
            raise RefusedError("expected one score of each query and step, received others", "E707")
    elif keys.at != over:
        raise RefusedError("expected the steps that are mixed as keys, received others")
    if asking.scale:
        scale = _number(find, asking.scale)
        # A file has it in float32.
        scale = size**-0.5 if np.isclose(scale, size**-0.5, rtol=1e-6, atol=0) else scale
    if asking.mask:
        mask, real = find(asking.mask), scope.real(values)
        if not isinstance(mask, Known) or not all(
            np.array_equal(array, steps[:, np.newaxis])
            for array, steps in zip(mask.arrays, real, strict=True)
        ):
            raise RefusedError("expected the real steps of what is attended to, received others")
    elif not all(steps.all() for steps in scope.real(values)):
        raise RefusedError("weighs padding, too; rnnspec leaves it out")
    attention = nodes.StepAttention(
        over="",
        keys="",
        width=width,
        size=size,
        projects=bool(asking.kernel),
        additive=additive,
        scale=scale,
        masked=bool(asking.mask),
    )
    return attention, (over, keys.at) if additive else (over,)


def _number(find: Callable[[str], Value], name: str) -> float:
    """Return a number of the file.

    Raises:
        RefusedError: it is none.
    """
    value = find(name)
    constant = value.constant if isinstance(value, Known) else None
    if constant is None or constant.size != 1:
        raise RefusedError(f"expected a number of the file, received {describe(value)}")
    return float(constant.flat[0])


def _check_numbers(find: Callable[[str], Value], asking: _Asking) -> None:
    """Check the numbers in an attention that are no scale.

    Raises:
        RefusedError: one is another.
    """
    fits = _number(find, asking.first) == 0 and _number(find, asking.axis) == 1
    if asking.mask:
        low = _number(find, asking.lowest) <= LOWEST
        fits = fits and low and _number(find, asking.zero) == 0
    if not fits:
        raise RefusedError("expected the attention that rnnspec writes, received other numbers")


def _is_backward(node: GraphNode) -> bool:
    """True if a ``Scan`` goes from the last step to the first.

    Raises:
        RefusedError: it goes along other axes, or writes in another direction than it reads.
    """
    other = {"body", "num_scan_inputs", *_AXES, *_DIRECTIONS} ^ set(node.attributes)
    if other & set(node.attributes) or any(any(node.attributes.get(key, ())) for key in _AXES):
        raise RefusedError("expected a Scan over the first axis, received another", "E703")
    scanned = node.attributes["num_scan_inputs"]
    ways = [
        node.attributes.get(key) or (0,) * count
        for key, count in zip(_DIRECTIONS, (scanned, 1), strict=True)
    ]
    directions = {way for ways_of_one in ways for way in ways_of_one}
    if len(directions) != 1:
        raise RefusedError("expected one direction of all that a Scan reads and writes", "E703")
    return directions == {1}


def _product(scope: Scope, value: Tensor) -> tuple[Array, Array | None, int]:
    """Return the kernel and the bias of a product with a sequence, and the place of that.

    Raises:
        RefusedError: it is another layer.
    """
    step = scope.steps.get(value.at)
    match step.layer if step else None:
        case nodes.Dense(activation="linear", tied=None) if step is not None:
            arrays = scope.arrays_of(scope.steps[value.at])
            return arrays["kernel"], arrays.get("bias"), step.sources[0]
        case _:
            message = "expected the product of a kernel and the steps as what a Scan takes"
            raise RefusedError(f"{message}, received {describe(value)} of another layer")


def _array(value: Value) -> Array:
    """Return an array of the file.

    Raises:
        RefusedError: it is none.
    """
    array = value.constant if isinstance(value, Known) else None
    if array is None or not array.ndim:
        raise RefusedError(f"expected an array of the file, received {describe(value)}")
    return array


def _check_zeros(scope: Scope, value: Value, units: int) -> None:
    """Check that an initial state is zeros.

    Raises:
        RefusedError: it is another.
    """
    if not isinstance(value, Known) or any(array.any() for array in value.arrays):
        raise RefusedError(f"expected initial states of zeros, received {describe(value)}")
    for array, rows in zip(value.arrays, scope.probes.rows, strict=True):
        if array.shape != (rows, units):
            message = f"expected initial states of {(rows, units)}, received {array.shape}"
            raise RefusedError(message, "E707")


def _check_steps(scope: Scope, value: Tensor, real: Value) -> bool:
    """Check that a ``Scan`` sees the steps in their order, and return if it leaves out padding.

    Raises:
        RefusedError: it sees others.
    """
    if real is None:
        scope.in_place(value)
        return False
    if not isinstance(real, Known):
        raise RefusedError(f"expected a mask of the input, received {describe(real)}")
    columns = zip(current_steps(scope, value), scope.real(value), real.arrays, strict=True)
    for steps, mask, flags in columns:
        seen = np.where(steps >= 0, np.take_along_axis(mask, steps.clip(0), 1), False)
        in_order = (
            np.array_equal(row[is_seen], np.flatnonzero(is_real))
            for row, is_seen, is_real in zip(steps, seen, mask, strict=True)
        )
        if not np.array_equal(flags, seen.T[..., None]) or not all(in_order):
            raise RefusedError("expected the real steps in their order, received others")
    return True
