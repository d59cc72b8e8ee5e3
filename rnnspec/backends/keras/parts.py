"""The functions above ``build_model`` that a network needs, each once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rnnspec.backends.docstrings import LEGACY_HARD_SIGMOID
from rnnspec.backends.keras.attention import parts_of_attention
from rnnspec.backends.keras.cells import is_by_equation, parts_of_cells
from rnnspec.backends.keras.layers import checked_parts
from rnnspec.ir import core
from rnnspec.ir.expand import pool
from rnnspec.ir.forms import streamed
from rnnspec.ir.nodes import (
    Activate,
    AttentionPooling,
    Conv,
    InstanceNorm,
    Join,
    Normalize,
    Pooling,
    Repeat,
    WindowPooling,
    layer_activations,
    width,
)
from rnnspec.source.code import Code, call, code, docstring, listed
from rnnspec.source.verbs import Verbs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Layer, Network


def parts(network: Network, form: Form, *, sets_forget_bias: bool) -> Iterator[Code]:
    """Yield the parts of a network's source, those that others use first."""
    if sets_forget_bias:
        yield _SET_FORGET_BIAS
    if any(
        "legacy_hard_sigmoid" in layer_activations(layer)
        and not isinstance(layer, Activate)
        and not is_by_equation(layer)
        for layer in network.layers
    ):
        yield _LEGACY_HARD_SIGMOID
    # Several layers may need the same part.
    in_chunks = streamed(network)
    needed = dict.fromkeys(
        part
        for layer in network.layers
        for part in _parts(layer, form if layer.name in in_chunks else "inference")
    )
    yield from needed
    if checked_parts(network):
        yield _SAME_STEPS
    yield from parts_of_cells(network, form)
    yield from parts_of_attention(network)


def _parts(  # noqa: PLR0912 - a branch for each kind of layer
    layer: Layer, form: Form
) -> Iterator[Code]:
    match layer:
        case Pooling(statistic="sum") if form == "step":
            if layer.masked:
                yield _FILL_PADDING
            yield _RUNNING_SUM
        case Pooling(statistic="last", masked=True) if form == "step":
            yield from (_MASKED_LAST, *KerasVerbs().running([layer]))
        case Pooling(reduction=reduction) if form == "step" and reduction.counts:
            yield from (_RUNNING_SUM, *KerasVerbs().running([layer]))
        case Pooling(reduction=reduction, masked=True) if reduction.counts:
            about = f"Return the {reduction.noun} over the real steps, (batch, features); zeros if "
            about, name = docstring([f"{about}there are none."]), f"masked_{layer.statistic}"
            yield KerasVerbs().pooling(name, pool(layer), masked=True, about=about)
        case Pooling(statistic="last", masked=True):
            if layer.backward < width(layer.input):
                yield _MASKED_LAST
            if layer.backward:
                yield _MASKED_FIRST
        case Join(how="concat", inputs=inputs) if len({len(shape) for shape in inputs}) > 1:
            yield _REPEAT_LIKE
        case Repeat(like=str()):
            yield _REPEAT_LIKE
        case WindowPooling(statistic="average", masked=masked, window=window):
            if masked or not isinstance(window.padding, str):
                yield _MASKED_AVERAGE
        case (
            Conv(masked=True)
            | WindowPooling(masked=True)
            | AttentionPooling(masked=True)
            | InstanceNorm(masked=True)
            | Pooling(statistic="sum", masked=True)
        ):
            yield _FILL_PADDING
        case Normalize():
            yield _L2_NORMALIZED
        case _:
            pass


