"""The settings of each class of Keras's layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast, get_args

from rnnspec.backends.imported import Account, show_value
from rnnspec.backends.keras.arrays import Foreign, Version, snake
from rnnspec.errors import listed
from rnnspec.importing.keras import pieces
from rnnspec.importing.keras.settings import (
    MODELS,
    Settings,
    cell_activation,
    dense_activation,
    foreign,
    in_float32,
    initializer,
)
from rnnspec.ir import nodes
from rnnspec.ir.initializers import Constant
from rnnspec.words import CellActivation, Merge, WindowPadding

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.importing.keras.pieces import Piece
    from rnnspec.ir.initializers import Initializer
    from rnnspec.words import Statistic

    Reading = Callable[[Settings, Foreign], Piece | pieces.Stack]


KINDS = ("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU")
"""The classes of recurrent layers."""
EMBEDDINGS = ("Embedding", "ReversibleEmbedding")
"""The classes of embeddings."""
JOINS = ("Add", "Concatenate")
"""The classes of layers, and the operations, that take several outputs."""
CELLS = {"SimpleRNNCell": "SimpleRNN", "LSTMCell": "LSTM", "GRUCell": "GRU"}
"""The classes of cells for the layer RNN, each with the layer that has such a cell."""
_MOST_CELLS = 1_000
_STATEFUL = (
    "the state of a call would be the start of the next; if each call may start from zeros, pass "
    "the architecture with 'stateful' false with --config"
)


@dataclass(frozen=True, slots=True)
class _Run:
    """How a layer is run over time."""

    return_sequences: bool
    zeros: bool


def recurrent(settings: Settings, layer: Foreign) -> pieces.Recurrent:
    """Return a recurrent layer in one direction."""
    settings.only("go_backwards", False, why="the language reads backwards in 'bidirectional' only")
    return _direction(settings, layer, layer.kind)


def of_cells(
    settings: Settings, layer: Foreign
) -> pieces.Recurrent | pieces.Stack | pieces.Lacking:
    """Return the layer RNN with a cell of Keras's own, or one layer for each cell of a stack."""
    settings.only("go_backwards", False, why="the language reads backwards in 'bidirectional' only")
    run, path = _running(settings, layer), f"{settings.name}.cell"
    cell = foreign(settings.account, settings.take("cell"), path)
    if cell.kind != "StackedRNNCells" or cell.custom:
        return _cell_of(settings, layer, cell, path, run) or pieces.Lacking(layer)
    own = Settings(settings.account, settings.version, path, cell.config)
    own.common()
    cells = own.take("cells", [])
    own.close()
    if not isinstance(cells, list | tuple) or not 1 <= len(cells) <= _MOST_CELLS:
        own.refuse("cells", f"expected 1 to {_MOST_CELLS:,} cells, received {show_value(cells)}")
        return pieces.Lacking(layer)
    if layer.output:
        message = f"its output {layer.output} is used; the language passes on the first, that of"
        settings.account.refuse(layer.name, f"{message} the last cell", "E704")
    found, first = list[pieces.Recurrent](), 0
    # Each cell hands its output to the next one at every step.
    lower = _Run(return_sequences=True, zeros=False)
    for at, each in enumerate(cells):
        path = f"{settings.name}.cell.cells[{at}]"
        one, top = foreign(settings.account, each, path), at + 1 == len(cells)
        piece = _cell_of(settings, layer, one, path, run if top else lower)
        if piece is None:
            return pieces.Lacking(layer)
        after = first + (3 if piece.bias else 2)
        name = layer.name if top else f"{layer.name}.{one.name}"
        # Each cell takes what the one before it gives.
        inputs = (found[-1].layer.name,) if found else layer.inputs
        placed = replace(layer, name=name, inputs=inputs, part=(layer.name, first, after))
        found.append(replace(piece, layer=placed))
        first = after
    return pieces.Stack(layer, tuple(found))


def _cell_of(
    settings: Settings, layer: Foreign, cell: Foreign, path: str, run: _Run
) -> pieces.Recurrent | None:
    own = Settings(settings.account, settings.version, path, cell.config)
    if cell.custom or cell.kind not in CELLS:
        wanted = f"expected one of {', '.join(CELLS)}"
        own.refuse("", f"{wanted}, received {show_value(cell.custom or cell.kind)}", "E701")
        return None
    own.common()
    found = _recurrent_layer(own, layer, CELLS[cell.kind], run)
    own.close()
    return found


