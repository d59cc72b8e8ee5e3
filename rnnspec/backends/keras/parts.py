"""The functions above ``build_model`` that a network needs, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.docstrings import LEGACY_HARD_SIGMOID
from rnnspec.ir.nodes import (
    Activate,
    Attention,
    Conv,
    Normalize,
    Pooling,
    WindowPooling,
    layer_activations,
    width,
)
from rnnspec.source.code import Code, code, docstring
from rnnspec.source.verbs import running_docstring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Layer, Network


def parts(network: Network, form: Form, *, sets_forget_bias: bool) -> Iterator[Code]:
    """Yield the parts of a network's source, those that others use first."""
    if sets_forget_bias:
        yield _SET_FORGET_BIAS
    if any(
        "legacy_hard_sigmoid" in layer_activations(layer) and not isinstance(layer, Activate)
        for layer in network.layers
    ):
        yield _LEGACY_HARD_SIGMOID
    # Several layers may need the same part.
    yield from dict.fromkeys(part for layer in network.layers for part in _parts(layer, form))


def _parts(  # noqa: PLR0912 - a branch for each kind of layer
    layer: Layer, form: Form
) -> Iterator[Code]:
    match layer:
        case Pooling(statistic="mean") if form == "step":
            yield from (_RUNNING_SUM, _running_mean(masked=layer.masked))
        case Pooling(statistic="max") if form == "step":
            yield from (_RUNNING_SUM, _running_max(masked=layer.masked))
        case Pooling(statistic="sum") if form == "step":
            if layer.masked:
                yield _FILL_PADDING
            yield _RUNNING_SUM
        case Pooling(statistic="mean", masked=True):
            yield _MASKED_MEAN
        case Pooling(statistic="max", masked=True):
            yield _MASKED_MAX
        case Pooling(statistic="last", masked=True):
            if layer.backward < width(layer.input):
                yield _MASKED_LAST
            if layer.backward:
                yield _MASKED_FIRST
        case WindowPooling(statistic="average", masked=True):
            yield _MASKED_AVERAGE
        case (
            Conv(masked=True)
            | WindowPooling(masked=True)
            | Attention(masked=True)
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
_MASKED_MEAN = code('''
    def masked_mean(x: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
        """Return the mean over the real steps, (batch, features); zeros if there are none."""
        real = keras.ops.expand_dims(keras.ops.cast(mask, x.dtype), -1)
        steps = keras.ops.maximum(keras.ops.sum(real, axis=1), 1)
        return keras.ops.sum(keras.ops.where(real > 0, x, 0), axis=1) / steps
''')
_MASKED_MAX = code('''
    def masked_max(x: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
        """Return the maximum over the real steps, (batch, features); zeros if there are none."""
        real = keras.ops.expand_dims(mask, -1)
        highest = keras.ops.max(keras.ops.where(real, x, -3e38), axis=1)
        return keras.ops.where(keras.ops.any(real, axis=1), highest, 0)
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
_RUNNING_SUM = code('''
    def running_sum(total: keras.KerasTensor, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return (batch, size) plus the sum of (batch, steps, size) over the steps."""
        # As one more step, because Keras names an addition as it names its layer Add.
        first = keras.ops.expand_dims(total, 1)
        return keras.ops.sum(keras.ops.concatenate([first, x], axis=1), axis=1)
''')


def _running_mean(*, masked: bool) -> Code:
    about = running_docstring("mean", masked=masked)
    if masked:
        return code(
            """
            def running_mean(
                x: keras.KerasTensor,
                mask: keras.KerasTensor,
                total: keras.KerasTensor,
                count: keras.KerasTensor,
            ) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
                {}
                real = keras.ops.expand_dims(mask, -1)
                total = running_sum(total, keras.ops.where(real, x, 0))
                count = running_sum(count, keras.ops.cast(real, x.dtype))
                return total / keras.ops.maximum(count, 1), total, count
            """,
            about,
        )
    return code(
        """
        def running_mean(
            x: keras.KerasTensor,
            total: keras.KerasTensor,
            count: keras.KerasTensor,
        ) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
            {}
            total = running_sum(total, x)
            count = running_sum(count, keras.ops.ones_like(x[:, :, :1]))
            return total / count, total, count
        """,
        about,
    )


def _running_max(*, masked: bool) -> Code:
    about = running_docstring("max", masked=masked)
    if masked:
        return code(
            """
            def running_max(
                x: keras.KerasTensor,
                mask: keras.KerasTensor,
                highest: keras.KerasTensor,
                count: keras.KerasTensor,
            ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
                {}
                real = keras.ops.expand_dims(mask, -1)
                found = keras.ops.max(keras.ops.where(real, x, -3e38), axis=1)
                # Before the first real step, the zeros are no maximum.
                found = keras.ops.where(count > 0, keras.ops.maximum(highest, found), found)
                highest = keras.ops.where(keras.ops.any(real, axis=1), found, highest)
                return highest, running_sum(count, keras.ops.cast(real, x.dtype))
            """,
            about,
        )
    return code(
        """
        def running_max(
            x: keras.KerasTensor,
            highest: keras.KerasTensor,
            count: keras.KerasTensor,
        ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
            {}
            found = keras.ops.max(x, axis=1)
            # Before the first step, the zeros are no maximum.
            highest = keras.ops.where(count > 0, keras.ops.maximum(highest, found), found)
            return highest, running_sum(count, keras.ops.ones_like(x[:, :, :1]))
        """,
        about,
    )
