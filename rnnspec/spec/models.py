"""The language, version 1, as pydantic models.

The models are strict: no value is coerced and no unknown key is accepted. Checks that involve
several keys are in ``spec.rules``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from rnnspec.shown import html_of
from rnnspec.spec.names import NAME_PATTERN, check_layer_name, check_network_name
from rnnspec.spec.wording import received

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from rnnspec.spec.yaml.document import Document

MAX_SIZE = 2**31 - 1
"""The largest size of an axis: a 32-bit index can address it on every backend."""


class _Absent:
    """Marker for ``X | None``: None means that the key is absent, and null is rejected."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        return schema["schema"] if schema["type"] == "nullable" else schema


def _check_version(value: Any) -> Any:
    # Literal[1] also accepts True and 1.0.
    if type(value) is not int:
        message = "expected the integer 1, received {received}"
        raise PydanticCustomError("version", message, {"received": received(value)})
    if value != 1:
        message = "unsupported version {received}; this rnnspec reads version 1"
        raise PydanticCustomError("version", message, {"received": str(value)})
    return value


def _check_exact(value: float) -> float:
    # Keras rounds the value to float32 even in a float64 model, where no input would equal it.
    (nearest,) = struct.unpack("f", struct.pack("f", value))
    if nearest != value:
        message = (
            "expected a number that is exact in float32, because padding is compared for equality, "
            "such as {nearest}; received {received}"
        )
        given = {"nearest": repr(nearest), "received": received(value)}
        raise PydanticCustomError("inexact", message, given)
    return value


# Strict validation does not accept a list as a tuple.
def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _as_layers(value: Any) -> Any:
    return (value,) if isinstance(value, dict) else _as_tuple(value)


Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]
Positive = Annotated[float, Field(allow_inf_nan=False, gt=0.0, le=1e30)]
Repeat = Annotated[int, Field(ge=1, le=2_000)]
_NameSchema = WithJsonSchema({"type": "string", "pattern": f"^{NAME_PATTERN}$"})
LayerName = Annotated[str, AfterValidator(check_layer_name), _NameSchema]
NetworkName = Annotated[str, AfterValidator(check_network_name), _NameSchema]
OptionalSize = Annotated[Size | None, _Absent()]
OptionalName = Annotated[LayerName | None, _Absent()]
OptionalCount = Annotated[Annotated[int, Field(ge=0)] | None, _Absent()]
MaskValue = Annotated[Finite, AfterValidator(_check_exact)]
FilePath = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
OptionalPath = Annotated[FilePath | None, _Absent()]

CellActivation = Literal["tanh", "sigmoid", "relu", "hard_sigmoid", "linear", "softsign", "elu"]
Activation = Literal["linear", "sigmoid", "softmax", "tanh", "relu", "softplus"]
Merge = Literal["concat", "sum", "mul", "ave"]
Pooling = Literal["last", "mean", "max", "none"]


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

    length: OptionalSize = None
    features: OptionalSize = None
    mask_value: Annotated[MaskValue | None, _Absent()] = None


class Uniform(Model):
    """The uniform distribution between -``uniform`` and ``uniform``."""

    uniform: Positive


class Normal(Model):
    """The normal distribution with standard deviation ``normal``, not truncated."""

    normal: Positive


class Constant(Model):
    """The value ``constant`` everywhere."""

    constant: Finite


def _form(value: Any) -> str | None:
    """Return the tag of an initializer: that of a name, or the only key of a mapping."""
    match value:
        case Uniform() | {"uniform": _}:
            return "uniform"
        case Normal() | {"normal": _}:
            return "normal"
        case Constant() | {"constant": _}:
            return "constant"
        case dict():
            return None
        case _:
            return "name"


_Drawn = (
    Annotated[Uniform, Tag("uniform")]
    | Annotated[Normal, Tag("normal")]
    | Annotated[Constant, Tag("constant")]
)
MatrixName = Literal["glorot_uniform", "he_uniform", "lecun_uniform", "orthogonal", "zeros", "ones"]
VectorName = Literal["zeros", "ones"]
MatrixInitializer = Annotated[Annotated[MatrixName, Tag("name")] | _Drawn, Discriminator(_form)]
VectorInitializer = Annotated[Annotated[VectorName, Tag("name")] | _Drawn, Discriminator(_form)]


