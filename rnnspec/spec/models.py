"""The language, version 1, as pydantic models.

The models are strict: no value is coerced and no unknown key is accepted. Checks that involve
several keys are in ``spec.rules``.
"""

# Without postponed annotations: each would be compiled again when its model is built.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rnnspec.display import html_of
from rnnspec.errors.wording import received
from rnnspec.spec.fields import (
    MAX_SIZE,
    Absent,
    Count,
    Epsilon,
    Finite,
    InputName,
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
from rnnspec.words import (
    Activation,
    Attended,
    CellActivation,
    Direction,
    Merge,
    Score,
    Statistic,
    WindowPadding,
)

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


def _as_pair(value: Any) -> Any:
    if isinstance(value, list) and len(value) != 2:
        message = "expected two numbers like [2, 2], received {received}"
        length = f"a list of {len(value)}" if value else "an empty list"
        raise PydanticCustomError("pair", message, {"received": length})
    return _as_tuple(value)


StepsAround = Annotated[
    tuple[Count, Count],
    BeforeValidator(_as_pair),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": MAX_SIZE},
            "minItems": 2,
            "maxItems": 2,
        }
    ),
]
OptionalRead = Annotated[str | None, Absent()]
"""The name of a layer or input, or NAME.STATE."""


def _key(description: str, *examples: Any, default: Any = ...) -> Any:
    """Declare a key with the texts that editors show; without a default, it is required."""
    return Field(default=default, description=description, examples=[*examples])


class Model(BaseModel):
    """Base class of all mappings of the language."""

    # With defer_build, each validator is built once, inside that of Spec, when a spec is read.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True
    )

    def writes(self, key: str) -> bool:
        """True if ``key`` is written in the spec, not left at its default."""
        return key in self.model_fields_set


class Input(Model):
    """The input: tokens with an embedding, otherwise ``features`` numbers per time step."""

    length: OptionalSize = _key(
        "The number of time steps. Without it, sequences of any length.", 500, default=None
    )
    features: OptionalSize = _key(
        "The number of features per time step. Write either this or an embedding.", 7, default=None
    )
    mask_value: Annotated[MaskValue | None, Absent()] = _key(
        "A time step is padding if all its features equal this value. Without it, "
        "there is no padding. The value must be exact in float32.",
        0.0,
        -1.0,
        default=None,
    )


class Uniform(Model):
    """The uniform distribution between -``uniform`` and ``uniform``."""

    uniform: Positive = _key("Uniform distribution between minus this value and this value.", 0.05)


class Normal(Model):
    """The normal distribution with standard deviation ``normal``, not truncated."""

    normal: Positive = _key("Normal distribution with this standard deviation.", 0.01)


class Constant(Model):
    """The value ``constant`` everywhere."""

    constant: Finite = _key("This value everywhere.", 0.5)


def _select(
    forms: dict[str, type[Model]], *, lists: bool = False, numbers: bool = False
) -> Discriminator:
    """Select one of ``forms`` by its only key, or the tag ``list``, ``number`` or ``name``."""

    # Validation calls this with plain data, serialization with models.
    def tag(value: Any) -> str | None:
        match value:
            case dict() if forms:
                return next((key for key in forms if key in value), None)
            case Model():
                return next(key for key, model in forms.items() if isinstance(value, model))
            case list() | tuple() if lists:
                return "list"
            case bool():
                return "name"
            case int() | float() if numbers:
                return "number"
            case _:
                return "name"

    return Discriminator(tag)


def _tagged(forms: dict[str, type[Model]]) -> Any:
    """Return the union of models, of which each has its key as a tag."""
    return Union[tuple(Annotated[model, Tag(key)] for key, model in forms.items())]  # noqa: UP007 - of a tuple


FORMS: dict[str, type[Model]] = {"uniform": Uniform, "normal": Normal, "constant": Constant}
"""The model of an initializer that is a mapping, by its only key."""
if TYPE_CHECKING:
    _Drawn = Uniform | Normal | Constant
else:
    _Drawn = _tagged(FORMS)
MatrixName = Literal["glorot_uniform", "he_uniform", "lecun_uniform", "orthogonal", "zeros", "ones"]
VectorName = Literal["zeros", "ones"]
MatrixInitializer = Annotated[Annotated[MatrixName, Tag("name")] | _Drawn, _select(FORMS)]
VectorInitializer = Annotated[Annotated[VectorName, Tag("name")] | _Drawn, _select(FORMS)]


class LeakyRelu(Model):
    """x if it is positive, otherwise ``leaky_relu`` times x."""

    leaky_relu: Finite = _key("The factor of x where x is negative.", 0.01, 0.3)


class ClippedRelu(Model):
    """x, between 0 and ``clipped_relu``."""

    clipped_relu: Positive = _key("The largest value: x, between 0 and this number.", 20, 6)


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

    kernel: MatrixInitializer = _key(
        "Initializer of the input kernels.", "he_uniform", default="glorot_uniform"
    )
    recurrent: MatrixInitializer = _key(
        "Initializer of the recurrent kernels.", {"normal": 0.01}, default="orthogonal"
    )
    bias: VectorInitializer = _key("Initializer of the biases.", "ones", default="zeros")
    forget_bias: Finite = _key("Initial bias of the forget gate of an LSTM.", 1.0, 0.0, default=1.0)
    # model_construct: validation would build the validators when this module is imported.
    embedding: VectorInitializer = _key(
        "Initializer of the embedding.",
        {"uniform": 0.05},
        {"normal": 0.01},
        default=Uniform.model_construct(uniform=0.05),
    )


# An integer stays one, because a setting may be a size.
Setting = Annotated[Finite, WrapValidator(lambda value, check: (check(value), value)[1])]
Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Lines = Annotated[dict[str, str], Field(min_length=1)]


def _check_setting_name(name: str) -> str:
    if name in LAYER_KEYS:
        message = "{name} is a key of recurrent layers; choose another name for the setting"
        raise PydanticCustomError("setting_taken", message, {"name": name})
    return name


