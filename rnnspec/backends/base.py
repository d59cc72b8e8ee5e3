"""The small language in which a backend describes source code, and what its runtime can do.

A backend turns each node into statements; ``codegen`` lays them out. Nothing here is text to be
pasted: a value is a literal, and a name is checked where it is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rnnspec.errors import GenerationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from rnnspec.errors import Refusal
    from rnnspec.ir.nodes import Layer, Network
    from rnnspec.ir.params import Counts
    from rnnspec.slots import Array, Slot

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Name:
    """A dotted ASCII name, as it stands in the source."""

    text: str

    def __post_init__(self) -> None:
        if _DOTTED.fullmatch(self.text) is None:
            raise GenerationError(f"{self.text!r} is no name")


@dataclass(frozen=True, slots=True)
class Index:
    """``value[item]``; a slice without a stop is ``value[start:]``."""

    value: Expression
    item: int | str | slice


@dataclass(frozen=True, slots=True)
class Attribute:
    """``value.name``, where ``value`` is more than a name."""

    value: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Binary:
    """``left operator right``."""

    left: Expression
    operator: str
    right: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """``function(*args, **kwargs)``."""

    function: Expression
    args: tuple[Expression, ...] = ()
    kwargs: tuple[tuple[str, Expression], ...] = ()


@dataclass(frozen=True, slots=True)
class Items:
    """``[item, ...]``, or ``(item, ...)`` where ``fixed``."""

    items: tuple[Expression, ...]
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Entries:
    """``{"key": value, ...}``."""

    entries: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """``value if test else otherwise``."""

    value: Expression
    test: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Formatted:
    """``f"text{value}"``; the text has no brackets of its own."""

    text: str
    value: Expression


Literal = bool | int | float | str | None
Expression = (
    Literal | Name | Index | Attribute | Binary | Call | Items | Entries | Choice | Formatted
)


@dataclass(frozen=True, slots=True)
class Assign:
    """``target = value``; a target may be a nested tuple of names."""

    target: Target
    value: Expression


@dataclass(frozen=True, slots=True)
class Evaluate:
    """An expression evaluated for its effect."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Comment:
    """A line that says why, of a backend's own words alone."""

    text: str


@dataclass(frozen=True, slots=True)
class Return:
    """``return value``."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Raise:
    """``raise value``."""

    value: Expression


@dataclass(frozen=True, slots=True)
class If:
    """``if test:`` and its body, then an ``elif`` for each further branch."""

    branches: tuple[tuple[Expression, tuple[Statement, ...]], ...]


@dataclass(frozen=True, slots=True)
class For:
    """``for target in iterable:`` and its body; a target that begins with ``*`` takes the rest."""

    target: Target
    iterable: Expression
    body: tuple[Statement, ...]


Target = str | tuple["Target", ...]
Statement = Assign | Comment | Evaluate | Return | Raise | If | For


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method of the generated source; ``docstring`` is a line an entry."""

    name: str
    arguments: str
    returns: str
    docstring: tuple[str, ...]
    body: tuple[Statement, ...]
    decorators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of source that stands above the model: its template, and what the template needs."""

    template: str
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A generated file. ``entry`` is the class or function that makes the model.

    ``imports`` are lines from the standard library, beside the framework's that the template has.
    """

    template: str
    title: str
    comment: str
    entry: str
    docstring: tuple[str, ...]
    parts: tuple[Part, ...]
    imports: tuple[str, ...]
    functions: tuple[Function, ...]


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


def call(
    function: str,
    positional: tuple[Expression, ...],
    arguments: Mapping[str, Expression],
    defaults: Mapping[str, Expression],
) -> Call:
    """Return a call without the arguments that say what the framework takes them for anyway."""
    said = [(k, v) for k, v in arguments.items() if k not in defaults or v != defaults[k]]
    return Call(Name(function), positional, tuple(said))


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
