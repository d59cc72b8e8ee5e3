"""The network after lowering: every default resolved, every shape known.

Backends, the NumPy reference and the summary use nothing else. Nodes are frozen and each union is
closed, so mypy checks every ``match`` that ends in ``assert_never``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, assert_never, get_args

from rnnspec import words
from rnnspec.ir.equations import Apply, Equations, Expression, evaluate_size, walk
from rnnspec.ir.initializers import Initializer
from rnnspec.words import CellActivation, Merge, Statistic, WindowPadding, WindowStatistic

if TYPE_CHECKING:
    from collections.abc import Iterator

Shape = tuple[int | None, ...]
"""The shape of one sample: ``(steps,)`` for tokens, ``(steps, features)`` or ``(features,)``.

``None`` instead of the steps stands for any length.
"""

LAYER_NORM_EPSILON = 1e-3
"""The epsilon of ``layer_norm: true``: Keras's default, where PyTorch has 1e-5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakyRelu:
    """x if it is positive, otherwise ``slope`` x."""

    slope: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClippedRelu:
    """x, between 0 and ``limit``."""

    limit: float


Activation = words.Activation | LeakyRelu | ClippedRelu
"""An activation of anything but a cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInput:
    """Integers in ``[0, vocabulary)``, shape (batch, steps); 0 is padding if ``mask_zero``."""

    steps: int | None
    vocabulary: int
    mask_zero: bool

    @property
    def shape(self) -> Shape:
        """The shape of one sample."""
        return (self.steps,)

    @property
    def masked(self) -> bool:
        """True if time steps may be padding."""
        return self.mask_zero


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericInput:
    """Real numbers, shape (batch, steps, features).

    A time step is padding if all its features equal ``mask_value``.
    """

    steps: int | None
    features: int
    # Compared for equality, as in keras.layers.Masking.
    mask_value: float | None

    @property
    def shape(self) -> Shape:
        """The shape of one sample."""
        return (self.steps, self.features)

    @property
    def masked(self) -> bool:
        """True if time steps may be padding."""
        return self.mask_value is not None


Input = TokenInput | NumericInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """The file of pretrained vectors, and the file with the word of each token, one per line."""

    weights: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The base of all layers: a name, the shape of the input, and the layer that this comes from.

    ``source`` is the name of that layer. It is None for most: their input is the output of the
    layer before them, or that of the network.
    """

    name: str
    input: Shape
    source: str | None = None

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return self.input


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding(Node):
    """A vector of size ``dim`` for each token, read from files if ``pretrained`` is set."""

    vocabulary: int
    dim: int
    masked: bool
    trainable: bool
    initializer: Initializer
    pretrained: Pretrained | None

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return (*self.input, self.dim)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleRNN:
    """h = activation(x W + h U + b)."""

    activation: CellActivation


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTM:
    """Gates i, f, o through ``recurrent_activation``, candidate and output through ``activation``.

    ``forget_bias`` is the initial bias of the forget gate.
    Source: Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000.
    """

    activation: CellActivation
    recurrent_activation: CellActivation
    forget_bias: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GRU:
    """Gates z and r; h = z h + (1 - z) candidate. Source: Cho et al., 2014.

    With ``reset_after``, the reset gate is applied after the recurrent product, which then has a
    bias of its own. This is the variant of cuDNN and PyTorch, and the default in Keras.
    """

    activation: CellActivation
    recurrent_activation: CellActivation
    reset_after: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EquationCell:
    """A cell that a spec gives by its equations.

    Its parameters are the canonical arrays of a layer, one by one, in the layout of the equations;
    ``initializers`` has theirs. ``sizes`` are those that the equations name beside ``units`` and
    ``features``.
    """

    name: str
    equations: Equations
    initializers: tuple[tuple[str, Initializer], ...]
    sizes: tuple[tuple[str, int], ...]


StandardCell = SimpleRNN | LSTM | GRU
Cell = StandardCell | EquationCell


