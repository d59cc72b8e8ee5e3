"""The contract of a backend, which mypy checks in the folder of each backend."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args

from rnnspec.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from rnnspec.backends.expressions import Text
    from rnnspec.backends.optimizers import Cause, Optimizer, Step
    from rnnspec.errors import Refusal
    from rnnspec.ir.nodes import Layer, Network
    from rnnspec.ir.params import Counts
    from rnnspec.slots import Array, Slot


Form = Literal["training", "inference", "step"]
"""A form of generated source: for training, for inference only, or for one chunk after another."""

FORMS: tuple[Form, ...] = get_args(Form)

LEVELS = ("counts", "forward", "gradients", "training")
"""Levels of comparison, each including those before it."""

Level = Literal["counts", "forward", "gradients", "training"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The record of a backend: its names, requirements and capabilities.

    ``package`` contains its modules ``emit``, ``slots`` and ``runtime``, and ``templates`` is the
    package of its templates. ``distribution`` is the installed package that the runtime imports
    (empty if it needs none), ``minimum`` the oldest version of it that works, ``needed`` further
    packages, and ``extra`` the extra of rnnspec that installs all of them. ``ending`` is that of a
    file of its source: only Python is executed, and the runtime is given any other text as it is.
    ``forms`` are the forms of source it writes: without
    ``training`` the source draws no weights, and its arrays are zero until they are written.
    The first form is written if none is asked for.
    ``level`` is the highest level of comparison that its runtime supports (None if it has no
    runtime), in each of ``dtypes``. ``files`` are the files that ``build`` writes, with ``{name}``
    for the name of the network: a single file, or several in a folder. ``loading`` is the Python
    code that loads them; ``{name}``, ``{entry}``, ``{arguments}``, ``{path!r}`` and ``{folder!r}``
    are filled in. ``arguments`` are those of the entry, for the forms of source that need some.
    ``engine`` returns the name of the framework that the runtime is set to run on, if it has
    several, without importing it. ``optimizers`` is the package of the framework's own optimizers,
    if the runtime has a function ``own_steps``; ``causes`` returns known differences of these.
    """

    name: str
    title: str
    package: str
    templates: str = "rnnspec.templates"
    distribution: str = ""
    minimum: tuple[int, int] = (0, 0)
    needed: tuple[str, ...] = ()
    extra: str = ""
    ending: str = ".py"
    forms: tuple[Form, ...] = ("training",)
    level: Level | None = "training"
    dtypes: tuple[str, ...] = ("float64", "float32")
    files: tuple[str, ...] = ()
    loading: tuple[str, ...] = ()
    arguments: tuple[tuple[Form, str], ...] = ()
    engine: Callable[[], str] | None = None
    optimizers: str = ""
    causes: Callable[[], tuple[Cause, ...]] = tuple

    @property
    def installed(self) -> bool:
        """True if the framework can be found, without importing it."""
        packages = filter(None, (self.distribution, *self.needed))
        return all(find_spec(package) is not None for package in packages)

    @property
    def requirement(self) -> str:
        """The arguments of ``pip install`` for the framework: the requirements of the extra.

        pip would look for the extra itself on an index, which has no rnnspec.
        """
        return shlex.join(_required(self.extra) or [self.distribution])

    @property
    def suffix(self) -> str:
        """The suffix of the single file that ``build`` writes, empty if it writes a folder."""
        return self.files[0].removeprefix("{name}") if len(self.files) == 1 else ""

    def form(self, wanted: Form | None) -> Form:
        """Return the form of source that is wanted, or the first one if none is named."""
        return self.forms[0] if wanted is None else wanted

    def reaches(self, level: str) -> bool:
        """Return whether the runtime can be compared up to ``level``."""
        return self.level is not None and LEVELS.index(level) <= LEVELS.index(self.level)

    @property
    def emitter(self) -> Emitter:
        """The module that turns the IR into source."""
        # Each backend's folder assigns its modules to the protocols, so mypy checks what is cast.
        return cast("Emitter", self._module("emit"))

    @property
    def slots(self) -> Slots:
        """The module that locates each canonical array."""
        return cast("Slots", self._module("slots"))

    @property
    def runtime(self) -> Runtime:
        """The module that runs the framework.

        Raises:
            BackendError: the framework is not installed, too old, or fails to import.
        """
        self.require()
        try:
            return cast("Runtime", self._module("runtime"))
        except Exception as error:  # Keras raises ValueError for an unknown engine
            raise BackendError(f"{self.title} cannot be imported: {error}") from error

    @property
    def learning(self) -> LearningRuntime:
        """The runtime of a backend whose ``level`` is ``gradients`` or higher."""
        return cast("LearningRuntime", self.runtime)

    @property
    def optimizing(self) -> OptimizingRuntime:
        """The runtime of a backend whose record names ``optimizers``."""
        return cast("OptimizingRuntime", self.runtime)

    @property
    def stepping(self) -> SteppingRuntime:
        """The runtime of a backend that writes source in step form."""
        return cast("SteppingRuntime", self.runtime)

    @property
    def saving(self) -> SavingRuntime:
        """The runtime of a backend that writes ``files``."""
        return cast("SavingRuntime", self.runtime)

    @property
    def opening(self) -> OpeningRuntime:
        """The runtime of a backend that opens the files of its framework."""
        return cast("OpeningRuntime", self.runtime)

    def require(self) -> None:
        """Raise BackendError unless the framework is installed and recent enough."""
        # Imported here: a command that needs no framework starts sooner without it.
        from importlib import metadata

        if not self.installed:
            raise BackendError(f"{self.title} is not installed: pip install {self.requirement}")
        try:
            found = metadata.version(self.distribution) if self.distribution else ""
        except metadata.PackageNotFoundError:
            return  # Installed under another name, such as keras-nightly: the import decides.
        if found and _release(found) < self.minimum:
            minimum = ".".join(map(str, self.minimum))
            raise BackendError(
                f"{self.title} {found} is too old, expected {minimum} or newer: "
                f"pip install --upgrade {self.requirement}"
            )

    # Imported on first use, so that the record of a backend costs no import.
    def _module(self, name: str) -> object:
        return import_module(f"{self.package}.{name}")


