"""The contract of a backend: what its modules provide, checked by mypy in each backend's folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from rnnspec.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from rnnspec.backends.expressions import Source
    from rnnspec.errors import Refusal
    from rnnspec.ir.nodes import Layer, Network
    from rnnspec.ir.params import Counts
    from rnnspec.slots import Array, Slot


Form = Literal["training", "inference", "step"]
"""A form of generated source: to train, to predict alone, or to run chunk after chunk."""

LEVELS = ("counts", "forward", "gradients", "training")
"""Levels of comparison; each includes those before it."""

Level = Literal["counts", "forward", "gradients", "training"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The record of one backend: what it is called, what it needs and what it has.

    ``package`` holds its modules ``emit``, ``slots`` and ``runtime``, ``distribution`` is the
    installed package that the runtime imports (empty if it needs none) and ``minimum`` its oldest
    version that works. ``forms`` are the forms of source it writes. ``level`` is the highest level
    of comparison its runtime reaches (None: it has no runtime), in each of ``dtypes``. ``files``
    are the files that ``build`` writes, ``{name}`` standing for the network's name; one file is
    written by itself, several go into a folder. ``loading`` is Python that turns them into a model
    again; ``{name}``, ``{entry}``, ``{path!r}`` and ``{folder!r}`` are filled in.
    """

    name: str
    title: str
    package: str
    distribution: str = ""
    minimum: tuple[int, int] = (0, 0)
    forms: tuple[Form, ...] = ("training",)
    level: Level | None = "training"
    dtypes: tuple[str, ...] = ("float64", "float32")
    files: tuple[str, ...] = ()
    loading: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether the framework can be found; it is not imported."""
        return not self.distribution or find_spec(self.distribution) is not None

    @property
    def suffix(self) -> str:
        """The ending of the single file that ``build`` writes, empty if it writes a folder."""
        return self.files[0].removeprefix("{name}") if len(self.files) == 1 else ""

    def reaches(self, level: str) -> bool:
        """Tell whether the runtime can be compared up to ``level``."""
        return self.level is not None and LEVELS.index(level) <= LEVELS.index(self.level)

    @property
    def emitter(self) -> Emitter:
        """IR to source."""
        return cast("Emitter", self._module("emit"))

    @property
    def slots(self) -> Slots:
        """Where each canonical array is kept."""
        return cast("Slots", self._module("slots"))

    @property
    def runtime(self) -> Runtime:
        """The framework itself.

        Raises:
            BackendError: it is not installed, too old, or fails to import.
        """
        self.require()
        try:
            return cast("Runtime", self._module("runtime"))
        except Exception as error:  # Keras raises ValueError for an engine it does not know
            raise BackendError(f"{self.title} cannot be imported: {error}") from error

    @property
    def learning(self) -> LearningRuntime:
        """The runtime of a backend whose ``level`` is ``gradients`` or higher."""
        return cast("LearningRuntime", self.runtime)

    @property
    def saving(self) -> SavingRuntime:
        """The runtime of a backend that writes ``files``."""
        return cast("SavingRuntime", self.runtime)

    def require(self) -> None:
        """Raise BackendError unless the framework is installed and recent enough."""
        if not self.installed:
            raise BackendError(f"{self.title} is not installed: pip install 'rnnspec[{self.name}]'")
        try:
            found = metadata.version(self.distribution) if self.distribution else ""
        except metadata.PackageNotFoundError:
            return  # A build under another name, such as keras-nightly: its import decides.
        if found and _release(found) < self.minimum:
            wanted = ".".join(map(str, self.minimum))
            raise BackendError(
                f"{self.title} {found} is too old, {wanted} is the oldest that works: "
                f"pip install --upgrade 'rnnspec[{self.name}]'"
            )

    def _module(self, name: str) -> object:
        return import_module(f"{self.package}.{name}")


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


@dataclass(frozen=True, slots=True)
class Trace:
    """What one forward pass in inference showed: what entered each layer, and the result."""

    inputs: Mapping[str, Array]
    output: Array


@dataclass(frozen=True, slots=True)
class Stock:
    """What a framework's own layer would hold where the generated source has another."""

    layer: str
    type: str
    parameters: int
    reason: str


