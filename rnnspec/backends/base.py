"""The contract of a backend: what its modules provide, checked by mypy in each backend's folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from rnnspec.backends.expressions import Source
    from rnnspec.errors import Refusal
    from rnnspec.ir.nodes import Layer, Network
    from rnnspec.ir.params import Counts
    from rnnspec.slots import Array, Slot


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

    def get(self, model: Any, layer: str, path: str) -> Array:
        """Return a copy of the array at ``path`` of a layer, in the framework's layout."""

    def put(self, model: Any, layer: str, path: str, array: Array) -> None:
        """Replace the array at ``path`` of a layer, keeping the model's own dtype."""

    def trace(self, model: Any, layers: Sequence[str], inputs: Array) -> Trace:
        """Run one forward pass in inference; ``inputs`` is (batch, steps[, features])."""

    def learner(self, model: Any, keys: Sequence[tuple[str, str]], *, training: bool) -> Learner:
        """Return what gives the loss and its gradients by the arrays at (layer, path).

        The model runs as in training, its dropout at work, or as in inference.
        """

    def save(self, model: Any, folder: Path, name: str, source: str, spec: str) -> None:
        """Write the model's files, all named ``name``, into an empty folder."""