def bidirectional(settings: Settings, layer: Foreign) -> pieces.Recurrent | pieces.Lacking:
    """Return a recurrent layer in both directions."""
    inner = foreign(settings.account, settings.take("layer"), f"{settings.name}.layer")
    merge = settings.take("merge_mode", "concat")
    if merge not in get_args(Merge):
        wanted = f"expected one of {', '.join(get_args(Merge))}"
        settings.refuse("merge_mode", f"{wanted}, received {show_value(merge)}")
        merge = "concat"
    backward = settings.take("backward_layer", None)
    settings.drop("return_sequences", "return_state", "stateful", "weights")
    if inner.kind not in KINDS or inner.custom:
        wanted = f"expected one of {', '.join(KINDS)}"
        settings.refuse("layer", f"{wanted}, received {show_value(inner.custom or inner.kind)}")
        return pieces.Lacking(layer)
    found = _inner(settings, inner, layer, backwards=False)
    if backward is not None:
        other = foreign(settings.account, backward, f"{settings.name}.backward_layer")
        if other.kind not in KINDS or other.kind != inner.kind or other.custom:
            received = show_value(other.custom or other.kind)
            settings.refuse("backward_layer", f"expected {inner.kind}, received {received}")
        elif replace(_inner(settings, other, layer, backwards=True), layer=found.layer) != found:
            message = "expected the settings of the forward layer, received others"
            settings.refuse("backward_layer", message)
    # Keras zeroes padding by itself if sequences are returned, and else it holds the state.
    return replace(found, merge=cast("Merge", merge), zeros=found.return_sequences)


def _inner(
    settings: Settings, inner: Foreign, layer: Foreign, *, backwards: bool
) -> pieces.Recurrent:
    name = f"{layer.name}.{'backward_layer' if backwards else 'layer'}"
    own = Settings(settings.account, settings.version, name, inner.config)
    own.common()
    own.drop("batch_shape", "batch_input_shape", "input_shape", "input_dim", "input_length")
    why = "one direction has to read forwards, the other backwards"
    own.only("go_backwards", backwards, why=why, default=backwards)
    found = _direction(own, layer, inner.kind)
    own.close()
    return found


def _direction(settings: Settings, layer: Foreign, kind: str) -> pieces.Recurrent:
    return _recurrent_layer(settings, layer, kind, _running(settings, layer))


def _recurrent_layer(settings: Settings, layer: Foreign, kind: str, run: _Run) -> pieces.Recurrent:
    """Return a layer in one direction, whose cell has the settings."""
    for name in ("kernel", "recurrent", "bias"):
        settings.leave_training(f"{name}_regularizer", f"{name}_constraint")
    settings.leave_training("activity_regularizer")
    bias_initializer = initializer(settings.take("bias_initializer", "zeros"))
    fused = kind.startswith("CuDNN")
    return pieces.Recurrent(
        layer=layer,
        units=settings.size("units"),
        cell=_cell(settings, kind, bias_initializer),
        merge=None,
        # The layers of cuDNN have no such setting.
        bias=True if fused else settings.flag("use_bias", True),
        dropout=0.0 if fused else settings.rate("dropout", 0.0),
        recurrent_dropout=0.0 if fused else settings.rate("recurrent_dropout", 0.0),
        return_sequences=run.return_sequences,
        zeros=run.zeros,
        kernel=initializer(settings.take("kernel_initializer", "glorot_uniform")),
        recurrent=initializer(settings.take("recurrent_initializer", "orthogonal")),
        bias_initializer=bias_initializer,
    )