class Learner(Protocol):
    """A loss, sum(weight (output - target)^2) / 2, and its gradients."""

    def __call__(self, inputs: Array, target: Array, weight: Array, /) -> tuple[float, list[Array]]:
        """Return the loss, and a gradient laid out as its array for each of them."""


class Emitter(Protocol):
    """The module ``emit`` of a backend: IR -> source, no framework needed."""

    def emit(self, network: Network) -> Source:
        """Return the source of a network."""

    def refusals(self, network: Network) -> tuple[Refusal, ...]:
        """Return every word of the network that this backend cannot honour."""

    def arranged(self, network: Network) -> Network:
        """Return the network as the source, the slots and the runtime lay it out.

        Same layers, names and arrays; some layers may be marked as levels of one module.
        """

    def stepwise(self, network: Network) -> dict[str, str]:
        """Return the layers run step by step, not fused, and the word that asks for it."""

    def stock(self, network: Network) -> tuple[Stock, ...]:
        """Return the layers whose framework namesake holds another number of parameters."""


class Slots(Protocol):
    """The module ``slots`` of a backend: where it keeps each canonical array."""

    def slots(self, layer: Layer) -> tuple[Slot, ...]:
        """Return a slot for each canonical array of a layer."""

    def module(self, layer: Layer) -> str:
        """Return the name of the framework's layer that holds these arrays."""


class Runtime(Protocol):
    """The module ``runtime`` of a backend: the only one that imports the framework."""

    def version(self) -> str:
        """Return the framework's version, with its engine where there is a choice."""

    def instantiate(self, module: ModuleType, entry: str, dtype: str) -> Any:
        """Return a model from executed source, its numbers of type ``float32`` or ``float64``."""

    def layer_count(self, model: Any, layer: Layer) -> int:
        """Return how many parameters the framework counts in one layer."""

    def counts(self, model: Any) -> Counts:
        """Return how many parameters the framework counts in the whole model."""

    def layer_type(self, model: Any, layer: Layer) -> str:
        """Return the name of the framework's class for one layer, empty where it has none."""

    def unwrap(self, model: Any) -> Any | None:
        """Return a model without what wraps it, or None if it is no model of this framework."""

    def shape(self, model: Any, layer: str, path: str) -> tuple[int, ...] | None:
        """Return the shape of the array at ``path`` of a layer, or None if there is none."""

    def others(self, model: Any, known: Collection[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all arrays that are not at a known (layer, path), by their names."""

    def get(self, model: Any, layer: str, path: str) -> Array:
        """Return a copy of the array at ``path`` of a layer, in the framework's layout."""

    def put(self, model: Any, layer: str, path: str, array: Array) -> None:
        """Replace the array at ``path`` of a layer, keeping the model's own dtype."""

    def trace(self, model: Any, layers: Sequence[str], inputs: Array) -> Trace:
        """Run one forward pass in inference; ``inputs`` is (batch, steps[, features])."""


class LearningRuntime(Runtime, Protocol):
    """The module ``runtime`` of a backend that is compared up to ``gradients`` or ``training``."""

    def learner(self, model: Any, keys: Sequence[tuple[str, str]], *, training: bool) -> Learner:
        """Return what gives the loss and its gradients by the arrays at (layer, path).

        The model runs as in training, its dropout at work, or as in inference.
        """


class SavingRuntime(Runtime, Protocol):
    """The module ``runtime`` of a backend whose models are written to files."""

    def save(self, model: Any, folder: Path, name: str, source: str, spec: str) -> None:
        """Write the model's files, all named ``name``, into an empty folder."""
