"""The settings of each class of Keras's layers; the recurrent ones are in ``cells``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.imported import Account, said
from rnnspec.backends.keras.foreign.architecture import pieces
from rnnspec.backends.keras.foreign.architecture.cells import (
    KINDS,
    bidirectional,
    of_cells,
    recurrent,
)
from rnnspec.backends.keras.foreign.architecture.records import MODELS, Foreign, foreign, snake
from rnnspec.backends.keras.foreign.architecture.settings import Settings, Version, in_float32
from rnnspec.backends.keras.foreign.architecture.words import dense_activation, initializer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.backends.keras.foreign.architecture.pieces import Piece

    Reading = Callable[[Settings, Foreign], Piece | pieces.Stack]

_MISSING = {
    "Lambda": "Python code, which is not run",
    "TFOpLambda": "a TensorFlow operation",
    "TensorFlowOpLayer": "a TensorFlow operation",
    "SlicingOpLambda": "a TensorFlow operation",
    "Flatten": "flattening of a sequence",
    "Reshape": "a change of shape",
    "Permute": "a change of axes",
    "BatchNormalization": "batch normalization",
    "Concatenate": "several branches",
    "Attention": "attention",
    "AdditiveAttention": "attention",
    "MultiHeadAttention": "attention",
    "MaxPooling1D": "pooling of a part of a sequence",
    "AveragePooling1D": "pooling of a part of a sequence",
    **dict.fromkeys(MODELS, "models inside models at this depth"),
}


def pieces_of(account: Account, version: Version, layer: Foreign) -> tuple[Piece, ...]:
    """Return a layer with its settings checked; one that is refused is ``Lacking``."""
    if layer.custom:
        message = f"the class {said(layer.custom)} is not Keras's own, and foreign code is not run"
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
    if layer.kind != "Embedding":
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
    what = _MISSING.get(kind) or ("a convolution" if "Conv" in kind else "")
    missing = f"the language lacks {what}" if what else "the language has no such layer"
    return f"cannot carry over a layer of the class {said(kind)}: {missing}"


def _shape(settings: Settings, layer: Foreign) -> None:
    """Take the shape of the input, which any first layer may have; ``pieces.stated`` reads it."""
    settings.drop("batch_shape", "batch_input_shape", "input_shape", "input_dtype")
    settings.only("sparse", False, why="the language has dense arrays")
    settings.only("ragged", False, why="the language has padded sequences")
    if layer.kind not in ("Embedding", "InputLayer"):
        settings.drop("input_length")
        if settings.states("input_dim") and layer.kind != "Embedding":
            settings.drop("input_dim")


def _input(settings: Settings, layer: Foreign) -> Piece:
    settings.drop("optional")
    return pieces.Input(layer, pieces.stated(layer))


def _masking(settings: Settings, layer: Foreign) -> Piece:
    return pieces.Masking(layer, in_float32(settings.number("mask_value", 0.0)))


def _embedding(settings: Settings, layer: Foreign) -> Piece:
    trainable = settings.flag("trainable", True)
    # Old files have the type of the tokens here.
    settings.common(tokens=True)
    settings.trained("embeddings_regularizer", "activity_regularizer", "embeddings_constraint")
    length = settings.take("input_length", None)
    if isinstance(length, list) and len(length) == 1:
        (length,) = length
    if length is not None and (type(length) is not int or length < 1):
        settings.refuse("input_length", f"expected a number of steps, received {said(length)}")
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
    settings.trained("kernel_regularizer", "bias_regularizer", "activity_regularizer")
    settings.trained("kernel_constraint", "bias_constraint")
    return pieces.Dense(
        layer=layer,
        units=settings.size("units"),
        activation=dense_activation(settings),
        bias=settings.flag("use_bias", True),
        kernel=initializer(settings.take("kernel_initializer", "glorot_uniform")),
        bias_initializer=initializer(settings.take("bias_initializer", "zeros")),
    )


def _time_distributed(settings: Settings, layer: Foreign) -> Piece | pieces.Stack:
    inner = foreign(settings.account, settings.take("layer"), f"{settings.name}.layer")
    if inner.kind not in ("Dense", "Activation", "Dropout") or inner.custom:
        message = f"expected Dense, Activation or Dropout, received {said(inner.kind)}"
        settings.refuse("layer", message)
        return pieces.Lacking(layer)
    own = Settings(settings.account, settings.version, f"{layer.name}.{inner.name}", inner.config)
    own.common()
    _shape(own, inner)
    found = CLASSES[inner.kind](own, layer)
    own.close()
    return found


def _activation(settings: Settings, layer: Foreign) -> Piece:
    return pieces.Activated(layer, dense_activation(settings))


def _softmax(settings: Settings, layer: Foreign) -> Piece:
    settings.only("axis", -1, why="the language has the softmax over the features", default=-1)
    return pieces.Activated(layer, "softmax", masks=not layer.operation)


def _relu(settings: Settings, layer: Foreign) -> Piece:
    why = "the language has the plain relu"
    settings.only("max_value", None, why=why)
    settings.only("negative_slope", 0.0, 0, None, why=why)
    settings.only("threshold", 0.0, 0, None, why=why)
    return pieces.Activated(layer, "relu")


def _dropout(settings: Settings, layer: Foreign) -> Piece:
    shape = settings.take("noise_shape", None)
    rate = settings.rate("rate")
    if shape is not None:
        settings.account.leave(f"{layer.kind} with noise_shape {said(shape)}", layer.name)
        return pieces.Identity(layer)
    return pieces.Dropout(layer, rate)


def _spatial_dropout(settings: Settings, layer: Foreign) -> Piece:
    settings.drop("data_format")
    settings.take("noise_shape", None)
    return pieces.Dropout(layer, settings.rate("rate"), spatial=True)


def _noise(settings: Settings, layer: Foreign) -> Piece:
    settings.drop("stddev", "rate", "noise_shape", "l1", "l2")
    settings.account.leave(layer.kind, layer.name)
    return pieces.Identity(layer)


def _average(settings: Settings, layer: Foreign) -> Piece:
    _pooled(settings)
    return pieces.Pooling(layer, "mean")


def _maximum(settings: Settings, layer: Foreign) -> Piece:
    _pooled(settings)
    return pieces.Pooling(layer, "max")


def _mean(settings: Settings, layer: Foreign) -> Piece:
    _over_steps(settings)
    return pieces.Pooling(layer, "mean")


def _max(settings: Settings, layer: Foreign) -> Piece:
    _over_steps(settings)
    settings.only("initial", None, why="the language has the plain maximum")
    return pieces.Pooling(layer, "max")


def _over_steps(settings: Settings) -> None:
    """Take the settings of a function that reduces the steps."""
    settings.only("keepdims", False, why="the language pools to a vector")
    match axis := settings.take("axis", None):
        case [int(only)] | int(only) if type(only) is int and only in (1, -2):
            pass
        case _:
            settings.refuse("axis", f"expected 1 (the steps), received {said(axis)}")


def _pooled(settings: Settings) -> None:
    settings.only("keepdims", False, why="the language pools to a vector")
    settings.only("data_format", "channels_last", why="the language has the steps first")


def _repeat(settings: Settings, layer: Foreign) -> Piece:
    return pieces.Repeat(layer, settings.size("n"))


def _layer_norm(settings: Settings, layer: Foreign) -> Piece:
    _features_axis(settings, 2)
    for key in ("center", "scale"):
        settings.only(key, True, why="the layer norm of the language has both arrays")
    settings.only("rms_scaling", False, why="the language lacks the RMS norm")
    for name in ("beta", "gamma"):
        value = initializer(settings.take(f"{name}_initializer", None))
        if value is not None and value != initializer({"beta": "zeros", "gamma": "ones"}[name]):
            settings.account.leave(f"{name}_initializer", layer.name)
        settings.trained(f"{name}_regularizer", f"{name}_constraint")
    return pieces.LayerNorm(layer, settings.number("epsilon", 1e-3))


def _features_axis(settings: Settings, last: int) -> None:
    """Take the axis of a norm, which has to be the last, -1 or ``last``."""
    match axis := settings.take("axis", -1):
        case [int(only)] | int(only) if type(only) is int and only in (-1, last):
            pass
        case _:
            settings.refuse("axis", f"expected -1 (the features), received {said(axis)}")


def _normalize(settings: Settings, layer: Foreign) -> Piece:
    _features_axis(settings, 1)
    if settings.version.major < 3:
        settings.account.infer(
            "norms below 1e-6 are not raised to 1e-6, as Keras 2 does", layer.name
        )
    return pieces.Normalize(layer)


def _get_item(settings: Settings, layer: Foreign) -> Piece:
    match layer.constants:
        case ([steps, last, *features],) if (
            type(last) is int and last == -1 and len(features) < 2 and steps == _EVERYTHING
        ) and all(each == _EVERYTHING for each in features):
            return pieces.LastStep(layer)
        case _:
            received = said(list(layer.constants))
            settings.refuse("", f"expected the last step, [:, -1], received {received}", "E701")
            return pieces.Lacking(layer)


def _add(settings: Settings, layer: Foreign) -> Piece:
    del settings
    return pieces.Add(layer)


def _identity(settings: Settings, layer: Foreign) -> Piece:
    return pieces.Identity(layer, drops=settings.version.major < 3)


_EVERYTHING = {
    "class_name": "__slice__",
    "config": {"start": None, "stop": None, "step": None},
}

CLASSES: dict[str, Reading] = {
    "InputLayer": _input,
    "Masking": _masking,
    "Embedding": _embedding,
    "SimpleRNN": recurrent,
    "LSTM": recurrent,
    "GRU": recurrent,
    "CuDNNLSTM": recurrent,
    "CuDNNGRU": recurrent,
    "Bidirectional": bidirectional,
    "RNN": of_cells,
    "TimeDistributed": _time_distributed,
    "Dense": _dense,
    "Activation": _activation,
    "Softmax": _softmax,
    "ReLU": _relu,
    "Dropout": _dropout,
    "SpatialDropout1D": _spatial_dropout,
    "GaussianNoise": _noise,
    "GaussianDropout": _noise,
    "AlphaDropout": _noise,
    "ActivityRegularization": _noise,
    "GlobalAveragePooling1D": _average,
    "GlobalMaxPooling1D": _maximum,
    "RepeatVector": _repeat,
    "LayerNormalization": _layer_norm,
    "UnitNormalization": _normalize,
    "Add": _add,
    "Identity": _identity,
}
"""The reading of the settings of each class of layers."""

OPERATIONS: dict[str, Reading] = {
    "Add": _add,
    "GetItem": _get_item,
    "Max": _max,
    "Mean": _mean,
    "Softmax": _softmax,
}
"""The reading of operators and functions of ``keras.ops``, some of which have a layer's name."""

STATES = (*KINDS, "Bidirectional", "RNN")
"""The classes of layers that may return their states as well."""
