"""The layers of Keras: the calls that make them, and how they are applied to a tensor."""

from __future__ import annotations

import struct
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, assert_never

from rnnspec.backends.keras.attention import make_wrapper, rnn_class
from rnnspec.backends.keras.backend import KERAS
from rnnspec.backends.keras.cells import cell_class, cell_sizes, size_argument
from rnnspec.backends.keras.defaults import DEFAULTS
from rnnspec.backends.keras.initial import embedding_initializer, make_initializer
from rnnspec.ir import core, nodes
from rnnspec.ir.expand import X, expand, of_all_steps
from rnnspec.ir.params import params
from rnnspec.source.code import Code, Literal, OutputStatement, call, code

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from rnnspec.words import Merge, Statistic

Arguments = dict[str, Code | Literal]

_POOLING: dict[Statistic, str] = {"mean": "GlobalAveragePooling1D", "max": "GlobalMaxPooling1D"}
_MERGES = {"concat": "Concatenate", "sum": "Add", "mul": "Multiply", "ave": "Average"}
_MERGE_MODES: dict[Merge, str] = {"concat": "concat", "sum": "sum", "mul": "mul", "ave": "ave"}
_WINDOW_POOLING = {"max": "MaxPooling1D", "mean": "AveragePooling1D"}


def layer_name(layer: nodes.Layer) -> str:
    """Return the name of the layer of Keras that computes a layer, or holds its arrays."""
    return KERAS.reserved_names.attribute(layer.name)


def parts_of(layer: nodes.Layer) -> dict[str, str]:
    """Return the names of further layers of Keras that compute a layer, by what they are."""
    match layer:
        case nodes.AttentionPooling():
            is_query = layer.units is not None and layer.query is None
            is_activated = layer.units is None and layer.activation != "linear"
            # That with an array last: the others are in the order of the recipe.
            roles = [*(["scores"] if is_activated else []), "weights"]
            roles += ["query"] if is_query else []
        case nodes.Recurrent(merge=str(), masked=True, return_sequences=False) if layer.initial:
            roles = ["merge"]
        case nodes.Conv(window=window):
            roles = [] if isinstance(window.padding, str) else ["padding"]
        case nodes.Attention(heads=int(heads)) if heads > 1:
            roles = ["weights", "merged"]
        case nodes.Attention(additive=additive):
            activation = "tanh" if layer.activation == "tanh" else "activation"
            roles = ["sum", *([activation] if layer.activation != "linear" else [])]
            roles = roles if additive else []
            roles += [] if layer.gives == "scores" else ["weights"]
            roles += ["along_memory"] if layer.is_along_memory else []
            roles = [] if make_layer(layer) else roles
        case nodes.Dense(tied=str()):
            roles = ["logits"] if layer.bias else []
            roles += [] if layer.activation == "linear" else ["activation"]
        case nodes.Activate(activation="legacy_hard_sigmoid"):
            roles = ["hard_sigmoid"]
        case nodes.Join(how=nodes.Formula()):
            roles = []
        case _ if params(layer) or make_layer(layer):
            roles = []
        case _:
            number = sum(map(_count_layers, of_all_steps(expand(layer, "inference"))))
            roles = [f"part_{index}" for index in range(2, number + 1)]
    return {role: f"{layer.name}_{role}" for role in roles}


_NUMBER = float | core.Setting


def operands(value: core.Expression) -> Iterator[core.Expression]:
    """Yield what a sum or product adds or multiplies, also in sums and products of its operands."""
    match value:
        case core.Combine("add" | "multiply" as how, left, right):
            for part in (left, right):
                match part:
                    case core.Combine(same, first, second) if same == how and not (
                        isinstance(first, _NUMBER) or isinstance(second, _NUMBER)
                    ):
                        yield from operands(part)
                    case _:
                        yield part
        case _:
            yield value