def _running(settings: Settings, layer: Foreign) -> _Run:
    """Take the settings that say how the layer is run over time."""
    settings.only("stateful", False, why=_STATEFUL)
    settings.only("time_major", False, why="the language has the batch first")
    run = _Run(
        settings.flag("return_sequences", False), settings.flag("zero_output_for_mask", False)
    )
    if settings.flag("return_state", False) and not layer.output:
        settings.account.leave("return_state", settings.name, "nothing reads the states")
    if settings.flag("unroll", False):
        settings.account.leave("unroll", settings.name, "changes the speed only")
    settings.drop("use_cudnn")
    if not layer.output:
        return run
    if layer.kind == "Bidirectional":
        message = f"its output {layer.output} is used; the language passes on the first, the merged"
        settings.account.refuse(layer.name, message, "E704")
    elif layer.output > 1:
        message = "its cell state c is used; the language passes on the hidden state h"
        settings.account.refuse(layer.name, message, "E704")
    # The hidden state is the last output, which is held at padding.
    return _Run(return_sequences=False, zeros=False)


def _cell(settings: Settings, kind: str, bias: Initializer | None) -> nodes.Cell:
    match kind:
        case "SimpleRNN":
            return nodes.SimpleRNN(activation=cell_activation(settings, "activation", "tanh"))
        case "LSTM":
            return nodes.LSTM(
                activation=cell_activation(settings, "activation", "tanh"),
                recurrent_activation=_gates(settings),
                forget_bias=_forget_bias(settings, bias),
            )
        case "GRU":
            return nodes.GRU(
                activation=cell_activation(settings, "activation", "tanh"),
                recurrent_activation=_gates(settings),
                reset_after=_reset_after(settings),
            )
        case "CuDNNLSTM":
            forget = _forget_bias(settings, bias)
            return nodes.LSTM(activation="tanh", recurrent_activation="sigmoid", forget_bias=forget)
        case _:
            return nodes.GRU(activation="tanh", recurrent_activation="sigmoid", reset_after=True)


def _gates(settings: Settings) -> CellActivation:
    """Return the activation of the gates, by the default of the file's version if it is absent."""
    key, version = "recurrent_activation", settings.version
    # The default is sigmoid since Keras 2.3.
    default = "hard_sigmoid" if (version.major, version.minor) < (2, 3) else "sigmoid"
    if not settings.states(key):
        settings.account.infer(f"{key} '{default}', the default of {version}", settings.name)
    return cell_activation(settings, key, default)


def _reset_after(settings: Settings) -> bool:
    key, version = "reset_after", settings.version
    # It exists since Keras 2.1.5, false by default until Keras 3 (and in TensorFlow's, where files
    # always state it).
    default = version.major >= 3
    if not settings.states(key):
        settings.account.infer(
            f"{key} {str(default).lower()}, the default of {version}", settings.name
        )
        if not default:
            settings.account.differ("Keras 3 reads a GRU without reset_after in another way")
    return settings.flag(key, default)


def _forget_bias(settings: Settings, bias: Initializer | None) -> float:
    """Return the initial bias of the forget gate; NaN stands for one that the language lacks."""
    if settings.flag("unit_forget_bias", True):
        return 1.0
    return bias.value if isinstance(bias, Constant) else float("nan")


_MISSING = {
    "Lambda": "Python code, which is not run",
    "TFOpLambda": "a TensorFlow operation",
    "TensorFlowOpLayer": "a TensorFlow operation",
    "SlicingOpLambda": "a TensorFlow operation",
    "Permute": "a change of axes",
    "Cropping1D": "a part of a sequence",
    "Attention": "attention",
    "AdditiveAttention": "attention",
    "MultiHeadAttention": "attention",
    **dict.fromkeys(("PReLU", "ThresholdedReLU", "GaussianError"), "this activation"),
    **dict.fromkeys(MODELS, "models inside models at this depth"),
}


def pieces_of(account: Account, version: Version, layer: Foreign) -> tuple[Piece, ...]:
    """Return a layer with its settings checked; one that is refused is ``Lacking``."""
    if layer.custom:
        message = (
            f"the class {show_value(layer.custom)} is not Keras's own, and foreign code is not run"
        )
        account.refuse(layer.name, message, "E701")
        return (pieces.Lacking(layer),)
    reading = (OPERATIONS if layer.operation else CLASSES).get(layer.kind)
    if reading is None:
        account.refuse(layer.name, _no_counterpart(layer), "E701")
        return (pieces.Lacking(layer),)
    if layer.output and layer.kind not in STATES:
        message = f"its output {layer.output} is used; the language passes on the first"
        account.refuse(layer.name, message, "E704")
    settings = Settings(account, version, layer.name, layer.config)
    if layer.kind not in EMBEDDINGS or layer.tied:
        settings.common(tokens=layer.kind == "InputLayer")
    _shape(settings, layer)
    found = reading(settings, layer)
    settings.close()
    return found.layers if isinstance(found, pieces.Stack) else (found,)


