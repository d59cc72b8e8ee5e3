"""The nodes ``LSTM``, ``GRU`` and ``RNN``: their settings, their arrays, and the steps they see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from math import isnan, nan
from typing import TYPE_CHECKING

import numpy as np

from rnnspec.backends.onnx.slots import fused_slots, half
from rnnspec.backends.slots import unpack
from rnnspec.errors import brief
from rnnspec.importing.graph.joins import join
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.reader import INPUTS
from rnnspec.importing.graph.scope import restart_with
from rnnspec.importing.graph.values import (
    CarriedStates,
    ExtraInput,
    Known,
    PaddedState,
    RestartError,
    Tensor,
    describe,
)
from rnnspec.importing.taken import LearnedVector
from rnnspec.importing.unplaced import recurrent
from rnnspec.ir import nodes
from rnnspec.ir.cells import gates, has_recurrent_bias
from rnnspec.ir.initializers import Constant, GlorotUniform, Initializer, Orthogonal
from rnnspec.ir.params import directions, params
from rnnspec.lowering.cells import equation_cell
from rnnspec.spec.zoo import zoo_cell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.graph import GraphNode
    from rnnspec.importing.graph.scope import Scope
    from rnnspec.importing.graph.values import Probed, Value
    from rnnspec.lowering.cells import Role
    from rnnspec.words import CellActivation

_PEEPHOLES = "peephole_lstm"
"""The cell of an LSTM with peepholes."""
_NEAR = 1e-6
"""The error of the slopes of activations, which a file has in float32."""
_DEFAULTS = {
    "RNN": ("Tanh",),
    "GRU": ("Sigmoid", "Tanh"),
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
}
"""The default activations of one direction."""
_PLAIN: dict[str, CellActivation] = {
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "relu": "relu",
    "softsign": "softsign",
    "softplus": "softplus",
}
_NOT_STATED = nan
_WITH_NUMBERS: dict[str, tuple[float | None, float | None]] = {
    "affine": (_NOT_STATED, _NOT_STATED),
    "leakyrelu": (0.01, None),
    "thresholdedrelu": (1.0, None),
    "scaledtanh": (_NOT_STATED, _NOT_STATED),
    "hardsigmoid": (0.2, 0.5),
    "elu": (1.0, None),
}
"""The defaults of alpha and beta of the activations that have them.

