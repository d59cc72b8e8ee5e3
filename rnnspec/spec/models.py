"""The language, version 1, as pydantic models.

The models are strict: no value is coerced and no unknown key is accepted. Checks that involve
several keys are in ``spec.rules``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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

from rnnspec.shown import html_of
from rnnspec.spec.fields import (
    Absent,
    Epsilon,
    Finite,
    MaskValue,
    NetworkName,
    OptionalCount,
    OptionalName,
    OptionalPath,
    OptionalSize,
    Positive,
    Rate,
    Repeat,
    Size,
)
from rnnspec.wording import received
from rnnspec.words import Activation, CellActivation, Merge, Statistic

if TYPE_CHECKING:
    from rnnspec.files.headers import Array
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


def _as_layers(value: Any) -> Any:
    return (value,) if isinstance(value, dict) else _as_tuple(value)


Pooling = Literal["last", Statistic, "none"]


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
    mask_value: Annotated[MaskValue | None, Absent()] = None


class Uniform(Model):
    """The uniform distribution between -``uniform`` and ``uniform``."""

    uniform: Positive


class Normal(Model):
    """The normal distribution with standard deviation ``normal``, not truncated."""

    normal: Positive


class Constant(Model):
    """The value ``constant`` everywhere."""

    constant: Finite


# Validation calls this with plain data, serialization with models.
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


class LayerNorm(Model):
    """A layer norm with another ``epsilon`` than that of ``layer_norm: true``."""

    epsilon: Epsilon


def _norm_form(value: Any) -> str:
    return "mapping" if isinstance(value, dict | LayerNorm) else "switch"


LayerNormForm = Annotated[
    Annotated[bool, Tag("switch")] | Annotated[LayerNorm, Tag("mapping")],
    Discriminator(_norm_form),
]


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
    layer_norm: LayerNormForm = False
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
    # pydantic does not validate defaults, so only a written list must not be empty.
    hidden: Annotated[tuple[Hidden, ...], Field(min_length=1), BeforeValidator(_as_tuple)] = ()
    units: OptionalSize = None
    activation: Activation = "linear"
    bias: bool = True
    normalize: Literal["none", "l2"] = "none"


class Data(Model):
    """The training data, used by ``rnnspec lint`` only."""

    examples: Annotated[Annotated[int, Field(ge=1)] | None, Absent()] = None


class Expect(Model):
    """Assertions about the network, checked by validation."""

    parameters: OptionalCount = None
    max_parameters: OptionalCount = None


_Layers = Annotated[tuple[RnnLayer, ...], Field(min_length=1)]
# Without the input type, the JSON Schema would lack the form without a list.
Layers = Annotated[_Layers, BeforeValidator(_as_layers, json_schema_input_type=RnnLayer | _Layers)]


class Spec(Model):
    """A network, as returned by ``rnnspec.load``; everything in ``expect`` has been checked.

    ``str`` gives its text, and notebooks show its layers and its picture.
    """

    version: Annotated[Literal[1], BeforeValidator(_check_version)]
    name: NetworkName
    description: str = ""
    input: Input = Input.model_construct()
    embedding: Annotated[Embedding | None, Absent()] = None
    rnn: Layers
    head: Annotated[Head | None, Absent()] = None
    initializers: Initializers = Initializers.model_construct()
    data: Data = Data.model_construct()
    expect: Expect = Expect.model_construct()

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
        from rnnspec.files.headers import read_safetensors

        return read_safetensors(self._file)

    def gives_state(self, index: int) -> bool:
        """Return whether item ``index`` of ``rnn`` passes on its final state, not a sequence."""
        if index + 1 < len(self.rnn):
            return isinstance(self.rnn[index + 1], RepeatVector)
        return self.head is not None and self.head.pooling == "last"
