"""The canonical arrays of a network: the smallest set that holds everything it has learned.

Their layout is Keras's, with one bias wherever the equations have one. Every parameter count that
rnnspec prints from a spec is the size of these arrays, and weight files use their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import Literal, assert_never

from rnnspec.ir.cells import gates, has_recurrent_bias
from rnnspec.ir.equations import Shape as EquationShape
from rnnspec.ir.equations import evaluate_size
from rnnspec.ir.initializers import Constant, Initializer
from rnnspec.ir.nodes import (
    LSTM,
    Attention,
    AttentionPooling,
    BatchNorm,
    Cell,
    Conv,
    Dense,
    Embedding,
    EquationCell,
    InstanceNorm,
    Joined,
    Layer,
    LayerNorm,
    Learned,
    LearnedFormula,
    Network,
    ParameterFree,
    Recurrent,
    Scaling,
    Shape,
    width,
)


@dataclass(frozen=True, slots=True)
class Param:
    """One canonical array.

    ``axes`` names its axes in order, with merged axes in brackets: ``in (gate out)`` has the shape
    (in, gates * out), with the gates in the order of ``gates``, one letter per gate.
    ``gate_values`` are the gates whose part starts with a constant instead of ``initializer``.
    ``learned_from`` is what changes the array in training: its gradient, what each batch holds, or
    None if nothing does. A ``positive`` array has no negative element.
    """

    name: str
    axes: str
    sizes: tuple[tuple[str, int], ...]
    initializer: Initializer
    gates: str = ""
    gate_values: tuple[tuple[str, float], ...] = ()
    learned_from: Literal["gradient", "batches"] | None = "gradient"
    positive: bool = False

    @property
    def trainable(self) -> bool:
        """True if the array has a gradient."""
        return self.learned_from == "gradient"

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the array's axes."""
        return shape_of(self.axes, dict(self.sizes))

    @property
    def count(self) -> int:
        """The number of elements."""
        return prod(self.shape)


# Cached, because a network of thousands of layers has a handful of different texts.
@cache
def axis_groups(axes: str) -> tuple[tuple[str, ...], ...]:
    """Return the names on each axis: ``in (gate out)`` is ``(("in",), ("gate", "out"))``."""
    groups: list[tuple[str, ...]] = []
    merged: list[str] | None = None
    for part in axes.replace("(", "( ").replace(")", " )").split():
        if part == "(":
            merged = []
        elif part == ")":
            groups.append(tuple(merged or ()))
            merged = None
        elif merged is not None:
            merged.append(part)
        else:
            groups.append((part,))
    return tuple(groups)


def shape_of(axes: str, sizes: dict[str, int]) -> tuple[int, ...]:
    """Return the shape of an array with these axes."""
    return tuple(prod(sizes[name] for name in group) for group in axis_groups(axes))


def _scaling(layer: Scaling) -> tuple[Param, ...]:
    """Return the arrays at the end of a norm, which begin as in all frameworks."""
    features = (("out", width(layer.input)),)
    ends = (("gamma", 1.0, layer.scale), ("beta", 0.0, layer.offset))
    return tuple(Param(name, "out", features, Constant(value)) for name, value, has in ends if has)


def params(layer: Layer | Learned) -> tuple[Param, ...]:
    """Return the canonical arrays of a layer, none if those of another are used."""
    return () if not isinstance(layer, Learned) and layer.shares else used_params(layer)