class Initializers(Model):
    """Initializers of the weights of the whole network."""

    kernel: MatrixInitializer = "glorot_uniform"
    recurrent: MatrixInitializer = "orthogonal"
    bias: VectorInitializer = "zeros"
    forget_bias: Finite = 1.0
    # model_construct: validation would build the validators when this module is imported.
    embedding: VectorInitializer = Uniform.model_construct(uniform=0.05)


class Embedding(Model):
    """A vector of size ``dim`` for each of ``vocabulary`` tokens.

    ``weights`` and ``words`` are the paths of two files, relative to the spec: pretrained vectors,
    and the word of each token.
    """

    name: OptionalName = None
    vocabulary: Size
    dim: Size
    mask_zero: bool = False
    trainable: bool = True
    weights: OptionalPath = None
    words: OptionalPath = None


class _Recurrent(Model):
    type: str
    name: OptionalName = None
    units: Size
    layers: Repeat = 1
    bidirectional: bool = False
    merge: Merge = "concat"
    dropout: Rate = 0.0
    variational: bool = True
    recurrent_dropout: Rate = 0.0
    activation: CellActivation = "tanh"
    bias: bool = True
    layer_norm: bool = False
    residual: bool = False


class _Gated(_Recurrent):
    recurrent_activation: CellActivation = "sigmoid"


class SimpleRNN(_Recurrent):
    """The simple (Elman) recurrent layer."""

    type: Literal["simple"]


class LSTM(_Gated):
    """Long short-term memory."""

    type: Literal["lstm"]


class GRU(_Gated):
    """The gated recurrent unit.

    With ``reset_after``, the reset gate is applied after the recurrent product.
    """

    type: Literal["gru"]
    reset_after: bool = True


class RepeatVector(Model):
    """The final state of the layer before, repeated ``steps`` times."""

    type: Literal["repeat"]
    name: OptionalName = None
    steps: Size


RecurrentLayer = SimpleRNN | LSTM | GRU
RnnLayer = Annotated[RecurrentLayer | RepeatVector, Field(discriminator="type")]


class Hidden(Model):
    """A dense layer before the output layer; ``dropout`` applies to its output."""

    name: OptionalName = None
    units: Size
    activation: Activation = "linear"
    dropout: Rate = 0.0


class Head(Model):
    """The layers after the last recurrent layer; ``dropout`` applies to the pooled vector."""

    name: OptionalName = None
    pooling: Pooling = "last"
    dropout: Rate = 0.0
    hidden: Annotated[tuple[Hidden, ...], Field(min_length=1), BeforeValidator(_as_tuple)] = ()
    units: OptionalSize = None
    activation: Activation = "linear"
    bias: bool = True


class Data(Model):
    """The training data, used by ``rnnspec lint`` only."""

    examples: Annotated[Annotated[int, Field(ge=1)] | None, _Absent()] = None


class Expect(Model):
    """Assertions about the network, checked by validation."""

    parameters: OptionalCount = None
    max_parameters: OptionalCount = None


_Layers = Annotated[tuple[RnnLayer, ...], Field(min_length=1)]
Layers = Annotated[_Layers, BeforeValidator(_as_layers, json_schema_input_type=RnnLayer | _Layers)]


class Spec(Model):
    """A network, as returned by ``rnnspec.load``; everything in ``expect`` has been checked."""

    version: Annotated[Literal[1], BeforeValidator(_check_version)]
    name: NetworkName
    description: str = ""
    input: Input = Input.model_construct()
    embedding: Annotated[Embedding | None, _Absent()] = None
    rnn: Layers
    head: Annotated[Head | None, _Absent()] = None
    initializers: Initializers = Initializers.model_construct()
    data: Data = Data.model_construct()
    expect: Expect = Expect.model_construct()

    _document: Document = PrivateAttr()
    _allow_outside: bool = PrivateAttr(default=False)

    @property
    def document(self) -> Document:
        """The text of this spec, with the position of every value."""
        return self._document

    @property
    def allow_outside(self) -> bool:
        """True if the files named in this spec may be outside its folder."""
        return self._allow_outside

    def _repr_html_(self) -> str:
        return html_of(self)

    def gives_state(self, index: int) -> bool:
        """Return whether item ``index`` of ``rnn`` passes on its final state, not a sequence."""
        if index + 1 < len(self.rnn):
            return isinstance(self.rnn[index + 1], RepeatVector)
        return self.head is not None and self.head.pooling == "last"