def _count_layers(value: Any) -> int:
    """Return the most layers of Keras that compute an expression of a recipe."""
    match value:
        case core.Combine("add" | "multiply") as total:
            return 1 + sum(map(_count_layers, operands(total)))
        case core.Result(_, result):
            return _count_layers(result)
        case core.PoolWindows("mean", x, nodes.Window(padding=(_, _)), adds=False):
            # The second one pools what is 1 at each step.
            return 2 + _count_layers(x)
        case core.Verb() if is_dataclass(value):
            own = (
                isinstance(value, core.Softmax | core.PoolWindows)
                or layer_of_verb(value, "") is not None
            )
            return own + sum(_count_layers(getattr(value, part.name)) for part in fields(value))
        case tuple():
            return sum(map(_count_layers, value))
        case _:
            return 0


def layer_of_verb(value: core.Expression, name: str) -> Code | None:
    """Return the call that makes the layer of Keras which is a verb, None if there is none."""
    match value:
        case core.Apply(activation) if activation != "legacy_hard_sigmoid":
            return make_activation(activation, name)
        case core.Flatten():
            return _make("Flatten", name=name)
        case core.Drop(_, rate, shared):
            return _make("SpatialDropout1D" if shared else "Dropout", rate, name=name)
        case core.Transpose():
            return _make("Permute", (2, 1), name=name)
        case core.Repeat(_, int(steps)):
            return _make("RepeatVector", steps, name=name)
        case core.PoolWindows(how, window=window, mask=None) if isinstance(window.padding, str):
            # The steps that a window adds are left out.
            strides = None if window.stride == window.size else window.stride
            settings: Arguments = {"strides": strides, "padding": window.padding}
            return _make(_WINDOW_POOLING[how], window.size, **settings, name=name)
        case _:
            return None


def make_learned(vector: nodes.Learned) -> Code:
    """Return the call that makes the layer of a learned vector, whose input is 1."""
    return _make("Dense", vector.size, use_bias=False, kernel_initializer="zeros", name=vector.name)


def make_layer(layer: nodes.Layer) -> Code | None:
    """Return the call that makes the layer of Keras which computes a layer, None if none does.

    It is called with the input of the layer alone, and that of an attention with its memory. A mask
    that is passed on by Keras is no obstacle. But no layer of Keras pools only real steps:
    ``GlobalAveragePooling1D`` returns NaN for a sequence of padding only, because it divides by the
    number of real steps, and ``GlobalMaxPooling1D`` includes padding.
    Source: https://github.com/keras-team/keras/issues/18152.
    """
    match layer:
        case nodes.Embedding():
            return make_embedding(layer)
        case nodes.Recurrent(attention=None) if not layer.first_states:
            return make_recurrent(layer)
        case nodes.LayerNorm():
            return _make(
                "LayerNormalization",
                epsilon=layer.epsilon,
                **_scaling(layer),
                name=layer_name(layer),
            )
        case nodes.BatchNorm():
            return make_batch_norm(layer)
        case nodes.Conv(masked=False, window=nodes.Window(padding=str())):
            return make_conv(layer)
        case nodes.Pooling(statistic="mean" | "max" as statistic, masked=False):
            return _make(_POOLING[statistic], name=layer_name(layer))
        case nodes.Attention(
            additive=False, masked=False, scale=1.0, heads=1, causal=False, gives="context"
        ) if len(layer.input) > 1:
            # Where nothing is real, Keras returns the mean of all steps.
            return _make("Attention", name=layer_name(layer))
        case nodes.Dense(tied=None):
            return make_dense(layer, layer.units)
        case _ if params(layer):
            return None
        case _:
            # If the recipe is a verb of its input.
            first, *others = expand(layer, "training")
            is_alone = not others and getattr(first.value, "x", None) == X
            return layer_of_verb(first.value, layer_name(layer)) if is_alone else None


def make_batch_norm(layer: nodes.BatchNorm) -> Code:
    """Return the call that makes a batch normalization."""
    settings: Arguments = {"momentum": layer.momentum, "epsilon": layer.epsilon}
    return _make("BatchNormalization", **settings, **_scaling(layer), name=layer_name(layer))


def _scaling(layer: nodes.LayerNorm | nodes.BatchNorm) -> Arguments:
    return {"scale": layer.scale, "center": layer.offset}