_SET_FORGET_BIAS = code('''
    def set_forget_bias(lstm: keras.layers.LSTM, value: float) -> None:
        """Set the forget gate's part of a new bias; the gates are in the order i, f, c, o."""
        bias = keras.ops.convert_to_numpy(lstm.cell.bias).copy()
        bias[lstm.units : 2 * lstm.units] = value
        lstm.cell.bias.assign(bias)
''')
_LEGACY_HARD_SIGMOID = code(
    """
    def legacy_hard_sigmoid() -> keras.layers.Layer:
        {}
        # In an array the factor stays float64; TensorFlow rounds a number to float32.
        scaling = keras.layers.Rescaling(np.array([1.2]), name="scaling")
        hard_sigmoid = keras.layers.Activation("hard_sigmoid", name="hard_sigmoid")
        return keras.layers.Pipeline([scaling, hard_sigmoid], name="legacy_hard_sigmoid")
    """,
    docstring(
        [LEGACY_HARD_SIGMOID, "", "It is hard_sigmoid(1.2 x), of layers that Keras can load."]
    ),
)
_L2_NORMALIZED = code('''
    def l2_normalized(x: keras.KerasTensor) -> keras.KerasTensor:
        """Return x / max(norm, 1e-12), (batch, features).

        Compiled by XLA, keras.layers.UnitNormalization has the gradient NaN at zeros.
        """
        square = keras.ops.sum(keras.ops.square(x), axis=-1, keepdims=True)
        return x / keras.ops.sqrt(keras.ops.maximum(square, 1e-24))
''')
_FILL_PADDING = code('''
    def fill_padding(
        x: keras.KerasTensor, mask: keras.KerasTensor, value: float
    ) -> keras.KerasTensor:
        """Return x, (batch, steps, features), with another value at padded steps."""
        return keras.ops.where(keras.ops.expand_dims(mask, -1), x, value)
''')
_MASKED_AVERAGE = code('''
    def masked_average(
        pool: keras.layers.AveragePooling1D, x: keras.KerasTensor, mask: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Return the mean over the real steps of each window; zeros if there are none."""
        real = keras.ops.expand_dims(mask, -1)
        average = pool(keras.ops.where(real, x, 0))
        share = pool(keras.ops.cast(real, x.dtype))
        return average / keras.ops.where(share > 0, share, 1)
''')
_MASKED_LAST = code('''
    def masked_last(x: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
        """Return the last real step, (batch, features); zeros if there is none."""
        count = keras.ops.cumsum(keras.ops.cast(mask, "int32"), axis=1)
        last = keras.ops.logical_and(mask, keras.ops.equal(count, count[:, -1:]))
        return keras.ops.sum(keras.ops.where(keras.ops.expand_dims(last, -1), x, 0), axis=1)
''')
_MASKED_FIRST = code('''
    def masked_first(x: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
        """Return the first real step, (batch, features); zeros if there is none."""
        count = keras.ops.cumsum(keras.ops.cast(mask, "int32"), axis=1)
        first = keras.ops.logical_and(mask, keras.ops.equal(count, 1))
        return keras.ops.sum(keras.ops.where(keras.ops.expand_dims(first, -1), x, 0), axis=1)
''')
_REPEAT_LIKE = code('''
    def repeat_like(
        vector: keras.KerasTensor, sequence: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Return the vector at each step of a sequence, (batch, steps, features)."""
        ones = keras.ops.ones_like(sequence[:, :, 0], dtype=vector.dtype)
        return keras.ops.einsum("bf,bt->btf", vector, ones)
''')
_SAME_STEPS = code('''
    def same_steps(x: keras.KerasTensor, other: keras.KerasTensor) -> keras.KerasTensor:
        """Return x; if it has another number of steps than the other, there is an error."""
        # No features are added. An array of a single step would be repeated in arithmetic.
        return keras.ops.concatenate([x, other[:, :, :0]], axis=-1)
''')
_RUNNING_SUM = code('''
    def running_sum(total: keras.KerasTensor, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return (batch, size) plus the sum of (batch, steps, size) over the steps."""
        # As one more step, because Keras names an addition as it names its layer Add.
        first = keras.ops.expand_dims(total, 1)
        return keras.ops.sum(keras.ops.concatenate([first, x], axis=1), axis=1)
''')


class KerasVerbs(Verbs):
    """The functions of Keras, in which a state goes on by ``running_sum``."""

    array = "keras.KerasTensor"
    space = "keras.ops"
    axis = "axis"
    keep = "keepdims=True"

    def write(self, value: core.Expression) -> Code:
        """Return an expression."""
        match value:
            case core.Combine("add", state, core.Reduce("sum", core.Name("real"))):
                return code("running_sum({}, keras.ops.cast(real, x.dtype))", self.write(state))
            case core.Combine("add", state, core.Reduce("sum", x)):
                return code("running_sum({}, {})", self.write(state), self.write(x))
            case core.Combine("add", x, core.Setting(_, number)):
                # Not a sum, for the same reason.
                return code("{} - {!r}", self.write(x), -number)
            case core.Combine("multiply", x, factor) if x == factor:
                return code("keras.ops.square({})", self.write(x))
            case core.Combine("add", state, core.CountSteps()):
                steps = code("keras.ops.ones_like(x[:, :, :1])")
                return code("running_sum({}, {})", self.write(state), steps)
            case core.Pick(end, x, core.Name("mask") as mask):
                return code("masked_{}({}, {})", end, self.write(x), self.write(mask))
            case core.Reduce(how, x, keep):
                along = listed(self.write(x), code("axis=1"), Code(self.keep if keep else ""))
                return code("keras.ops.{}({})", how, along)
            case _:
                return super().write(value)