def _check_cell_name(name: str) -> str:
    if name in KINDS:
        message = "'{name}' is a type of layer; choose another name for the cell"
        raise PydanticCustomError("cell_taken", message, {"name": name})
    return name


SettingName = Annotated[str, AfterValidator(_check_setting_name)]
SizeText = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    WithJsonSchema({"type": ["string", "integer"], "minimum": 1}),
]
ParameterShape = Annotated[
    Annotated[Literal["scalar"], Tag("name")]
    | Annotated[
        tuple[SizeText, ...],
        Field(min_length=1, max_length=2),
        BeforeValidator(_as_tuple),
        Tag("list"),
    ],
    _select({}, lists=True),
]
ParameterInitializer = Annotated[
    Annotated[MatrixName, Tag("name")] | Annotated[Finite, Tag("number")] | _Drawn,
    _select(FORMS, numbers=True),
]


class EquationBlock(Model):
    """Lines that are computed several times, one after the other."""

    repeat: Repeat = _key("The number of times.", 6)
    own: Names = _key(
        "The names of the parameters that each repetition has for itself; the others are shared.",
        ["R", "b"],
        default=(),
    )
    equations: Lines = _key("The lines, as in a cell.", {"h": "h + tanh(R @ h + b)"})


class ZooCell(Model):
    """A cell that rnnspec has, by its name."""

    zoo: str = Field(
        alias="from",
        description="The name of a cell that rnnspec has.",
        examples=["peephole_lstm"],
    )


class Cell(Model):
    """A recurrent cell by its equations."""

    states: Annotated[Names, Field(min_length=1)] = _key(
        "The names of the states, which begin as zeros. The first one is the output of the "
        "layer, unless `output` says more.",
        ["h", "c"],
    )
    inputs: Annotated[Names, Field(min_length=2)] = _key(
        "The names of several inputs, which a layer gives in `of`. Each is a vector at each step, "
        "and its name is also its size. Without them, the input of the step is `x`.",
        ["x", "s"],
        default=(),
    )
    memory: Annotated[Names, Field(min_length=1, max_length=1)] = _key(
        "The name of a sequence that `attend(q, m)` in the equations asks, which a layer gives in "
        "`over`. The name is also the number of its features.",
        ["m"],
        default=(),
    )
    equations: Annotated[
        Annotated[Lines, Tag("mapping")]
        | Annotated[
            tuple[
                Annotated[
                    Annotated[Lines, Tag("mapping")] | Annotated[EquationBlock, Tag("repeat")],
                    Discriminator(
                        lambda item: (
                            "repeat"
                            if isinstance(item, EquationBlock)
                            or (isinstance(item, dict) and "repeat" in item)
                            else "mapping"
                        )
                    ),
                ],
                ...,
            ],
            Field(min_length=1),
            BeforeValidator(_as_tuple),
            Tag("list"),
        ],
        Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "mapping"),
    ] = _key(
        "The lines of a step in order, each a name with an expression: the new value of a "
        "state, or an intermediate one. Names that no line assigns are parameters. A list has "
        "lines and blocks of lines that are repeated.",
        {"z": "sigmoid(W_z @ x + U_z @ h + b_z)", "h": "z * h + (1 - z) * tanh(W_n @ x)"},
        [{"y": "W @ x"}, {"repeat": 3, "equations": {"h": "h + tanh(U @ h + y) / 3"}}],
    )
    output: Annotated[str | None, Absent()] = _key(
        "The output of the layer, an expression, if it is not the first state.",
        "o * tanh(c)",
        default=None,
    )
    settings: dict[SettingName, Setting] = _key(
        "Numbers in the equations that a layer can set by keys of its own, with their defaults.",
        {"dt": 0.1, "projection": 32},
        default={},
    )
    sizes: dict[str, SizeText] = _key(
        "The sizes of states and lines, where they are not `units` and do not follow: sums of "
        "numbers, `units`, `features`, settings and other names of this section. The size of an "
        "input may be that of another one, and that of a memory any such sum.",
        {"h": "projection", "m": "2 * units"},
        default={},
    )
    parameters: dict[str, ParameterShape] = _key(
        "The shapes of parameters, where they do not follow: `scalar`, the size of a vector in a "
        "list, or the numbers of rows and columns of a matrix.",
        {"alpha": "scalar", "p": ["2 * units"], "W": ["units", "features"]},
        default={},
    )
    initialize: dict[str, ParameterInitializer] = _key(
        "The initial values of parameters. By default, that of `initializers.kernel` for a "
        "matrix that multiplies the input, that of `recurrent` for one that multiplies a state, "
        "and that of `bias` for the others.",
        {"b_f": "ones", "alpha": 3.0, "U": {"normal": 0.01}},
        default={},
    )


Cells = Annotated[
    dict[
        Annotated[LayerName, AfterValidator(_check_cell_name)],
        Annotated[
            Annotated[Cell, Tag("cell")] | Annotated[ZooCell, Tag("from")],
            Discriminator(
                lambda value: (
                    "from"
                    if isinstance(value, ZooCell) or (isinstance(value, dict) and "from" in value)
                    else "cell"
                )
            ),
        ],
    ],
    Field(min_length=1),
]


class Embedding(Model):
    """A vector of size ``dim`` for each of ``vocabulary`` tokens.

    ``weights`` and ``words`` are the paths of two files, relative to the spec: pretrained vectors,
    and the word of each token.
    """

    name: OptionalName = _key(
        "The name of the embedding; by default embedding_1.", "tokens", default=None
    )
    vocabulary: Size = _key(
        "The number of tokens. A token is an integer from 0 to `vocabulary` - 1.", 10000
    )
    dim: Size = _key("The size of the vector of a token.", 32, 100)
    mask_zero: bool = _key(
        "If true, token 0 is padding and all layers skip it.", True, default=False
    )
    trainable: bool = _key("If false, the vectors are not trained.", False, default=True)
    weights: OptionalPath = _key(
        "A file of pretrained vectors, relative to the spec: word2vec or GloVe "
        "text, .npy or .safetensors. Needs `words`.",
        "vectors.txt",
        default=None,
    )
    words: OptionalPath = _key(
        "A file with one word per line, relative to the spec; line 0 is the word of"
        " token 0. Needs `weights`.",
        "words.txt",
        default=None,
    )