def make_conv(layer: nodes.Conv) -> Code:
    """Return the call that makes a convolution."""
    window = layer.window
    return _make(
        "Conv1D",
        layer.filters,
        window.size,
        strides=window.stride,
        padding=window.padding,
        dilation_rate=window.dilation,
        activation=_activation_argument(layer.activation),
        kernel_initializer=make_initializer(layer.kernel_initializer),
        **_bias(layer),
        name=layer_name(layer),
    )


def make_dense(layer: nodes.Dense | nodes.AttentionPooling, units: int) -> Code:
    """Return the call that makes a dense layer with a kernel of its own."""
    return _make(
        "Dense",
        units,
        activation=_activation_argument(layer.activation),
        kernel_initializer=make_initializer(layer.kernel_initializer),
        **_bias(layer),
        name=layer_name(layer),
    )


def make_embedding(layer: nodes.Embedding, *, reversible: bool = False) -> Code:
    """Return the call that makes an embedding, which may also project vectors to its tokens."""
    return _make(
        "ReversibleEmbedding" if reversible else "Embedding",
        layer.vocabulary,
        layer.dim,
        embeddings_initializer=embedding_initializer(layer.initializer),
        mask_zero=layer.masked,
        trainable=layer.trainable,
        name=layer_name(layer),
    )


def make_recurrent(
    layer: nodes.Recurrent, *, returns_states: bool = False, returns_context: bool = False
) -> Code:
    """Return the call that makes a recurrent layer."""
    named: Arguments = {"name": layer_name(layer)} if layer.merge is None else {}
    wrapped: Arguments = {
        "return_sequences": layer.return_sequences or returns_context,
        "return_state": returns_states,
        "go_backwards": layer.backward,
    }
    if layer.attention is not None:
        cell = make_wrapper(
            layer.attention,
            _make_cell(layer),
            make_initializer(layer.kernel_initializer),
            returns_context=returns_context,
        )
        # Else Keras on JAX repeats the state at padding, which has no context beside it.
        wrapped["zero_output_for_mask"] = returns_context and layer.masked
        unset = dict.fromkeys(wrapped, False)
        return call(rnn_class(layer), cell, _defaults=unset, **wrapped, **named)
    one_way = _make_direction(layer, wrapped, named)
    if layer.merge is None:
        return one_way
    return _make(
        "Bidirectional", one_way, merge_mode=_MERGE_MODES[layer.merge], name=layer_name(layer)
    )


def _make_direction(layer: nodes.Recurrent, wrapped: Arguments, named: Arguments) -> Code:
    if isinstance(layer.cell, nodes.EquationCell):
        unset = dict.fromkeys(wrapped, False)
        return call("SharingRNN", _make_cell(layer), _defaults=unset, **wrapped, **named)
    type_, settings = _cell(layer.standard_cell, bias=layer.bias)
    return _make(
        type_,
        layer.units,
        **wrapped,
        **settings,
        dropout=layer.dropout,
        recurrent_dropout=layer.recurrent_dropout,
        **_initializers(layer),
        **named,
    )


def _make_cell(layer: nodes.Recurrent) -> Code:
    """Return the call that makes the cell of a layer, beside which Keras has no such layer."""
    if not isinstance(layer.cell, nodes.EquationCell):
        type_, settings = _cell(layer.cell, bias=layer.bias)
        return _make(f"{type_}Cell", layer.units, **settings, **_initializers(layer))
    return call(
        cell_class(layer.cell),
        layer.units,
        *(
            code("{}={!r}", size_argument(name), size)
            for name, size in cell_sizes(layer, layer.cell).items()
        ),
        dropout=layer.dropout,
        recurrent_dropout=layer.recurrent_dropout,
        _defaults={"dropout": 0.0, "recurrent_dropout": 0.0},
    )


def _initializers(layer: nodes.Recurrent) -> Arguments:
    return {
        "kernel_initializer": make_initializer(layer.kernel_initializer),
        "recurrent_initializer": make_initializer(layer.recurrent_initializer),
        **_bias(layer),
    }


def make_scaling(factor: float, name: str) -> Code:
    """Return the layer that multiplies by a number."""
    # In an array, the factor stays float64; TensorFlow rounds a number to float32.
    exact = code("np.array([{!r}])", factor) if _is_rounded(factor) else factor
    return _make("Rescaling", exact, name=name)