def used_params(  # noqa: PLR0912 - a branch for each kind of layer
    layer: Layer | Learned,
) -> tuple[Param, ...]:
    """Return the arrays with which a layer computes, named within it (``forward.kernel``)."""
    if isinstance(layer, LearnedFormula):
        return tuple(_parameters(layer.arrays, layer.initializers, {}))
    if isinstance(layer, ParameterFree):
        return ()
    match layer:
        case Embedding():
            table = (("token", layer.vocabulary), ("out", layer.dim))
            param = Param("embeddings", "token out", table, layer.initializer)
            return (param if layer.trainable else replace(param, learned_from=None),)
        case Recurrent():
            ways = directions(layer)
            arrays = (param for prefix in ways for param in _direction(layer, prefix))
            learned = (replace(used_params(e)[0], name=e.param) for e in layer.learned)
            return (*learned, *arrays, *_asking(layer))
        case Learned():
            # Zeros, as in most networks that learn it.
            return (Param("vector", "out", (("out", layer.size),), Constant(0.0)),)
        case Dense():
            # As in keras.layers.Dense; the weight of torch.nn.Linear is the transpose.
            sizes = (("in", layer.features), ("out", layer.units))
            kernel = Param("kernel", "in out", sizes, layer.kernel_initializer)
            bias = Param("bias", "out", sizes, layer.bias_initializer)
            # A tied kernel is the transpose of an embedding, which has it.
            own = () if layer.tied else (kernel,)
            return (*own, bias) if layer.bias else own
        case Conv():
            # As in keras.layers.Conv1D; the weight of torch.nn.Conv1d is the transpose.
            sizes = (("in", layer.features), ("out", layer.filters))
            steps = (("step", layer.window.size), *sizes)
            kernel = Param("kernel", "step in out", steps, layer.kernel_initializer)
            bias = Param("bias", "out", sizes, layer.bias_initializer)
            return (kernel, bias) if layer.bias else (kernel,)
        case AttentionPooling(units=units):
            size = layer.features if units is None else units
            scores = (("in", size), ("out", 1))
            query = Param("query", "in out", scores, layer.kernel_initializer)
            queries = (query,) if layer.query is None else ()
            if units is None:
                return queries
            sizes = (("in", layer.features), ("out", units))
            kernel = Param("kernel", "in out", sizes, layer.kernel_initializer)
            bias = Param("bias", "out", sizes, layer.bias_initializer)
            return (kernel, *((bias,) if layer.bias else ()), *queries)
        case Attention():
            if not layer.additive:
                return ()
            return (_scoring("score", width(layer.input), layer.kernel_initializer),)
        case BatchNorm():
            features = (("out", width(layer.input)),)
            mean = Param("moving_mean", "out", features, Constant(0.0), learned_from="batches")
            return (
                *_scaling(layer),
                mean,
                replace(mean, name="moving_variance", initializer=Constant(1.0), positive=True),
            )
        case LayerNorm() | InstanceNorm():
            return _scaling(layer)
        case _:
            assert_never(layer)


def _scoring(name: str, size: int, initializer: Initializer) -> Param:
    return Param(name, "in out", (("in", size), ("out", 1)), initializer)


def _asking(layer: Recurrent) -> Iterator[Param]:
    """Yield the arrays with which a recurrent layer attends to another."""
    if layer.attention is None:
        return
    size, initializer = layer.attention.size, layer.kernel_initializer
    if layer.attention.projects:
        sizes = (("in", layer.query_size), ("out", size))
        yield Param("attention.kernel", "in out", sizes, initializer)
    if layer.attention.additive:
        yield _scoring("attention.score", size, initializer)


def named_params(network: Network) -> Iterator[tuple[str, Layer, Param]]:
    """Yield the full canonical name, the layer and the array, in the order of the network."""
    for layer in network.layers:
        for param in params(layer):
            yield f"{layer.name}.{param.name}", layer, param


def count(layer: Layer) -> int:
    """Return the number of parameters of a layer."""
    return sum(param.count for param in params(layer))


@dataclass(frozen=True, slots=True)
class Counts:
    """Parameter counts."""

    trainable: int
    non_trainable: int

    @property
    def total(self) -> int:
        """The sum of both."""
        return self.trainable + self.non_trainable

    def as_dict(self) -> dict[str, int]:
        """Return the three counts by name, as in every JSON output."""
        return {
            "total": self.total,
            "trainable": self.trainable,
            "non_trainable": self.non_trainable,
        }


def counts(network: Network) -> Counts:
    """Return the parameter counts of a network, computed from its nodes."""
    arrays = [param for _, _, param in named_params(network)]
    return Counts(
        trainable=sum(param.count for param in arrays if param.trainable),
        non_trainable=sum(param.count for param in arrays if not param.trainable),
    )


def directions(layer: Recurrent) -> tuple[str, ...]:
    """Return the prefix of each direction's array names."""
    return ("",) if layer.merge is None else ("forward.", "backward.")