class InputEmbedding(Embedding):
    """A vector for each token, or for the label, of an input."""

    name: OptionalName = _key(
        "The name of the embedding; by default that of the input with _embedding.",
        "tokens",
        default=None,
    )


class NamedInput(Model):
    """An input: tokens or a label with an embedding, otherwise numbers."""

    per: Literal["step", "sequence"] = _key(
        "With `sequence`, one vector or label for each sequence, not one at each time step.",
        "sequence",
        default="step",
    )
    length: OptionalSize = _key(
        "The number of time steps. Without it, sequences of any length.", 500, default=None
    )
    features: OptionalSize = _key(
        "The number of features. Write either this or an embedding.", 7, default=None
    )
    mask_value: Annotated[MaskValue | None, Absent()] = _key(
        "A time step is padding if all its features equal this value. Without it, "
        "there is no padding. The value must be exact in float32.",
        0.0,
        default=None,
    )
    embedding: Annotated[
        Annotated[InputEmbedding, Tag("mapping")] | Annotated[str, Tag("name")] | None,
        Absent(),
        Discriminator(
            lambda value: "mapping" if isinstance(value, dict | InputEmbedding) else "name"
        ),
    ] = _key(
        "Turns each token, or the label, into a vector; the name of another input shares its "
        "vectors.",
        {"vocabulary": 10000, "dim": 32},
        "words",
        default=None,
    )


_SCALE = _key("Gives the layer a factor for each feature.", False, default=True)
_OFFSET = _key("Gives the layer a term for each feature.", False, default=True)


class LayerNorm(Model):
    """A layer norm with other settings than that of ``layer_norm: true``."""

    epsilon: Epsilon = _key(
        "Added to the variance. Keras has 1e-3 by default, PyTorch 1e-5.", 1e-05, default=1e-3
    )
    scale: bool = _SCALE
    offset: bool = _OFFSET


LayerNormForm = Annotated[
    Annotated[bool, Tag("switch")] | Annotated[LayerNorm, Tag("mapping")],
    Discriminator(
        lambda value: "mapping" if isinstance(value, dict | LayerNorm) else "switch",
    ),
]


class _Layer(Model):
    # Here, so that these two are the first keys that messages and editors list.
    type: str
    name: OptionalName = None
    of: OptionalRead = _key(
        "The layer or input that this one takes; by default the layer before it. `NAME.state` is "
        "the final state of a recurrent layer.",
        "lstm_1",
        "encoder.state",
        default=None,
    )


class _Shared(_Layer):
    shares: OptionalName = _key(
        "The name of a layer before this one whose arrays this one computes with: that layer, "
        "called once more. It has the same type, and the keys that are left out.",
        "encoder",
        default=None,
    )


OWN_KEYS = frozenset({"type", "name", "of", "shares", "initial_state"})
"""The keys that a layer with ``shares`` does not take over from the other one."""


InitialState = Annotated[
    Annotated[Literal["zeros", "learned", "given"], Tag("name")]
    | Annotated[
        Annotated[dict[str, str], Field(min_length=1)],
        Tag("mapping"),
    ],
    Discriminator(lambda value: "mapping" if isinstance(value, dict) else "name"),
]


class _Scored(Model):
    over: str = _key("The name of the layer or input whose steps are weighted.", "encoder")
    score: Score | None = None
    units: OptionalSize = _key(
        "The size of what the score adds. Needs `score: additive`.", 64, default=None
    )
    bias: bool = _key("Gives the score a bias. Needs `score: additive`.", False, default=True)


class StepAttention(_Scored):
    """What a recurrent layer attends to at each step, with its state before the step."""

    score: Score = _key(
        "The score of a query q and a step m, by whose softmax the steps are weighted.", "general"
    )


class _Recurrent(_Shared):
    type: str
    name: OptionalName = _key(
        "The name of the layer; by default its type and a number, such as lstm_1.",
        "encoder",
        default=None,
    )
    units: OptionalSize = _key(
        "The size of the state, per direction. A cell of which no size depends on `units` needs "
        "none.",
        32,
        128,
        default=None,
    )
    layers: Repeat = _key("The number of copies of this layer, stacked.", 2, default=1)
    bidirectional: bool = _key(
        "Reads the sequence in both directions, each with its own weights.", True, default=False
    )
    merge: Merge = _key(
        "How the outputs of the two directions are combined. Needs `bidirectional: true`.",
        "sum",
        default="concat",
    )
    direction: Direction = _key(
        "The direction in which a layer that is not bidirectional reads the sequence.",
        "backward",
        default="forward",
    )
    initial_state: InitialState = _key(
        "The states before the first step: zeros; learned, as arrays of the layer; given by the "
        "caller, who gets the last ones too; the final states of another layer with `of`; or the "
        "name of a vector for each state.",
        "learned",
        {"of": "encoder"},
        {"h": "dense_1"},
        default="zeros",
    )
    attention: Annotated[StepAttention | None, Absent()] = _key(
        "What the layer attends to at each step, before the cell: the query is the state before "
        "the step, and the cell takes the context behind the input. `NAME.context` are the "
        "contexts.",
        {"over": "encoder", "score": "additive", "units": 64},
        default=None,
    )
    dropout: Rate = _key(
        "The fraction of the layer's input that is set to zero in training.", 0.2, default=0.0
    )
    variational: bool = _key(
        "If true, `dropout` uses one mask per sequence and direction; if false, a "
        "new mask at each time step. Needs a `dropout` above 0.",
        False,
        default=True,
    )
    recurrent_dropout: Rate = _key(
        "The fraction of the state that is set to zero between time steps in "
        "training. Not supported by PyTorch's fused layers, so the layer runs in a "
        "slower loop over the time steps.",
        0.1,
        default=0.0,
    )
    layer_norm: LayerNormForm = _key(
        "Normalizes the features of the output at each time step, with epsilon 1e-3"
        " or another one.",
        True,
        {"epsilon": 1e-05},
        default=False,
    )
    residual: bool = _key(
        "Adds the input of the layer to its output. Both must be sequences of the same size.",
        True,
        default=False,
    )