def layers_of_arrays(layer: nodes.Layer) -> dict[core.Param, Code]:
    """Return the layers of Keras that hold the arrays of a recipe."""
    match layer:
        case nodes.Attention(additive=True, kernel_initializer=initializer):
            drawn = make_initializer(initializer)
            score = _make(
                "Dense", 1, use_bias=False, kernel_initializer=drawn, name=layer_name(layer)
            )
            return {core.Param(layer.name, "score"): score}
        case nodes.AttentionPooling(units=units, kernel_initializer=initializer):
            drawn = make_initializer(initializer)
            name = parts_of(layer).get("query", layer_name(layer))
            query = _make("Dense", 1, use_bias=False, kernel_initializer=drawn, name=name)
            scores = {core.Param(layer.name, "query"): query}
            if units is None:
                return scores
            return {**scores, core.Param(layer.name, "kernel"): make_dense(layer, units)}
        case nodes.InstanceNorm(scale=True):
            scale, *offset = params(layer)
            axes = "btf" if len(layer.output) > 1 else "bf"
            arguments: Arguments = {"bias_axes": "f"} if offset else {}
            arguments["kernel_initializer"] = make_initializer(scale.initializer)
            if offset:
                arguments["bias_initializer"] = make_initializer(offset[0].initializer)
            equation = f"{axes},f->{axes}"
            scaled = _make(
                "EinsumDense", equation, layer.output, **arguments, name=layer_name(layer)
            )
            return {core.Param(layer.name, scale.name): scaled}
        case _:
            return {}


def make_reshape(layer: nodes.LastSteps) -> Code:
    """Return the call that makes the layer whose output has as many steps as are left."""
    return _make("Reshape", tuple(layer.output), name=layer_name(layer))


def make_masking(mask_value: float, name: str) -> Code:
    """Return the layer that computes the mask of features."""
    # Without a dtype, a policy of mixed precision casts the steps before they are compared.
    dtype = code("keras.config.floatx()")
    return _make("Masking", mask_value=mask_value, dtype=dtype, name=name)


def make_merge(layer: nodes.Recurrent) -> Code:
    """Return the layer that merges the final states of both directions."""
    return _make(_MERGES[layer.merge or "concat"], name=parts_of(layer)["merge"])


def make_padding(layer: nodes.Conv, padding: tuple[int, int]) -> Code:
    """Return the layer that adds steps of zeros."""
    return _make("ZeroPadding1D", padding, name=parts_of(layer)["padding"])


def checked_parts(network: nodes.Network) -> dict[str, frozenset[str]]:
    """Return the parts of each sum and product whose number of steps may not be that of the first.

    Keras repeats an array of a single step instead of refusing it.
    """
    checked: dict[str, frozenset[str]] = {}
    known: dict[str, Hashable] = {
        network_input.name: network_input.name for network_input in network.inputs
    }
    for layer, names in zip(network.layers, nodes.sources(network).values(), strict=True):
        match layer:
            case nodes.Repeat(like=str()):
                steps = known[names[1]]
            case nodes.Repeat():
                steps = layer.steps
            case nodes.Conv(window=window) | nodes.WindowPooling(window=window):
                steps = known[names[0]]
                steps = steps if window.keeps_steps else (steps, window.anchor, window.stride)
            case nodes.Append():
                steps = layer.output[0] or layer.name
            case nodes.Join():
                pairs = zip(names, layer.inputs, strict=True)
                sequences = [(name, shape[0]) for name, shape in pairs if len(shape) > 1]
                steps = known[sequences[0][0]] if sequences else None
                lengths = {length for _, length in sequences}
                if layer.how != "concat" and (len(lengths) > 1 or None in lengths):
                    others = [name for name, _ in sequences if known[name] != steps]
                    checked[layer.name] = frozenset(others)
            case _:
                steps = known[names[0]]
        ports = network.ports_of(layer.name)
        known |= {layer.name: steps, **{port.name: steps for port in ports}}
    return {name: others for name, others in checked.items() if others}


def compare_padding(network_input: nodes.Input) -> Iterator[Code]:
    """Yield a comment about the layer that computes the mask of features."""
    if isinstance(network_input, nodes.NumericInput) and network_input.mask_value is not None:
        yield code("# Padding is compared in the input's dtype, also under mixed precision.")


