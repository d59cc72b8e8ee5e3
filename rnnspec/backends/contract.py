"""The parts of a backend, which its modules define, and what they exchange.

``emit`` defines an ``EMITTER``, ``slots`` its ``SLOTS``, and ``runtime`` a ``RUNTIME``. What most
backends do not need has a default here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex

from rnnspec.errors import UsageError, listed
from rnnspec.errors.arguments import check_flag, one_of, received

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path
    from types import ModuleType

    from rnnspec.backends.optimizers import Optimizer, OptimizerStep
    from rnnspec.backends.slots import Array, Batch, Slot
    from rnnspec.errors import Refusal
    from rnnspec.ir.fields import Fields
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Layer, Network
    from rnnspec.ir.params import Counts
    from rnnspec.source.code import Source


SourceOptions = Mapping[str, Any]
"""The value of each option that is asked for, by its name; see ``Option``."""

DEFAULTS: SourceOptions = {}
"""No option, which is the default."""

NO_CLASSES: Mapping[str, type] = MappingProxyType({})
"""No class of generated source, as in most files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option that a backend declares: a keyword argument, and an option of the command line.

    A value is one of ``values``, whose ``title`` is a noun; an integer of at least 1; or, for a
    ``kind`` of ``bool``, true. ``words`` come after "can" and "cannot", with the value for ``{}``.
    The first of several values is the default, which replaces nothing.
    ``commands`` are those that have it; what ``codegen`` has is passed to the emitter by the
    library too. ``output`` says why it needs an output, if it does. ``replaces`` are fields of the
    record that it replaces: with a single file among them, the ending of an output asks for it.
    ``refusal`` returns why a network cannot have a value in a form of source, empty if it can.
    ``otherwise`` is told of any other value: where that is given which may be meant.
    """

    name: str
    words: str
    help: str
    kind: type[str | int]
    values: tuple[str, ...] = ()
    title: str = ""
    metavar: str = ""
    commands: tuple[str, ...] = ("codegen", "build", "convert")
    output: str = ""
    replaces: tuple[tuple[str, Any], ...] = ()
    refusal: Callable[[Network, Form, Any], str] = lambda _network, _form, _value: ""
    otherwise: str = ""

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def default(self) -> str | None:
        """The value of source that nobody asked for, None if the option asks for something."""
        return self.values[0] if len(self.values) > 1 else None

    @property
    def suffix(self) -> str:
        """The suffix of the single file that it asks for, empty if it asks for none."""
        files: tuple[str, ...] = dict(self.replaces).get("files", ())
        return files[0].removeprefix("{name}") if len(files) == 1 else ""

    def check(self, value: object) -> None:
        """Raise UsageError unless it can have this value."""
        if self.values and self.otherwise and value not in self.values:
            expected = f"expected {listed(self.values, 'or')}, received {received(value)}"
            raise UsageError(f"{self.name}: {expected}; {self.otherwise}")
        if self.values:
            one_of(self.title or self.name, value, self.values)
        elif self.kind is bool:
            check_flag(self.name, value)
        elif isinstance(value, bool) or not isinstance(value, SupportsIndex) or int(value) < 1:
            message = f"expected an integer of at least 1, received {received(value)}"
            raise UsageError(f"{self.name}: {message}")


QUANTIZE = Option(
    name="quantize",
    words="quantize to {}",
    help="round the weights of the files to int8, and print how much outputs change",
    kind=str,
    values=("int8",),
    title="type",
    metavar="TYPE",
    commands=("build",),
    output="the file is quantized",
)
"""The option of a backend whose runtime ``quantizes`` files."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The input of each layer, and the output of the model, in one forward pass in inference.

    Named outputs are side by side in their order, each as (batch, all of its numbers); so are their
    targets and weights.
    """

    inputs: Mapping[str, Array]
    output: Array


@dataclass(frozen=True, slots=True)
class Stock:
    """The parameter count of a stock layer that the generated source replaces, and the reason.

    ``adds`` is what it has beside the parameters of the spec.
    """

    layer: str
    type: str
    parameters: int
    adds: str
    reason: str


@dataclass(frozen=True, slots=True)
class ArrayType:
    """The dtype and shape of one array of a live model, as the framework states them.

    ``dtype`` is a name such as ``float32``, empty for an array that has no data.
    """

    dtype: str
    shape: tuple[int, ...]


class Learner(Protocol):
    """The loss sum(weight (output - target)^2) / 2, and its gradients."""

    def __call__(self, inputs: Batch, target: Array, weight: Array, /) -> tuple[float, list[Array]]:
        """Return the loss and a gradient per array, in the layout of the array."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitter:
    """Functions from the IR to source, without the framework.

    ``emit`` returns the source of a network in one of the forms of the record, with the options
    that the record offers. The network is arranged for the form. Except for training, it has no
    dropout; in step form, it takes any number of steps.
    ``fields`` returns the fields from which the source of a layer, or of the network itself, is
    written in a form: those of the form, and of each idiom in it. The registry refuses another one
    that is set.
    ``refusals`` returns every setting of the network that the backend does not support in a form.
    The registry adds the backends that support it.
    ``arrange`` returns the network in the arrangement of the source, the slots and the runtime. It
    has the same layers, names and arrays; some layers may be marked as parts of a stack.
    ``stepwise`` returns the layers that run step by step, each with the key that rules out fusing.
    ``stock`` returns the layers whose stock counterpart has another number of parameters.
    ``needs_source`` is true if a single file of a model names classes of its source.
    ``begins`` is true if a file beside that of a model in step form computes its first states.
    ``complete`` returns the options of files, with those that the network decides.
    ``longest`` returns the number of steps that options limit a sequence to, None without a limit.
    """

    emit: Callable[[Network, Form, SourceOptions], Source]
    fields: Callable[[Network, Layer | Network, Form], Iterable[Fields]]
    refusals: Callable[[Network, Form], tuple[Refusal, ...]] = lambda _network, _form: ()
    arrange: Callable[[Network, Form], Network] = lambda network, _form: network
    stepwise: Callable[[Network], dict[str, str]] = lambda _network: {}
    stock: Callable[[Network], tuple[Stock, ...]] = lambda _network: ()
    needs_source: Callable[[Network], bool] = lambda _network: False
    begins: Callable[[Network], bool] = lambda _network: False
    complete: Callable[[Network, SourceOptions], SourceOptions] = lambda _network, options: options
    longest: Callable[[SourceOptions], int | None] = lambda _options: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """The place of each canonical array.

    ``slots`` returns a slot for each canonical array of a layer, and ``module`` the name of the
    framework's layer with these arrays.
    """

    slots: Callable[[Layer], tuple[Slot, ...]]
    module: Callable[[Layer], str] = lambda layer: layer.name