class _Standard(_Recurrent):
    units: Size = _key("The size of the state, per direction.", 32, 128)
    activation: CellActivation = _key(
        "The activation of the state. PyTorch's fused layers support only tanh (and"
        " relu for type simple); others run in a slower loop over the time steps.",
        "relu",
        default="tanh",
    )
    bias: bool = _key("Gives the layer a bias.", False, default=True)


class _Gated(_Standard):
    recurrent_activation: CellActivation = _key(
        "The activation of the gates. PyTorch's fused layers support only sigmoid; "
        "others run in a slower loop over the time steps.",
        "hard_sigmoid",
        default="sigmoid",
    )


class SimpleRNN(_Standard):
    """The simple (Elman) recurrent layer: one state, no gates."""

    type: Literal["simple"]


class LSTM(_Gated):
    """Long short-term memory: a state and a cell, with input, forget and output gates."""

    type: Literal["lstm"]


class GRU(_Gated):
    """The gated recurrent unit: one state, with update and reset gates."""

    type: Literal["gru"]
    reset_after: bool = _key(
        "If true, the reset gate is applied after the recurrent product; if false, "
        "before it, which PyTorch runs in a slower loop over the time steps.",
        False,
        default=True,
    )


SETTINGS = "[settings]"
"""The key under which the settings of its cell stand in the plain data of a layer."""
OF = "[name]", "[mapping]"
"""The tags of the two forms of ``of``, which no key is."""


class CellLayer(_Recurrent):
    """A recurrent layer with a cell of `cells`, whose settings are keys of the layer."""

    type: str = _key("The name of a cell of `cells`.", "peephole_lstm")
    # Wider than that of other layers.
    of: Annotated[
        Annotated[OptionalRead, Tag(OF[0])]
        | Annotated[Annotated[dict[str, str], Field(min_length=1)], Tag(OF[1])],
        Discriminator(lambda value: OF[isinstance(value, dict)]),
    ] = _key(  # type: ignore[assignment]
        "The layer or input that this one takes; by default the layer before it. A cell with "
        "`inputs` takes one for each of them: sequences with the same steps, and vectors, which "
        "are the same at each step.",
        "lstm_1",
        {"x": "weather", "s": "basin"},
        default=None,
    )
    over: Annotated[Annotated[dict[str, str], Field(min_length=1)] | None, Absent()] = _key(
        "The layer or input whose steps `attend` weights in the equations, by the name that the "
        "cell has for it in `memory`.",
        {"m": "encoder"},
        default=None,
    )
    score: Score = _key(
        "The score of a query q and a step m, as of the layer `attention`. Needs `over`.",
        "general",
        default="dot",
    )
    score_units: OptionalSize = _key(
        "The size of what the score adds. Needs `score: additive`.", 64, default=None
    )
    score_bias: bool = _key("Gives the score a bias. Needs `score: additive`.", False, default=True)
    settings: dict[str, Setting] = Field(default_factory=dict, alias="[settings]")


class RepeatVector(_Layer):
    """Repeats a vector for the layers that follow; of a recurrent layer, it is the final state."""

    type: Literal["repeat"]
    name: OptionalName = _key(
        "The name of the layer; by default repeat_vector_1 and so on.", "bridge", default=None
    )
    steps: OptionalSize = _key("The number of times the vector is repeated.", 4, default=None)
    like: OptionalRead = _key(
        "The name of a layer or input that has as many steps as the result. Write either this or "
        "`steps`.",
        "decoder_input",
        default=None,
    )


class Dense(_Shared):
    """A dense layer, at each time step."""

    type: Literal["dense"]
    name: OptionalName = _key(
        "The name of the layer; by default dense_1 and so on.", "features", default=None
    )
    units: Size = _key("The number of units.", 64)
    activation: AnyActivation = _key(
        "The activation.", "relu", {"leaky_relu": 0.01}, default="linear"
    )
    bias: bool = _key("Gives the layer a bias.", False, default=True)


class Conv(_Shared):
    """A convolution over the time steps."""

    type: Literal["conv"]
    name: OptionalName = _key(
        "The name of the layer; by default conv_1 and so on.", "front", default=None
    )
    filters: Size = _key("The number of features of the output.", 64)
    kernel_size: Size = _key("The number of steps in a window.", 3, 5)
    stride: Size = _key("The number of steps from one window to the next.", 2, default=1)
    dilation: Size = _key(
        "The number of steps from one step of a window to the next. Above 1, "
        "`kernel_size` must be too.",
        2,
        default=1,
    )
    padding: Annotated[
        Annotated[WindowPadding, Tag("name")] | Annotated[StepsAround, Tag("list")],
        _select({}, lists=True),
    ] = _key(
        "The zeros that windows see outside the sequence: none with `valid`; on both "
        "sides with `same`, which gives steps / stride outputs; before it with `causal`; or "
        "the numbers before it and after it.",
        "same",
        "causal",
        [2, 2],
        default="valid",
    )
    activation: AnyActivation = _key(
        "The activation.", "relu", {"clipped_relu": 20}, default="linear"
    )
    bias: bool = _key("Gives the layer a bias.", False, default=True)


