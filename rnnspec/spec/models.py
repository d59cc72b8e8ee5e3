"""The words of the language, version 1, as pydantic models.

Strict: numbers are numbers, no word is coerced, no unknown key is accepted. What one key alone
cannot decide is in ``spec.rules``.
"""

from __future__ import annotations

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

from rnnspec.spec.names import NAME_PATTERN, check_layer_name, check_network_name
from rnnspec.spec.wording import received

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from rnnspec.spec.source import Document

MAX_SIZE = 2**31 - 1
"""The largest size of one axis: what a 32-bit index can address on every backend."""


class _Absent:
    """Marks ``X | None``: None stands for an absent key and cannot be written."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        return schema["schema"] if schema["type"] == "nullable" else schema


def _check_version(value: Any) -> Any:
    # Literal[1] takes True and 1.0 too.
    if type(value) is not int:
        message, said = "expected the whole number 1, received {received}", received(value)
        raise PydanticCustomError("version", message, {"received": said})
    if value != 1:
        message = "unknown version {received}; this rnnspec reads version 1"
        raise PydanticCustomError("version", message, {"received": str(value)})
    return value


def _check_true(value: Any) -> Any:
    # Literal[True] takes 1 too.
    if value is not True:
        message = "expected true, received {received}"
        raise PydanticCustomError("true", message, {"received": received(value)})
    return value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _as_layers(value: Any) -> Any:
    return (value,) if isinstance(value, dict) else _as_tuple(value)


Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]
Positive = Annotated[float, Field(allow_inf_nan=False, gt=0.0, le=1e30)]
Repeat = Annotated[int, Field(ge=1, le=10_000)]
_NameSchema = WithJsonSchema({"type": "string", "pattern": f"^{NAME_PATTERN}$"})
LayerName = Annotated[str, AfterValidator(check_layer_name), _NameSchema]
NetworkName = Annotated[str, AfterValidator(check_network_name), _NameSchema]
OptionalSize = Annotated[Size | None, _Absent()]
OptionalName = Annotated[LayerName | None, _Absent()]
OptionalCount = Annotated[Annotated[int, Field(ge=0)] | None, _Absent()]

Activation = Literal["linear", "sigmoid", "softmax", "tanh", "relu", "softplus"]
Merge = Literal["concat", "sum", "mul", "ave"]
Pooling = Literal["last", "mean", "max", "none"]


class Model(BaseModel):
    """What every mapping of the language has in common."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def states(self, key: str) -> bool:
        """Tell whether ``key`` was written, as opposed to left to its default."""
        return key in self.model_fields_set


class Input(Model):
    """What goes in: tokens when there is an embedding, ``features`` numbers a step otherwise."""

    length: OptionalSize = None
    features: OptionalSize = None


class Uniform(Model):
    """Drawn from U(-uniform, uniform)."""

    uniform: Positive


class Normal(Model):
    """Drawn from N(0, normal ** 2), not truncated."""

    normal: Positive


class Constant(Model):
    """``constant`` everywhere."""

    constant: Finite


def _form(value: Any) -> str | None:
    """Name the form of an initializer: a word, or a mapping with the one key that says which."""
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
            return "word"


_Drawn = (
    Annotated[Uniform, Tag("uniform")]
    | Annotated[Normal, Tag("normal")]
    | Annotated[Constant, Tag("constant")]
)
MatrixWord = Literal["glorot_uniform", "he_uniform", "lecun_uniform", "orthogonal", "zeros", "ones"]
VectorWord = Literal["zeros", "ones"]
MatrixInitializer = Annotated[Annotated[MatrixWord, Tag("word")] | _Drawn, Discriminator(_form)]
VectorInitializer = Annotated[Annotated[VectorWord, Tag("word")] | _Drawn, Discriminator(_form)]


class Initializers(Model):
    """Where fresh weights come from, for the whole network."""

    kernel: MatrixInitializer = "glorot_uniform"
    recurrent: MatrixInitializer = "orthogonal"
    bias: VectorInitializer = "zeros"
    forget_bias: Finite = 1.0
    embedding: VectorInitializer = Uniform(uniform=0.05)


class Embedding(Model):
    """A row of ``dim`` numbers for each of ``vocabulary`` tokens."""

    name: OptionalName = None
    vocabulary: Size
    dim: Size
    trainable: bool = True


class _Recurrent(Model):
    name: OptionalName = None
    units: Size
    layers: Repeat = 1
    bidirectional: bool = False
    merge: Merge = "concat"
    dropout: Rate = 0.0
    variational: bool = True
    bias: bool = True


class SimpleRNN(_Recurrent):
    """The simple (Elman) recurrent layer."""

    type: Literal["simple"]


class LSTM(_Recurrent):
    """Long short-term memory."""

    type: Literal["lstm"]


class GRU(_Recurrent):
    """The gated recurrent unit, its reset gate after the recurrent product."""

    type: Literal["gru"]
    reset_after: Annotated[Literal[True], BeforeValidator(_check_true)] = True


RecurrentLayer = Annotated[SimpleRNN | LSTM | GRU, Field(discriminator="type")]


class Hidden(Model):
    """A dense layer before the output; ``dropout`` is on what leaves it."""

    name: OptionalName = None
    units: Size
    activation: Activation = "linear"
    dropout: Rate = 0.0


class Head(Model):
    """From the last recurrent layer to the result; ``dropout`` is on what enters it."""

    name: OptionalName = None
    pooling: Pooling = "last"
    dropout: Rate = 0.0
    hidden: Annotated[tuple[Hidden, ...], Field(min_length=1), BeforeValidator(_as_tuple)] = ()
    units: OptionalSize = None
    activation: Activation = "linear"
    bias: bool = True


class Expect(Model):
    """Promises that validation keeps."""

    parameters: OptionalCount = None
    max_parameters: OptionalCount = None


_Layers = Annotated[tuple[RecurrentLayer, ...], Field(min_length=1)]
Layers = Annotated[
    _Layers, BeforeValidator(_as_layers, json_schema_input_type=RecurrentLayer | _Layers)
]


class Spec(Model):
    """One network. What ``rnnspec.load`` returns; every promise in ``expect`` has been kept."""

    version: Annotated[Literal[1], BeforeValidator(_check_version)]
    name: NetworkName
    description: str = ""
    input: Input = Input()
    embedding: Annotated[Embedding | None, _Absent()] = None
    rnn: Layers
    head: Annotated[Head | None, _Absent()] = None
    initializers: Initializers = Initializers()
    expect: Expect = Expect()

    _document: Document = PrivateAttr()

    @property
    def document(self) -> Document:
        """The text this was read from, with the place of every value."""
        return self._document
