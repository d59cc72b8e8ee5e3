"""The words of the language, version 1, as pydantic models.

Strict: numbers are numbers, no word is coerced, no unknown key is accepted. What one key alone
cannot decide is in ``spec.rules``.
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

from rnnspec.spec.names import NAME_PATTERN, check_layer_name, check_network_name
from rnnspec.spec.wording import received

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from rnnspec.spec.yaml.document import Document

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


def _check_exact(value: float) -> float:
    # Keras rounds it to float32 even in a float64 model, where it would then equal no input.
    (nearest,) = struct.unpack("f", struct.pack("f", value))
    if nearest != value:
        message = (
            "expected a number that 32 bits hold exactly, since padding is found by equality, "
            "such as {nearest}; received {received}"
        )
        given = {"nearest": repr(nearest), "received": received(value)}
        raise PydanticCustomError("inexact", message, given)
    return value


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
    """What every mapping of the language has in common."""

    # Deferred: each model's part is built once, as part of the whole, when a spec is first read.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True
    )

    def states(self, key: str) -> bool:
        """Tell whether ``key`` was written, as opposed to left to its default."""
        return key in self.model_fields_set


class Input(Model):
    """What goes in: tokens when there is an embedding, ``features`` numbers a step otherwise."""

    length: OptionalSize = None
    features: OptionalSize = None
    mask_value: Annotated[MaskValue | None, _Absent()] = None


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
    embedding: VectorInitializer = Uniform.model_construct(uniform=0.05)


class Embedding(Model):
    """A row of ``dim`` numbers for each of ``vocabulary`` tokens.

    ``weights`` and ``words`` are paths relative to the spec: of vectors, and of each token's word.
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
    """The gated recurrent unit; ``reset_after``: its reset gate after the recurrent product."""

    type: Literal["gru"]
    reset_after: bool = True


class RepeatVector(Model):
    """The final state so far, given ``steps`` times to the layers that follow."""

    type: Literal["repeat"]
    name: OptionalName = None
    steps: Size


RecurrentLayer = SimpleRNN | LSTM | GRU
RnnLayer = Annotated[RecurrentLayer | RepeatVector, Field(discriminator="type")]


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


class Data(Model):
    """What the network is to learn from; advice heeds it, the network does not."""

    examples: Annotated[Annotated[int, Field(ge=1)] | None, _Absent()] = None


class Expect(Model):
    """Promises that validation keeps."""

    parameters: OptionalCount = None
    max_parameters: OptionalCount = None


_Layers = Annotated[tuple[RnnLayer, ...], Field(min_length=1)]
Layers = Annotated[_Layers, BeforeValidator(_as_layers, json_schema_input_type=RnnLayer | _Layers)]


class Spec(Model):
    """One network. What ``rnnspec.load`` returns; every promise in ``expect`` has been kept."""

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
        """The text this was read from, with the place of every value."""
        return self._document

    @property
    def allow_outside(self) -> bool:
        """Whether the files that are named here may lie outside the folder of this spec."""
        return self._allow_outside

    def gives_state(self, index: int) -> bool:
        """Tell whether entry ``index`` of ``rnn`` ends in a final state, not in a sequence."""
        if index + 1 < len(self.rnn):
            return isinstance(self.rnn[index + 1], RepeatVector)
        return self.head is not None and self.head.pooling == "last"
