"""The network after lowering: every default resolved, every shape known.

Backends, the NumPy reference and the summary use nothing else. Nodes are frozen and each union is
closed, so mypy checks every ``match`` that ends in ``assert_never``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, assert_never, get_args

from rnnspec import words
from rnnspec.ir.equations import Apply, Equations, Expression, Name, evaluate_size, walk
from rnnspec.ir.initializers import Initializer
from rnnspec.ir.reductions import REDUCTIONS, Reduction
from rnnspec.words import (
    Attended,
    CellActivation,
    JoinHow,
    Merge,
    Statistic,
    WindowPadding,
    WindowStatistic,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rnnspec.ir.equations import Shape as Sizes

Shape = tuple[int | None, ...]
"""The shape of one sample: ``(steps,)`` for tokens, ``(steps, features)`` or ``(features,)``.

``None`` instead of the steps stands for any length. A label has the shape ``()``.
"""

INPUT = "input"
"""The name of the only input of a network, unless it has another."""

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

    name: str = INPUT
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

    name: str = INPUT
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


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorInput:
    """One vector of real numbers for each sequence, shape (batch, features).

    ``state`` is true of the first state of a recurrent layer, which a caller passes on.
    """

    name: str
    features: int
    state: bool

    @property
    def shape(self) -> Shape:
        """The shape of one sample."""
        return (self.features,)

    @property
    def masked(self) -> bool:
        """False: it has no time steps."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelInput:
    """One integer in ``[0, vocabulary)`` for each sequence, shape (batch,)."""

    name: str
    vocabulary: int

    @property
    def shape(self) -> Shape:
        """The shape of one sample."""
        return ()

    @property
    def masked(self) -> bool:
        """False: it has no time steps."""
        return False


SequenceInput = TokenInput | NumericInput
"""An input with time steps."""
Input = SequenceInput | VectorInput | LabelInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """The file of pretrained vectors, and the file with the word of each token, one per line."""

    weights: str
    words: str