class _WindowPooling(_Layer):
    type: str
    name: OptionalName = _key(
        "The name of the layer; by default its type and a number, such as max_pool_1.",
        "shorter",
        default=None,
    )
    size: Size = _key("The number of steps in a window.", 2, 4)
    stride: OptionalSize = _key(
        "The number of steps from one window to the next; by default `size`.", 1, default=None
    )
    padding: Annotated[
        Annotated[Literal["valid", "same"], Tag("name")] | Annotated[StepsAround, Tag("list")],
        _select({}, lists=True),
    ] = _key(
        "With `valid`, windows lie inside the sequence; with `same`, there are "
        "steps / stride windows; two numbers are the steps that windows see before the sequence "
        "and after it. Steps outside the sequence never count.",
        "same",
        [1, 0],
        default="valid",
    )


class MaxPool(_WindowPooling):
    """The maximum of each feature in windows over the time steps."""

    type: Literal["max_pool"]


class AveragePool(_WindowPooling):
    """The mean of each feature in windows over the time steps."""

    type: Literal["average_pool"]


class BatchNorm(_Shared):
    """Normalizes each feature over the batch and its steps; in inference, by moving averages."""

    type: Literal["batch_norm"]
    name: OptionalName = _key(
        "The name of the layer; by default batch_norm_1 and so on.", "normalized", default=None
    )
    epsilon: Epsilon = _key(
        "Added to the variance. Keras has 1e-3 by default, PyTorch 1e-5.", 1e-05, default=1e-3
    )
    momentum: Share = _key(
        "The share of the moving averages that is kept at each batch. PyTorch calls "
        "the other share momentum.",
        0.9,
        default=0.99,
    )
    scale: bool = _SCALE
    offset: bool = _OFFSET


class LayerNormLayer(_Shared):
    """Normalizes the features of each time step."""

    type: Literal["layer_norm"]
    name: OptionalName = _key(
        "The name of the layer; by default layer_normalization_1 and so on.",
        "normalized",
        default=None,
    )
    epsilon: Epsilon = _key(
        "Added to the variance. Keras has 1e-3 by default, PyTorch 1e-5.", 1e-05, default=1e-3
    )
    scale: bool = _SCALE
    offset: bool = _OFFSET


class InstanceNorm(_Shared):
    """Normalizes each feature of a sequence over its time steps, leaving out padding."""

    type: Literal["instance_norm"]
    name: OptionalName = _key(
        "The name of the layer; by default instance_norm_1 and so on.", "normalized", default=None
    )
    epsilon: Epsilon = _key(
        "Added to the variance. Keras has 1e-3 by default, PyTorch 1e-5.", 1e-05, default=1e-3
    )
    scale: bool = _SCALE
    offset: bool = _OFFSET


class Dropout(_Layer):
    """Sets a fraction of its input to zero in training."""

    type: Literal["dropout"]
    name: OptionalName = _key(
        "The name of the layer; by default dropout_1 and so on.", "dropped", default=None
    )
    rate: Rate = _key("The fraction that is set to zero in training.", 0.2)
    variational: bool = _key(
        "If true, one mask for all time steps of a sequence: a feature is zero in all "
        "of them or in none. Needs a `rate` above 0.",
        True,
        default=False,
    )


class ActivationLayer(_Layer):
    """An activation by itself."""

    type: Literal["activation"]
    name: OptionalName = _key(
        "The name of the layer; by default activation_1 and so on.", "rectified", default=None
    )
    activation: AnyActivation = _key("The activation.", "relu", {"leaky_relu": 0.01})


class LastSteps(Model):
    """The last ``last_steps`` time steps, as a sequence."""

    last_steps: Size = _key("The number of steps, the last ones of the sequence.", 4)


class AttentionSettings(Model):
    """How attention scores a step: v . f(W h + b), or v . f(h) without ``units``."""

    units: OptionalSize = _key(
        "The size of the hidden layer that scores a step; without it, there is none.",
        64,
        default=None,
    )
    bias: bool = _key("Gives the hidden layer a bias. Needs `units`.", False, default=True)
    activation: AnyActivation = _key(
        "The activation of what is scored; by default tanh with `units`, and none without them.",
        "tanh",
        default="tanh",
    )
    query: OptionalRead = _key(
        "The name of a layer or input with the vector v of each sequence; without it, v is "
        "learned.",
        "lstm_2.state",
        default=None,
    )


class Attention(Model):
    """The mean of the time steps, weighted by a softmax of scores."""

    attention: AttentionSettings = _key(
        "The mean of the time steps, weighted by a softmax of scores that are learned.",
        {"units": 64},
        {},
    )


_Reduction = Literal[Statistic, "flatten"]
PoolingName = Literal[_Reduction, "none"]
POOLING_FORMS: dict[str, type[Model]] = {"last_steps": LastSteps, "attention": Attention}
"""The model of a pooling that is a mapping, by its only key."""
_Vector = Annotated[
    Annotated[Statistic, Tag("name")] | Annotated[Attention, Tag("attention")],
    _select({"attention": Attention}),
]
_PoolingForm = (
    Annotated[LastSteps, Tag("last_steps")]
    | Annotated[Attention, Tag("attention")]
    | Annotated[
        Annotated[tuple[_Vector, ...], Field(min_length=2), BeforeValidator(_as_tuple)],
        Tag("list"),
    ]
)
Pooling = Annotated[
    Annotated[PoolingName, Tag("name")] | _PoolingForm, _select(POOLING_FORMS, lists=True)
]


class Pool(_Layer):
    """Reduces the time steps to one vector, or to the last few of them."""

    type: Literal["pool"]
    name: OptionalName = _key(
        "The name of the layer; by default that of what it computes, such as mean_pooling_1.",
        "summary",
        default=None,
    )
    pooling: Annotated[
        Annotated[_Reduction, Tag("name")] | _PoolingForm, _select(POOLING_FORMS, lists=True)
    ] = _key(
        "How the time steps are reduced to one vector; a list puts several side by side.",
        "mean",
        ["mean", "max"],
        {"attention": {"units": 64}},
    )