def _required(extra: str) -> list[str]:
    """Return the requirements that ``extra`` adds to those of rnnspec."""
    # Imported here: only a message needs it.
    from importlib import metadata

    try:
        declared = metadata.requires("rnnspec") or []
    except metadata.PackageNotFoundError:
        return []  # run from a folder, not installed
    # The extras of rnnspec have no other markers, so this needs no parser of markers.
    parts = (each.partition(";") for each in declared)
    marker = ["extra", "==", f'"{extra}"']
    return [requirement.strip() for requirement, _, found in parts if found.split() == marker]


def _release(version: str) -> tuple[int, ...]:
    # Local and development suffixes do not count, as in '2.6.0+cpu'.
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


@dataclass(frozen=True, slots=True)
class Trace:
    """The input of each layer, and the output of the model, in one forward pass in inference."""

    inputs: Mapping[str, Array]
    output: Array


@dataclass(frozen=True, slots=True)
class Stock:
    """The parameter count of a stock layer that the generated source replaces, and the reason."""

    layer: str
    type: str
    parameters: int
    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """The dtype and shape of one array of a live model, as the framework states them.

    ``dtype`` is a name such as ``float32``, empty for an array that has no data.
    """

    dtype: str
    shape: tuple[int, ...]


class Learner(Protocol):
    """The loss sum(weight (output - target)^2) / 2, and its gradients."""

    def __call__(self, inputs: Array, target: Array, weight: Array, /) -> tuple[float, list[Array]]:
        """Return the loss and a gradient per array, in the layout of the array."""


class Emitter(Protocol):
    """The module ``emit`` of a backend: IR to source, without the framework."""

    def emit(self, network: Network, form: Form) -> Text:
        """Return the source of a network in one of the forms of the record.

        The network is arranged for the form. Except for training, it has no dropout; in step form,
        it takes any number of steps.
        """

    def refusals(self, network: Network, form: Form) -> tuple[Refusal, ...]:
        """Return every setting of the network that this backend does not support in a form.

        The registry adds the backends that support it.
        """

    def arranged(self, network: Network, form: Form) -> Network:
        """Return the network in the arrangement of the source, the slots and the runtime.

        It has the same layers, names and arrays; some layers may be marked as parts of a stack.
        """

    def stepwise(self, network: Network) -> dict[str, str]:
        """Return the layers that run step by step, each with the key that rules out fusing."""

    def stock(self, network: Network) -> tuple[Stock, ...]:
        """Return the layers whose stock counterpart has another number of parameters."""


