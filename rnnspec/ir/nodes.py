"""The network after lowering: every default resolved, every shape known.

Backends, the NumPy reference and the summary see nothing else. Nodes are frozen; each union is
closed, so a ``match`` that ends in ``assert_never`` is checked by mypy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rnnspec.ir.initializers import Initializer

Shape = tuple[int | None, ...]
"""What one row of a batch holds: ``(steps,)`` tokens, ``(steps, features)`` or ``(features,)``.

``None`` in the place of the steps means any length.
"""

Activation = Literal["linear", "sigmoid", "softmax", "tanh", "relu", "softplus"]
CellActivation = Literal["tanh", "sigmoid", "relu", "hard_sigmoid", "linear", "softsign", "elu"]
"""``hard_sigmoid`` is Keras 3's and PyTorch's, relu6(x + 3) / 6; ``elu`` has alpha 1."""

Merge = Literal["concat", "sum", "mul", "ave"]
Statistic = Literal["mean", "max"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInput:
    """Whole numbers in ``[0, vocabulary)``, shape (batch, steps); 0 is padding if ``mask_zero``."""

    steps: int | None
    vocabulary: int
    mask_zero: bool

    @property
    def shape(self) -> Shape:
        """The shape of one row."""
        return (self.steps,)

    @property
    def masked(self) -> bool:
        """Whether steps may be padding."""
        return self.mask_zero


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericInput:
    """Real numbers, shape (batch, steps, features).

    A step whose features all equal ``mask_value`` is padding.
    """

    steps: int | None
    features: int
    mask_value: float | None

    @property
    def shape(self) -> Shape:
        """The shape of one row."""
        return (self.steps, self.features)

    @property
    def masked(self) -> bool:
        """Whether steps may be padding."""
        return self.mask_value is not None


Input = TokenInput | NumericInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """Files of word vectors, and of the words that the rows stand for, a line each."""

    weights: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """A row of ``dim`` numbers for each token, read from files where ``pretrained`` says so."""

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
        """The shape of one row that leaves this layer."""
        return (*self.input, self.dim)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleRNN:
    """h = activation(x W + h U + b)."""

    activation: CellActivation


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTM:
    """Gates i, f, o through ``recurrent_activation``, candidate and output through ``activation``.

    ``forget_bias`` is what the forget gate's part of a fresh bias holds.
    Source: Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000.
    """

    activation: CellActivation
    recurrent_activation: CellActivation
    forget_bias: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GRU:
    """Gates z and r; h = z h + (1 - z) candidate. Source: Cho et al., 2014.

    ``reset_after``: the reset gate is applied after the recurrent product, which then has a bias of
    its own (the variant that cuDNN, PyTorch and Keras's default compute).
    """

    activation: CellActivation
    recurrent_activation: CellActivation
    reset_after: bool


Cell = SimpleRNN | LSTM | GRU


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The level that a layer is, from 0, of a module of several, with ``dropout`` between them.

    ``name`` is the module's: that of its lowest layer.
    """

    name: str
    level: int
    levels: int
    dropout: float

    @property
    def is_top(self) -> bool:
        """Whether what leaves this level leaves the module."""
        return self.level == self.levels - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrent:
    """One cell run over the steps, in one direction, or in both when ``merge`` is given.

    ``dropout`` is the rate on the layer's input, one mask a sequence, each direction its own,
    scaled by 1 / (1 - rate). ``recurrent_dropout`` is the same on the state, one mask a gate; the
    input's dropout is then one mask a gate too. A ``masked`` layer holds its state at padding.
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
    stack: Stack | None = None

    @property
    def features(self) -> int:
        """Numbers a step that enter this layer."""
        return width(self.input)

    @property
    def output(self) -> Shape:
        """The shape of one row that leaves this layer."""
        size = 2 * self.units if self.merge == "concat" else self.units
        return (self.input[0], size) if self.return_sequences else (size,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout:
    """Each number zeroed on its own with probability ``rate`` in training, the rest scaled up."""

    name: str
    input: Shape
    rate: float
    stack: str | None = None
    """The module of several levels that drops this itself, between two of them."""

    @property
    def output(self) -> Shape:
        """The shape of one row that leaves this layer."""
        return self.input


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """A statistic of each feature over the steps, over the real ones where ``masked``.

    A row of padding alone gives zeros.
    """

    name: str
    input: Shape
    statistic: Statistic
    masked: bool

    @property
    def output(self) -> Shape:
        """The shape of one row that leaves this layer."""
        return self.input[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """activation(x W + b), at every step where the input is a sequence."""

    name: str
    input: Shape
    units: int
    activation: Activation
    bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer

    @property
    def features(self) -> int:
        """Numbers that enter this layer, at each step if there are steps."""
        return width(self.input)

    @property
    def output(self) -> Shape:
        """The shape of one row that leaves this layer."""
        return (*self.input[:-1], self.units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """One vector given ``steps`` times, as a sequence without padding."""

    name: str
    input: Shape
    steps: int

    @property
    def output(self) -> Shape:
        """The shape of one row that leaves this layer."""
        return (self.steps, *self.input)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNorm:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, over the features of each step.

    Source: Ba et al., 2016.
    """

    name: str
    input: Shape
    epsilon: float

    @property
    def output(self) -> Shape:
        """The shape of one row that leaves this layer."""
        return self.input


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """x plus what entered the layer called ``start``, which has the same shape."""

    name: str
    input: Shape
    start: str

    @property
    def output(self) -> Shape:
        """The shape of one row that leaves this layer."""
        return self.input


Layer = Embedding | Recurrent | Repeat | LayerNorm | Residual | Dropout | Pooling | Dense


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A chain of layers. ``description`` is free text and never reaches code, only comments."""

    name: str
    description: str
    input: Input
    layers: tuple[Layer, ...]

    @property
    def output(self) -> Shape:
        """The shape of one row of the result."""
        return self.layers[-1].output

    @property
    def pads(self) -> bool:
        """Whether the result has steps that are padding; what a repeat gives has none."""
        repeated = any(isinstance(layer, Repeat) for layer in self.layers)
        return self.input.masked and len(self.output) == 2 and not repeated


def width(shape: Shape) -> int:
    """Return the size of the last axis, which is always known.

    Raises:
        ValueError: the last axis is the steps, of any length.
    """
    size = shape[-1]
    if size is None:
        raise ValueError(f"the last axis of {shape} has no fixed size")
    return size