class Transpose(_Layer):
    """Makes features of the steps, and steps of the features."""

    type: Literal["transpose"]
    name: OptionalName = _key(
        "The name of the layer; by default transpose_1 and so on.", "turned", default=None
    )


class AttentionLayer(_Scored, _Layer):
    """For each step, or for a vector, the mean of the steps of another layer, by their scores."""

    type: Literal["attention"]
    name: OptionalName = _key(
        "The name of the layer; by default attention_1 and so on.", "context", default=None
    )
    score: Annotated[Score | None, Absent()] = _key(
        "The score of a query q and a step m, by whose softmax the steps are weighted; with "
        "`heads`, scaled_dot by default.",
        "general",
        default=None,
    )
    heads: OptionalSize = _key(
        "The number of parts into which queries and steps are divided, each with weights of its "
        "own.",
        4,
        default=None,
    )
    projections: bool = _key(
        "With `heads`, dense layers for the queries, the keys, the values and the output, each of "
        "`units`.",
        False,
        default=True,
    )
    units: OptionalSize = _key(
        "The size of what the score adds, or of the dense layers of `heads`.", 64, default=None
    )
    bias: bool = _key(
        "Gives the score, or each dense layer of `heads`, a bias. Needs `score: additive` or "
        "`heads`.",
        False,
        default=True,
    )
    activation: AnyActivation = _key(
        "The activation of what the score adds. Needs `score: additive`.", "relu", default="tanh"
    )
    values: OptionalRead = _key(
        "The name of the layer or input whose steps are averaged, if it is not `over`; it has the "
        "same steps.",
        "embedding_1",
        default=None,
    )
    causal: bool = _key(
        "If true, the query at a step sees the steps of `over` up to that one; both are sequences "
        "with the same steps.",
        True,
        default=False,
    )

    output: Attended = _key(
        "What is given of each query: the mean of the steps, their weights, or the scores before "
        "the softmax. Of a vector, weights and scores are a sequence of one feature.",
        "weights",
        default="context",
    )

    @model_validator(mode="before")
    @classmethod
    def _score_of_heads(cls, value: Any) -> Any:
        has_heads = isinstance(value, dict) and "heads" in value
        return {"score": "scaled_dot", **value} if has_heads else value


class NormalizeLayer(_Layer):
    """Divides the vector of each step by its Euclidean norm."""

    type: Literal["normalize"]
    name: OptionalName = _key(
        "The name of the layer; by default unit_normalization_1 and so on.",
        "normalized",
        default=None,
    )


class _Join(Model):
    type: str
    name: OptionalName = None
    of: Annotated[tuple[str, ...], Field(min_length=2), BeforeValidator(_as_tuple)] = _key(
        "The names of at least two inputs and layers before this one. A vector beside sequences "
        "is the same at each step.",
        ["embedding_1", "lstm_1"],
    )


class Concat(_Join):
    """The outputs of earlier layers side by side, or one behind the other, in their order."""

    type: Literal["concat"]
    name: OptionalName = _key(
        "The name of the layer; by default concat_1 and so on.", "joined", default=None
    )
    axis: Literal["features", "steps"] = _key(
        "With `steps`, one sequence is behind the other; a vector is one step.",
        "steps",
        default="features",
    )


class Add(_Join):
    """The sum of the outputs of earlier layers, which have equally many features."""

    type: Literal["add"]
    name: OptionalName = _key(
        "The name of the layer; by default add_1 and so on.", "total", default=None
    )


class Multiply(_Join):
    """The product of the outputs of earlier layers, element by element."""

    type: Literal["multiply"]
    name: OptionalName = _key(
        "The name of the layer; by default multiply_1 and so on.", "gated", default=None
    )


class Formula(Model):
    """What equations compute at each step of earlier layers, without a state."""

    type: Literal["formula"]
    name: OptionalName = _key(
        "The name of the layer; by default formula_1 and so on.", "masked", default=None
    )
    of: Annotated[dict[str, str], Field(min_length=1)] = _key(
        "The inputs and layers before this one that the equations read, by the names that these "
        "have for them. A vector beside sequences is the same at each step. One feature is a "
        "scalar, which goes with all of a vector.",
        {"m": "mask", "a": "music"},
    )
    equations: Lines = _key(
        "The lines in order, each a name with an expression, as in cells. The last one is the "
        "output. Names that no line and no input has are parameters.",
        {"y": "m * a / (m + 1)"},
    )
    units: OptionalSize = _key(
        "The number of elements of each product with a parameter whose size nothing else says.",
        64,
        default=None,
    )
    settings: dict[SettingName, Setting] = _key(
        "Numbers in the equations.", {"floor": 1e-8}, default={}
    )
    sizes: dict[str, SizeText] = _key(
        "The sizes of lines, where they are not `units` and do not follow: sums of numbers, "
        "`units`, settings, names of inputs and other names of this section.",
        {"hidden": "2 * units"},
        default={},
    )
    parameters: dict[str, ParameterShape] = _key(
        "The shapes of parameters, where they do not follow, as in cells.",
        {"scale": "scalar", "g": ["units"]},
        default={},
    )
    initialize: dict[str, ParameterInitializer] = _key(
        "The initial values of parameters. By default, that of `initializers.kernel` for a "
        "matrix, and that of `bias` for the others.",
        {"g": "ones"},
        default={},
    )


StandardLayer = SimpleRNN | LSTM | GRU
RecurrentLayer = StandardLayer | CellLayer
JoinLayer = Concat | Add | Multiply | Formula
PointwiseLayer = Dense | BatchNorm | LayerNormLayer | Dropout | ActivationLayer | NormalizeLayer
"""Layers that compute each time step by itself, and so a state as well as a sequence."""
_TypedLayer = (
    StandardLayer
    | RepeatVector
    | Dense
    | Conv
    | MaxPool
    | AveragePool
    | BatchNorm
    | LayerNormLayer
    | InstanceNorm
    | Dropout
    | ActivationLayer
    | NormalizeLayer
    | Transpose
    | Pool
    | AttentionLayer
    | JoinLayer
)
AnyLayer = _TypedLayer | CellLayer