class Slots(Protocol):
    """The module ``slots`` of a backend: the place of each canonical array."""

    def slots(self, layer: Layer) -> tuple[Slot, ...]:
        """Return a slot for each canonical array of a layer."""

    def module(self, layer: Layer) -> str:
        """Return the name of the framework's layer with these arrays."""


class Runtime(Protocol):
    """The module ``runtime`` of a backend: the only one that imports the framework."""

    def version(self) -> str:
        """Return the framework's version, with the engine if it has several."""

    def instantiate(self, module: ModuleType, entry: str, dtype: str) -> Any:
        """Return a model from executed source, in one of the dtypes of the record.

        Source that is not Python is the attribute ``TEXT`` of the module.
        """

    def layer_count(self, model: Any, layer: Layer) -> int:
        """Return the parameter count of a layer according to the framework."""

    def counts(self, model: Any) -> Counts:
        """Return the parameter counts of the whole model according to the framework."""

    def layer_type(self, model: Any, layer: Layer) -> str:
        """Return the name of the framework's class of a layer, empty if there is none."""

    def unwrap(self, model: Any) -> Any | None:
        """Return a model without its wrappers, or None if it is not a model of this framework."""

    def others(self, model: Any, known: Collection[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays that are not at a known (layer, path), by name."""

    def held(self, model: Any, layer: str, path: str) -> Held:
        """Return the dtype and shape of the array at ``path`` of a layer.

        Raises:
            LookupError: the model has no array there.
        """

    def get(self, model: Any, layer: str, path: str) -> Array:
        """Return a copy of the array at ``path`` of a layer, in the framework's layout.

        It is in the model's own dtype, or in float32 if that is bfloat16.
        """

    def put(self, model: Any, layer: str, path: str, array: Array) -> None:
        """Replace the array at ``path`` of a layer, keeping the model's own dtype."""

    def trace(self, model: Any, layers: Sequence[str], inputs: Array) -> Trace:
        """Run one forward pass in inference; ``inputs`` is (batch, steps[, features])."""


class LearningRuntime(Runtime, Protocol):
    """The module ``runtime`` of a backend that is compared up to ``gradients`` or ``training``."""

    def learner(self, model: Any, keys: Sequence[tuple[str, str]], *, training: bool) -> Learner:
        """Return a learner with gradients for the arrays at ``keys``, which are (layer, path).

        If ``training`` is true, the model runs with dropout, otherwise as in inference.
        """


class OptimizingRuntime(LearningRuntime, Protocol):
    """The module ``runtime`` of a backend whose record names ``optimizers``."""

    def own_steps(
        self, model: Any, keys: Sequence[tuple[str, str]], *, training: bool, summed: bool
    ) -> Callable[[Optimizer], Step]:
        """Return a function that returns the step of one of the framework's own optimizers.

        The step changes the arrays at ``keys``, which are (layer, path). If ``summed`` is true, the
        optimizer gets one gradient for each row of an embedding, however often it was looked up;
        otherwise it gets what it gets when the framework trains.
        """


class SteppingRuntime(Runtime, Protocol):
    """The module ``runtime`` of a backend that writes source in step form."""

    def step(
        self, model: Any, chunk: Array, states: Mapping[str, Array] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Return the output of a model in step form for the steps so far, and its new states.

        ``chunk`` is (batch, steps[, features]), and ``states`` are those that the chunk before it
        gave, or None at the start.
        """


class SavingRuntime(Runtime, Protocol):
    """The module ``runtime`` of a backend that writes models to files."""

    def save(self, model: Any, folder: Path, name: str, source: str, spec: str) -> None:
        """Write the model's files, all named ``name``, into an empty folder."""

    def reload(self, folder: Path, name: str, entry: str) -> Any:
        """Return the model in files that ``save`` wrote, loaded as a user would load them.

        Nothing is added to the folder. ``entry`` is the class or function of generated source.
        """


class OpeningRuntime(Runtime, Protocol):
    """The module ``runtime`` of a backend that opens models that rnnspec did not write."""

    def open_original(self, path: Path) -> Any:
        """Return the model in a file whose whole content was checked.

        Raises:
            BackendError: the framework does not open it.
        """

    def output(self, model: Any, inputs: Array) -> Array:
        """Return the output in inference; ``inputs`` is (batch, steps[, features])."""
