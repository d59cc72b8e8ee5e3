"""The language, version 1, as pydantic models.

The models are strict: no value is coerced and no unknown key is accepted. Checks that involve
several keys are in ``spec.rules``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
)
from pydantic_core import PydanticCustomError

from rnnspec.display import html_of
from rnnspec.spec.fields import (
    Absent,
    Epsilon,
    Finite,
    LayerName,
    MaskValue,
    NetworkName,
    OptionalCount,
    OptionalName,
    OptionalPath,
    OptionalSize,
    Positive,
    Rate,
    Repeat,
    Share,
    Size,
)
from rnnspec.wording import received
from rnnspec.words import Activation, CellActivation, Merge, Statistic, WindowPadding

if TYPE_CHECKING:
    from rnnspec.files.arrays import Array
    from rnnspec.spec.yaml.document import Document


def _check_version(value: Any) -> Any:
    # Literal[1] also accepts True and 1.0.
    if type(value) is not int:
        message = "expected the integer 1, received {received}"
        raise PydanticCustomError("version", message, {"received": received(value)})
    if value != 1:
        message = "unsupported version {received}; this rnnspec reads version 1"
        raise PydanticCustomError("version", message, {"received": str(value)})
    return value


# Strict validation does not accept a list as a tuple.
def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Model(BaseModel):
    """Base class of all mappings of the language."""

    # With defer_build, each validator is built once, inside that of Spec, when a spec is read.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True
    )

    def states(self, key: str) -> bool:
        """Return whether ``key`` is written in the spec, not left at its default."""
        return key in self.model_fields_set


class Input(Model):
    """The input: tokens with an embedding, otherwise ``features`` numbers per time step."""

    length: OptionalSize = Field(
        default=None,
        description="The number of time steps. Without it, sequences of any length.",
        examples=[500],
    )
    features: OptionalSize = Field(
        default=None,
        description="The number of features per time step. Write either this or an embedding.",
        examples=[7],
    )
    mask_value: Annotated[MaskValue | None, Absent()] = Field(
        default=None,
        description="A time step is padding if all its features equal this value. Without it, "
        "there is no padding. The value must be exact in float32.",
        examples=[0.0, -1.0],
    )


class Uniform(Model):
    """The uniform distribution between -``uniform`` and ``uniform``."""

    uniform: Positive = Field(
        description="Uniform distribution between minus this value and this value.", examples=[0.05]
    )


class Normal(Model):
    """The normal distribution with standard deviation ``normal``, not truncated."""

    normal: Positive = Field(
        description="Normal distribution with this standard deviation.", examples=[0.01]
    )


class Constant(Model):
    """The value ``constant`` everywhere."""

    constant: Finite = Field(description="This value everywhere.", examples=[0.5])


def _select(forms: dict[str, type[Model]], *, lists: bool = False) -> Discriminator:
    """Select one of ``forms`` by its only key, with ``lists`` the tag ``list``, or ``name``."""

    # Validation calls this with plain data, serialization with models.
    def tag(value: Any) -> str | None:
        match value:
            case dict():
                return next((key for key in forms if key in value), None)
            case Model():
                return next(key for key, model in forms.items() if isinstance(value, model))
            case list() | tuple() if lists:
                return "list"
            case _:
                return "name"

    return Discriminator(tag)


_Drawn = (
    Annotated[Uniform, Tag("uniform")]
    | Annotated[Normal, Tag("normal")]
    | Annotated[Constant, Tag("constant")]
)
FORMS: dict[str, type[Model]] = {"uniform": Uniform, "normal": Normal, "constant": Constant}
"""The model of an initializer that is a mapping, by its only key."""
MatrixName = Literal["glorot_uniform", "he_uniform", "lecun_uniform", "orthogonal", "zeros", "ones"]
VectorName = Literal["zeros", "ones"]
MatrixInitializer = Annotated[Annotated[MatrixName, Tag("name")] | _Drawn, _select(FORMS)]
VectorInitializer = Annotated[Annotated[VectorName, Tag("name")] | _Drawn, _select(FORMS)]


class LeakyRelu(Model):
    """x if it is positive, otherwise ``leaky_relu`` times x."""

    leaky_relu: Finite = Field(
        description="The factor of x where x is negative.", examples=[0.01, 0.3]
    )


class ClippedRelu(Model):
    """x, between 0 and ``clipped_relu``."""

    clipped_relu: Positive = Field(
        description="The largest value: x, between 0 and this number.", examples=[20, 6]
    )


ACTIVATION_FORMS: dict[str, type[Model]] = {"leaky_relu": LeakyRelu, "clipped_relu": ClippedRelu}
"""The model of an activation that is a mapping, by its only key."""
AnyActivation = Annotated[
    Annotated[Activation, Tag("name")]
    | Annotated[LeakyRelu, Tag("leaky_relu")]
    | Annotated[ClippedRelu, Tag("clipped_relu")],
    _select(ACTIVATION_FORMS),
]


class Initializers(Model):
    """Initializers of the weights of the whole network."""

    kernel: MatrixInitializer = Field(
        default="glorot_uniform",
        description="Initializer of the input kernels.",
        examples=["he_uniform"],
    )
    recurrent: MatrixInitializer = Field(
        default="orthogonal",
        description="Initializer of the recurrent kernels.",
        examples=[{"normal": 0.01}],
    )
    bias: VectorInitializer = Field(
        default="zeros", description="Initializer of the biases.", examples=["ones"]
    )
    forget_bias: Finite = Field(
        default=1.0, description="Initial bias of the forget gate of an LSTM.", examples=[1.0, 0.0]
    )
    # model_construct: validation would build the validators when this module is imported.
    embedding: VectorInitializer = Field(
        default=Uniform.model_construct(uniform=0.05),
        description="Initializer of the embedding.",
        examples=[{"uniform": 0.05}, {"normal": 0.01}],
    )


class Embedding(Model):
    """A vector of size ``dim`` for each of ``vocabulary`` tokens.

    ``weights`` and ``words`` are the paths of two files, relative to the spec: pretrained vectors,
    and the word of each token.
    """

    name: OptionalName = Field(
        default=None,
        description="The name of the embedding; by default embedding_1.",
        examples=["tokens"],
    )
    vocabulary: Size = Field(
        description="The number of tokens. A token is an integer from 0 to `vocabulary` - 1.",
        examples=[10000],
    )
    dim: Size = Field(description="The size of the vector of a token.", examples=[32, 100])
    mask_zero: bool = Field(
        default=False,
        description="If true, token 0 is padding and all layers skip it.",
        examples=[True],
    )
    trainable: bool = Field(
        default=True, description="If false, the vectors are not trained.", examples=[False]
    )
    weights: OptionalPath = Field(
        default=None,
        description="A file of pretrained vectors, relative to the spec: word2vec or GloVe "
        "text, .npy or .safetensors. Needs `words`.",
        examples=["vectors.txt"],
    )
    words: OptionalPath = Field(
        default=None,
        description="A file with one word per line, relative to the spec; line 0 is the word of"
        " token 0. Needs `weights`.",
        examples=["words.txt"],
    )


class LayerNorm(Model):
    """A layer norm with another ``epsilon`` than that of ``layer_norm: true``."""

    epsilon: Epsilon = Field(
        description="Added to the variance. Keras has 1e-3 by default, PyTorch 1e-5.",
        examples=[1e-05],
    )


LayerNormForm = Annotated[
    Annotated[bool, Tag("switch")] | Annotated[LayerNorm, Tag("mapping")],
    Discriminator(
        lambda value: "mapping" if isinstance(value, dict | LayerNorm) else "switch",
    ),
]


class _Recurrent(Model):
    type: str
    name: OptionalName = Field(
        default=None,
        description="The name of the layer; by default its type and a number, such as lstm_1.",
        examples=["encoder"],
    )
    units: Size = Field(description="The size of the state, per direction.", examples=[32, 128])
    layers: Repeat = Field(
        default=1, description="The number of copies of this layer, stacked.", examples=[2]
    )
    bidirectional: bool = Field(
        default=False,
        description="Reads the sequence in both directions, each with its own weights.",
        examples=[True],
    )
    merge: Merge = Field(
        default="concat",
        description="How the outputs of the two directions are combined. Needs `bidirectional: "
        "true`.",
        examples=["sum"],
    )
    dropout: Rate = Field(
        default=0.0,
        description="The fraction of the layer's input that is set to zero in training.",
        examples=[0.2],
    )
    variational: bool = Field(
        default=True,
        description="If true, `dropout` uses one mask per sequence and direction; if false, a "
        "new mask at each time step. Needs a `dropout` above 0.",
        examples=[False],
    )
    recurrent_dropout: Rate = Field(
        default=0.0,
        description="The fraction of the state that is set to zero between time steps in "
        "training. Not supported by PyTorch's fused layers, so the layer runs in a "
        "slower loop over the time steps.",
        examples=[0.1],
    )
    activation: CellActivation = Field(
        default="tanh",
        description="The activation of the state. PyTorch's fused layers support only tanh (and"
        " relu for type simple); others run in a slower loop over the time steps.",
        examples=["relu"],
    )
    bias: bool = Field(default=True, description="Gives the layer a bias.", examples=[False])
    layer_norm: LayerNormForm = Field(
        default=False,
        description="Normalizes the features of the output at each time step, with epsilon 1e-3"
        " or another one.",
        examples=[True, {"epsilon": 1e-05}],
    )
    residual: bool = Field(
        default=False,
        description="Adds the input of the layer to its output. Both must be sequences of the "
        "same size.",
        examples=[True],
    )


class _Gated(_Recurrent):
    recurrent_activation: CellActivation = Field(
        default="sigmoid",
        description="The activation of the gates. PyTorch's fused layers support only sigmoid; "
        "others run in a slower loop over the time steps.",
        examples=["hard_sigmoid"],
    )


class SimpleRNN(_Recurrent):
    """The simple (Elman) recurrent layer: one state, no gates."""

    type: Literal["simple"]


class LSTM(_Gated):
    """Long short-term memory: a state and a cell, with input, forget and output gates."""

    type: Literal["lstm"]


class GRU(_Gated):
    """The gated recurrent unit: one state, with update and reset gates."""

    type: Literal["gru"]
    reset_after: bool = Field(
        default=True,
        description="If true, the reset gate is applied after the recurrent product; if false, "
        "before it, which PyTorch runs in a slower loop over the time steps.",
        examples=[False],
    )


class RepeatVector(Model):
    """Repeats the final state of the layer before it for the layers that follow."""

    type: Literal["repeat"]
    name: OptionalName = Field(
        default=None,
        description="The name of the layer; by default repeat_vector_1 and so on.",
        examples=["bridge"],
    )
    steps: Size = Field(description="The number of times the state is repeated.", examples=[4])


class Dense(Model):
    """A dense layer, at each time step."""

    type: Literal["dense"]
    name: OptionalName = Field(
        default=None,
        description="The name of the layer; by default dense_1 and so on.",
        examples=["features"],
    )
    units: Size = Field(description="The number of units.", examples=[64])
    activation: AnyActivation = Field(
        default="linear", description="The activation.", examples=["relu", {"leaky_relu": 0.01}]
    )
    bias: bool = Field(default=True, description="Gives the layer a bias.", examples=[False])


class Conv(Model):
    """A convolution over the time steps."""

    type: Literal["conv"]
    name: OptionalName = Field(
        default=None,
        description="The name of the layer; by default conv_1 and so on.",
        examples=["front"],
    )
    filters: Size = Field(description="The number of features of the output.", examples=[64])
    kernel_size: Size = Field(description="The number of steps in a window.", examples=[3, 5])
    stride: Size = Field(
        default=1, description="The number of steps from one window to the next.", examples=[2]
    )
    dilation: Size = Field(
        default=1,
        description="The number of steps from one step of a window to the next. Above 1, "
        "`kernel_size` must be too.",
        examples=[2],
    )
    padding: WindowPadding = Field(
        default="valid",
        description="The zeros that windows see outside the sequence: none with `valid`; on both "
        "sides with `same`, which gives steps / stride outputs; before it with `causal`.",
        examples=["same", "causal"],
    )
    activation: AnyActivation = Field(
        default="linear", description="The activation.", examples=["relu", {"clipped_relu": 20}]
    )
    bias: bool = Field(default=True, description="Gives the layer a bias.", examples=[False])


class _WindowPooling(Model):
    type: str
    name: OptionalName = Field(
        default=None,
        description="The name of the layer; by default its type and a number, such as max_pool_1.",
        examples=["shorter"],
    )
    size: Size = Field(description="The number of steps in a window.", examples=[2, 4])
    stride: OptionalSize = Field(
        default=None,
        description="The number of steps from one window to the next; by default `size`.",
        examples=[1],
    )
    padding: Literal["valid", "same"] = Field(
        default="valid",
        description="With `valid`, windows lie inside the sequence; with `same`, there are "
        "steps / stride windows. Steps outside the sequence never count.",
        examples=["same"],
    )


class MaxPool(_WindowPooling):
    """The maximum of each feature in windows over the time steps."""

    type: Literal["max_pool"]


class AveragePool(_WindowPooling):
    """The mean of each feature in windows over the time steps."""

    type: Literal["average_pool"]


class BatchNorm(Model):
    """Normalizes each feature over the batch and its steps; in inference, by moving averages."""

    type: Literal["batch_norm"]
    name: OptionalName = Field(
        default=None,
        description="The name of the layer; by default batch_norm_1 and so on.",
        examples=["normalized"],
    )
    epsilon: Epsilon = Field(
        default=1e-3,
        description="Added to the variance. Keras has 1e-3 by default, PyTorch 1e-5.",
        examples=[1e-05],
    )
    momentum: Share = Field(
        default=0.99,
        description="The share of the moving averages that is kept at each batch. PyTorch calls "
        "the other share momentum.",
        examples=[0.9],
    )


class LayerNormLayer(Model):
    """Normalizes the features of each time step."""

    type: Literal["layer_norm"]
    name: OptionalName = Field(
        default=None,
        description="The name of the layer; by default layer_normalization_1 and so on.",
        examples=["normalized"],
    )
    epsilon: Epsilon = Field(
        default=1e-3,
        description="Added to the variance. Keras has 1e-3 by default, PyTorch 1e-5.",
        examples=[1e-05],
    )


class Dropout(Model):
    """Sets a fraction of its input to zero in training."""

    type: Literal["dropout"]
    name: OptionalName = Field(
        default=None,
        description="The name of the layer; by default dropout_1 and so on.",
        examples=["dropped"],
    )
    rate: Rate = Field(description="The fraction that is set to zero in training.", examples=[0.2])
    variational: bool = Field(
        default=False,
        description="If true, one mask for all time steps of a sequence: a feature is zero in all "
        "of them or in none. Needs a `rate` above 0.",
        examples=[True],
    )


class ActivationLayer(Model):
    """An activation by itself."""

    type: Literal["activation"]
    name: OptionalName = Field(
        default=None,
        description="The name of the layer; by default activation_1 and so on.",
        examples=["rectified"],
    )
    activation: AnyActivation = Field(
        description="The activation.", examples=["relu", {"leaky_relu": 0.01}]
    )


class Concat(Model):
    """The outputs of earlier layers side by side, in the order of their names."""

    type: Literal["concat"]
    name: OptionalName = Field(
        default=None,
        description="The name of the layer; by default concat_1 and so on.",
        examples=["joined"],
    )
    of: Annotated[tuple[str, ...], Field(min_length=2), BeforeValidator(_as_tuple)] = Field(
        description="The names of at least two layers before this one; `input` is the input of a "
        "network of numbers.",
        examples=[["embedding_1", "lstm_1"]],
    )


RecurrentLayer = SimpleRNN | LSTM | GRU
PointwiseLayer = Dense | BatchNorm | LayerNormLayer | Dropout | ActivationLayer
"""Layers that compute each time step by itself, and so a state as well as a sequence."""
AnyLayer = (
    RecurrentLayer
    | RepeatVector
    | Dense
    | Conv
    | MaxPool
    | AveragePool
    | BatchNorm
    | LayerNormLayer
    | Dropout
    | ActivationLayer
    | Concat
)
RnnLayer = Annotated[AnyLayer, Field(discriminator="type")]
KINDS: dict[str, type[Model]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(AnyLayer)
}
"""The model of each ``type`` of layer in ``rnn``."""
RECURRENT = tuple(kind for kind, model in KINDS.items() if model in get_args(RecurrentLayer))
"""The types of recurrent layers."""


class Hidden(Dense):
    """A dense layer before the output."""

    type: Literal["dense"] = "dense"
    dropout: Rate = Field(
        default=0.0,
        description="The fraction of the output that is set to zero in training.",
        examples=[0.5],
    )


HIDDEN: dict[str, type[Model]] = {
    kind: Hidden if model is Dense else model
    for kind, model in KINDS.items()
    if model in get_args(PointwiseLayer)
}
"""The model of each ``type`` of layer in ``hidden``, where ``dense`` is the default."""


def _hidden_type(layer: Any) -> Any:
    if isinstance(layer, dict):
        kind = layer.get("type", "dense")
        return kind if isinstance(kind, str) else None
    return getattr(layer, "type", "dense")


HiddenLayer = Annotated[
    Annotated[Hidden, Tag("dense")]
    | Annotated[BatchNorm, Tag("batch_norm")]
    | Annotated[LayerNormLayer, Tag("layer_norm")]
    | Annotated[Dropout, Tag("dropout")]
    | Annotated[ActivationLayer, Tag("activation")],
    Discriminator(_hidden_type),
]


class LastSteps(Model):
    """The last ``last_steps`` time steps, as a sequence."""

    last_steps: Size = Field(
        description="The number of steps, the last ones of the sequence.", examples=[4]
    )


class AttentionSettings(Model):
    """How attention scores a step: v . f(W h + b), or v . h without ``units``."""

    units: OptionalSize = Field(
        default=None,
        description="The size of the hidden layer that scores a step; without it, there is none.",
        examples=[64],
    )
    activation: AnyActivation = Field(
        default="tanh",
        description="The activation of the hidden layer. Needs `units`.",
        examples=["tanh"],
    )


class Attention(Model):
    """The mean of the time steps, weighted by a softmax of scores."""

    attention: AttentionSettings = Field(
        description="The mean of the time steps, weighted by a softmax of scores that are learned.",
        examples=[{"units": 64}, {}],
    )


PoolingName = Literal["last", "mean", "max", "sum", "last_step", "flatten", "none"]
POOLING_FORMS: dict[str, type[Model]] = {"last_steps": LastSteps, "attention": Attention}
"""The model of a pooling that is a mapping, by its only key."""
_Vector = Annotated[
    Annotated[Statistic, Tag("name")] | Annotated[Attention, Tag("attention")],
    _select({"attention": Attention}),
]
Pooling = Annotated[
    Annotated[PoolingName, Tag("name")]
    | Annotated[LastSteps, Tag("last_steps")]
    | Annotated[Attention, Tag("attention")]
    | Annotated[
        Annotated[tuple[_Vector, ...], Field(min_length=2), BeforeValidator(_as_tuple)],
        Tag("list"),
    ],
    _select(POOLING_FORMS, lists=True),
]


class Head(Model):
    """The layers after the last layer of ``rnn``; ``dropout`` applies to the pooled vector."""

    name: OptionalName = Field(
        default=None, description="The name of the output layer. Needs `units`.", examples=["label"]
    )
    pooling: Pooling = Field(
        default="last",
        description="How the time steps are reduced to one vector; a list puts several side by "
        "side.",
        examples=["mean", "none", ["mean", "max"], {"attention": {"units": 64}}],
    )
    dropout: Rate = Field(
        default=0.0,
        description="The fraction of the pooled vector that is set to zero in training.",
        examples=[0.5],
    )
    # pydantic does not validate defaults, so only a written list must not be empty.
    hidden: Annotated[tuple[HiddenLayer, ...], Field(min_length=1), BeforeValidator(_as_tuple)] = (
        Field(
            default=(),
            description="Layers before the output layer, in order: dense if they have no type.",
            examples=[
                [{"units": 64, "activation": "relu", "dropout": 0.5}, {"type": "batch_norm"}]
            ],
        )
    )
    units: OptionalSize = Field(
        default=None,
        description="The size of the output. Without it there is no output layer, and the "
        "result is the pooled vector or the last hidden layer's output.",
        examples=[1, 10],
    )
    activation: AnyActivation = Field(
        default="linear",
        description="The activation of the output layer. Needs `units`.",
        examples=["sigmoid"],
    )
    bias: bool = Field(
        default=True, description="Gives the output layer a bias. Needs `units`.", examples=[False]
    )
    tied: bool = Field(
        default=False,
        description="If true, the kernel of the output layer is the transpose of the embedding. "
        "Its input must have the size of a vector, and `units` is the vocabulary.",
        examples=[True],
    )
    normalize: Literal["none", "l2"] = Field(
        default="none",
        description="Divides the resulting vector by its norm. Not with `pooling: none`.",
        examples=["l2"],
    )

    @property
    def poolings(self) -> tuple[Any, ...]:
        """Each pooling, in order."""
        return self.pooling if isinstance(self.pooling, tuple) else (self.pooling,)

    @property
    def gives_steps(self) -> bool:
        """Return whether the result has time steps."""
        return self.pooling == "none" or isinstance(self.pooling, LastSteps)


Heads = Annotated[dict[LayerName, Head], Field(min_length=1)]


class Data(Model):
    """The training data, used by ``rnnspec lint`` only."""

    examples: Annotated[Annotated[int, Field(ge=1)] | None, Absent()] = Field(
        default=None, description="The number of training sequences.", examples=[25000]
    )


class Expect(Model):
    """Assertions about the network, checked by validation."""

    parameters: OptionalCount = Field(
        default=None, description="The exact number of parameters.", examples=[344993]
    )
    max_parameters: OptionalCount = Field(
        default=None, description="The maximum number of parameters.", examples=[400000]
    )


_Layers = Annotated[tuple[RnnLayer, ...], Field(min_length=1)]
# Without the input type, the JSON Schema would lack the form without a list.
Layers = Annotated[
    _Layers,
    BeforeValidator(
        lambda value: (value,) if isinstance(value, dict) else _as_tuple(value),
        json_schema_input_type=RnnLayer | _Layers,
    ),
]


class Spec(Model):
    """A network, as returned by ``rnnspec.load``; everything in ``expect`` has been checked.

    ``str`` gives its text, and notebooks show its layers and its picture.
    """

    version: Annotated[Literal[1], BeforeValidator(_check_version)] = Field(
        description="The version of the language. This rnnspec reads version 1.", examples=[1]
    )
    name: NetworkName = Field(
        description="The name of the network in snake_case. It names the class, the module and "
        "the files.",
        examples=["stacked_lstm", "tagger"],
    )
    description: str = Field(
        default="",
        description="Free text, copied to a comment in the generated source.",
        examples=["Three LSTM layers over embedded tokens, a probability out."],
    )
    input: Input = Field(
        default=Input.model_construct(),
        description="The input: tokens with an embedding, otherwise `features` numbers per time"
        " step.",
        examples=[{"length": 500}, {"length": 24, "features": 7}],
    )
    embedding: Annotated[Embedding | None, Absent()] = Field(
        default=None,
        description="Turns each token into a vector. Without it, the input is numbers.",
        examples=[{"vocabulary": 10000, "dim": 32}],
    )
    rnn: Layers = Field(
        description="The layers between the input and the head: one layer, or a list of layers in "
        "order. At least one is recurrent.",
        examples=[
            {"type": "lstm", "units": 32},
            [{"type": "gru", "units": 64, "bidirectional": True}],
        ],
    )
    head: Annotated[Head | None, Absent()] = Field(
        default=None,
        description="Computes the result from the output of the last recurrent layer. Without "
        "it, the network returns that output at every time step.",
        examples=[{"units": 1, "activation": "sigmoid"}, {"pooling": "none", "units": 9}],
    )
    heads: Annotated[Heads | None, Absent()] = Field(
        default=None,
        description="Several heads by name, each with the keys of `head`. The output is a mapping "
        "by these names. Write either this or `head`.",
        examples=[{"topic": {"units": 5}, "tags": {"pooling": "none", "units": 9}}],
    )
    initializers: Initializers = Field(
        default=Initializers.model_construct(),
        description="Initial values of the weights of the whole network. The defaults are those"
        " of Keras, on every backend.",
        examples=[{"recurrent": "orthogonal", "forget_bias": 1.0}],
    )
    data: Data = Field(
        default=Data.model_construct(),
        description="The training data. Used by `rnnspec lint`; the network does not depend on it.",
        examples=[{"examples": 25000}],
    )
    expect: Expect = Field(
        default=Expect.model_construct(),
        description="Assertions about the network, checked by validation.",
        examples=[{"parameters": 344993}, {"max_parameters": 400000}],
    )

    _document: Document = PrivateAttr()
    _allow_outside: bool = PrivateAttr(default=False)
    _file: Path | None = PrivateAttr(default=None)

    @property
    def document(self) -> Document:
        """The text of this spec, with the position of every value."""
        return self._document

    @property
    def allow_outside(self) -> bool:
        """True if the files named in this spec may be outside its folder."""
        return self._allow_outside

    def __str__(self) -> str:
        """Return the text of the spec."""
        return self._document.text.rstrip("\n")

    def __repr__(self) -> str:
        return f"Spec({self.name}, {self._document.source!r})"

    def _repr_html_(self) -> str:
        return html_of(self)

    @property
    def file(self) -> Path | None:
        """The canonical file that this spec was read from, if it was."""
        return self._file

    @property
    def weights(self) -> dict[str, Array] | None:
        """The arrays by canonical name, if this spec was read from a canonical file."""
        if self._file is None:
            return None
        # Imported here because NumPy is needed for these files only.
        from rnnspec.files.arrays import read_safetensors

        return read_safetensors(self._file)

    @property
    def is_padded(self) -> bool:
        """Return whether the steps that the heads read may be padding."""
        masked = self.embedding.mask_zero if self.embedding else self.input.mask_value is not None
        # Every step of a repeat is real.
        return masked and not any(isinstance(layer, RepeatVector) for layer in self.rnn)

    def gives_state(self, index: int) -> bool:
        """Return whether item ``index`` of ``rnn`` passes on its final state, not a sequence.

        Layers that compute each step by itself take the state as it is.
        """
        for layer in self.rnn[index + 1 :]:
            if isinstance(layer, RepeatVector):
                return True
            if not isinstance(layer, PointwiseLayer):
                return False
        heads = [head for _, head in self.all_heads]
        return bool(heads) and all(head.pooling == "last" for head in heads)

    @property
    def all_heads(self) -> tuple[tuple[tuple[str, ...], Head], ...]:
        """Each head with its path: the only one, or those with a name, or none."""
        if self.heads:
            return tuple((("heads", name), head) for name, head in self.heads.items())
        return ((("head",), self.head),) if self.head is not None else ()


SECTIONS: dict[str, type[Model]] = {
    key: model
    for key, field in Spec.model_fields.items()
    for model in (field.annotation, *get_args(field.annotation))
    if isinstance(model, type) and issubclass(model, Model)
}
"""The model of each section of a spec, but ``rnn``."""
