"""Functions of the features of a step, known by what they compute.

An activation, a norm or a bias is one node or a dozen. They are collected until a layer takes the
result. Then they are run on samples, which reach both sides of each limit in a node, and compared
with everything that the language can say there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from rnnspec.comparison.reference import activate
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.ir import nodes
from rnnspec.words import Activation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.graph.layer_graph import Operation

_ROWS = 48
_MOST_NUMBERS = 2**23
"""The most numbers of the samples; with more features, there are fewer rows."""
_FEWEST_ROWS = 6
_SCALES = (1, 30, 1e3, 3e4, 1e6)
"""How much larger numbers of the samples become, to reach the limits of nodes."""
_TINY = 1e-6
"""The largest number that only keeps a norm from being 0."""
_LONGEST = 60
"""The most nodes of a function."""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureFunction:
    """A function of the features of one step: an operator applied to others and to constants.

    ``parts`` are formulas, constants, and None for the features. The result is one number for all
    features if it ``is_single``. ``op`` is the operator by ONNX's name, with its ``attributes``,
    and ``depth`` is how many operators are nested. ``small`` are single constants between 0 and 1:
    one may be the epsilon of a norm. ``origin`` is the operation that applies it, for messages.
    ``refused`` is why the first operator in it that is no layer cannot be taken over by itself,
    None if a front end says nothing of it. The attribute ``activation`` is the activation that the
    operator is.
    """

    function: Callable[..., Array]
    parts: tuple[FeatureFunction | Array | None, ...]
    is_single: bool
    op: str
    depth: int
    attributes: Mapping[str, Any]
    small: tuple[float, ...] = ()
    origin: Operation | None = None
    refused: RefusedError | None = None

    @property
    def constants(self) -> list[Array]:
        """The constants in it."""
        return [p for inner in _walk(self) for p in inner.parts if isinstance(p, np.ndarray)]


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """a x + b with numbers for each feature."""

    a: Array
    b: Array


@dataclass(frozen=True, slots=True, eq=False)
class LayerNormalization:
    """A layer norm."""

    gamma: Array
    beta: Array
    epsilon: float


@dataclass(frozen=True, slots=True)
class L2:
    """The division by the Euclidean norm."""


Piece = nodes.Activation | Affine | LayerNormalization | L2
"""A function that rnnspec supports: an activation, or one of the others."""


def layer_of(piece: nodes.Activation | LayerNormalization | L2) -> nodes.Layer:
    """Return the layer that a piece is, without a place and without its arrays."""
    match piece:
        case LayerNormalization(epsilon=epsilon):
            return nodes.LayerNorm(name="layer_norm", input=(), epsilon=epsilon)
        case L2():
            return nodes.Normalize(name="normalize", input=())
        case _:
            name = piece if isinstance(piece, str) else type(piece).__name__
            return nodes.Activate(name=name, input=(), activation=piece)


def apply(  # noqa: PLR0913 - the parts of a formula
    op: str,
    function: Callable[..., Array],
    parts: tuple[FeatureFunction | Array | None, ...],
    *,
    attributes: Mapping[str, Any] = MappingProxyType({}),
    is_single: bool = False,
    origin: Operation | None = None,
    refused: RefusedError | None = None,
) -> FeatureFunction:
    """Return an operator applied to formulas, to constants, and to the features.

    Raises:
        RefusedError: there are too many operators.
    """
    inner = [part for part in parts if isinstance(part, FeatureFunction)]
    constants = [part for part in parts if isinstance(part, np.ndarray)]
    depth = 1 + max((part.depth for part in inner), default=0)
    if depth > _LONGEST:
        raise RefusedError(f"expected a layer of the language, received {depth} operators in a row")
    epsilons = dict.fromkeys(
        [epsilon for part in inner for epsilon in part.small]
        + [float(constant.flat[0]) for constant in constants if constant.size == 1]
    )
    return FeatureFunction(
        function,
        parts,
        is_single,
        op,
        depth,
        attributes,
        tuple(epsilon for epsilon in epsilons if 0.0 < epsilon < 1.0)[:8],
        origin,
        next((part.refused for part in inner if part.refused is not None), refused),
    )


def apply_activation(
    activation: nodes.Activation, x: FeatureFunction | None, origin: Operation | None
) -> FeatureFunction:
    """Return an activation applied to a formula, or to the features."""
    parts: tuple[FeatureFunction | Array | None, ...] = (x,)
    attributes: dict[str, Any] = {"activation": activation}
    match activation:
        case nodes.LeakyRelu():
            op = "LeakyRelu"
        case nodes.ClippedRelu(limit=limit):
            op, parts = "Clip", (x, np.zeros(1), np.array([limit]))
        case "hard_sigmoid" | "legacy_hard_sigmoid":
            slope = 1 / 6 if activation == "hard_sigmoid" else 0.2
            op, attributes = "HardSigmoid", {**attributes, "alpha": slope, "beta": 0.5}
        case _:
            op = {"exponential": "Exp"}.get(activation, activation.capitalize())

    def run(x: Array, *_: Array) -> Array:
        return activate(x, activation)

    single = x is not None and x.is_single
    return apply(op, run, parts, attributes=attributes, is_single=single, origin=origin)


def recognise(formula: FeatureFunction, width: int) -> list[tuple[FeatureFunction, Piece]]:
    """Return the pieces of a function, each with the formula that it completes.

    Args:
        formula: the function of the features of a step.
        width: the number of features.

    Raises:
        RefusedError: it is not supported.
    """
    pieces = _split(formula, width)
    if pieces is None:
        ops = ", ".join(dict.fromkeys(inner.op for inner in _walk(formula)))
        limits = dict.fromkeys(
            f"{float(limit):g}"
            for inner in _walk(formula)
            for part in [*inner.parts, *map(inner.attributes.get, ("min", "max", "alpha", "beta"))]
            if inner.op in _LIMITED and part is not None and not isinstance(part, FeatureFunction)
            for limit in np.ravel(part)[:1]
        )
        if limits:
            origin = next(inner.origin for inner in _walk(formula) if inner.op in _LIMITED)
            message = f"rnnspec does not support {ops} with {' and '.join(limits)} of features"
            raise RefusedError(message, "E701", origin)
        raise RefusedError(f"rnnspec does not support a function of features like {ops}", "E701")
    return pieces


def _split(formula: FeatureFunction, width: int) -> list[tuple[FeatureFunction, Piece]] | None:
    """Return the pieces of a function from its first to its last, or None."""
    rest, pieces = formula, list[tuple[FeatureFunction, Piece]]()
    while True:
        if (bias := _zero_bias(rest, width)) is not None:
            return [(rest, Affine(np.ones_like(bias), bias)), *pieces]
        inner = rest.parts[0]
        cuts: list[FeatureFunction | None] = [None, *_cuts(rest)]
        if "activation" in rest.attributes and not isinstance(inner, np.ndarray):
            # Each of several activations in a row is a layer.
            cuts = [inner] if inner is None or inner.refused is None else cuts
        if len(cuts) > 1 and cuts[1] is not None and _zero_bias(cuts[1], width) is not None:
            cuts = cuts[1:]
        # Whole functions first, then those behind a value that everything goes through.
        for start in cuts:
            if (piece := _match(rest, start, width)) is not None:
                break
        else:
            return None
        if piece != "linear":
            pieces.insert(0, (rest, piece))
        if start is None:
            return pieces
        rest = start


def _zero_bias(formula: FeatureFunction, width: int) -> Array | None:
    """Return the zeros that are all that a function adds, or None.

    They change nothing, but a layer has them as its bias.
    """
    if formula.op != "Add" or formula.depth > 1:
        return None
    arrays = [part for part in formula.parts if isinstance(part, np.ndarray)]
    return (
        arrays[0]
        if len(arrays) == 1 and arrays[0].shape == (width,) and not arrays[0].any()
        else None
    )


def _walk(
    formula: FeatureFunction, until: FeatureFunction | None = None
) -> Iterator[FeatureFunction]:
    """Yield the formulas within one, once each, the outer ones first."""
    seen, waiting = {id(until)}, [formula]
    while waiting:
        now = waiting.pop(0)
        if id(now) in seen:
            continue
        seen.add(id(now))
        yield now
        waiting += [part for part in now.parts if isinstance(part, FeatureFunction)]


def _cuts(formula: FeatureFunction) -> list[FeatureFunction]:
    """Return the formulas within one through which it gets its features, the inner ones first."""
    inner = [part for part in _walk(formula) if part is not formula and not part.is_single]
    cuts = [
        cut
        for cut in inner
        if not any(part is None for other in _walk(formula, cut) for part in other.parts)
    ]
    return sorted(cuts, key=lambda cut: cut.depth)


def evaluate(
    formula: FeatureFunction, x: Array, start: FeatureFunction | None = None
) -> tuple[Array, bool]:
    """Return a function of features, or of the result of the formula at which it starts.

    The other result is whether all limits in it have numbers on both sides.
    """
    done: dict[int, Array] = {id(start): x} if start is not None else {}

    def value(part: FeatureFunction | Array | None) -> Array:
        if part is None:
            return x
        return done[id(part)] if isinstance(part, FeatureFunction) else part

    reached = True
    for inner in sorted(_walk(formula, start), key=lambda inner: inner.depth):
        values = list(map(value, inner.parts))
        reached &= _reaches_limits(inner, values)
        done[id(inner)] = inner.function(*values)
    return done[id(formula)], reached


def _reaches_limits(formula: FeatureFunction, values: Sequence[Array]) -> bool:
    """True if there are numbers on both sides of each limit of an operator."""
    x, attributes = values[0], formula.attributes
    of_norm = any(isinstance(part, FeatureFunction) and part.is_single for part in formula.parts)
    pairs: list[tuple[Array, Any]] = []
    match formula.op:
        case "Min" | "Max":
            pairs = list(combinations(sorted(values, key=np.size, reverse=True), 2))
        case "Clip":
            pairs = [(x, limit) for limit in values[1:]]
            pairs += [(x, attributes[key]) for key in ("min", "max") if key in attributes]
        case "ThresholdedRelu":
            pairs = [(x, attributes.get("alpha", 1.0))]
        case "HardSigmoid" | "HardSwish":
            alpha, beta = (0.2, 0.5) if formula.op == "HardSigmoid" else (1 / 6, 0.5)
            line = attributes.get("alpha", alpha) * x + attributes.get("beta", beta)
            pairs = [(line, 0.0), (line, 1.0)]
        case _ if formula.op in _LIMITED:
            pairs = [(x, 0.0)]
        case _:
            pass
    low, high = _range(formula.parts[0])
    for one, two in pairs:
        limit = np.asarray(two)
        if one is x and limit.size == 1 and not low < limit < high:
            # As nodes before it say.
            continue
        # No number is beyond the largest one, and a norm is no number as small as that.
        if limit.size == 1 and (
            abs(limit) >= np.finfo("f4").max or (of_norm and 0 < limit <= _TINY)
        ):
            continue
        sides = (one < limit, one > limit)
        of_each = limit.ndim == 1 and limit.size > 1
        if not all(side.any(0).all() if of_each else side.any() for side in sides):
            return False
    return True


def _range(part: FeatureFunction | Array | None) -> tuple[float, float]:
    """Return the smallest and the largest number of a value, by the limits of nodes."""
    if not isinstance(part, FeatureFunction):
        return -np.inf, np.inf
    low, high = _range(part.parts[0])
    limits = [
        float(limit.flat[0])
        for limit in part.parts[1:]
        if isinstance(limit, np.ndarray) and limit.size == 1
    ]
    match part.op:
        case "Relu":
            return max(low, 0.0), max(high, 0.0)
        case "Max" if len(limits) == len(part.parts) - 1:
            return max(low, *limits), max(high, *limits)
        case "Min" if len(limits) == len(part.parts) - 1:
            return min(low, *limits), min(high, *limits)
        case _:
            return -np.inf, np.inf


def _match(formula: FeatureFunction, start: FeatureFunction | None, width: int) -> Piece | None:
    """Return the piece that a function is, ``linear`` if it changes nothing, or None."""
    if formula.is_single and width > 1:
        return None
    if "activation" in formula.attributes and formula.parts[0] is start:
        activation: nodes.Activation = formula.attributes["activation"]
        return activation
    rng = np.random.default_rng(0)
    rows = min(_ROWS, _MOST_NUMBERS // width)
    if rows < _FEWEST_ROWS:
        return None
    x = rng.standard_normal((rows, width)) * np.logspace(-3, 1.4, rows)[:, None]
    for scale in _SCALES:
        # The largest ones larger still, until they reach all limits.
        samples = x if scale == 1 else np.concatenate([x, x[-_FEWEST_ROWS:] * scale])
        with np.errstate(all="ignore"):
            try:
                y, reached = evaluate(formula, samples, start)
                y = np.broadcast_to(y, samples.shape).astype("f8")
            except (ValueError, TypeError, KeyError):
                return None
            if not np.isfinite(y).all():
                return None
            if reached:
                return _with_constants(_find_piece(formula, start, samples, y), formula, start)
    return None


def _find_piece(
    formula: FeatureFunction, start: FeatureFunction | None, x: Array, y: Array
) -> Piece | None:
    """Return the piece with the results ``y`` for the features ``x``."""
    if not _is_curved(formula, start):
        for name in _STRAIGHT:
            if _equal(y, activate(x, name)):
                return name
        straight = _match_leaky_relu(x, y) or _match_clipped_relu(x, y) or _match_affine(x, y)
        if straight is not None:
            return straight
    for name in _CURVED:
        if _equal(y, activate(x, name)):
            return name
    return _match_norm(x, y, formula.small) or _match_single_l2(formula, start, x, y)


def _is_curved(formula: FeatureFunction, start: FeatureFunction | None) -> bool:
    """True if a function has pieces that are no straight lines, however large they are."""
    return any(
        inner.op not in _PIECES | _LINES
        or (
            inner.op in ("Mul", "Div")
            and sum(not isinstance(p, np.ndarray) for p in inner.parts) > 1
        )
        or (inner.op == "Div" and not isinstance(inner.parts[-1], np.ndarray))
        for inner in _walk(formula, start)
    )


def _with_constants(
    piece: Piece | None, formula: FeatureFunction, start: FeatureFunction | None
) -> Piece | None:
    """Return a piece with the very arrays of the formula in place of those that were found."""
    parts = [part for inner in _walk(formula, start) for part in inner.parts]
    constants = [part for part in parts if isinstance(part, np.ndarray)]

    def exact(fit: Array) -> Array:
        for constant in constants:
            if constant.shape == fit.shape and np.allclose(constant, fit, rtol=1e-5, atol=1e-7):
                return constant
        return fit.astype(np.float32)

    match piece:
        case Affine(a=a, b=b):
            return Affine(exact(a), exact(b))
        case LayerNormalization(gamma=gamma, beta=beta, epsilon=epsilon):
            return LayerNormalization(exact(gamma), exact(beta), epsilon)
        case _:
            return piece


def _equal(y: Array, other: Array) -> bool:
    return bool(np.allclose(y, other, rtol=3e-6, atol=1e-6))


def _match_leaky_relu(x: Array, y: Array) -> nodes.LeakyRelu | None:
    at = np.unravel_index(x.argmin(), x.shape)
    slope = float(np.float32(y[at] / x[at])) if x[at] < 0 else 1.0
    fits = 0 <= slope < 1 and _equal(y, np.where(x > 0, x, slope * x))
    return nodes.LeakyRelu(slope=shortest_float(slope)) if fits else None


def _match_clipped_relu(x: Array, y: Array) -> nodes.ClippedRelu | None:
    limit = float(y.max())
    fits = 0 < limit < x.max() and _equal(y, np.clip(x, 0, limit))
    return nodes.ClippedRelu(limit=shortest_float(limit)) if fits else None


def shortest_float(number: float) -> float:
    """Return the shortest number that float32 cannot tell from one."""
    return float(str(np.float32(number)))


def _match_affine(x: Array, y: Array) -> Affine | None:
    # The rows with the largest numbers, of different signs or sizes.
    high, low = x.argmax(0), x.argmin(0)
    at = np.arange(x.shape[1])
    a = (y[high, at] - y[low, at]) / (x[high, at] - x[low, at])
    b = y[high, at] - a * x[high, at]
    return Affine(a, b) if _equal(y, a * x + b) and a.any() else None


def _match_norm(x: Array, y: Array, epsilons: tuple[float, ...]) -> LayerNormalization | L2 | None:
    if x.shape[1] == 1:
        return None
    length = np.sqrt((x * x).sum(-1, keepdims=True))
    if _equal(y, x / length):
        return L2()
    for epsilon in epsilons:
        z = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)
        fit = _match_affine(z, y)
        if fit is not None:
            return LayerNormalization(fit.a, fit.b, shortest_float(epsilon))
    return None


def _match_single_l2(
    formula: FeatureFunction, start: FeatureFunction | None, x: Array, y: Array
) -> L2 | None:
    """Return the division of one feature by its norm, which leaves its sign, or None."""
    is_norm = any(part.op == "ReduceL2" for part in _walk(formula, start))
    return L2() if is_norm and x.shape[1] == 1 and _equal(y, np.sign(x)) else None


_LINES = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Sum"})
"""Operators that make straight lines of straight lines, if they multiply no two of them."""
_PIECES = frozenset(
    {"Min", "Max", "Clip", "Relu", "LeakyRelu", "PRelu", "Abs", "ThresholdedRelu", "HardSigmoid"}
)
"""Operators that make pieces of straight lines."""
_LIMITED = _PIECES | {"HardSwish", "Elu", "Celu", "Selu"}
"""Operators that compute otherwise on the other side of a number."""
_STRAIGHT: tuple[Activation, ...] = ("linear", "relu", "hard_sigmoid", "legacy_hard_sigmoid")
_CURVED: tuple[Activation, ...] = tuple(
    name for name in get_args(Activation) if name not in _STRAIGHT
)