def _parameters(
    shapes: Iterable[tuple[str, EquationShape]],
    initializers: Iterable[tuple[str, Initializer]],
    sizes: Mapping[str, int],
    prefix: str = "",
) -> Iterator[Param]:
    """Yield the parameters of equations that have an initializer, in the layout that they have."""
    axes, begins = ("", "out", "out in"), dict(initializers)
    for name, shape in shapes:
        ends = (evaluate_size(size, sizes) for size in shape)
        named = tuple(zip(("out", "in"), ends, strict=False))
        yield Param(f"{prefix}{name}", axes[len(shape)], named, begins[name])


def _direction(layer: Recurrent, prefix: str) -> Iterator[Param]:
    if isinstance(cell := layer.cell, EquationCell):
        own = {"units": layer.units, "features": layer.features, **dict(cell.sizes)}
        yield from _parameters(cell.equations.parameters, cell.initializers, own, prefix)
        return
    order = gates(layer.standard_cell)
    sizes = (("in", layer.features), ("gate", len(order)), ("out", layer.units))
    # The input of the recurrent kernel is the state.
    state = (("in", layer.units), *sizes[1:])
    kernel, recurrent, bias = (
        layer.kernel_initializer,
        layer.recurrent_initializer,
        layer.bias_initializer,
    )
    yield Param(f"{prefix}kernel", "in (gate out)", sizes, kernel, order)
    yield Param(f"{prefix}recurrent_kernel", "in (gate out)", state, recurrent, order)
    if layer.bias:
        values = gate_values(layer.standard_cell)
        yield Param(f"{prefix}bias", "(gate out)", sizes, bias, order, values)
        if has_recurrent_bias(layer.standard_cell):
            # An array of its own: Keras stores both biases in one of shape (2, 3 * units), PyTorch
            # in two.
            yield Param(f"{prefix}recurrent_bias", "(gate out)", sizes, bias, order)


def cell_params(layer: Recurrent, prefix: str) -> Iterator[Param]:
    """Yield the arrays of the cell of a direction."""
    # Another prefix is that of an array beside the cell.
    way = prefix.removesuffix(".")
    return (param for param in params(layer) if param.name.rpartition(".")[0] == way)


def gate_values(cell: Cell) -> tuple[tuple[str, float], ...]:
    """Return the gates whose initial bias is a constant, each with that constant."""
    return (("f", cell.forget_bias),) if isinstance(cell, LSTM) else ()


MAX_AXIS = 2**31 - 1
"""The largest axis: every backend can address it with a 32-bit index."""
MAX_ELEMENTS = (2**63 - 1) // 8
"""The largest array: in float64, its size in bytes fits into a 64-bit integer."""

# Below this width, an axis of four gates has fewer than 2**30 elements, and an array of that and
# another axis fewer than 2**58.
_ALWAYS_FITS = 2**28


def too_large(layer: Layer) -> str | None:
    """Return a message about the first array or output of ``layer`` that is too large, or None.

    A layer whose input is too large is left out: the layer before it has the message.
    """
    # The last axis of tokens is the time steps, which may have any length.
    # A label has no axis.
    widths = [size or 0 for shape in (layer.input, layer.output) for size in shape[-1:]]
    if isinstance(layer, Embedding):
        widths.append(layer.vocabulary)
    if isinstance(layer, Recurrent):
        widths += [layer.features, *(size for _, size in layer.line_sizes)]
    # Decides almost every layer without making a list of its arrays.
    inputs = layer.inputs if isinstance(layer, Joined) else (layer.input,)
    if max(widths) < _ALWAYS_FITS or any(too_large_shape("", shape) for shape in inputs):
        return None
    shapes: dict[str, Shape] = {f"{layer.name}.{p.name}": p.shape for p in params(layer)}
    if isinstance(layer, Recurrent):
        shapes |= {f"{layer.name}.{name}": (size,) for name, size in layer.line_sizes}
    shapes[f"the output of {layer.name} for one sequence"] = layer.output
    return next(filter(None, (too_large_shape(*item) for item in shapes.items())), None)


def too_large_shape(name: str, shape: Shape) -> str | None:
    """Return a message that ``name`` is too large if its ``shape`` is, or None."""
    sizes = [size for size in shape if size is not None]
    if max(sizes, default=1) <= MAX_AXIS and prod(sizes) <= MAX_ELEMENTS:
        return None
    return (
        f"too large: {name} would have {' x '.join(f'{size:,}' for size in sizes)} elements; the "
        f"maximum is {MAX_AXIS:,} per axis and {MAX_ELEMENTS:,} per array"
    )