ActsOn = Literal["token", "element", "feature", "step", "inputs", "steps"]
"""What each number of an output is computed from.

It is one token; the element at its place; its feature, in training with
statistics of all steps; all features of its step; the same step of several inputs; several steps.
"""
TimeAxis = Literal["kept", "windows", "new", "dropped"]
"""The time axis of an output: that of the input, its windows, one of its own, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The base of all layers: a name, the shape of the input, and the layer that this comes from.

    ``source`` is the name of that layer, or of an input. It is None for most: their input is the
    output of the layer before them, or the first input of the network. ``shares`` is the name of
    another layer with the same settings whose arrays these are, or None if it has its own.

    ``no_step_form`` has the key that asks for a layer which cannot be computed in chunks, and the
    reason. ``about`` is the sentence above source that is its recipe, and below its picture.
    """

    acts_on: ClassVar[ActsOn] = "steps"
    time_axis: ClassVar[TimeAxis] = "kept"
    no_step_form: ClassVar[tuple[str, str] | None] = None
    about: ClassVar[str] = ""

    name: str
    input: Shape
    source: str | None = None
    shares: str | None = None

    @property
    def owner(self) -> str:
        """The name of the layer that has the arrays with which it computes."""
        return self.shares or self.name

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return self.input

    @property
    def is_pointwise(self) -> bool:
        """True if each step is computed from that step of the input alone, as in inference."""
        return self.acts_on in ("element", "feature", "step")


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding(Node):
    """A vector of size ``dim`` for each token, read from files if ``pretrained`` is set."""

    acts_on: ClassVar[ActsOn] = "token"

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
class StepAttention:
    """What a recurrent layer attends to at each step, before the cell or in its equations.

    The query q is the output state h before the step, and the cell takes [x, context]; or the
    equations of the cell ask the memory of the name ``asked_as``, with queries of ``asks`` features
    and at their place in the step. The keys are weighted for q, or q W with ``projects``. The
    weights over the steps of the layer ``over``, of ``width`` features, and their mean, the
    context, are those of ``Attention`` with the same fields. ``size`` is the number of features of
    what is compared with the keys.
    """

    over: str
    keys: str
    width: int
    size: int
    projects: bool
    additive: bool
    scale: float
    masked: bool
    asked_as: str = ""
    asks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A value of a recurrent layer beside its output, which others take by its ``name``.

    It is the ``state`` after the last step, both directions side by side: that of the last real
    step, or the first state if no step is real. The backward direction ends at the first step.
    If ``state`` is empty, it is the context at each step of a layer with attention.
    """

    layer: str
    state: str
    output: Shape

    @property
    def name(self) -> str:
        """The name by which it is taken."""
        return f"{self.layer}_final_{self.state}" if self.state else f"{self.layer}_context"


@dataclass(frozen=True, slots=True)
class Learned:
    """A vector that a ``state`` of a recurrent layer begins as, which is an array of the layer.

    It has ``size`` numbers, both directions side by side, and is the same for each sequence.
    """

    about: ClassVar[str] = "A vector that is learned, the same for each sequence of x."
    masked: ClassVar[bool] = False

    layer: str
    state: str
    size: int

    @property
    def output(self) -> Shape:
        """The shape of one sample."""
        return (self.size,)

    @property
    def name(self) -> str:
        """The name of the value, and of the module that holds the array."""
        return f"{self.layer}_initial_{self.state}"

    @property
    def param(self) -> str:
        """The name of the array within the layer."""
        return f"initial.{self.state}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrent(Node):
    """A cell applied to each time step, in one direction, or in both if ``merge`` is set.

    A layer of one direction is ``backward`` if it begins at the last step. ``initial`` names a
    vector for each of the states that ``begins`` lists, None for zeros, with both directions side
    by side; it is empty if all are zeros, and "learned" if each is an array of the layer.
    ``dropout`` is the rate on the input of the layer, with one mask per sequence and direction,
    scaled by 1 / (1 - rate). ``recurrent_dropout`` is the same on the state, with one mask per
    gate; the input then has one mask per gate too. A ``masked`` layer keeps its state at padding.
    A layer with ``attention`` has one direction, and no dropout of its own. ``state_names`` are the
    names that a spec has for the states of a standard cell, empty if they have those of its
    equations.
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
    backward: bool = False
    initial: tuple[str | None, ...] | Literal["learned"] = ()
    attention: StepAttention | None = None
    state_names: tuple[str, ...] = ()

    @property
    def features(self) -> int:
        """The number of features that the cell takes: those of the input, and of the context."""
        return width(self.input) + (self.leading.width if self.leading else 0)

    @property
    def leading(self) -> StepAttention | None:
        """What it attends to before the cell, which then takes the context behind the input."""
        return None if self.attention and self.attention.asked_as else self.attention

    @property
    def query_size(self) -> int:
        """The number of features of its queries, before they are projected."""
        return self.attention.asks if self.attention and not self.leading else self.states[0][1]

    @property
    def ways(self) -> int:
        """The number of directions."""
        return 1 if self.merge is None else 2

    @property
    def begins(self) -> tuple[tuple[str, int], ...]:
        """The states that a step reads, whose first values have a meaning."""
        if not isinstance(self.cell, EquationCell):
            return self.states
        parts = (part for line in self.cell.equations.lines for part in walk(line.value))
        read = {part.name for part in parts if isinstance(part, Name) and part.kind == "state"}
        if self.leading:
            # It asks with the output.
            read.add(self.cell.equations.states[0])
        return tuple(state for state in self.states if state[0] in read)

    @property
    def first_states(self) -> dict[str, str]:
        """The vector that each state begins as, by the name of the state, but for zeros."""
        return {vector.state: vector.name for vector in self.learned} or self.begins_as

    @property
    def begins_as(self) -> dict[str, str]:
        """The vector from outside the layer that each state begins as, but for zeros."""
        if not self.initial or self.initial == "learned":
            # A draft of an importer has no shapes yet, on which the states depend.
            return {}
        assert isinstance(self.initial, tuple), f"no state begins as {self.initial}"
        pairs = zip(self.begins, self.initial, strict=True)
        return {state: vector for (state, _), vector in pairs if vector is not None}

    @property
    def learned(self) -> tuple[Learned, ...]:
        """The vectors that its states begin as, if these are arrays of the layer."""
        states = self.begins if self.initial == "learned" else ()
        return tuple(Learned(self.owner, state, self.ways * size) for state, size in states)

    @property
    def standard_cell(self) -> StandardCell:
        """The cell of a layer that is known to have none by equations."""
        assert not isinstance(self.cell, EquationCell)
        return self.cell

    @property
    def states(self) -> tuple[tuple[str, int], ...]:
        """The name and the size of each state of a direction; the first is the output."""
        match self.cell:
            case EquationCell(equations=equations):
                shapes = dict(equations.shapes)
                return self._evaluate(tuple((name, shapes[name]) for name in equations.states))
            case LSTM():
                own: tuple[str, ...] = ("h", "c")
            case SimpleRNN() | GRU():
                own = ("h",)
            case _:
                assert_never(self.cell)
        return tuple((name, self.units) for name in self.state_names or own)

    @property
    def line_sizes(self) -> tuple[tuple[str, int], ...]:
        """The name and the size of each vector that a cell by equations computes in a step."""
        if not isinstance(self.cell, EquationCell):
            return ()
        return self._evaluate(tuple(item for item in self.cell.equations.shapes if item[1]))

    @property
    def ports(self) -> tuple[Port, ...]:
        """The values beside the output: a final one of each state, and contexts of a sequence."""
        sizes = [(state, (self.ways * size,)) for state, size in self.states]
        shapes: list[tuple[str, Shape]] = [*sizes]
        if self.leading and self.return_sequences:
            shapes.append(("", (self.input[0], self.leading.width)))
        return tuple(Port(layer=self.name, state=name, output=shape) for name, shape in shapes)

    def _evaluate(self, shapes: Iterable[tuple[str, Sizes]]) -> tuple[tuple[str, int], ...]:
        assert isinstance(self.cell, EquationCell)
        known = {"units": self.units, "features": self.features, **dict(self.cell.sizes)}
        return tuple((name, evaluate_size(shape[0], known)) for name, shape in shapes)

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

    acts_on: ClassVar[ActsOn] = "element"

    rate: float
    variational: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling(Node):
    """A statistic of each feature over the time steps, without padding if ``masked``.

    A sequence of only padding gives zeros. ``first_step`` and ``last_step`` are never masked.
    ``last`` is the final state of a recurrent layer, read from the sequence of its outputs: the
    last real step, or the first real step for the last ``backward`` features, which come from the
    backward direction.
    """

    time_axis: ClassVar[TimeAxis] = "dropped"

    statistic: Statistic
    masked: bool
    backward: int = 0

    @property
    def reduction(self) -> Reduction:
        """What the statistic is."""
        return REDUCTIONS[self.statistic]

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return self.input[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense(Node):
    """activation(x W + b), at each time step if the input is a sequence.

    ``tied`` is the name of an embedding whose vectors are the columns of W, or None.
    """

    acts_on: ClassVar[ActsOn] = "step"

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
class AttentionPooling(Node):
    """The mean of the time steps with weights that are learned.

    The weights are softmax(s) over the steps, without padding if ``masked``; the score of a step is
    s = activation(x W + b) v with ``units``, and s = activation(x) v without them. ``query`` names
    the vector that is v, one for each sequence; without it, v is learned. A sequence of only
    padding gives zeros. Source: Yang et al., 2016, Hierarchical Attention Networks.
    """

    time_axis: ClassVar[TimeAxis] = "dropped"
    no_step_form: ClassVar[tuple[str, str] | None] = (
        "pooling",
        "the weights of all steps would change with each chunk",
    )

    units: int | None
    activation: Activation
    masked: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer
    bias: bool = True
    query: str | None = None

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

    about: ClassVar[str] = "All steps in one vector."
    time_axis: ClassVar[TimeAxis] = "dropped"
    no_step_form: ClassVar[tuple[str, str] | None] = (
        "pooling",
        "the steps of all chunks would be in one vector",
    )

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        steps, features = self.input
        assert steps is not None, "lowering requires a length"
        return (steps * (features or 0),)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSteps(Node):
    """The last ``count`` steps of a sequence without padding."""

    time_axis: ClassVar[TimeAxis] = "new"
    no_step_form: ClassVar[tuple[str, str] | None] = (
        "pooling",
        "the last steps would be in other chunks",
    )

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
    it. ``causal`` adds ``reach`` steps before it, so that no window sees a step after its own. Two
    numbers are the steps added before and after it.
    """

    size: int
    stride: int
    dilation: int
    padding: WindowPadding | tuple[int, int]

    @property
    def reach(self) -> int:
        """The distance from the first step of a window to its last."""
        return self.dilation * (self.size - 1)

    @property
    def anchor(self) -> int:
        """The step that the first window is anchored at; the others follow every ``stride`` steps.

        The result of a window is padding if the step is. It is the last step of a ``valid`` or
        ``causal`` window. It is negative if there are more windows than steps.
        """
        match self.padding:
            case (before, after):
                return self.reach - before - after
            case "valid":
                return self.reach
            case "same" | "causal":
                return 0
            case _:
                assert_never(self.padding)

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
        return max(1, (windows - 1) * self.stride + self.anchor + 1)

    def added(self, steps: int) -> tuple[int, int]:
        """Return the number of steps that are added before and after a number of steps."""
        match self.padding:
            case (before, after):
                return (before, after)
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

    time_axis: ClassVar[TimeAxis] = "windows"

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

    time_axis: ClassVar[TimeAxis] = "windows"

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
    the mean and the variance. Without ``scale``, gamma is 1 and no array; without ``offset``, beta
    is 0. Source: Ioffe and Szegedy, 2015.
    """

    acts_on: ClassVar[ActsOn] = "feature"

    epsilon: float
    momentum: float
    masked: bool
    scale: bool = True
    offset: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate(Node):
    """An activation of each element, or over the features for the two softmaxes."""

    acts_on: ClassVar[ActsOn] = "element"

    activation: Activation


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """What equations without states compute; ``names`` are those that they have for its inputs.

    The last line is the output; a scalar is one feature. In ``equations``, it is the state, and the
    inputs are parameters, before those that are arrays.
    """

    names: tuple[str, ...]
    equations: Equations

    @property
    def size(self) -> int:
        """The number of features of the output."""
        shape = dict(self.equations.shapes)[self.equations.states[0]]
        return evaluate_size(shape[0], {}) if shape else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(Node):
    """The base of layers that take several arrays, all alike.

    ``of`` names them, ``inputs`` has their shapes, and ``input`` is the first of these.
    """

    of: tuple[str, ...]
    inputs: tuple[Shape, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(Joined):
    """Several arrays side by side, their sum or product, or what a formula computes of them.

    A vector beside sequences is the same at each step; in a product or a formula, one feature is so
    for all features.
    """

    acts_on: ClassVar[ActsOn] = "inputs"

    how: JoinHow | Formula

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        widths = [width(shape) for shape in self.inputs]
        steps = next((shape[:-1] for shape in self.inputs if len(shape) > 1), ())
        match self.how:
            case Formula() as formula:
                return (*steps, formula.size)
            case "concat":
                return (*steps, sum(widths))
            case "add" | "multiply":
                return (*steps, max(widths))
            case _:
                assert_never(self.how)


@dataclass(frozen=True, slots=True, kw_only=True)
class Append(Joined):
    """The steps of several sequences of equal features, one sequence behind the other.

    A vector is one step. There is no padding.
    """

    time_axis: ClassVar[TimeAxis] = "new"
    no_step_form: ClassVar[tuple[str, str] | None] = (
        "axis",
        "the steps of a chunk would be between those of other chunks",
    )

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        counts = [shape[0] if len(shape) > 1 else 1 for shape in self.inputs]
        known = [count for count in counts if count is not None]
        return (sum(known) if len(known) == len(counts) else None, width(self.input))


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat(Node):
    """A vector repeated ``steps`` times, as a sequence without padding.

    With ``like``, it has as many steps as the layer or input of this name: ``steps``, or any number
    if that is None.
    """

    time_axis: ClassVar[TimeAxis] = "new"
    no_step_form: ClassVar[tuple[str, str] | None] = (
        "repeat",
        "a repeat would begin before the last step is known",
    )

    steps: int | None
    like: str | None = None

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return (self.steps, *self.input)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transpose(Node):
    """The steps as features and the features as steps, of a sequence without padding."""

    about: ClassVar[str] = "Steps and features change places."
    time_axis: ClassVar[TimeAxis] = "new"
    no_step_form: ClassVar[tuple[str, str] | None] = (
        "type",
        "the steps of all chunks would be features",
    )

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        return self.input[::-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNorm(Node):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, over the features of each time step.

    Without ``scale``, gamma is 1, without ``offset``, beta is 0. Source: Ba et al., 2016.
    """

    acts_on: ClassVar[ActsOn] = "step"

    epsilon: float
    scale: bool = True
    offset: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedNode(Node):
    """The base of layers whose source is their recipe, in a class of their own if it has arrays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceNorm(ComposedNode):
    """Each feature of a sequence, as ``about`` says.

    Mean and variance are over the steps, without padding if ``masked``; of no steps, both are 0.
    Without ``scale``, gamma is 1, without ``offset``, beta is 0.
    Source: https://arxiv.org/abs/1607.08022.
    """

    no_step_form: ClassVar[tuple[str, str] | None] = (
        "type",
        "the mean of all steps would change with each chunk",
    )
    about: ClassVar[str] = (
        "Each feature of a sequence: gamma (x - mean) / sqrt(variance + epsilon) + beta."
    )

    masked: bool
    epsilon: float
    scale: bool = True
    offset: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedFormula(Join, ComposedNode):
    """A formula with arrays: the parameters of its equations that are no inputs."""

    how: Formula
    initializers: tuple[tuple[str, Initializer], ...]

    @property
    def arrays(self) -> tuple[tuple[str, Sizes], ...]:
        """The shapes of its arrays."""
        names, parameters = self.how.names, self.how.equations.parameters
        return tuple((name, shape) for name, shape in parameters if name not in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention(ComposedNode):
    """For each query, the mean of the steps of the layer ``over``, its memory.

    The weights are softmax(s) over the steps of the memory, without padding if ``masked``. The
    score of a query q and the key k of a step is s = ``scale`` q . k, or if ``additive``
    v . ``activation``(q + k) with a vector v that is learned. ``keys`` names the layer that gives a
    key for each step, whose padding is that of the memory. Queries are a sequence or one vector. A
    memory of padding alone gives zeros.

    With several ``heads``, queries, keys and values are as many equal parts side by side, each of
    which has scores and weights of its own. If it is ``causal``, queries and memory have equally
    many steps, and a query gives no weight to steps behind its own.

    If it ``gives`` the weights, or the scores with zeros where there is no weight, these are the
    features of each query, and the memory has a fixed number of steps. Of one query, they are a
    sequence of one feature, with the steps of the memory.
    Sources: Bahdanau et al., 2015; Luong et al., 2015; Vaswani et al., 2017.
    """

    about: ClassVar[str] = "The mean of the steps of a memory for each query, weighted by scores."

    masked: bool
    over: str
    keys: str
    memory: Shape
    additive: bool
    scale: float
    kernel_initializer: Initializer
    heads: int = 1
    causal: bool = False
    activation: Activation = "tanh"
    gives: Attended = "context"

    @property
    def output(self) -> Shape:
        """The output shape of one sample."""
        if self.is_along_memory:
            return (self.memory[0], 1)
        return (*self.input[:-1], self.memory[-1 if self.gives == "context" else 0])

    @property
    def is_along_memory(self) -> bool:
        """True if its output has the steps of the memory, and not those of its input."""
        return len(self.input) == 1 and self.gives != "context"


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalize(Node):
    """x / max(norm, 1e-12) with the Euclidean norm of a vector; zeros stay zeros."""

    acts_on: ClassVar[ActsOn] = "step"
    about: ClassVar[str] = "Each vector, divided by its norm."


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual(Node):
    """x plus the input of the layer named ``start``, which has the same shape."""

    acts_on: ClassVar[ActsOn] = "inputs"

    start: str


Scaling = BatchNorm | LayerNorm | InstanceNorm
"""The layers that may end in gamma x + beta."""
Windowed = Conv | WindowPooling
"""The layers whose steps are windows of those of their input."""
Reducing = Pooling | AttentionPooling | Flatten | LastSteps
"""The layers of the key ``pooling``."""
# A new kind of layer goes here; mypy then reports every match that does not handle it.
Composed = InstanceNorm | Attention | LearnedFormula
ParameterFree = (
    Repeat
    | WindowPooling
    | Activate
    | Residual
    | Append
    | Join
    | Transpose
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
    | InstanceNorm
    | LearnedFormula
    | Attention
    | AttentionPooling
    | Dense
    | ParameterFree
)


@dataclass(frozen=True, kw_only=True)
class Network:
    """Inputs and layers, each of which takes inputs or outputs of layers before it.

    ``description`` is free text that reaches comments, never code. ``outputs`` has the name of each
    output with that of the layer or port that it is, if the network has named outputs. Otherwise it
    is empty, and the output is the port ``result``, or if that is empty, that of the last layer.
    ``streams`` has the names of the inputs that come in chunks in step form, in the order of the
    inputs; it is empty if none can.
    """

    name: str
    description: str
    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[tuple[str, str], ...] = ()
    result: str = ""
    streams: tuple[str, ...] = (INPUT,)

    @property
    def input(self) -> SequenceInput:
        """The input of a network with a single one, which has no name."""
        (only,) = self.inputs
        assert self.takes_one_array
        assert isinstance(only, SequenceInput)
        return only

    @property
    def takes_one_array(self) -> bool:
        """True if a model takes one array: its only input has no name.

        Any other model takes its inputs by name: a mapping, or keyword arguments.
        """
        return [network_input.name for network_input in self.inputs] == [INPUT]

    def arguments(self, alone: str) -> dict[str, str]:
        """Return the name of each argument of a model; ``alone`` is the one without a name."""
        names = [network_input.name for network_input in self.inputs]
        return {INPUT: alone} if self.takes_one_array else dict(zip(names, names, strict=True))

    def prefix(self, name: str, end: str) -> str:
        """Return the name of an input with an end, empty if it has no name."""
        return "" if self.takes_one_array else f"{name}{end}"

    def key_of(self, name: str) -> str:
        """Return the key of an input in a spec."""
        return INPUT if self.takes_one_array else f"inputs.{name}"

    @property
    def named_inputs(self) -> tuple[Input, ...]:
        """The inputs that a model takes by name."""
        return () if self.takes_one_array else self.inputs

    @property
    def output(self) -> Shape:
        """The output shape of one sample, of a network without named outputs."""
        return self.shapes[self.last]

    @property
    def results(self) -> dict[str, Layer | Port]:
        """What each output is by the name of the output, which is empty if it has none."""
        values: dict[str, Layer | Port] = {
            **self.ports,
            **{layer.name: layer for layer in self.layers},
        }
        return {name: values[value] for name, value in self.outputs or [("", self.last)]}

    @property
    def last(self) -> str:
        """The name of the layer or port that is the output of a network without named outputs."""
        return self.result or self.layers[-1].name

    @cached_property
    def ports(self) -> Mapping[str, Port]:
        """The values beside the outputs of layers that are taken, in the order of the layers."""
        taken = {name for names in self.sources.values() for name in names}
        taken.update((*(value for _, value in self.outputs), self.result))
        taken -= {node.name for node in (*self.inputs, *self.layers)}
        ports = (
            port for layer in self.layers if isinstance(layer, Recurrent) for port in layer.ports
        )
        return {port.name: port for port in ports if port.name in taken}

    @cached_property
    def learned(self) -> Mapping[str, Learned]:
        """The first states that are arrays of their layers, by name in the order of the layers."""
        return {vector.name: vector for layer in self.layers for vector in learned_of(layer)}

    @cached_property
    def _ports_by_layer(self) -> Mapping[str, Sequence[Port]]:
        found = dict[str, list[Port]]()
        for port in self.ports.values():
            found.setdefault(port.layer, []).append(port)
        return found

    def ports_of(self, layer: str) -> Sequence[Port]:
        """Return the ports of a layer that are taken."""
        return self._ports_by_layer.get(layer, ())

    @property
    def values(self) -> Iterator[Layer | Learned | Port]:
        """Each layer, behind what it learned to begin as, and before the ports that are taken."""
        for layer in self.layers:
            yield from learned_of(layer)
            yield layer
            yield from self.ports_of(layer.name)

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """The shape of one sample of each input, of the output of each layer, and of each port."""
        shapes = {network_input.name: network_input.shape for network_input in self.inputs}
        shapes |= {layer.name: layer.output for layer in self.layers}
        return shapes | {name: port.output for name, port in self.ports.items()}

    def called(self, name: str) -> str:
        """Return what a spec calls a value: ``encoder.h`` for a state of a layer."""
        port = self.ports.get(name)
        return f"{port.layer}.{port.state or 'context'}" if port else name

    @property
    def pads(self) -> bool:
        """True if a result has padded time steps."""
        padded = masks(self)
        return any(layer.name in padded for layer in self.results.values())

    @cached_property
    def sources(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the layers and inputs that each layer takes, its main one first."""
        return _find_sources(self)

    @cached_property
    def readers(self) -> Mapping[str, Sequence[Layer]]:
        """The layers whose main input each layer and input is, if there are any."""
        found = dict[str, list[Layer]]()
        for layer in self.layers:
            found.setdefault(self.sources[layer.name][0], []).append(layer)
        return found


def is_along_memory(layer: Layer) -> bool:
    """True if the output of a layer has the steps of the memory that it attends to."""
    return isinstance(layer, Attention) and layer.is_along_memory


def paced_by(layer: Layer, names: Sequence[str]) -> Sequence[str]:
    """Return which values have the time steps of the output of a layer, of those that it takes."""
    match layer:
        case Joined():
            return names
        case Attention(is_along_memory=True):
            return names[1:2]
        case _:
            return names[:1]


def sources(network: Network) -> dict[str, tuple[str, ...]]:
    """Return the names of the layers and inputs that each layer takes, its main one first."""
    return dict(network.sources)


def _find_sources(network: Network) -> dict[str, tuple[str, ...]]:
    result: dict[str, tuple[str, ...]] = {}
    previous = network.inputs[0].name
    for layer in network.layers:
        main = layer.source or previous
        match layer:
            case Joined(of=of):
                result[layer.name] = of
            case Recurrent(attention=None):
                result[layer.name] = (main, *layer.begins_as.values())
            case Recurrent(attention=StepAttention(over=over, keys=keys)):
                memory = dict.fromkeys((over, keys))
                result[layer.name] = (main, *layer.begins_as.values(), *memory)
            case Attention(over=over, keys=keys):
                result[layer.name] = (main, *dict.fromkeys((over, keys)))
            case AttentionPooling(query=str() as other) | Repeat(like=str() as other):
                result[layer.name] = (main, other)
            case _:
                result[layer.name] = (main,)
        previous = layer.name
    return result


def kept_outputs(network: Network) -> frozenset[str]:
    """Return the names of the layers and inputs whose value is used later than by the next layer.

    So are the named outputs, but that of the last layer.
    """
    last = network.last
    previous, joined = network.inputs[0].name, {name for _, name in network.outputs if name != last}
    for layer, names in zip(network.layers, sources(network).values(), strict=True):
        joined.update(name for name in names if name != previous)
        previous = layer.name
    return frozenset(joined)


Origin = tuple[str, int, int]
"""The mask of an input from a step on, every n-th step: the name, the first step and n."""


def masks(network: Network) -> dict[str, tuple[Origin, ...]]:
    """Return the masks that tell the real steps of each input, and of the output of each layer.

    A step is real if it is so in all of them. What has no padding is left out.
    """
    result: dict[str, tuple[Origin, ...]] = {
        network_input.name: ((network_input.name, 0, 1),)
        for network_input in network.inputs
        if network_input.masked
    }
    for layer, names in zip(network.layers, sources(network).values(), strict=True):
        if layer.time_axis == "new" or len(layer.output) < 2:
            continue
        read = paced_by(layer, names)
        origins = dict.fromkeys(origin for name in read for origin in result.get(name, ()))
        if isinstance(layer, Windowed):
            window = layer.window
            origins = dict.fromkeys(
                (name, first + every * window.anchor, every * window.stride)
                for name, first, every in origins
            )
        if origins:
            result[layer.name] = tuple(origins)
            result |= dict.fromkeys(contexts_of(network, layer), tuple(origins))
    return result


def learned_of(layer: Layer) -> tuple[Learned, ...]:
    """Return the first states of a layer that are arrays of its own."""
    return layer.learned if isinstance(layer, Recurrent) and not layer.shares else ()


def contexts_of(network: Network, layer: Layer) -> Iterator[str]:
    """Yield the name of the contexts of a layer, which have its steps, if they are taken."""
    return (port.name for port in network.ports_of(layer.name) if not port.state)


def attention_of(layer: Layer) -> Attention | StepAttention | None:
    """Return what a layer attends to, or None."""
    match layer:
        case Attention():
            return layer
        case Recurrent(attention=attention):
            return attention
        case _:
            return None


def masked_by(network: Network) -> dict[str, tuple[str, ...]]:
    """Return, for each layer that leaves out padding, the layers and inputs whose padding it is."""
    result: dict[str, tuple[str, ...]] = {}
    for layer, (main, *_) in zip(network.layers, sources(network).values(), strict=True):
        match layer:
            case Embedding():
                names: tuple[str, ...] = ()
            case Attention(over=over, masked=masked):
                names = (over,) if masked else ()
            case Recurrent(attention=StepAttention(over=over, masked=True), masked=masked):
                names = (main, over) if masked else (over,)
            case _:
                names = (main,) if getattr(layer, "masked", False) else ()
        if names:
            result[layer.name] = names
    return result


def tied_layers(network: Network) -> list[Dense]:
    """Return the layers with the vectors of an embedding and a bias of their own."""
    dense = (layer for layer in network.layers if isinstance(layer, Dense))
    return [layer for layer in dense if layer.tied and layer.bias]


def with_arrays(layer: Layer) -> Layer:
    """Return a layer under the name, and with the arrays, of the one whose arrays it shares."""
    return replace(layer, name=layer.owner, shares=None) if layer.shares else layer


def turned(network: Network) -> frozenset[str]:
    """Return the layers that read in the other direction than that whose arrays they share."""
    backward = {
        layer.name: layer.backward for layer in network.layers if isinstance(layer, Recurrent)
    }
    return frozenset(
        layer.name
        for layer in network.layers
        if isinstance(layer, Recurrent) and layer.backward != backward[layer.owner]
    )


def common_steps(network: Network, layer: Layer) -> int | None:
    """Return the steps of what a layer takes at each call, None if that is any number."""
    lengths = {other.input[0] for other in network.layers if other.owner == layer.owner}
    return lengths.pop() if len(lengths) == 1 else None


def called_again(network: Network) -> frozenset[str]:
    """Return the names of the layers whose arrays others share."""
    return frozenset(layer.shares for layer in network.layers if layer.shares)


def least_steps(network: Network) -> int:
    """Return the smallest number of steps of all inputs that leaves each layer one, or more."""
    return max(least_steps_by_input(network).values())


def least_steps_by_input(network: Network) -> dict[str, int]:
    """Return the smallest number of steps of each input that leaves each layer one, or more."""
    least: dict[str, int] = {}
    taken = list(sources(network).values())
    for layer, names in zip(reversed(network.layers), reversed(taken), strict=True):
        # A vector may come from a sequence of one step.
        own = least.get(layer.name, 1) if len(layer.output) > 1 else 1
        match layer:
            case Repeat(like=None):
                own = 1
            case Conv(window=window) | WindowPooling(window=window):
                own = window.least(own)
            case LastSteps(count=count):
                own = max(own, count)
            case Append(of=of):
                # Each of the others has a step.
                own = max(1, own - len(of) + 1)
            case _:
                pass
        # One step of a memory is enough, unless it has as many as the queries.
        attends = isinstance(layer, Attention | Recurrent) and not getattr(layer, "causal", False)
        for name in paced_by(layer, names) if attends else names:
            port = network.ports.get(name)
            # A layer of one step has a final state.
            needed = 1 if port and port.state else own
            least[port.layer if port else name] = max(
                needed, least.get(port.layer if port else name, 1)
            )
    return {
        network_input.name: least.get(network_input.name, 1) for network_input in network.inputs
    }


def equal_steps(network: Network) -> dict[str, str]:
    """Return, for each input with time steps, the first input that has as many.

    Inputs whose steps are joined have equally many, and so have the streams.
    """
    first = {
        network_input.name: network_input.name
        for network_input in network.inputs
        if isinstance(network_input, SequenceInput)
    }
    origins = dict(first)
    first |= dict.fromkeys(network.streams, next(iter(network.streams), ""))
    for layer, names in zip(network.layers, sources(network).values(), strict=True):
        match layer:
            case Repeat(like=str() as like):
                origin = origins.get(like)
            case _ if layer.time_axis == "new":
                origin = None
            case Joined() | Attention():
                # The keys and the values of an attention have equally many.
                apart = isinstance(layer, Attention) and not layer.causal
                equal = names[1:] if apart else names
                joined = [first[origins[name]] for name in equal if name in origins]
                origin = min(joined, key=list(first).index, default=None)
                first = {
                    name: origin if origin and of in joined else of for name, of in first.items()
                }
                if isinstance(layer, Attention):
                    (paced,) = paced_by(layer, names)
                    origin = origins.get(paced)
            case _:
                origin = origins.get(names[0])
        if origin and len(layer.output) > 1:
            origins[layer.name] = origin
            origins |= dict.fromkeys(contexts_of(network, layer), origin)
    return first


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
        case (
            Recurrent(cell=EquationCell(equations=equations))
            | Join(how=Formula(equations=equations))
        ):
            parts = (part for line in equations.lines for part in walk(line.value))
            used = {part.function for part in parts if isinstance(part, Apply)}
            return tuple(name for name in _CELL_ACTIVATIONS if name in used)
        case Recurrent():
            return cell_activations(layer.standard_cell)
        case Dense() | Conv() | Activate() | AttentionPooling() | Attention(additive=True):
            return (layer.activation,)
        case _:
            return ()