@dataclass(frozen=True)
class BodyVerbs(KerasVerbs):
    """The functions above the model, and layers of Keras, of which ``softmax`` names one.

    ``scales`` are the layers that scale by an array.
    """

    softmax: str = ""
    scales: Mapping[core.Param, Code] = field(default_factory=dict)

    def assign(self, name: str, value: core.Expression) -> Iterator[Code]:
        """Yield the statements of a value; a layer has one of its own."""
        match value:
            case core.Fill(mask, core.Softmax() as weights, number):
                yield from super().assign(name, weights)
                value = core.Fill(mask, core.Name(name), number)
            case core.Reduce("mean", x, keep=True):
                # Not keras.ops.mean: a head may have its name.
                ones = code("keras.ops.ones_like({}[:, :, :1])", self.write(core.Name("x")))
                yield code("steps = keras.ops.sum({}, axis=1, keepdims=True)", ones)
                value = core.Reduce("sum", x, keep=True) / core.Name("steps")
            case _:
                pass
        yield from super().assign(name, value)

    def write(self, value: core.Expression) -> Code:
        """Return an expression."""
        match value:
            case core.Fill(core.Column(core.Name("mask")) | core.Name("real"), x, number):
                parts = map(self.write, (x, core.Name("mask"), number))
                return code("fill_padding({})", listed(*parts))
            case core.Combine(
                "add", core.Combine("multiply", x, core.Param() as scale), core.Param()
            ):
                return code("{}({})", self.scales[scale], self.write(x))
            case core.Softmax(x):
                softmax = call("keras.layers.Softmax", axis=1, name=self.softmax)
                return code("{}({})", softmax, self.write(x))
            case core.Reduce("sum", core.Combine("multiply", core.Name("weights"), x)):
                return code('keras.ops.einsum("bti,btf->bf", weights, {})', self.write(x))
            case _:
                return super().write(value)


@dataclass(frozen=True, kw_only=True)
class AttentionVerbs(KerasVerbs):
    """The functions and layers of Keras by which an attention weighs the steps of its memory.

    ``earlier`` are the outputs of other layers, ``mask`` tells the real steps of the memory, and
    ``score`` is the layer that scores sums. ``names`` are those of further layers.
    """

    earlier: Mapping[str, Code]
    mask: Code
    score: Code
    names: Mapping[str, str]

    def assign(self, name: str, value: core.Expression) -> Iterator[Code]:
        """Yield the statements of a value; each layer has one of its own."""
        match value:
            case core.Scores(queries, keys, core.Param()):
                parts = listed(
                    code("keras.ops.expand_dims({}, 2)", self.write(queries)),
                    code("keras.ops.expand_dims({}, 1)", self.write(keys)),
                )
                add = call("keras.layers.Add", name=self.names["sum"])
                yield code("{} = {}([{}])", name, add, parts)
                tanh = call("keras.layers.Activation", "tanh", name=self.names["tanh"])
                yield code("{} = {}({})", name, tanh, name)
                yield code("{} = {}({})", name, self.score, name)
                yield code("{} = {}[:, :, :, 0]", name, name)
            case core.Fill(real, core.Apply("softmax") as weights, number):
                yield from super().assign(name, weights)
                yield from super().assign(name, core.Fill(real, core.Name(name), number))
            case _:
                yield from super().assign(name, value)

    def write(self, value: core.Expression) -> Code:
        """Return an expression."""
        match value:
            case core.EarlierOutput(name):
                return self.earlier[name]
            case core.EarlierMask():
                return self.mask
            case core.Row(mask):
                return code("keras.ops.expand_dims({}, 1)", self.write(mask))
            case core.Repeat(x, 1):
                return code("keras.ops.expand_dims({}, 1)", self.write(x))
            case core.Scores(queries, keys):
                parts = listed(self.write(queries), self.write(keys))
                return code('keras.ops.einsum("bqf,bmf->bqm", {})', parts)
            case core.Combine("multiply", scores, core.Setting(_, scale)):
                # Not a product: Keras names one as it names its layer Multiply.
                size = max(round(scale**-2), 1)
                is_root = size**-0.5 == scale
                divisor = code("{!r}**0.5", size) if is_root else code("{!r}", 1 / scale)
                return code("{} / {}", self.write(scores), divisor)
            case core.Apply("softmax", x):
                return code(
                    "{}({})",
                    call("keras.layers.Softmax", name=self.names["weights"]),
                    self.write(x),
                )
            case core.Mix(weights, x):
                parts = listed(self.write(weights), self.write(x))
                return code('keras.ops.einsum("bqm,bmf->bqf", {})', parts)
            case _:
                return super().write(value)