def cell_type(cell: Cell) -> str:
    """Return the ``type`` of a cell in the language."""
    match cell:
        case EquationCell(name=name):
            return name
        case SimpleRNN():
            return "simple"
        case LSTM():
            return "lstm"
        case GRU():
            return "gru"
        case _:
            assert_never(cell)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrent(Node):
    """A cell applied to each time step, in one direction, or in both if ``merge`` is set.

    ``dropout`` is the rate on the input of the layer, with one mask per sequence and direction,
    scaled by 1 / (1 - rate). ``recurrent_dropout`` is the same on the state, with one mask per
    gate; the input then has one mask per gate too. A ``masked`` layer keeps its state at padding.
    """

    cell: Cell
    units: int
    merge: Merge | None
    bias: bool
    dropout: float
    recurrent_dropout: float
    masked: bool
    return_sequences: bool
    kernel_initializer: Initializer
    recurrent_initializer: Initializer
    bias_initializer: Initializer

    @property
    def features(self) -> int:
        """The number of input features."""
        return width(self.input)

    @property
    def standard_cell(self) -> StandardCell:
        """The cell of a layer that is known to have none by equations."""
        assert not isinstance(self.cell, EquationCell)
        return self.cell

    @property
    def states(self) -> tuple[tuple[str, int], ...]:
        """The name and the size of each state of a direction; the first is the output."""
        match self.cell:
            case EquationCell(equations=equations, sizes=sizes):
                known = {"units": self.units, "features": self.features, **dict(sizes)}
                shapes = dict(equations.shapes)
                return tuple(
                    (name, evaluate_size(shapes[name][0], known)) for name in equations.states
                )
            case LSTM():
                return (("h", self.units), ("c", self.units))
            case SimpleRNN() | GRU():
                return (("h", self.units),)
            case _:
                assert_never(self.cell)

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        size = self.states[0][1]
        size = 2 * size if self.merge == "concat" else size
        return (self.input[0], size) if self.return_sequences else (size,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout(Node):
    """Each element zeroed independently with probability ``rate`` in training, the rest scaled.

    With ``variational``, all steps of a sequence share one mask: a feature is zeroed in all of them
    or in none.
    """

    rate: float
    variational: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling(Node):
    """A statistic of each feature over the time steps, without padding if ``masked``.

    A sequence of only padding gives zeros. ``last_step`` is never masked. ``last`` is the final
    state of a recurrent layer, read from the sequence of its outputs: the last real step, or the
    first real step for the last ``backward`` features, which come from the backward direction.
    """

    statistic: Statistic
    masked: bool
    backward: int = 0

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return self.input[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense(Node):
    """activation(x W + b), at each time step if the input is a sequence.

    ``tied`` is the name of an embedding whose vectors are the columns of W, or None.
    """

    units: int
    activation: Activation
    bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer
    tied: str | None = None

    @property
    def features(self) -> int:
        """The number of input features."""
        return width(self.input)

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return (*self.input[:-1], self.units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention(Node):
    """The mean of the time steps with weights that are learned.

    The weights are softmax(s) over the steps, without padding if ``masked``; the score of a step is
    s = activation(x W + b) v with ``units``, and s = x v without them. A sequence of only padding
    gives zeros. Source: Yang et al., 2016, Hierarchical Attention Networks.
    """

    units: int | None
    activation: Activation
    masked: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer

    @property
    def features(self) -> int:
        """The number of input features."""
        return width(self.input)

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return self.input[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten(Node):
    """The features of all steps in one vector, step after step."""

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        steps, features = self.input
        assert steps is not None, "lowering requires a length"
        return (steps * (features or 0),)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSteps(Node):
    """The last ``count`` steps of a sequence without padding."""

    count: int

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return (self.count, *self.input[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Windows of ``size`` steps, ``dilation`` apart, that begin every ``stride`` steps.

    ``valid`` takes the windows that lie inside the sequence. ``same`` gives ceil(steps / stride)
    windows, with the same number of steps added before and after the sequence, or one more after
    it. ``causal`` adds ``reach`` steps before it, so that no window sees a step after its own.
    """

    size: int
    stride: int
    dilation: int
    padding: WindowPadding

    @property
    def reach(self) -> int:
        """The distance from the first step of a window to its last."""
        return self.dilation * (self.size - 1)

    @property
    def anchor(self) -> int:
        """The step that the first window is anchored at; the others follow every ``stride`` steps.

        The result of a window is padding if the step is. It is the last step of a ``valid`` or
        ``causal`` window.
        """
        return self.reach if self.padding == "valid" else 0

    @property
    def keeps_steps(self) -> bool:
        """True if there is a window for each step, however many there are."""
        return self.stride == 1 and self.anchor == 0

    def count(self, steps: int | None) -> int | None:
        """Return the number of windows over a number of steps, which may be less than 1."""
        # Of integers, as a float has no room for a large one.
        return None if steps is None else -(-(steps - self.anchor) // self.stride)

    def least(self, windows: int) -> int:
        """Return the smallest number of steps that gives a number of windows."""
        return (windows - 1) * self.stride + self.anchor + 1

    def added(self, steps: int) -> tuple[int, int]:
        """Return the number of steps that are added before and after a number of steps."""
        match self.padding:
            case "valid":
                return (0, 0)
            case "causal":
                return (self.reach, 0)
            case "same":
                last = (-(-steps // self.stride) - 1) * self.stride
                total = max(last + self.reach + 1 - steps, 0)
                return (total // 2, total - total // 2)
            case _:
                assert_never(self.padding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(Node):
    """activation(x * W + b): the cross-correlation over the steps, in windows.

    If ``masked``, padded steps are zeros, as the steps that a window adds are.
    """

    filters: int
    window: Window
    activation: Activation
    bias: bool
    masked: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer

    @property
    def features(self) -> int:
        """The number of input features."""
        return width(self.input)

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return (self.window.count(self.input[0]), self.filters)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPooling(Node):
    """The maximum or the mean of each feature in windows over the steps.

    Neither the steps that a window adds nor, if ``masked``, padded steps count.
    """

    statistic: WindowStatistic
    window: Window
    masked: bool

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return (self.window.count(self.input[0]), self.input[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm(Node):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta.

    In training, mean and variance of each feature are over the batch and its steps, without padding
    if ``masked``; the variance is the biased one. After a batch, each moving array is ``momentum``
    times itself plus 1 - ``momentum`` times that of the batch. In inference, the moving arrays are
    the mean and the variance. Source: Ioffe and Szegedy, 2015.
    """

    epsilon: float
    momentum: float
    masked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate(Node):
    """An activation of each element, or over the features for the two softmaxes."""

    activation: Activation


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(Node):
    """The outputs of several layers side by side; ``input`` is what the first of them gives.

    ``of`` names them, and ``inputs`` has the shapes of their outputs. The name ``input`` is the
    input of a network of numbers.
    """

    of: tuple[str, ...]
    inputs: tuple[Shape, ...]

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return (*self.input[:-1], sum(width(shape) for shape in self.inputs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat(Node):
    """A vector repeated ``steps`` times, as a sequence without padding."""

    steps: int

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return (self.steps, *self.input)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNorm(Node):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, over the features of each time step.

    Source: Ba et al., 2016.
    """

    epsilon: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceNorm(Node):
    """Each feature of a sequence, as ``about`` says.

    Mean and variance are over the steps, without padding if ``masked``; of no steps, both are 0.
    Source: https://arxiv.org/abs/1607.08022.
    """

    about: ClassVar[str] = (
        "Each feature of a sequence: gamma (x - mean) / sqrt(variance + epsilon) + beta."
    )

    epsilon: float
    masked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalize(Node):
    """x / max(norm, 1e-12) with the Euclidean norm of a vector; zeros stay zeros."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual(Node):
    """x plus the input of the layer named ``start``, which has the same shape."""

    start: str


# A new kind of layer goes here; mypy then reports every match that does not handle it.
Composed = InstanceNorm
"""The layers with arrays whose source is their recipe: frameworks have none that skips padding."""
ParameterFree = (
    Repeat
    | WindowPooling
    | Activate
    | Residual
    | Concat
    | Dropout
    | Pooling
    | Flatten
    | LastSteps
    | Normalize
)
"""The layers without arrays."""
Layer = (
    Embedding
    | Recurrent
    | Conv
    | BatchNorm
    | LayerNorm
    | Composed
    | Attention
    | Dense
    | ParameterFree
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A chain of layers. ``description`` is free text that reaches comments, never code.

    ``outputs`` has the name of each output with that of the layer that computes it, if the network
    has named heads. Otherwise it is empty, and the output is that of the last layer.
    """

    name: str
    description: str
    input: Input
    layers: tuple[Layer, ...]
    outputs: tuple[tuple[str, str], ...] = ()

    @property
    def output(self) -> Shape:
        """The output shape of one sample, of a network without named outputs."""
        return self.layers[-1].output

    @property
    def results(self) -> dict[str, Layer]:
        """The layer of each output by the name of the output, which is empty if it has none."""
        if not self.outputs:
            return {"": self.layers[-1]}
        by_name = {layer.name: layer for layer in self.layers}
        return {name: by_name[layer] for name, layer in self.outputs}

    @property
    def pads(self) -> bool:
        """True if a result has padded time steps."""
        padded = windows_of_padding(self)
        return any(layer.name in padded for layer in self.results.values())


INPUT = "input"
"""The name of the input of a network among the sources of its layers."""


def sources(network: Network) -> dict[str, tuple[str, ...]]:
    """Return the names of what each layer takes: one layer, or the input, or several for a join."""
    result: dict[str, tuple[str, ...]] = {}
    previous = INPUT
    for layer in network.layers:
        result[layer.name] = layer.of if isinstance(layer, Concat) else (layer.source or previous,)
        previous = layer.name
    return result


def kept_outputs(network: Network) -> frozenset[str]:
    """Return the names of the layers whose output is used later than by the next layer.

    So are the named outputs, but that of the last layer.
    """
    last = network.layers[-1].name
    previous, joined = INPUT, {layer for _, layer in network.outputs if layer != last}
    for layer, names in zip(network.layers, sources(network).values(), strict=True):
        joined.update(name for name in names if name != previous)
        previous = layer.name
    return frozenset(joined)


def windows_of_padding(network: Network) -> dict[str, tuple[Window, ...]]:
    """Return the windows that the mask has gone through after each layer that passes one on.

    It begins as the mask of the input. The result of a window is padding if its anchor is.
    """
    after: dict[str, tuple[Window, ...]] = {INPUT: ()} if network.input.masked else {}
    for layer, (first, *_) in zip(network.layers, sources(network).values(), strict=True):
        # Neither the output of a repeat nor a final state has padding.
        if first not in after or isinstance(layer, Repeat) or len(layer.output) < 2:
            continue
        windows = (layer.window,) if isinstance(layer, Conv | WindowPooling) else ()
        after[layer.name] = after[first] + windows
    after.pop(INPUT, None)
    return after


def tied_layers(network: Network) -> list[Dense]:
    """Return the layers with the vectors of an embedding and a bias of their own."""
    dense = (layer for layer in network.layers if isinstance(layer, Dense))
    return [layer for layer in dense if layer.tied and layer.bias]


def least_steps(network: Network) -> int:
    """Return the smallest number of steps of an input that leaves each layer one, or more."""
    least = 1
    for layer in reversed(network.layers):
        match layer:
            case Repeat():
                least = 1
            case Conv(window=window) | WindowPooling(window=window):
                least = window.least(least)
            case LastSteps(count=count):
                least = max(least, count)
            case _:
                pass
    return least


def width(shape: Shape) -> int:
    """Return the size of the last axis.

    Raises:
        ValueError: the last axis has any length, because it is the time steps of tokens.
    """
    size = shape[-1]
    if size is None:
        raise ValueError(f"the last axis of {shape} has no fixed size")
    return size


def cell_activations(cell: StandardCell) -> tuple[CellActivation, ...]:
    """Return the activations of a cell: of its candidate, and of its gates if it has any."""
    if isinstance(cell, SimpleRNN):
        return (cell.activation,)
    return (cell.activation, cell.recurrent_activation)


_CELL_ACTIVATIONS: tuple[CellActivation, ...] = get_args(CellActivation)


def cell_expressions(network: Network) -> Iterator[Expression]:
    """Yield all expressions of the cells by equation, and those inside them."""
    for layer in network.layers:
        if isinstance(layer, Recurrent) and isinstance(layer.cell, EquationCell):
            for line in layer.cell.equations.lines:
                yield from walk(line.value)


def layer_activations(layer: Layer) -> tuple[Activation, ...]:
    """Return the activations of a layer."""
    match layer:
        case Recurrent(cell=EquationCell(equations=equations)):
            parts = (part for line in equations.lines for part in walk(line.value))
            used = {part.function for part in parts if isinstance(part, Apply)}
            return tuple(name for name in _CELL_ACTIVATIONS if name in used)
        case Recurrent():
            return cell_activations(layer.standard_cell)
        case Dense() | Conv() | Activate() | Attention(units=int()):
            return (layer.activation,)
        case _:
            return ()