def _no_counterpart(layer: Foreign) -> str:
    if layer.operation:
        function = f"keras.ops.{snake(layer.kind)}"
        return f"cannot carry over the operation {function}: the language has layers of Keras"
    kind = layer.kind
    what = _MISSING.get(kind) or ("this convolution" if "Conv" in kind else "")
    missing = f"the language lacks {what}" if what else "the language has no such layer"
    return f"cannot carry over a layer of the class {show_value(kind)}: {missing}"


def _shape(settings: Settings, layer: Foreign) -> None:
    """Take the shape of the input, which any first layer may have; ``pieces.stated`` reads it."""
    settings.drop("batch_shape", "batch_input_shape", "input_shape", "input_dtype")
    settings.only("sparse", False, why="the language has dense arrays")
    settings.only("ragged", False, why="the language has padded sequences")
    if layer.kind == "InputLayer":
        settings.drop("optional")
    elif layer.kind not in EMBEDDINGS:
        settings.drop("input_length", "input_dim")


def _embedding(settings: Settings, layer: Foreign) -> Piece:
    if layer.kind == "ReversibleEmbedding":
        if settings.flag("tie_weights", True) is False and layer.tied:
            settings.refuse("tie_weights", "expected True, received False: the kernel is its own")
        settings.only("reverse_dtype", None, why="the language has one dtype")
        settings.only("logit_soft_cap", None, why="the language has the plain product")
    if layer.tied:
        vocabulary = settings.size("input_dim")
        settings.drop(*(key for key in layer.config if settings.states(key)))
        return pieces.Dense(
            layer=layer,
            units=vocabulary,
            activation="linear",
            bias=False,
            kernel=None,
            bias_initializer=None,
        )
    trainable = settings.flag("trainable", True)
    # Old files have the type of the tokens here.
    settings.common(tokens=True)
    settings.leave_training(
        "embeddings_regularizer", "activity_regularizer", "embeddings_constraint"
    )
    length = settings.take("input_length", None)
    if isinstance(length, list) and len(length) == 1:
        (length,) = length
    if length is not None and (type(length) is not int or length < 1):
        settings.refuse(
            "input_length", f"expected a number of steps, received {show_value(length)}"
        )
        length = None
    return pieces.Embedding(
        layer=layer,
        vocabulary=settings.size("input_dim"),
        dim=settings.size("output_dim"),
        masked=settings.flag("mask_zero", False),
        trainable=trainable,
        steps=length,
        initializer=initializer(settings.take("embeddings_initializer", "uniform")),
    )


def _dense(settings: Settings, layer: Foreign) -> Piece:
    settings.leave_training("kernel_regularizer", "bias_regularizer", "activity_regularizer")
    settings.leave_training("kernel_constraint", "bias_constraint")
    return pieces.Dense(
        layer=layer,
        units=settings.size("units"),
        activation=_activation(settings),
        bias=settings.flag("use_bias", True),
        kernel=initializer(settings.take("kernel_initializer", "glorot_uniform")),
        bias_initializer=initializer(settings.take("bias_initializer", "zeros")),
    )


def _conv(settings: Settings, layer: Foreign) -> Piece:
    settings.leave_training("kernel_regularizer", "bias_regularizer", "activity_regularizer")
    settings.leave_training("kernel_constraint", "bias_constraint")
    settings.only("groups", 1, why="each filter of the language reads all features")
    return pieces.Conv(
        layer=layer,
        filters=settings.size("filters"),
        window=_window(settings, "kernel_size", settings.size_over_steps("strides", 1)),
        activation=_activation(settings),
        bias=settings.flag("use_bias", True),
        kernel=initializer(settings.take("kernel_initializer", "glorot_uniform")),
        bias_initializer=initializer(settings.take("bias_initializer", "zeros")),
    )