ONNX says that they are those of its operators, of which it has no Affine and no ScaledTanh.
"""


def read_recurrent(scope: Scope, node: GraphNode, inputs: Sequence[Value]) -> tuple[Value, ...]:
    """Return the outputs of a recurrent node: all states, the final ones, and those of cells.

    Raises:
        RefusedError: rnnspec does not support a setting, or its inputs are others than it can have.
    """
    x, kernel, recurrent_kernel, bias, lengths, *more = [*inputs, *[None] * 8][:8]
    cell, way, layout = check_settings(node)
    number = 2 if way == "bidirectional" else 1
    w, r, b, p = (
        _constant(value, what)
        for value, what in (
            (kernel, "W"),
            (recurrent_kernel, "R"),
            (bias, "B"),
            (more[2] if node.op == "LSTM" else None, "P"),
        )
    )
    if p is not None and p.any():
        cell = _with_peepholes(cell)
    if w is None or r is None or w.ndim != 3 or r.ndim != 3 or len(w) != number:
        raise RefusedError(f"W and R: expected arrays of {number} directions", "E707")
    units = int(r.shape[2])
    if node.attributes.get("hidden_size", units) != units:
        raise RefusedError("hidden_size: expected the size of R, received another", "E707")
    value = scope.sequence(x, "BTF" if layout else "TBF", in_any_row=True)
    if w.shape[2] != scope.features(value):
        message = f"W: expected {scope.features(value)} features, received {w.shape[2]}"
        raise RefusedError(message, "E707")
    initial = [
        first_state(scope, state, (number, units), layout, value.at)
        for state in (more[:2] if node.op == "LSTM" else more[:1])
    ]
    seen = _SeenSteps(scope, value, lengths)
    backward = (seen.is_backward() != (way == "reverse")) if number == 1 else False
    if number == 2 and seen.is_backward():
        raise RefusedError("expected the steps in their order, received them backward")
    if way != "forward" and seen.masked and lengths is None:
        raise RefusedError("sequence_lens: expected the lengths of the sequences, received none")
    layer = recurrent(
        node.op.lower(),
        cell,
        units,
        merge="concat" if number == 2 else None,
        bias=b is not None or isinstance(cell, nodes.EquationCell),
        return_sequences=True,
    )
    if isinstance(cell, nodes.EquationCell):
        assert p is not None
        arrays = _peephole_arrays(layer, w, r, b, p)
    else:
        arrays = _arrays(replace(layer, input=(None, w.shape[2])), w, r, b)
    if any(place is not None for place in initial):
        # Their names are not known yet.
        layer = replace(layer, initial=tuple(None if at is None else "first" for at in initial))
    vectors = [place for place in initial if place is not None]
    at = scope.add(layer, value.at, *vectors, arrays=arrays)
    scope.masked[at] = seen.masked
    if backward:
        scope.backward.add(at)
    half = None if number == 2 else int(backward)
    state = Tensor(at, (), half=half, rows=value.rows)
    every, final = _outputs(seen, state, layout, two=number == 2)
    if node.op != "LSTM":
        return every, final
    return every, final, replace(final, part="c") if isinstance(final, Tensor) else final


def check_settings(node: GraphNode) -> tuple[nodes.Cell, str, int]:
    """Return the cell of a node, its direction and its layout.

    Raises:
        RefusedError: rnnspec does not support a setting of it.
    """
    layout = node.attributes.get("layout", 0)
    if layout not in (0, 1):
        raise RefusedError(f"layout: expected 0 or 1, received {layout}", "E703")
    way = str(node.attributes.get("direction", "forward"))
    if way not in ("forward", "reverse", "bidirectional"):
        message = f"direction: expected a direction of ONNX, received {brief(way)}"
        raise RefusedError(message, "E703")
    return _cell(node, 2 if way == "bidirectional" else 1), way, layout


def _outputs(seen: _SeenSteps, state: Tensor, layout: int, *, two: bool) -> tuple[Value, Value]:
    direction, features = ("D", "U") if two else ("", "F")
    if layout:
        all_axes = ("B", "T", direction, features)
        final_axes = ("B", direction, features)
    else:
        all_axes = ("T", direction, "B", features)
        final_axes = (direction, "B", features)
    # Behind padding that was moved to the end without telling the node, the state is another.
    final: Value = replace(state, axes=final_axes, is_final=True)
    if seen.masked and not seen.is_told:
        final = PaddedState()
    filler = 0.0 if seen.masked and seen.is_told else None
    every = replace(state, axes=all_axes, steps=seen.steps, filler=filler)
    return every, final


class _SeenSteps:
    """The steps that a node sees, by their places in the layer before it.

    ``masked`` is true if they are the real ones, and ``is_told`` if the node knows how many these
    are. ``steps`` is the step of each position, -1 for padding, or None if each is in its place.
    """

    def __init__(self, scope: Scope, value: Tensor, lengths: Value) -> None:
        self._real = scope.real(value)
        self._orders: Probed = value.steps or tuple(
            np.broadcast_to(np.arange(real.shape[1]), real.shape) for real in self._real
        )
        self._lengths = _read_lengths(scope, lengths, self._orders, value)
        full = all(
            (length == order.shape[1]).all()
            for length, order in zip(self._lengths, self._orders, strict=True)
        )
        self.is_told = not full
        plain = [np.broadcast_to(np.arange(real.shape[1]), real.shape) for real in self._real]
        self.masked = not full
        self.steps: Probed | None = value.steps
        self._backward = False
        if full and self._is_like(plain):
            return
        if full and self._is_like([steps[:, ::-1] for steps in plain]):
            self._backward = True
            return
        self.masked = True
        rows = [[np.flatnonzero(row) for row in real] for real in self._real]
        if not self._sees(rows):
            back = [[steps[::-1] for steps in of_probe] for of_probe in rows]
            if not self._sees(back):
                self._refuse(scope)
            self._backward = True
        if value.steps is not None:
            self.steps = tuple(
                np.where(np.arange(order.shape[1]) < real.sum(1)[:, None], order, -1)
                for order, real in zip(self._orders, self._real, strict=True)
            )

    def is_backward(self) -> bool:
        """True if the steps come from the last to the first."""
        return self._backward

    def _is_like(self, orders: Sequence[Array]) -> bool:
        return all(map(np.array_equal, self._orders, orders))

    def _sees(self, rows: Sequence[Sequence[Array]]) -> bool:
        """True if the real steps of each sequence come first, in some order."""
        for order, lengths, of_probe in zip(self._orders, self._lengths, rows, strict=True):
            for seen, length, steps in zip(order, lengths, of_probe, strict=True):
                if not np.array_equal(seen[: len(steps)], steps):
                    return False
                if self.is_told and length != len(steps):
                    return False
        return True

    def _refuse(self, scope: Scope) -> None:
        counted = all(
            np.array_equal(length, real.sum(1)) or np.array_equal(length, real.sum(1).clip(1))
            for length, real in zip(self._lengths, self._real, strict=True)
        )
        # With padding at their ends, sequences have a step, which counts of at least 1 expect.
        if counted and not scope.probes.setting.at_end:
            raise RestartError(at_end=True)
        if self.is_told and not counted:
            message = (
                "sequence_lens: expected the number of tokens that are not 0, or of steps with "
                "another number than that of padding in a feature"
            )
            raise RefusedError(f"{message}; received other lengths")
        raise RefusedError("expected the steps in their order, received another")


def _read_lengths(scope: Scope, value: Value, orders: Probed, x: Tensor) -> Probed:
    """Return the lengths of sequences that a node is told, or all steps."""
    match value:
        case None:
            return tuple(np.full(len(order), order.shape[1]) for order in orders)
        case Known(arrays=arrays):
            lengths = tuple(np.ravel(array) for array in arrays)
            if any(len(a) != len(b) for a, b in zip(lengths, orders, strict=True)):
                raise RefusedError("sequence_lens: expected one length of each sequence", "E707")
            full = all((a == b.shape[1]).all() for a, b in zip(lengths, orders, strict=True))
            scope.is_counted |= not full and x.steps is None
            return lengths
        case _:
            raise RefusedError(f"sequence_lens: expected lengths, received {describe(value)}")


def _constant(value: Value, what: str) -> Array | None:
    """Return an array of a node, None if it is left out."""
    if value is None:
        return None
    array = value.constant if isinstance(value, Known) else None
    if array is None:
        raise RefusedError(f"{what}: expected an array of the file, received {describe(value)}")
    return array


def first_state(
    scope: Scope, value: Value, size: tuple[int, int], layout: int, source: int
) -> int | None:
    """Return the place of the vector that a state begins as, None if that is zeros.

    Args:
        scope: the layers so far.
        value: the state.
        size: the directions and the units of the layer.
        layout: 1 if the batch comes first.
        source: the place of what the layer reads.

    Raises:
        RefusedError: it is none, or of another shape.
    """
    number, units = size
    if (
        isinstance(value, CarriedStates)
        and len(value.parts) == number == 2
        and value.axis == layout
    ):
        flat = [
            replace(part, axes=tuple(a for i, a in enumerate(part.axes) if i != value.axis))
            for part in value.parts
        ]
        value = replace(join(scope, "concat", flat, 1), axes=("B", "F"))
    match value:
        case None:
            return None
        case Known():
            return _constant_state(scope, value, size, layout, source)
        case ExtraInput(name=name):
            message = f"its initial states are the input '{brief(name)}'; expected {INPUTS}"
            raise RefusedError(message)
        case Tensor(axes=axes) if value.axis("T") < 0:
            expected = ("D", "B", "U") if number == 2 else ("", "B", "F")
            if layout:
                expected = (expected[1], expected[0], expected[2])
            if axes not in (expected, ("B", "F")):
                received = f"{describe(Tensor(0, expected))}, received {describe(value)}"
                raise RefusedError(f"expected initial states of {received}")
            vector = replace(value, axes=("B", "F"))
            # A state has both directions side by side, whatever the outputs are merged to.
            merge = getattr(scope.steps[value.at].layer, "merge", None) if value.at > 0 else None
            if value.is_final and value.formula is None and merge in (None, "concat"):
                vector = Tensor(scope.state(vector), ("B", "F"))
            vector = scope.settle(vector)
            if scope.features(vector) != number * units:
                message = f"{number * units} numbers, received {scope.features(vector)}"
                raise RefusedError(f"expected initial states of {message}", "E707")
            return vector.at
        case _:
            message = f"expected a vector as initial states, received {describe(value)}"
            raise RefusedError(message)


def _constant_state(
    scope: Scope, value: Known, size: tuple[int, int], layout: int, source: int
) -> int | None:
    """Return the place of a vector that is the same for each sequence, None if it is zeros.

    Raises:
        RefusedError: it is of another shape, or differs.
    """
    rows, (number, units) = scope.probes.rows[0], size
    shape = (rows, number, units) if layout else (number, rows, units)
    fixed = {array.shape[shape.index(rows)] for array in value.arrays if array.ndim == 3}
    if value.arrays[0].shape != shape and len(fixed) == 1:
        restart_with(scope, "B", fixed.pop())
    if value.arrays[0].shape != shape:
        message = f"(directions, sequences, units), {shape}, received {value.arrays[0].shape}"
        raise RefusedError(f"expected initial states of {message}", "E707")
    if not any(array.any() for array in value.arrays):
        return None
    several = [array.swapaxes(0, 1) if layout else array for array in value.arrays]
    vector = several[0][:, 0]
    if any((array != vector[:, None]).any() for array in several):
        raise RefusedError("expected the same initial state for each sequence, received others")
    layer = LearnedVector(name="initial", input=(), size=vector.size)
    return scope.add(layer, source, arrays={"vector": np.ravel(vector)})


def _cell(node: GraphNode, directions: int) -> nodes.Cell:
    """Return the cell of a node.

    Raises:
        RefusedError: rnnspec does not support a setting of it.
    """
    attributes = node.attributes
    if "clip" in attributes:
        raise RefusedError("clip: rnnspec does not support a limit for what enters a gate", "E703")
    if attributes.get("input_forget", 0):
        raise RefusedError("input_forget: expected 0, received 1", "E703")
    functions = list(_activations(node, directions))
    number = len(_DEFAULTS[node.op])
    if functions[:number] * directions != functions:
        message = "expected the same in both directions"
        raise RefusedError(f"activations: {message}, received others", "E703")
    match functions[:number]:
        case [activation]:
            return nodes.SimpleRNN(activation=activation)
        case [gate, activation]:
            after = bool(attributes.get("linear_before_reset", 0))
            return nodes.GRU(activation=activation, recurrent_activation=gate, reset_after=after)
        case [gate, activation, output]:
            if output != activation:
                message = f"expected one for the cell and its output, received {activation}"
                raise RefusedError(f"activations: {message} and {output}", "E703")
            return nodes.LSTM(activation=activation, recurrent_activation=gate, forget_bias=1.0)
        case _:
            raise AssertionError("no operator has more")


def _activations(node: GraphNode, directions: int) -> Iterator[CellActivation]:
    """Yield the activations of all directions."""
    defaults = _DEFAULTS[node.op] * directions
    names = node.attributes.get("activations") or defaults
    if len(names) != len(defaults):
        message = f"expected {len(defaults)}, received {len(names)}"
        raise RefusedError(f"activations: {message}", "E703")
    # Only the functions that have numbers take one from each list.
    numbers = [iter(node.attributes.get(f"activation_{key}") or ()) for key in ("alpha", "beta")]
    for name in names:
        key = str(name).lower()
        defaults_of = _WITH_NUMBERS.get(key, (None, None))
        alpha, beta = (
            None if default is None else next(values, default)
            for values, default in zip(numbers, defaults_of, strict=True)
        )
        yield _activation(key, str(name), alpha, beta)


def _activation(key: str, name: str, alpha: float | None, beta: float | None) -> CellActivation:
    missing = [word for word, value in (("alpha", alpha), ("beta", beta)) if value and isnan(value)]
    if missing:
        message = f"expected activation_{' and activation_'.join(missing)} of {brief(name)}"
        raise RefusedError(f"activations: {message}, for which ONNX has no default", "E703")
    slope = alpha if beta is not None and abs(beta - 0.5) < _NEAR else None
    match key:
        case _ if key in _PLAIN:
            return _PLAIN[key]
        case "hardsigmoid" if slope is not None and abs(slope - 0.2) < _NEAR:
            return "legacy_hard_sigmoid"
        case "hardsigmoid" if slope is not None and abs(slope - 1 / 6) < _NEAR:
            return "hard_sigmoid"
        case "affine" if (alpha, beta) == (1.0, 0.0):
            return "linear"
        case "elu" if alpha == 1.0:
            return "elu"
        case "scaledtanh" if (alpha, beta) == (1.0, 1.0):
            return "tanh"
        case "leakyrelu" | "thresholdedrelu" if alpha == 0.0:
            return "relu"
        case _:
            settings = [
                f"{word} {number:g}"
                for word, number in (("alpha", alpha), ("beta", beta))
                if number is not None
            ]
            words = " with ".join([brief(name), *([", ".join(settings)] if settings else [])])
            raise RefusedError(f"activations: rnnspec does not support a cell with {words}", "E703")


def _with_peepholes(cell: nodes.Cell) -> nodes.EquationCell:
    """Return an LSTM whose gates see the cell state, in the equations that rnnspec has for it."""
    assert isinstance(cell, nodes.LSTM)
    declared = zoo_cell(_PEEPHOLES)
    assert isinstance(declared.equations, Mapping)
    functions = {"sigmoid": cell.recurrent_activation, "tanh": cell.activation}
    equations = {
        name: re.sub(r"\b(sigmoid|tanh)\b", lambda word: functions[word[0]], text)
        for name, text in declared.equations.items()
    }
    defaults: Mapping[Role, Initializer] = {
        "kernel": GlorotUniform(),
        "recurrent": Orthogonal(),
        "bias": Constant(0.0),
    }
    changed = declared.model_copy(update={"equations": equations})
    return equation_cell(_PEEPHOLES, changed, {}, defaults)


def _peephole_arrays(
    layer: nodes.Recurrent, w: Array, r: Array, b: Array | None, p: Array
) -> Mapping[str, Array]:
    """Return the canonical arrays of a layer with peepholes; those of the operator are i, o, f, c.

    Raises:
        RefusedError: they have other shapes.
    """
    size, number = 4 * layer.units, len(w)
    bias = np.zeros((number, 2 * size), w.dtype) if b is None else b
    expected = (
        ("W", w, (number, size, w.shape[2])),
        ("R", r, (number, size, layer.units)),
        ("B", bias, (number, 2 * size)),
        ("P", p, (number, 3 * layer.units)),
    )
    for name, array, shape in expected:
        if array.shape != shape:
            raise RefusedError(f"{name}: expected {shape}, received {array.shape}", "E707")
    # The two act as their sum. In float64, so that it is rounded once.
    total = half(bias, "Wb").astype("f8") + half(bias, "Rb").astype("f8")
    result: dict[str, Array] = {}
    for row, prefix in enumerate(directions(layer)):
        for letter, array, gates_of in (
            ("W", w, "iofg"),
            ("U", r, "iofg"),
            ("b", total, "iofg"),
            ("p", p, "iof"),
        ):
            parts = np.split(array[row], len(gates_of))
            result |= {
                f"{prefix}{letter}_{gate}": part for gate, part in zip(gates_of, parts, strict=True)
            }
    return result


def _arrays(layer: nodes.Recurrent, w: Array, r: Array, b: Array | None) -> Mapping[str, Array]:
    """Return the canonical arrays of a layer.

    Raises:
        RefusedError: they have other shapes.
    """
    number, units = len(gates(layer.cell)), layer.units
    directions = len(w)
    shapes: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
        ("W", w.shape, (directions, number * units, w.shape[2])),
        ("R", r.shape, (directions, number * units, units)),
    ]
    if b is not None:
        shapes.append(("B", b.shape, (directions, 2 * number * units)))
    for name, shape, expected in shapes:
        if shape != expected:
            raise RefusedError(f"{name}: expected {expected}, received {shape}", "E707")
    param_of = {param.name: param for param in params(layer)}
    result: dict[str, Array] = {}
    for slot in fused_slots(layer):
        array = {"W": w, "R": r}.get(slot.path)
        if array is None:
            assert b is not None, "it has a bias"
            array, other = half(b, slot.path), half(b, "Rb")
            if slot.path == "Wb" and not has_recurrent_bias(layer.cell) and other.any():
                # The two act as their sum. In float64, so that it is rounded once.
                array = array.astype("f8") + other.astype("f8")
        result[slot.param] = unpack(param_of[slot.param], slot, array[slot.row])
    return result
