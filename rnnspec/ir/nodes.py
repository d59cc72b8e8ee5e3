"""The network after lowering: every default resolved, every shape known.

Backends, the NumPy reference and the summary use nothing else. Nodes are frozen and each union is
closed, so mypy checks every ``match`` that ends in ``assert_never``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

from rnnspec.ir.initializers import Initializer
from rnnspec.words import Activation, CellActivation, Merge, Statistic

if TYPE_CHECKING:
    from rnnspec.words import Activation, CellActivation


Shape = tuple[int | None, ...]
"""The shape of one sample: ``(steps,)`` for tokens, ``(steps, features)`` or ``(features,)``.

``None`` instead of the steps stands for any length.
"""

LAYER_NORM_EPSILON = 1e-3
"""The epsilon of ``layer_norm: true``: Keras's default, where PyTorch has 1e-5."""


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
class Embedding:
    """A vector of size ``dim`` for each token, read from files if ``pretrained`` is set."""

    name: str
    input: Shape
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


Cell = SimpleRNN | LSTM | GRU


def cell_type(cell: Cell) -> Literal["simple", "lstm", "gru"]:
    """Return the ``type`` of a cell in the language."""
    match cell:
        case SimpleRNN():
            return "simple"
        case LSTM():
            return "lstm"
        case GRU():
            return "gru"
        case _:
            assert_never(cell)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrent:
    """A cell applied to each time step, in one direction, or in both if ``merge`` is set.

    ``dropout`` is the rate on the input of the layer, with one mask per sequence and direction,
    scaled by 1 / (1 - rate). ``recurrent_dropout`` is the same on the state, with one mask per
    gate; the input then has one mask per gate too. A ``masked`` layer keeps its state at padding.
    """

    name: str
    input: Shape
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
    def output(self) -> Shape:
        """The output shape of one sample."""
        size = 2 * self.units if self.merge == "concat" else self.units
        return (self.input[0], size) if self.return_sequences else (size,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout:
    """Each element zeroed independently with probability ``rate`` in training, the rest scaled."""

    name: str
    input: Shape
    rate: float

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return self.input


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """A statistic of each feature over the time steps, without padding if ``masked``.

    A sequence of only padding gives zeros. ``last_step`` is never masked.
    """

    name: str
    input: Shape
    statistic: Statistic
    masked: bool

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return self.input[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """activation(x W + b), at each time step if the input is a sequence."""

    name: str
    input: Shape
    units: int
    activation: Activation
    bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer

    @property
    def features(self) -> int:
        """The number of input features."""
        return width(self.input)

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return (*self.input[:-1], self.units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A vector repeated ``steps`` times, as a sequence without padding."""

    name: str
    input: Shape
    steps: int

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return (self.steps, *self.input)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNorm:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, over the features of each time step.

    Source: Ba et al., 2016.
    """

    name: str
    input: Shape
    epsilon: float

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return self.input


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalize:
    """x / max(norm, 1e-12) with the Euclidean norm of a vector; zeros stay zeros."""

    name: str
    input: Shape

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return self.input


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """x plus the input of the layer named ``start``, which has the same shape."""

    name: str
    input: Shape
    start: str

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return self.input


# A new kind of layer goes here; mypy then reports every match that does not handle it.
Layer = (
    Embedding | Recurrent | Repeat | LayerNorm | Residual | Dropout | Pooling | Dense | Normalize
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A chain of layers. ``description`` is free text that reaches comments, never code."""

    name: str
    description: str
    input: Input
    layers: tuple[Layer, ...]

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return self.layers[-1].output

    @property
    def pads(self) -> bool:
        """True if the result has padded time steps; the output of a repeat has none."""
        repeated = any(isinstance(layer, Repeat) for layer in self.layers)
        return self.input.masked and len(self.output) == 2 and not repeated


def width(shape: Shape) -> int:
    """Return the size of the last axis.

    Raises:
        ValueError: the last axis has any length, because it is the time steps of tokens.
    """
    size = shape[-1]
    if size is None:
        raise ValueError(f"the last axis of {shape} has no fixed size")
    return size


def cell_activations(cell: Cell) -> tuple[CellActivation, ...]:
    """Return the activations of a cell: of its candidate, and of its gates if it has any."""
    if isinstance(cell, SimpleRNN):
        return (cell.activation,)
    return (cell.activation, cell.recurrent_activation)


def layer_activations(layer: Layer) -> tuple[Activation, ...]:
    """Return the activations of a layer, none if it is neither recurrent nor dense."""
    if isinstance(layer, Recurrent):
        return cell_activations(layer.cell)
    return (layer.activation,) if isinstance(layer, Dense) else ()