def _window_pooling(settings: Settings, layer: Foreign) -> Piece:
    size = settings.size_over_steps("pool_size", 2)
    window = _window(settings, "pool_size", settings.size_over_steps("strides", size), size)
    return pieces.WindowPooling(layer, "max" if layer.kind == "MaxPooling1D" else "average", window)


def _window(settings: Settings, key: str, stride: int, size: int | None = None) -> nodes.Window:
    """Take the settings of a window over the steps."""
    _steps_first(settings)
    allowed = get_args(WindowPadding) if key == "kernel_size" else ("valid", "same")
    padding = settings.only(
        "padding", *allowed, why="the language has no other padding", default="valid"
    )
    return nodes.Window(
        size=size or settings.size_over_steps(key),
        stride=stride,
        dilation=settings.size_over_steps("dilation_rate", 1) if key == "kernel_size" else 1,
        padding=padding if padding in allowed else "valid",
    )


def _steps_first(settings: Settings) -> None:
    why = "the language has the steps first"
    settings.only("data_format", "channels_last", why=why)


def _zero_padding(settings: Settings, layer: Foreign) -> Piece:
    _steps_first(settings)
    match settings.take("padding", 1):
        case int(both) if type(both) is int and both >= 0:
            return pieces.ZeroPadding(layer, both, both)
        case [int(before), int(after)] if (
            type(before) is type(after) is int and min(before, after) >= 0
        ):
            return pieces.ZeroPadding(layer, before, after)
        case other:
            wanted = "expected numbers of steps before and after"
            settings.refuse("padding", f"{wanted}, received {show_value(other)}")
            return pieces.Lacking(layer)


def _time_distributed(settings: Settings, layer: Foreign) -> Piece | pieces.Stack:
    inner = foreign(settings.account, settings.take("layer"), f"{settings.name}.layer")
    if inner.kind not in _AT_EACH_STEP or inner.custom:
        received = show_value(inner.custom or inner.kind)
        settings.refuse("layer", f"expected {listed(_AT_EACH_STEP, 'or')}, received {received}")
        return pieces.Lacking(layer)
    own = Settings(settings.account, settings.version, f"{layer.name}.{inner.name}", inner.config)
    own.common()
    _shape(own, inner)
    found = CLASSES[inner.kind](own, layer)
    own.close()
    return found


_AT_EACH_STEP = ("Dense", "Activation", "ReLU", "LeakyReLU", "ELU", "Dropout")


def _softmax(settings: Settings) -> nodes.Activation:
    settings.only("axis", -1, why="the language has the softmax over the features", default=-1)
    return "softmax"


def _relu(settings: Settings) -> nodes.Activation:
    settings.only("threshold", 0.0, 0, None, why="the language has the threshold 0")
    slope = 0.0 if settings.peek("negative_slope") is None else settings.number("negative_slope")
    settings.drop("negative_slope")
    if settings.peek("max_value") is None:
        settings.drop("max_value")
        return nodes.LeakyRelu(slope=slope) if slope else "relu"
    if slope:
        settings.refuse("max_value", "expected None with a negative_slope, received a number")
    limit = settings.number("max_value")
    if limit <= 0.0:
        settings.refuse("max_value", f"expected a number above 0, received {limit!r}")
    return nodes.ClippedRelu(limit=limit)


def _leaky_relu(settings: Settings) -> nodes.Activation:
    # Keras 2 has another name for it.
    key = "alpha" if settings.states("alpha") else "negative_slope"
    return nodes.LeakyRelu(slope=settings.number(key, 0.3))


def _elu(settings: Settings) -> nodes.Activation:
    settings.only("alpha", 1.0, 1, why="the language has the factor 1", default=1.0)
    return "elu"


ACTIVATIONS: dict[str, Callable[[Settings], nodes.Activation]] = {
    "Activation": dense_activation,
    "Softmax": _softmax,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
}
"""The layers that are an activation."""


def _activation_layer(kind: str) -> Reading:
    def read(settings: Settings, layer: Foreign) -> Piece:
        masks = kind == "Softmax" and not layer.operation
        return pieces.Activated(layer, ACTIVATIONS[kind](settings), masks)

    return read