_LEAST_EXACT = ("float16", "bfloat16", "float32", "float64")


def least_exact(dtypes: Iterable[str]) -> str:
    """Return the least exact of the dtypes of a model, ``float32`` if none is one of floats."""
    known = set(dtypes)
    return next((dtype for dtype in _LEAST_EXACT if dtype in known), "float32")


class Runtime(ABC):
    """The framework, which only the module with this class imports.

    The methods that are not abstract are called only if the record of the backend offers what they
    do; ``level``, ``forms``, ``files``, ``options`` and ``optimizers`` say so.
    """

    @abstractmethod
    def version(self) -> str:
        """Return the framework's version, with the engine if it has several."""

    @abstractmethod
    def instantiate(self, module: ModuleType, source: Source, dtype: str, *, drawn: bool) -> Any:
        """Return a model from the executed text of a source, in one of the dtypes of the record.

        Unless its initial weights have to be ``drawn``, the caller replaces every array of it.
        Source that is not Python is the attribute ``TEXT`` of the module.
        """

    def forget(self) -> None:  # noqa: B027 - most frameworks name nothing themselves
        """Name what comes next as a new process would: the same model then has the same bytes.

        Models that exist stay as they are.
        """

    @abstractmethod
    def layer_count(self, model: Any, layer: Layer) -> int:
        """Return the parameter count of a layer according to the framework."""

    @abstractmethod
    def counts(self, model: Any) -> Counts:
        """Return the parameter counts of the whole model according to the framework."""

    def layer_type(self, model: Any, layer: Layer) -> str:  # noqa: ARG002
        """Return the name of the framework's class of a layer, empty if there is none."""
        return ""

    def precision(self, model: Any) -> str:  # noqa: ARG002 - some have one dtype
        """Return the least exact dtype in which a model computes."""
        return "float32"

    @abstractmethod
    def unwrap(self, model: Any) -> Any | None:
        """Return a model without its wrappers, or None if it is not a model of this framework."""

    @abstractmethod
    def other_shapes(
        self, model: Any, known: Collection[tuple[str, str]]
    ) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays that are not at a known (layer, path), by name."""

    @abstractmethod
    def array_type(self, model: Any, layer: str, path: str) -> ArrayType:
        """Return the dtype and shape of the array at ``path`` of a layer.

        Raises:
            LookupError: the model has no array there.
        """

    @abstractmethod
    def get(self, model: Any, layer: str, path: str) -> Array:
        """Return a copy of the array at ``path`` of a layer, in the framework's layout.

        It is in the model's own dtype, or in float32 if that is bfloat16.
        """

    @abstractmethod
    def put(self, model: Any, layer: str, path: str, array: Array) -> None:
        """Replace the array at ``path`` of a layer, keeping the model's own dtype."""

    @abstractmethod
    def trace(self, model: Any, layers: Sequence[str], inputs: Batch) -> Trace:
        """Run one forward pass in inference."""

    def learner(self, model: Any, keys: Sequence[tuple[str, str]], *, training: bool) -> Learner:
        """Return a learner with gradients for the arrays at ``keys``, which are (layer, path).

        If ``training`` is true, the model runs with dropout, otherwise as in inference.
        """
        raise NotImplementedError

    def own_steps(
        self, model: Any, keys: Sequence[tuple[str, str]], *, training: bool, summed: bool
    ) -> Callable[[Optimizer], OptimizerStep]:
        """Return a function that returns the step of one of the framework's own optimizers.

        The step changes the arrays at ``keys``, which are (layer, path). If ``summed`` is true, the
        optimizer gets one gradient for each row of an embedding, however often it was looked up;
        otherwise it gets what it gets when the framework trains.
        """
        raise NotImplementedError

    def begin(self, model: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the states of a model in step form before the first chunk.

        ``inputs`` are those that do not come in chunks; there is one at least.
        """
        raise NotImplementedError

    def step(
        self, model: Any, chunk: Batch, states: Mapping[str, Array] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Return the output of a model in step form for the steps so far, and its new states.

        ``chunk`` is (batch, steps[, features]), or of several streams a mapping of them by name, in
        their order. ``states`` are those that the chunk before it gave, or None at the start. Named
        outputs are side by side, as in a ``Trace``.
        """
        raise NotImplementedError

    def save(self, model: Any, folder: Path, name: str, source: str, spec: str) -> None:
        """Write the model's files, all named ``name``, into an empty folder."""
        raise NotImplementedError

    def unite(self, folder: Path, name: str) -> None:
        """Put the files that ``save`` wrote into the one that an option asks for, in place."""
        raise NotImplementedError

    def reload(self, folder: Path, name: str, source: Source) -> Any:
        """Return the model in files that ``save`` wrote, loaded as a user would load them.

        Nothing is added to the folder.
        """
        raise NotImplementedError

    def quantizes(self, layer: Layer) -> bool:
        """True if ``quantize`` rounds the arrays of a layer."""
        raise NotImplementedError

    def size(self, folder: Path, name: str) -> int:  # noqa: ARG002
        """Return the bytes of a model in files that ``save`` wrote, all named ``name``."""
        return sum(path.stat().st_size for path in folder.iterdir())

    def quantize(self, path: Path, kind: str) -> None:
        """Quantize a file that ``save`` wrote, in place, to one of the types of the option."""
        raise NotImplementedError

    def open_original(self, path: Path, classes: Mapping[str, type] = NO_CLASSES) -> Any:
        """Return the model in a single file whose whole content was checked.

        rnnspec need not have written it. ``classes`` are those of generated source that it names.

        Raises:
            BackendError: the framework does not open it.
        """
        raise NotImplementedError

    def output(self, model: Any, inputs: Batch) -> Array:
        """Return the output of a model from ``open_original`` in inference."""
        raise NotImplementedError

    def scale(self, model: Any, share: float) -> None:
        """Multiply every array of a model from ``open_original``."""
        raise NotImplementedError
