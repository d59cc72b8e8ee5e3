"""The settings of each class of Keras's layers."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from rnnspec.errors import listed
from rnnspec.importing import unplaced
from rnnspec.importing.imported import Account, show_value
from rnnspec.importing.keras import pieces
from rnnspec.importing.keras.arrays import Foreign, Version, snake
from rnnspec.importing.keras.files import SHARING, is_of_source
from rnnspec.importing.keras.recurrent import KINDS, read_bidirectional, read_cells, read_recurrent
from rnnspec.importing.keras.settings import (
    ACTIVATIONS,
    MODELS,
    Settings,
    foreign,
    in_float32,
    initializer,
    layer_activation,
)
from rnnspec.importing.keras.windows import read_conv, read_window_pooling, read_zero_padding
from rnnspec.ir import nodes
from rnnspec.ir.reductions import REDUCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.importing.keras.pieces import Piece
    from rnnspec.words import Statistic

    Reading = Callable[[Settings, Foreign], Piece | pieces.CellStack]

EMBEDDINGS = ("Embedding", "ReversibleEmbedding")
"""The classes of embeddings."""
ATTENTIONS = ("Attention", "AdditiveAttention")
"""The classes of attention to the steps of another layer."""
JOINS = ("Add", "Concatenate", "Multiply", "Dot", *ATTENTIONS)
"""The classes of layers, and the operations, that take several outputs."""


_STATISTICS: dict[str, Statistic] = {"Max": "max", "Mean": "mean", "Min": "min", "Sum": "sum"}
"""The functions of Keras that pool over the steps."""
_MISSING = {
    "Lambda": "Python code, which is not run",
    "TFOpLambda": "a TensorFlow operation",
    "TensorFlowOpLayer": "a TensorFlow operation",
    "SlicingOpLambda": "a TensorFlow operation",
    "Cropping1D": "a part of a sequence",
    "MultiHeadAttention": "attention with several heads",
    "GroupedQueryAttention": "attention with several heads",
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
    other = next((number for number in layer.used if number), 0)
    if other and layer.kind not in STATES:
        message = f"its output {other} is used; rnnspec passes on the first"
        account.refuse(layer.name, message, "E704")
    settings = Settings(account, version, layer.name, layer.config)
    if layer.kind not in EMBEDDINGS or layer.tied:
        settings.common(tokens=layer.kind == "InputLayer")
    _shape(settings, layer)
    piece = reading(settings, layer)
    settings.close()
    several = piece.layers if isinstance(piece, pieces.CellStack) else (piece,)
    # Source: Layer.__call__ of Keras 3, which fills in a mask for a call with one tensor only.
    if version.major < 3 or not layer.states or layer.mask is not None:
        return several
    return tuple(
        replace(part, unmasked=True) if isinstance(part, pieces.RecurrentPiece) else part
        for part in several
    )


def _no_counterpart(layer: Foreign) -> str:
    if layer.operation:
        function = f"keras.ops.{snake(layer.kind)}"
        return f"cannot carry over the operation {function}: rnnspec supports only layers of Keras"
    kind = layer.kind
    what = _MISSING.get(kind) or ("this convolution" if "Conv" in kind else "such a layer")
    missing = f"rnnspec does not support {what}"
    if is_of_source(kind):
        missing = "rnnspec wrote it; name the spec of the model with --spec"
    return f"cannot carry over a layer of the class {show_value(kind)}: {missing}"


def _shape(settings: Settings, layer: Foreign) -> None:
    """Take the shape of the input, which any first layer may have; ``pieces.stated`` reads it."""
    settings.drop("batch_shape", "batch_input_shape", "input_shape", "input_dtype")
    settings.only("sparse", False, why="rnnspec supports only dense arrays")
    settings.only("ragged", False, why="rnnspec supports only padded sequences")
    if layer.kind == "InputLayer":
        settings.drop("optional")
    elif layer.kind not in EMBEDDINGS:
        settings.drop("input_length", "input_dim")


def _embedding(settings: Settings, layer: Foreign) -> Piece:
    if layer.kind == "ReversibleEmbedding":
        if settings.flag("tie_weights", True) is False and layer.tied:
            settings.refuse("tie_weights", "expected True, received False: the kernel is its own")
        settings.only("reverse_dtype", None, why="rnnspec supports only one dtype")
        settings.only("logit_soft_cap", None, why="rnnspec supports only the plain product")
    if layer.tied:
        vocabulary = settings.size("input_dim")
        settings.drop(*(key for key in layer.config if settings.states(key)))
        node = unplaced.dense(layer.name, vocabulary, activation="linear", bias=False)
        return pieces.Layer(layer=layer, node=node)
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
    drawn = initializer(settings.take("embeddings_initializer", "uniform"))
    if drawn is None:
        settings.account.leave("embeddings_initializer", layer.name)
    vocabulary, dim = settings.size("input_dim"), settings.size("output_dim")
    embedding = unplaced.embedding(layer.name, vocabulary, dim, trainable=trainable)
    embedding = replace(
        embedding,
        input=(length,),
        masked=settings.flag("mask_zero", False),
        shares=layer.shared or None,
    )
    embedding = replace(embedding, initializer=drawn) if drawn else embedding
    return pieces.Layer(layer=layer, node=embedding)


def _dense(settings: Settings, layer: Foreign) -> Piece:
    units, activation = settings.size("units"), layer_activation(settings)
    bias = settings.flag("use_bias", True)
    node = unplaced.dense(layer.name, units, activation=activation, bias=bias)
    return pieces.Layer(layer=layer, node=node, initializers=settings.initializers(bias=bias))


def _time_distributed(settings: Settings, layer: Foreign) -> Piece | pieces.CellStack:
    inner = foreign(settings.account, settings.take("layer"), f"{settings.name}.layer")
    if inner.kind not in _AT_EACH_STEP or inner.custom:
        received = show_value(inner.custom or inner.kind)
        settings.refuse("layer", f"expected {listed(_AT_EACH_STEP, 'or')}, received {received}")
        return pieces.Lacking(layer)
    with settings.inside(f"{layer.name}.{inner.name}", inner.config) as inner_settings:
        _shape(inner_settings, inner)
        return CLASSES[inner.kind](inner_settings, layer)


_AT_EACH_STEP = ("Dense", "Activation", "ReLU", "LeakyReLU", "ELU", "Dropout")


def _activation_layer(kind: str) -> Reading:
    def read(settings: Settings, layer: Foreign) -> Piece:
        masks = kind == "Softmax" and not layer.operation
        node = nodes.Activate(name=layer.name, input=(), activation=ACTIVATIONS[kind](settings))
        return pieces.Activated(layer=layer, node=node, masks=masks)

    return read


def _dropout(settings: Settings, layer: Foreign) -> Piece:
    shape, rate = settings.take("noise_shape", None), settings.rate("rate")
    spatial = layer.kind == "SpatialDropout1D"
    if spatial:
        settings.drop("data_format")
    elif shape is not None:
        settings.account.leave(f"{layer.kind} with noise_shape {show_value(shape)}", layer.name)
        return pieces.Identity(layer)
    node = nodes.Dropout(name=layer.name, input=(), rate=rate, variational=spatial)
    return pieces.Layer(layer=layer, node=node)


def _noise(settings: Settings, layer: Foreign) -> Piece:
    settings.drop("stddev", "rate", "noise_shape", "l1", "l2")
    settings.account.leave(layer.kind, layer.name)
    return pieces.Identity(layer)


def _pooling_layer(settings: Settings, layer: Foreign) -> Piece:
    settings.only("keepdims", False, why="rnnspec pools to a vector")
    settings.expect_steps_first()
    return _pooling(layer, "max" if layer.kind == "GlobalMaxPooling1D" else "mean")


def _pooling(layer: Foreign, statistic: Statistic) -> Piece:
    node = nodes.Pooling(name=layer.name, input=(), statistic=statistic, masked=False)
    return pieces.Layer(layer=layer, node=node)


def _pooling_function(settings: Settings, layer: Foreign) -> Piece:
    settings.only("keepdims", False, why="rnnspec pools to a vector")
    match axis := settings.take("axis", None):
        case [int(only)] | int(only) if type(only) is int and only in (1, -2):
            pass
        case _:
            settings.refuse("axis", f"expected 1 (the steps), received {show_value(axis)}")
    statistic = _STATISTICS[layer.kind]
    if statistic in ("max", "min"):
        noun = REDUCTIONS[statistic].noun
        settings.only("initial", None, why=f"rnnspec supports only the plain {noun}")
    return _pooling(layer, statistic)


def _norm(settings: Settings, layer: Foreign) -> Piece:
    batch = layer.kind == "BatchNormalization"
    scale, offset = settings.flag("scale", True), settings.flag("center", True)
    settings.only("rms_scaling", False, why="rnnspec does not support the RMS norm")
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
        settings.only("renorm", False, why="rnnspec does not support batch renormalization")
        settings.drop("renorm_clipping", "renorm_momentum", "fused")
        settings.only("virtual_batch_size", None, why="rnnspec normalizes over the batch")
        if settings.flag("synchronized", False):
            settings.account.leave("synchronized", layer.name)
    epsilon = settings.number("epsilon", 1e-3)
    if not 1e-12 <= epsilon <= 1.0:
        settings.refuse("epsilon", f"expected 1e-12 to 1, received {epsilon!r}")
    node: nodes.LayerNorm | nodes.BatchNorm
    if momentum is None:
        node = nodes.LayerNorm(
            name=layer.name, input=(), epsilon=epsilon, scale=scale, offset=offset
        )
    else:
        node = nodes.BatchNorm(
            name=layer.name,
            input=(),
            epsilon=epsilon,
            momentum=momentum,
            masked=False,
            scale=scale,
            offset=offset,
        )
    old = settings.version.major < 3
    return pieces.NormPiece(layer=layer, node=node, axis=axis, counts_padding=old)


def _flatten(settings: Settings, layer: Foreign) -> Piece:
    settings.expect_steps_first()
    return pieces.Reshape(layer, None)


def _reshape(settings: Settings, layer: Foreign) -> Piece:
    match settings.take("target_shape" if settings.states("target_shape") else "newshape", None):
        case [*sizes] if all(type(size) is int and size >= -1 for size in sizes):
            return pieces.Reshape(layer, tuple(sizes))
        case other:
            message = f"expected a list of sizes, received {show_value(other)}"
            settings.refuse("target_shape", message)
            return pieces.Lacking(layer)


def _expand_dims(settings: Settings, layer: Foreign) -> Piece:
    axis = settings.take("axis", None)
    if axis not in (1, -2) or isinstance(axis, bool):
        settings.refuse("axis", f"expected 1 (the steps), received {show_value(axis)}")
        return pieces.Lacking(layer)
    return pieces.Reshape(layer, (1, -1))


def _permute(settings: Settings, layer: Foreign) -> Piece:
    match settings.take("dims", None):
        case [1] | [1, 2]:
            return pieces.Identity(layer)
        case [2, 1]:
            return pieces.Layer(layer=layer, node=nodes.Transpose(name=layer.name, input=()))
        case other:
            settings.refuse("dims", f"expected (2, 1), received {show_value(other)}")
            return pieces.Lacking(layer)


def _attention(settings: Settings, layer: Foreign) -> Piece:
    additive = layer.kind == "AdditiveAttention"
    scaled = settings.flag("use_scale", additive)
    settings.only("causal", False, why="rnnspec attends to all steps")
    if rate := settings.rate("dropout", 0.0):
        settings.account.leave(f"dropout {rate:g} in an attention", layer.name)
    if not additive:
        settings.only("score_mode", "dot", why="that is AdditiveAttention over dense layers")
        if scaled:
            message = "expected false, received true: the learned scale is no array of rnnspec"
            settings.refuse("use_scale", f"{message}; a dense layer of the queries has it")
    lacks = ("score",) if additive and not scaled else ()
    if lacks:
        what = "score, 1 everywhere, is an array that learns, where use_scale is false"
        settings.account.infer(what, layer.name)
    if not 2 <= len(layer.inputs) <= 3:
        message = f"expected the queries, the values and perhaps keys, received {len(layer.inputs)}"
        settings.refuse("", f"{message} outputs", "E704")
        return pieces.Lacking(layer)
    node = unplaced.attention(layer.name, "", "", 1, additive=additive)
    node = replace(node, causal=layer.causal)
    return pieces.AttentionPiece(layer=layer, node=node, lacks=lacks)


def _dot(settings: Settings, layer: Foreign) -> Piece:
    settings.only("normalize", False, why="rnnspec does not support the cosine")
    axes = settings.take("axes")
    if len(layer.inputs) != 2:
        message = f"expected two outputs, received {len(layer.inputs)}"
        settings.refuse("", message, "E704")
        return pieces.Lacking(layer)
    return pieces.DotPiece(layer, axes)


def _flip(settings: Settings, layer: Foreign) -> Piece:
    match axis := settings.take("axis", None):
        case [int(only)] | int(only) if type(only) is int and only in (1, -2):
            return pieces.Flip(layer)
        case _:
            settings.refuse("axis", f"expected 1 (the steps), received {show_value(axis)}")
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
    return pieces.Layer(layer=layer, node=nodes.Normalize(name=layer.name, input=()))


def _get_item(settings: Settings, layer: Foreign) -> Piece:
    match layer.constants:
        case ([steps, last, *features],) if (
            (len(features) < 2 and steps == _EVERYTHING)
            and all(index == _EVERYTHING for index in features)
            and _count(last)
        ):
            if last == -1:
                return _pooling(layer, "last_step")
            node = nodes.LastSteps(name=layer.name, input=(), count=_count(last))
            return pieces.Layer(layer=layer, node=node)
        case _:
            received = show_value(list(layer.constants))
            settings.refuse("", f"expected the last step, [:, -1], received {received}", "E701")
            return pieces.Lacking(layer)


def _multiply(settings: Settings, layer: Foreign) -> pieces.AddPiece:
    return pieces.AddPiece(layer, settings.version.major < 3, how="multiply")


def _product(settings: Settings, layer: Foreign) -> Piece:
    match layer.constants:
        case ():
            return _multiply(settings, layer)
        case [int() | float() as factor] if type(factor) is not bool and isfinite(factor):
            return pieces.Scaled(layer, float(factor))
        case _:
            received = show_value(list(layer.constants))
            settings.refuse("", f"expected a number, received {received}", "E704")
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
    "InputLayer": lambda _, layer: pieces.InputPiece(layer, pieces.stated_shape(layer)),
    "Masking": lambda settings, layer: pieces.Masking(
        layer, in_float32(settings.number("mask_value", 0.0))
    ),
    **dict.fromkeys(EMBEDDINGS, _embedding),
    **dict.fromkeys(KINDS, read_recurrent),
    "Bidirectional": read_bidirectional,
    **dict.fromkeys(("RNN", SHARING), read_cells),
    "TimeDistributed": _time_distributed,
    "Dense": _dense,
    **{kind: _activation_layer(kind) for kind in ACTIVATIONS},
    "Conv1D": read_conv,
    "MaxPooling1D": read_window_pooling,
    "AveragePooling1D": read_window_pooling,
    "ZeroPadding1D": read_zero_padding,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Dropout": _dropout,
    "SpatialDropout1D": _dropout,
    **dict.fromkeys(_NOISE, _noise),
    "GlobalAveragePooling1D": _pooling_layer,
    "GlobalMaxPooling1D": _pooling_layer,
    "RepeatVector": lambda settings, layer: pieces.Layer(
        layer=layer, node=nodes.Repeat(name=layer.name, input=(), steps=settings.size("n"))
    ),
    "LayerNormalization": _norm,
    "BatchNormalization": _norm,
    "UnitNormalization": _normalize,
    "Permute": _permute,
    "Add": lambda settings, layer: pieces.AddPiece(layer, settings.version.major < 3),
    "Multiply": _multiply,
    "Concatenate": lambda settings, layer: pieces.ConcatPiece(
        layer, settings.take("axis", -1), settings.version.major < 3
    ),
    **dict.fromkeys(ATTENTIONS, _attention),
    "Dot": _dot,
    "Identity": lambda settings, layer: pieces.Identity(layer, drops=settings.version.major < 3),
}
"""The reading of the settings of each class of layers."""

OPERATIONS: dict[str, Reading] = {
    "Add": CLASSES["Add"],
    "Multiply": _product,
    "Concatenate": CLASSES["Concatenate"],
    "ExpandDims": _expand_dims,
    "Flip": _flip,
    "GetItem": _get_item,
    **dict.fromkeys(_STATISTICS, _pooling_function),
    "Softmax": CLASSES["Softmax"],
}
"""The reading of operators and functions of ``keras.ops``, some of which have a layer's name."""

STATES = (*KINDS, "Bidirectional", "RNN", SHARING)
"""The classes of layers that may return their states as well."""