def _activation(settings: Settings) -> nodes.Activation:
    """Return the activation of a layer: a name, or a layer itself."""
    match settings.peek("activation"):
        case {"class_name": str(kind), "config": dict()} as value if kind in ACTIVATIONS:
            path = f"{settings.name}.activation"
            inner = foreign(settings.account, value, path)
            if inner.custom:
                return dense_activation(settings)
            settings.drop("activation")
            own = Settings(settings.account, settings.version, path, inner.config)
            own.common()
            activation = ACTIVATIONS[kind](own)
            own.close()
            return activation
        case _:
            return dense_activation(settings)


def _dropout(settings: Settings, layer: Foreign) -> Piece:
    shape, rate = settings.take("noise_shape", None), settings.rate("rate")
    if layer.kind == "SpatialDropout1D":
        settings.drop("data_format")
        return pieces.Dropout(layer, rate, spatial=True)
    if shape is not None:
        settings.account.leave(f"{layer.kind} with noise_shape {show_value(shape)}", layer.name)
        return pieces.Identity(layer)
    return pieces.Dropout(layer, rate)


def _noise(settings: Settings, layer: Foreign) -> Piece:
    settings.drop("stddev", "rate", "noise_shape", "l1", "l2")
    settings.account.leave(layer.kind, layer.name)
    return pieces.Identity(layer)


def _pooling_layer(settings: Settings, layer: Foreign) -> Piece:
    settings.only("keepdims", False, why="the language pools to a vector")
    _steps_first(settings)
    return pieces.Pooling(layer, "max" if layer.kind == "GlobalMaxPooling1D" else "mean")


def _pooling_function(settings: Settings, layer: Foreign) -> Piece:
    settings.only("keepdims", False, why="the language pools to a vector")
    match axis := settings.take("axis", None):
        case [int(only)] | int(only) if type(only) is int and only in (1, -2):
            pass
        case _:
            settings.refuse("axis", f"expected 1 (the steps), received {show_value(axis)}")
    if layer.kind == "Max":
        settings.only("initial", None, why="the language has the plain maximum")
    statistics: dict[str, Statistic] = {"Max": "max", "Mean": "mean", "Sum": "sum"}
    return pieces.Pooling(layer, statistics[layer.kind])


def _norm(settings: Settings, layer: Foreign) -> Piece:
    batch = layer.kind == "BatchNormalization"
    lacks = list[str]()
    for key, name in (("scale", "gamma"), ("center", "beta")):
        if not settings.flag(key, True):
            lacks.append(name)
            what = f"{name}, {int(name == 'gamma')} everywhere, is an array that learns"
            settings.account.infer(f"{what}, where {key} is false", layer.name)
    settings.only("rms_scaling", False, why="the language lacks the RMS norm")
    initial = {"gamma": "ones", "beta": "zeros"}
    if batch:
        initial |= {"moving_mean": "zeros", "moving_variance": "ones"}
    for name, usual in initial.items():
        value = initializer(settings.take(f"{name}_initializer", None))
        if value is not None and value != initializer(usual):
            settings.account.leave(f"{name}_initializer", layer.name)
        settings.leave_training(f"{name}_regularizer", f"{name}_constraint")
    axis, momentum = settings.take("axis", -1), None
    if batch:
        momentum = settings.number("momentum", 0.99)
        if not 0.0 <= momentum < 1.0:
            settings.refuse("momentum", f"expected 0 to below 1, received {momentum!r}")
        settings.only("renorm", False, why="the language lacks batch renormalization")
        settings.drop("renorm_clipping", "renorm_momentum", "fused")
        settings.only("virtual_batch_size", None, why="the language normalizes over the batch")
        if settings.flag("synchronized", False):
            settings.account.leave("synchronized", layer.name)
    epsilon = settings.number("epsilon", 1e-3)
    if not 1e-12 <= epsilon <= 1.0:
        settings.refuse("epsilon", f"expected 1e-12 to 1, received {epsilon!r}")
    old = settings.version.major < 3
    return pieces.Norm(layer, axis, epsilon, tuple(lacks), momentum, counts_padding=old)


def _flatten(settings: Settings, layer: Foreign) -> Piece:
    _steps_first(settings)
    return pieces.Reshape(layer, None)