def _layer_tag(value: Any) -> str | None:
    if isinstance(value, CellLayer):
        return "cell"
    if not isinstance(value, dict):
        return getattr(value, "type", "simple")
    if SETTINGS in value:
        return "cell"
    # A type that is no string is not one that is missing, and no cell is named by the tag of all.
    kind = value.get("type")
    is_name = (isinstance(kind, str) and kind != "cell") or "type" not in value
    return kind if is_name else "?"


KINDS: dict[str, type[Model]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(_TypedLayer)
}
"""The model of each ``type`` of layer in ``rnn`` that is no cell of the spec."""
if TYPE_CHECKING:
    RnnLayer = AnyLayer
else:
    RnnLayer = Annotated[
        _tagged(KINDS | {"cell": CellLayer}),
        Discriminator(_layer_tag),
    ]
RECURRENT = tuple(kind for kind, model in KINDS.items() if model in get_args(StandardLayer))
"""The types of recurrent layers of the language."""
LAYER_KEYS = frozenset(
    name for model in get_args(RecurrentLayer) for name in model.model_fields if name != "settings"
)
"""The keys of recurrent layers, whatever their cell."""


class Hidden(Dense):
    """A dense layer before the output."""

    type: Literal["dense"] = "dense"
    dropout: Rate = _key(
        "The fraction of the output that is set to zero in training.", 0.5, default=0.0
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


if TYPE_CHECKING:
    HiddenLayer = PointwiseLayer
else:
    HiddenLayer = Annotated[_tagged(HIDDEN), Discriminator(_hidden_type)]


class Head(Model):
    """The layers after the last layer of ``rnn``; ``dropout`` applies to the pooled vector."""

    name: OptionalName = _key(
        "The name of the output layer. Needs `units` or an `activation`.", "label", default=None
    )
    of: OptionalRead = _key(
        "The layer that the head takes; by default the last one.", "encoder", default=None
    )
    pooling: Pooling = _key(
        "How the time steps are reduced to one vector; a list puts several side by side.",
        "mean",
        "none",
        ["mean", "max"],
        {"attention": {"units": 64}},
        default="last",
    )
    dropout: Rate = _key(
        "The fraction of the pooled vector that is set to zero in training.", 0.5, default=0.0
    )
    # pydantic does not validate defaults, so only a written list must not be empty.
    hidden: Annotated[tuple[HiddenLayer, ...], Field(min_length=1), BeforeValidator(_as_tuple)] = (
        _key(
            "Layers before the output layer, in order: dense if they have no type.",
            [{"units": 64, "activation": "relu", "dropout": 0.5}, {"type": "batch_norm"}],
            default=(),
        )
    )
    units: OptionalSize = _key(
        "The size of the output. Without it there is no output layer, and the "
        "result is the pooled vector or the last hidden layer's output.",
        1,
        10,
        default=None,
    )
    activation: AnyActivation = _key(
        "The activation of the output layer; without `units`, that of the pooled vector or of the "
        "last hidden layer's output.",
        "sigmoid",
        default="linear",
    )
    bias: bool = _key("Gives the output layer a bias. Needs `units`.", False, default=True)
    tied: Annotated[
        Annotated[bool, Tag("switch")] | Annotated[str, Tag("name")],
        Discriminator(lambda value: "name" if isinstance(value, str) else "switch"),
    ] = _key(
        "If true, the kernel of the output layer is the transpose of the embedding; of several, "
        "that of the input with this name. "
        "Its input must have the size of a vector, and `units` is the vocabulary.",
        True,
        "words",
        default=False,
    )
    normalize: Literal["none", "l2"] = _key(
        "Divides the resulting vector by its norm. Not with `pooling: none`.", "l2", default="none"
    )

    @property
    def poolings(self) -> tuple[Any, ...]:
        """Each pooling, in order."""
        return self.pooling if isinstance(self.pooling, tuple) else (self.pooling,)

    @property
    def gives_steps(self) -> bool:
        """True if the result has time steps."""
        return self.pooling == "none" or isinstance(self.pooling, LastSteps)


Heads = Annotated[dict[LayerName, Head], Field(min_length=1)]
Inputs = Annotated[dict[InputName, NamedInput], Field(min_length=1)]


class Data(Model):
    """The training data, used by ``rnnspec lint`` only."""

    examples: Annotated[Annotated[int, Field(ge=1)] | None, Absent()] = _key(
        "The number of training sequences.", 25000, default=None
    )


class Expect(Model):
    """Assertions about the network, checked by validation."""

    parameters: OptionalCount = _key("The exact number of parameters.", 344993, default=None)
    max_parameters: OptionalCount = _key("The maximum number of parameters.", 400000, default=None)


_Layers = Annotated[tuple[RnnLayer, ...], Field(min_length=1)]


def complete_sharing(layers: list[Any]) -> list[Any]:
    """Return layers of which those that share arrays have all keys of the layer with the arrays."""
    named = dict[str, dict[Any, Any]]()
    completed = list[Any]()
    for layer in layers:
        keys = layer
        if isinstance(layer, dict):
            if isinstance(shares := layer.get("shares"), str) and shares in named:
                other = named[shares]
                if other.get("type") == layer.get("type"):
                    keys = {key: other[key] for key in other if key not in OWN_KEYS} | layer
            if isinstance(name := layer.get("name"), str):
                named.setdefault(name, keys)
        completed.append(keys)
    return completed


def is_taken_over(document: "Document", path: tuple[str | int, ...]) -> bool:
    """True if a layer of ``rnn`` has a key from the layer whose arrays it shares."""
    match path:
        case ("rnn", int() as at, key, *_) if key not in OWN_KEYS and at > 0:
            shares = document.value(("rnn", at, "shares"))
            if shares is None or document.contains(("rnn", at, key)):
                return False
            layers = document.value(("rnn",))[: at + 1]
            return complete_sharing(layers)[-1] is not layers[-1]
        case _:
            return False


def _as_layers(value: Any, info: ValidationInfo) -> Any:
    """Return the layers as a tuple, with the settings of cells under a key of their own."""
    layers = [value] if isinstance(value, dict) else value
    if isinstance(layers, list):
        layers = complete_sharing(layers)
    cells = info.context.settings if info.context else {}
    if not isinstance(layers, list) or not cells:
        return _as_tuple(layers)

    def gather(layer: Any) -> Any:
        kind = layer.get("type") if isinstance(layer, dict) else None
        if not isinstance(kind, str) or kind in KINDS or kind not in cells:
            return layer
        settings = {key: layer[key] for key in layer if key in cells[kind]}
        rest = {key: layer[key] for key in layer if key not in settings}
        return {**rest, SETTINGS: settings}

    return tuple(gather(layer) for layer in layers)


# Without the input type, the JSON Schema would lack the form without a list.
Layers = Annotated[_Layers, BeforeValidator(_as_layers, json_schema_input_type=RnnLayer | _Layers)]


class Spec(Model):
    """A network, as returned by ``rnnspec.load``; everything in ``expect`` has been checked.

    ``str`` gives its text, and notebooks show its layers and its picture.
    """

    version: Annotated[Literal[1], BeforeValidator(_check_version)] = _key(
        "The version of the language. This rnnspec reads version 1.", 1
    )
    name: NetworkName = _key(
        "The name of the network in snake_case. It names the class, the module and the files.",
        "stacked_lstm",
        "tagger",
    )
    description: str = _key(
        "Free text, copied to a comment in the generated source.",
        "Three LSTM layers over embedded tokens, a probability out.",
        default="",
    )
    input: Input = _key(
        "The input: tokens with an embedding, otherwise `features` numbers per time step.",
        {"length": 500},
        {"length": 24, "features": 7},
        default=Input.model_construct(),
    )
    embedding: Annotated[Embedding | None, Absent()] = _key(
        "Turns each token into a vector. Without it, the input is numbers.",
        {"vocabulary": 10000, "dim": 32},
        default=None,
    )
    inputs: Annotated[Inputs | None, Absent()] = _key(
        "Several inputs by name, instead of `input` and `embedding`. A model takes them by name.",
        {
            "words": {"length": 50, "embedding": {"vocabulary": 10000, "dim": 32}},
            "user": {"features": 5, "per": "sequence"},
        },
        default=None,
    )
    stream: Annotated[
        Annotated[OptionalRead, Tag("name")]
        | Annotated[
            Annotated[tuple[str, ...], Field(min_length=2), BeforeValidator(_as_tuple)],
            Tag("list"),
        ],
        _select({}, lists=True),
    ] = _key(
        "The input that comes in chunks in step form; by default the only sequence. A list names "
        "several, whose chunks have the same steps.",
        "audio",
        ["pitch", "loudness"],
        default=None,
    )
    cells: Annotated[Cells | None, Absent()] = _key(
        "Recurrent cells by their equations; each name is a type of layer in `rnn`.",
        {
            "minimal": {
                "states": ["h"],
                "equations": {
                    "f": "sigmoid(W_f @ x + U_f @ h + b_f)",
                    "h": "(1 - f) * h + f * tanh(W_h @ x + U_h @ (f * h) + b_h)",
                },
            }
        },
        default=None,
    )
    rnn: Layers = _key(
        "The layers between the input and the head: one layer, or a list of layers in "
        "order. At least one is recurrent.",
        {"type": "lstm", "units": 32},
        [{"type": "gru", "units": 64, "bidirectional": True}],
    )
    head: Annotated[Head | None, Absent()] = _key(
        "Computes the result from the output of the last recurrent layer. Without "
        "it, the network returns that output at every time step.",
        {"units": 1, "activation": "sigmoid"},
        {"pooling": "none", "units": 9},
        default=None,
    )
    heads: Annotated[Heads | None, Absent()] = _key(
        "Several heads by name, each with the keys of `head`. The output is a mapping "
        "by these names. Write either this or `head`.",
        {"topic": {"units": 5}, "tags": {"pooling": "none", "units": 9}},
        default=None,
    )
    initializers: Initializers = _key(
        "Initial values of the weights of the whole network. The defaults are those"
        " of Keras, on every backend.",
        {"recurrent": "orthogonal", "forget_bias": 1.0},
        default=Initializers.model_construct(),
    )
    data: Data = _key(
        "The training data. Used by `rnnspec lint`; the network does not depend on it.",
        {"examples": 25000},
        default=Data.model_construct(),
    )
    expect: Expect = _key(
        "Assertions about the network, checked by validation.",
        {"parameters": 344993},
        {"max_parameters": 400000},
        default=Expect.model_construct(),
    )

    _document: "Document" = PrivateAttr()
    _allow_outside: bool = PrivateAttr(default=False)
    _file: Path | None = PrivateAttr(default=None)

    @property
    def document(self) -> "Document":
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
    def weights(self) -> "dict[str, Array] | None":
        """The arrays by canonical name, if this spec was read from a canonical file."""
        if self._file is None:
            return None
        # Imported here because NumPy is needed for these files only.
        from rnnspec.files.arrays import read_safetensors

        return read_safetensors(self._file)

    @property
    def embeddings(self) -> tuple[tuple[tuple[str, ...], Embedding], ...]:
        """Each embedding with its path."""
        if self.embedding is not None:
            return ((("embedding",), self.embedding),)
        return tuple(
            (("inputs", name, "embedding"), declared.embedding)
            for name, declared in (self.inputs or {}).items()
            if isinstance(declared.embedding, Embedding)
        )

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