def shared_tables(network: nodes.Network) -> dict[str, bool]:
    """Return the embeddings that are called more than once; true if one projects vectors too."""
    tied = {layer.tied for layer in network.layers if isinstance(layer, nodes.Dense)}
    shared = {layer.shares for layer in network.layers if isinstance(layer, nodes.Embedding)}
    return {name: name in tied for name in (*tied, *shared) if name}


def project_tied(layer: nodes.Dense, table: Code, x: Code) -> Iterator[Code]:
    """Yield the statements that project ``x`` by the transpose of the embedding."""
    yield OutputStatement(code("{}({}, reverse=True)", table, x))
    names = parts_of(layer)
    if layer.bias:
        bias = replace(layer, tied=None, activation="linear")
        yield code("# A dense layer without features has only its bias.")
        if len(layer.input) > 1:
            yield code("bias = {}(x[:1, :1, :0])", make_dense(bias, layer.units))
        else:
            # oneDNN, in TensorFlow, ends the process at a product of two such matrices.
            yield code("bias = {}(x[:1, None, :0])[:, 0]", make_dense(bias, layer.units))
        yield OutputStatement(code("keras.layers.Add(name={!r})([x, bias])", names["logits"]))
    if layer.activation != "linear":
        yield OutputStatement(code("{}(x)", make_activation(layer.activation, names["activation"])))


def _make(type_: str, /, *sizes: Code | Literal, **arguments: Code | Literal) -> Code:
    return call(f"keras.layers.{type_}", *sizes, _defaults=DEFAULTS.get(type_, {}), **arguments)


def _cell(cell: nodes.StandardCell, *, bias: bool) -> tuple[str, Arguments]:
    activation = _activation(cell.activation)
    match cell:
        case nodes.SimpleRNN():
            return "SimpleRNN", {"activation": activation}
        case nodes.LSTM():
            own: Arguments = {"unit_forget_bias": cell.forget_bias == 1.0 or not bias}
        case nodes.GRU():
            own = {"reset_after": cell.reset_after}
        case _:
            assert_never(cell)
    recurrent = _activation(cell.recurrent_activation)
    gated = {"activation": activation, "recurrent_activation": recurrent, **own}
    return type(cell).__name__, gated


def _activation(activation: nodes.Activation) -> Code | str:
    """Return the argument for an activation: its name in Keras, or a layer."""
    match activation:
        case nodes.LeakyRelu() | nodes.ClippedRelu():
            return make_activation(activation, None)
        case "legacy_hard_sigmoid":
            return code("legacy_hard_sigmoid()")
        case (
            "tanh"
            | "sigmoid"
            | "relu"
            | "hard_sigmoid"
            | "linear"
            | "softsign"
            | "softplus"
            | "elu"
            | "selu"
            | "silu"
            | "exponential"
            | "softmax"
            | "log_softmax"
        ):
            return activation
        case _:
            assert_never(activation)


def _activation_argument(activation: nodes.Activation) -> Code | str | None:
    return None if activation == "linear" else _activation(activation)


def make_activation(activation: nodes.Activation, name: str | None) -> Code:
    """Return the call that makes a layer of an activation, by default with its own name."""
    match activation:
        case nodes.LeakyRelu(slope=slope):
            return _make("LeakyReLU", negative_slope=slope, name=name or "leaky_relu")
        case nodes.ClippedRelu(limit=limit):
            exact = code("np.float64({!r})", limit) if _is_rounded(limit) else limit
            return _make("ReLU", max_value=exact, name=name or "clipped_relu")
        case _:
            return _make("Activation", _activation(activation), name=name)


def _is_rounded(number: float) -> bool:
    """True if TensorFlow, which rounds a number to float32, would change it."""
    return bool(struct.unpack("f", struct.pack("f", number)) != (number,))


def _bias(layer: nodes.Recurrent | nodes.Dense | nodes.Conv | nodes.AttentionPooling) -> Arguments:
    if not layer.bias:
        return {"use_bias": False}
    return {"bias_initializer": make_initializer(layer.bias_initializer)}