def _reshape(settings: Settings, layer: Foreign) -> Piece:
    match settings.take("target_shape" if settings.states("target_shape") else "newshape", None):
        case [*sizes] if all(type(size) is int and size >= -1 for size in sizes):
            return pieces.Reshape(layer, tuple(sizes))
        case other:
            message = f"expected a list of sizes, received {show_value(other)}"
            settings.refuse("target_shape", message)
            return pieces.Lacking(layer)


def _normalize(settings: Settings, layer: Foreign) -> Piece:
    match axis := settings.take("axis", -1):
        case [int(only)] | int(only) if type(only) is int and only in (-1, 1):
            pass
        case _:
            settings.refuse("axis", f"expected -1 (the features), received {show_value(axis)}")
    if settings.version.major < 3:
        settings.account.infer(
            "norms below 1e-6 are not raised to 1e-6, as Keras 2 does", layer.name
        )
    return pieces.Normalize(layer)


def _get_item(settings: Settings, layer: Foreign) -> Piece:
    match layer.constants:
        case ([steps, last, *features],) if (
            (len(features) < 2 and steps == _EVERYTHING)
            and all(each == _EVERYTHING for each in features)
            and _count(last)
        ):
            return pieces.LastStep(layer) if last == -1 else pieces.LastSteps(layer, _count(last))
        case _:
            received = show_value(list(layer.constants))
            settings.refuse("", f"expected the last step, [:, -1], received {received}", "E701")
            return pieces.Lacking(layer)


def _count(index: Any) -> int:
    """Return the number of steps if an index of the steps is that of the last ones, or else 0."""
    match index:
        case -1:
            return 1
        case {
            "class_name": "__slice__",
            "config": {"start": int(start), "stop": None, "step": None | 1},
        } if start < 0:
            return -start
        case _:
            return 0


_EVERYTHING = {
    "class_name": "__slice__",
    "config": {"start": None, "stop": None, "step": None},
}

_NOISE = ("GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization")

CLASSES: dict[str, Reading] = {
    "InputLayer": lambda _, layer: pieces.Input(layer, pieces.stated_shape(layer)),
    "Masking": lambda settings, layer: pieces.Masking(
        layer, in_float32(settings.number("mask_value", 0.0))
    ),
    **dict.fromkeys(EMBEDDINGS, _embedding),
    **dict.fromkeys(KINDS, recurrent),
    "Bidirectional": bidirectional,
    "RNN": of_cells,
    "TimeDistributed": _time_distributed,
    "Dense": _dense,
    **{kind: _activation_layer(kind) for kind in ACTIVATIONS},
    "Conv1D": _conv,
    "MaxPooling1D": _window_pooling,
    "AveragePooling1D": _window_pooling,
    "ZeroPadding1D": _zero_padding,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Dropout": _dropout,
    "SpatialDropout1D": _dropout,
    **dict.fromkeys(_NOISE, _noise),
    "GlobalAveragePooling1D": _pooling_layer,
    "GlobalMaxPooling1D": _pooling_layer,
    "RepeatVector": lambda settings, layer: pieces.Repeat(layer, settings.size("n")),
    "LayerNormalization": _norm,
    "BatchNormalization": _norm,
    "UnitNormalization": _normalize,
    "Add": lambda settings, layer: pieces.Add(layer, settings.version.major < 3),
    "Concatenate": lambda settings, layer: pieces.Concat(
        layer, settings.take("axis", -1), settings.version.major < 3
    ),
    "Identity": lambda settings, layer: pieces.Identity(layer, drops=settings.version.major < 3),
}
"""The reading of the settings of each class of layers."""

OPERATIONS: dict[str, Reading] = {
    "Add": CLASSES["Add"],
    "Concatenate": CLASSES["Concatenate"],
    "GetItem": _get_item,
    **dict.fromkeys(("Max", "Mean", "Sum"), _pooling_function),
    "Softmax": CLASSES["Softmax"],
}
"""The reading of operators and functions of ``keras.ops``, some of which have a layer's name."""

STATES = (*KINDS, "Bidirectional", "RNN")
"""The classes of layers that may return their states as well."""
